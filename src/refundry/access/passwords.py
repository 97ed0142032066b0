"""Hashing passwords with argon2, beside the event loop and only a few at once."""

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from refundry.access.rights import LONGEST_PASSWORD, normal_password

T = TypeVar("T")

# A hash takes some 100 ms of a core and 64 MiB. So many at once in a process, and so many more
# may wait: a crowd at the door must neither fill the memory nor wait for minutes.
_AT_ONCE = 2
_MOST_WAITING = 40


class TooBusy(Exception):
    """Too many passwords wait to be hashed; try again soon."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a password is right. rehashed: what to store from now on, if it should change."""

    right: bool
    rehashed: str | None = None


class Passwords:
    """Hashes and checks passwords. Close it at the end of the process."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._asked = 0
        self._nobodys = self._hash_of_nobody()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What to store of a password. Raises TooBusy."""
        return await self._run(self._hasher.hash, _bytes(password))

    async def check(self, stored: str | None, password: str) -> Checked:
        """Whether a password is the stored one. Without one, it is wrong after the same time.

        Raises TooBusy.
        """
        # Before its characters are put together a password may be longer than it may be after.
        known = stored is not None and len(password) <= 4 * LONGEST_PASSWORD
        text = _bytes(password) if known else b"nobody"
        return await self._run(self._check, stored if known else None, text)

    def _check(self, stored: str | None, text: bytes) -> Checked:
        try:
            self._hasher.verify(stored or self._nobodys, text)
        except VerifyMismatchError:
            return Checked(right=False)
        if stored is not None and self._hasher.check_needs_rehash(stored):
            return Checked(right=True, rehashed=self._hasher.hash(text))
        return Checked(right=stored is not None)

    def _hash_of_nobody(self) -> str:
        """A hash that no password has, and that takes as long to check as any other."""
        each = self._hasher
        salt, digest = (
            base64.b64encode(os.urandom(size)).decode().rstrip("=")
            for size in (each.salt_len, each.hash_len)
        )
        cost = f"m={each.memory_cost},t={each.time_cost},p={each.parallelism}"
        return f"$argon2id$v=19${cost}${salt}${digest}"

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        if self._asked >= _AT_ONCE + _MOST_WAITING:
            raise TooBusy
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._asked -= 1


def _bytes(password: str) -> bytes:
    # What a terminal could not decode is a password like any other.
    return normal_password(password).encode("utf-8", "surrogatepass")
