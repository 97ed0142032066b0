"""Tells workers early that something is due. Polling is what is correct; this makes it quick."""

import asyncio
import contextlib
from collections.abc import Sequence

import asyncpg

from refundry.db.database import Database, Unreachable, connect_arguments, direct
from refundry.settings import Settings

CHANNEL = "refundry_work"
_RECONNECT_SECONDS = 0.5
# A notification is a statement with a commit of its own: after one, those of this long share the
# next. The first goes at once.
_PAUSE_SECONDS = 0.005


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
            await asyncio.sleep(_PAUSE_SECONDS)


class Listener:
    """Hears notifications on a connection of its own; where that fails, polling remains.

    wakes: what is set at each notification.
    """

    def __init__(self, settings: Settings, wakes: Sequence[asyncio.Event]) -> None:
        self._settings = settings
        self._wakes = wakes

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        # pgbouncer in transaction mode has no connection that would stay ours.
        settings = direct(self._settings)
        while not settings.pgbouncer:
            with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
                await self._listen(settings)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self, settings: Settings) -> None:
        """Listen for as long as the connection lives."""
        connection = await asyncpg.connect(**connect_arguments(settings))
        ended = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: ended.set())
            await connection.add_listener(CHANNEL, self._hear)
            await ended.wait()
        finally:
            if not connection.is_closed():
                await connection.close(timeout=1)

    def _hear(self, *_args: object) -> None:
        for wake in self._wakes:
            wake.set()
