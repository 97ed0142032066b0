"""The real PostgreSQL, one statement at a time; a statement that waits for a lock is known as such.

The connections live on an event loop of their own, which runs only while a step is being taken.
"""

import asyncio
from asyncio import events
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import asyncpg
import uvloop

from refundry.db.database import connect_arguments
from refundry.settings import Settings

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
T = TypeVar("T")
# How long a statement is waited for before the server is asked whether it waits for a lock.
_PATIENCE_SECONDS = 0.005
# The server's own time and randomness: the first is the simulation's, the others are refused.
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS simulated;
CREATE OR REPLACE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT pg_catalog.current_setting('simulated.now')::timestamptz $$;
"""
_REFUSED = (
    ("clock_timestamp", "timestamptz"),
    ("statement_timestamp", "timestamptz"),
    ("transaction_timestamp", "timestamptz"),
    ("random", "float8"),
    ("gen_random_uuid", "uuid"),
)
_SERVER_SETTINGS = {
    # Before the server's own functions, so that `now()` is ours.
    "search_path": "simulated, pg_catalog, public",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "off",
    # A plan must not hang on how often a connection was used before.
    "plan_cache_mode": "force_generic_plan",
    # Deadlocks are found by us, at once, so that the same statement loses every time.
    "deadlock_timeout": "1h",
}


@dataclass(eq=False, slots=True)
class Running:
    """A statement that the server has begun. task: on the server's loop."""

    connection: Connection
    task: "asyncio.Task[Any]"
    deadlocked: bool = False

    @property
    def pid(self) -> int:
        return self.connection.get_server_pid()


class Server:
    """Connections to one database, and the only ones: else its locks would tell us nothing."""

    def __init__(self, settings: Settings, connections: int) -> None:
        self._loop = uvloop.new_event_loop()
        self._running: list[Running] = []
        self.monitor: Connection = self.step(self._connect(settings))
        self.step(self._prepare())
        self.free = [self.step(self._connect(settings)) for _ in range(connections)]
        self._connections = list(self.free)

    def step(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's loop to its end, from wherever we are."""
        simulated = events._get_running_loop()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
        events._set_running_loop(None)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return self._loop.run_until_complete(work)
        finally:
            events._set_running_loop(simulated)  # pyright: ignore[reportAttributeAccessIssue]

    def close(self) -> None:
        for connection in (*self._connections, self.monitor):
            connection.terminate()  # whatever it does: the run may have been stopped in a step
        self.step(asyncio.sleep(0.05))  # in which the lines are closed
        self._loop.close()

    async def _connect(self, settings: Settings) -> Connection:
        own: dict[str, Any] = {"server_settings": _SERVER_SETTINGS, "command_timeout": None}
        arguments: dict[str, Any] = connect_arguments(settings) | own
        return await asyncpg.connect(**arguments)

    async def _prepare(self) -> None:
        await self.monitor.execute(_SCHEMA)
        for name, kind in _REFUSED:
            await self.monitor.execute(
                f"CREATE OR REPLACE FUNCTION simulated.{name}() RETURNS {kind} LANGUAGE plpgsql"
                f" AS $$ BEGIN RAISE 'the simulation knows no {name}()'; END $$"
            )
        # What the server does by itself, at times of its own, would change what we see.
        for setting in ("autovacuum = off", "fsync = off", "full_page_writes = off"):
            await self.monitor.execute(f"ALTER SYSTEM SET {setting}")
        await self.monitor.execute("SELECT pg_reload_conf()")

    def empty(self) -> None:
        """Begin afresh: no row is left, and every sequence starts at 1."""
        self.step(self._empty())

    async def _empty(self) -> None:
        assert not self._running
        names = await self.monitor.fetchval(
            """
            SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables
             WHERE schemaname = 'public' AND tablename NOT IN ('facts', 'migrations')
            """
        )
        await self.monitor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        self.free = list(self._connections)

    def begin(
        self, connection: Connection, kind: str, query: str, args: Sequence[Any], now: datetime
    ) -> Running:
        """Send a statement and see how far it gets: look at its `task`, and at `ended`.

        kind: of asyncpg's methods. now: what the server takes for the present.
        """
        return self.step(self._begin(connection, kind, query, args, now))

    async def _begin(
        self, connection: Connection, kind: str, query: str, args: Sequence[Any], now: datetime
    ) -> Running:
        if "now()" in query:
            await connection.execute("SELECT set_config('simulated.now', $1, false)", str(now))
        method = getattr(connection, kind)
        running = Running(connection, asyncio.ensure_future(method(query, *args)))
        self._running.append(running)
        await asyncio.wait([running.task], timeout=_PATIENCE_SECONDS)
        await self._settle()
        return running

    def ended(self) -> list[Running]:
        """Those begun that have ended since this was asked last, in the order of their begin."""
        found = [running for running in self._running if running.task.done()]
        self._running = [running for running in self._running if not running.task.done()]
        return found

    def stop(self, running: Running) -> None:
        """Cancel a statement whose client waits no longer; its transaction goes on, failed."""
        self.step(self._stop_alone(running))

    async def _stop_alone(self, running: Running) -> None:
        await self._stop(running)
        await self._settle()

    def cancel(self, connection: Connection) -> None:
        """End what a connection does, and its transaction: its client is gone."""
        self.step(self._cancel(connection))

    async def _cancel(self, connection: Connection) -> None:
        for running in [each for each in self._running if each.connection is connection]:
            await self._stop(running)
            with suppress(asyncpg.PostgresError):
                await running.task
            self._running.remove(running)
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        await self._settle()

    async def _settle(self) -> None:
        """Return when every statement begun has ended or waits for a lock that will be kept.

        Locks are kept by transactions, and these wait for us. Asked twice, as one statement may
        be handed on from a lock to the next while the server looks.
        """
        before = None
        while waiting := [each for each in self._running if not each.task.done()]:
            blocked = {row["pid"]: row["by"] for row in await self._blocked(waiting)}
            if not all(blocked.values()):
                before = None
                tasks = [each.task for each in waiting]
                await asyncio.wait(tasks, timeout=0.001, return_when=asyncio.FIRST_COMPLETED)
            elif blocked != before:
                before = blocked
            elif loser := _deadlocked(waiting, blocked):
                loser.deadlocked = True
                await self._stop(loser)
                before = None
            else:
                return

    async def _blocked(self, waiting: Sequence[Running]) -> list[asyncpg.Record]:
        return await self.monitor.fetch(
            "SELECT pid, pg_blocking_pids(pid) AS by FROM unnest($1::int[]) AS pid",
            [each.pid for each in waiting],
        )

    async def _stop(self, running: Running) -> None:
        if not running.task.done():
            await self.monitor.execute("SELECT pg_cancel_backend($1)", running.pid)
            await asyncio.wait([running.task])


def _deadlocked(waiting: Sequence[Running], blocked: dict[int, Sequence[int]]) -> Running | None:
    """The statement that closed a circle, the last one to begin; None if there is no circle."""
    for running in reversed(waiting):
        seen: set[int] = set()
        todo = list(blocked[running.pid])
        while todo:
            pid = todo.pop()
            if pid == running.pid:
                return running
            if pid not in seen:
                seen.add(pid)
                todo += blocked.get(pid, ())
    return None
