"""Tells workers early that something is due. Polling is what is correct; this makes it quick."""

import asyncio
import contextlib

import asyncpg

from refundry.db.database import Database, Unreachable, connect_arguments
from refundry.settings import Settings

CHANNEL = "refundry_work"


class Waker:
    """Sends a notification after commits, at most one at a time.

    Never inside the transaction: pg_notify takes a lock of the whole database at commit.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """Note that something became due; returns at once."""
        self._wanted.set()

    async def run(self) -> None:
        """Send what is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
                await self._database.execute("SELECT pg_notify($1, '')", CHANNEL)


class Listener:
    """Hears notifications on a connection of its own; where that fails, polling remains."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heard = asyncio.Event()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def wait(self, seconds: float) -> None:
        """Return when something was heard, or after `seconds`."""
        await self._connect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=1)

    async def _connect(self) -> None:
        # pgbouncer in transaction mode has no connection that would stay ours.
        if self._settings.pgbouncer:
            return
        if self._connection is not None and not self._connection.is_closed():
            return
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
            connection = await asyncpg.connect(**connect_arguments(self._settings))
            await connection.add_listener(CHANNEL, self._hear)
            self._connection = connection

    def _hear(self, *_args: object) -> None:
        self._heard.set()
