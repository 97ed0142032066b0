"""A pool in front of asyncpg's, which lends a connection without a step of the event loop.

asyncpg makes a task and a timer for each time that a connection is lent and given back; a
statement by its primary key costs little more than that.
"""

import asyncio
import contextlib
from collections import deque
from typing import Protocol, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
# What nobody has wanted for so long goes back to asyncpg's pool, which closes it in the end.
_SWEEP_SECONDS = 5.0
# After so many loans too: that pool renews connections that have answered many statements.
_MOST_LOANS = 1000


class Loan(Protocol):
    """A connection for the length of a block."""

    async def __aenter__(self) -> Connection: ...
    async def __aexit__(self, *error: object) -> object: ...


class Pool(Protocol):
    """What a database takes its connections from."""

    def acquire(self, *, timeout: float) -> Loan:
        """A connection. Its block raises TimeoutError where none comes free in time."""
        ...


class LendingPool:
    """Keeps connections of `pool` at hand between two loans.

    Nobody waits while one is at hand: whoever has to wait does so in asyncpg's pool, and what is
    given back meanwhile goes there.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", *, sweep_seconds: float = _SWEEP_SECONDS
    ) -> None:
        """sweep_seconds: what was not wanted for so long goes back."""
        self._pool = pool
        self._sweep_seconds = sweep_seconds
        # The one given back last is lent first, so that the others are seen to be idle.
        self._idle: deque[tuple[Connection, int]] = deque()
        self._fewest_idle = 0
        self._waiting = 0
        self._closed = False

    def acquire(self, *, timeout: float) -> "_Loan":
        """A connection for the length of a block."""
        return _Loan(self, timeout)

    async def take(self, timeout: float) -> tuple[Connection, int]:
        """A connection and how often it was lent since it came from asyncpg's pool."""
        while self._idle:
            connection, loans = self._idle.pop()
            self._fewest_idle = min(self._fewest_idle, len(self._idle))
            if _lives(connection):
                return connection, loans
            await self._pool.release(connection)
        self._waiting += 1
        try:
            return await self._pool.acquire(timeout=timeout), 0
        finally:
            self._waiting -= 1

    async def give_back(self, connection: Connection, loans: int) -> None:
        """The end of a loan."""
        keeps = not (self._waiting or self._closed or loans >= _MOST_LOANS)
        if keeps and _lives(connection):
            self._idle.append((connection, loans + 1))
        else:
            await self._pool.release(connection)

    async def run(self) -> None:
        """Return what is not wanted, for as long as it runs, and everything at its end."""
        try:
            while True:
                self._fewest_idle = len(self._idle)
                await asyncio.sleep(self._sweep_seconds)
                await self._return(self._fewest_idle)
        finally:
            self._closed = True
            await self._return(len(self._idle))

    async def _return(self, count: int) -> None:
        for _ in range(min(count, len(self._idle))):
            connection, _ = self._idle.popleft()
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._pool.release(connection)


class _Loan:
    """One loan; a class, as a generator for a context would cost as much as the loan."""

    __slots__ = ("_connection", "_loans", "_pool", "_timeout")
    _connection: Connection

    def __init__(self, pool: LendingPool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._loans = 0

    async def __aenter__(self) -> Connection:
        self._connection, self._loans = await self._pool.take(self._timeout)
        return self._connection

    async def __aexit__(self, *error: object) -> None:
        await self._pool.give_back(self._connection, self._loans)


def _lives(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # closed, and back in asyncpg's pool therefore
        return False
