"""The one source of new ids and secrets."""

import itertools
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager

_POOL_BYTES = 4096


class PooledRandom(random.SystemRandom):
    """Random bits of the operating system, fetched for some hundred ids at a time.

    Each fetch is a system call, and a request draws several ids.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._pool = b""
        self._at = 0
        # What a child drew would be drawn by its parent too.
        os.register_at_fork(after_in_child=self._renew)

    def getrandbits(self, k: int) -> int:
        """An integer of k random bits."""
        size = (k + 7) // 8
        return int.from_bytes(self._take(size)) >> (size * 8 - k)

    def _take(self, size: int) -> bytes:
        with self._lock:
            at = self._at
            if at + size > len(self._pool):
                self._pool, at = os.urandom(max(_POOL_BYTES, size)), 0
            self._at = at + size
            return self._pool[at : self._at]

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._pool, self._at = b"", 0


_source: random.Random = PooledRandom()


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


_now: Callable[[], int] = _milliseconds


@contextmanager
def drawn_from(source: random.Random) -> Generator[None]:
    """Take ids from a seeded source for the length of the block: for simulations, never else.

    Where an id begins with the time, it begins with a count.
    """
    global _source, _now
    before = _source, _now
    _source, _now = source, itertools.count(1).__next__
    try:
        yield
    finally:
        _source, _now = before


def _uuid() -> uuid.UUID:
    return uuid.UUID(int=_source.getrandbits(128), version=4)


def _ordered_uuid() -> uuid.UUID:
    """Version 7 (RFC 9562, 5.7): the milliseconds since 1970, then 74 random bits.

    What is new then stands together in an index. With random ids each row touches a page of its
    own, and each page is written to the WAL as a whole, once after each checkpoint: with 200,000
    orders that was most of what a refund wrote. Made in our own time, whatever a test clock says,
    and nothing relies on the order.
    """
    random_bits = _source.getrandbits(74)
    version_and_more = 0x7000 | random_bits >> 62
    variant_and_rest = 0b10 << 62 | random_bits & (1 << 62) - 1
    return uuid.UUID(int=_now() << 80 | version_and_more << 64 | variant_and_rest)


def new_uuid() -> str:
    """A random UUID, for tokens, secrets and what there is little of."""
    return str(_uuid())


def new_ordered_uuid() -> str:
    """A UUID that begins with the time, for charges, operations and events."""
    return str(_ordered_uuid())


def new_refund_id() -> str:
    """`re_` and a UUID that begins with the time."""
    return f"re_{_ordered_uuid()}"


def new_fulfillment_id() -> str:
    """`ful_` and a UUID that begins with the time."""
    return f"ful_{_ordered_uuid()}"


def new_number() -> str:
    """Twelve digits, the first not 0, for orders and their lines."""
    return str(_source.randrange(9 * 10**11) + 10**11)


def new_secret_hex() -> str:
    """128 random bits as 32 lower-case hexadecimal digits, for API keys."""
    return _source.randbytes(16).hex()


def new_signing_token() -> str:
    """256 random bits as 64 lower-case hexadecimal digits, for the signatures of a webhook."""
    return _source.randbytes(32).hex()


def new_return_id() -> str:
    """`ret_` and a UUID."""
    return f"ret_{_uuid()}"


def new_dispute_id() -> str:
    """`dp_` and a UUID."""
    return f"dp_{_uuid()}"


def new_sales_transaction_id() -> str:
    """`st_` and a UUID."""
    return f"st_{_uuid()}"


def new_user_id() -> str:
    """`usr_` and a UUID."""
    return f"usr_{_uuid()}"


def new_web_token() -> str:
    """256 random bits as 64 lower-case hexadecimal digits, for sessions, links and forms."""
    return _source.randbytes(32).hex()


def new_draft_id() -> str:
    """`draft_` and a UUID."""
    return f"draft_{_uuid()}"


def new_bulk_run_id() -> str:
    """`bulk_` and a UUID."""
    return f"bulk_{_uuid()}"


def new_gateway_id() -> str:
    """`gw_` and a random UUID: it stands in an address that only its processor should know."""
    return f"gw_{new_uuid()}"
