"""Migrations that build indexes beside a service that writes, stopped on the way and run again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from refundry.db.database import Database, connect_arguments
from refundry.db.migrate import Connection, Migration, apply, migrate, migrations
from refundry.settings import Settings

_SQL = """-- concurrently
-- Two steps; the first may be done when the second is not.
CREATE INDEX CONCURRENTLY things_by_size ON things (size);
CREATE INDEX CONCURRENTLY things_by_name
    ON things (name) WHERE name <> ';';
"""
MIGRATION = Migration(900, "0900_things.sql", _SQL, "sum")
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"


@dataclass(frozen=True, slots=True)
class Place:
    """A database with one table. connect: one more connection to it."""

    connect: Callable[[], Awaitable[Connection]]

    async def indexes(self) -> list[str]:
        """Those that are whole."""
        connection = await self.connect()
        rows = await connection.fetch(
            "SELECT indexrelid::regclass::text AS name FROM pg_index"
            " WHERE indrelid = 'things'::regclass AND indisvalid ORDER BY name"
        )
        return [row["name"] for row in rows]

    async def run(self, reported: list[str]) -> int:
        """Apply the migration on a connection of its own."""
        return await apply(await self.connect(), [MIGRATION], reported.append)


@pytest.fixture
async def place(settings: Settings, database: Database) -> AsyncIterator[Place]:
    await database.execute("DROP DATABASE IF EXISTS concurrent WITH (FORCE)")
    await database.execute("CREATE DATABASE concurrent")
    arguments: dict[str, Any] = connect_arguments(settings) | {"database": "concurrent"}
    async with AsyncExitStack() as stack:

        async def connect() -> Connection:
            connection: Connection = await asyncpg.connect(**arguments)
            stack.callback(connection.terminate)
            return connection

        connection = await connect()
        await connection.execute(
            """
            CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL,
                checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
            CREATE TABLE things (size integer, name text);
            INSERT INTO things SELECT n, n::text FROM generate_series(1, 1000) AS n
            """
        )
        yield Place(connect)
    await database.execute("DROP DATABASE concurrent WITH (FORCE)")


async def start_and_stall(place: Place, runner: Connection) -> tuple[Connection, asyncio.Task[int]]:
    """A run that waits, its index unfinished, for a transaction that wrote and goes on."""
    writer = await place.connect()
    await writer.execute("BEGIN")
    await writer.execute("INSERT INTO things VALUES (0, 'slow')")
    task = asyncio.create_task(apply(runner, [MIGRATION], lambda _text: None))
    watcher = await place.connect()
    async with asyncio.timeout(10):
        while await watcher.fetchval(INVALID) is None:
            await asyncio.sleep(0.01)
    return writer, task


async def test_writes_go_on_while_an_index_is_built(place: Place) -> None:
    writer, task = await start_and_stall(place, await place.connect())
    other = await place.connect()
    await other.execute("SET lock_timeout = '2s'")
    await other.execute("INSERT INTO things VALUES (1, 'quick')")
    await other.execute("UPDATE things SET size = 2 WHERE name = '7'")
    assert not task.done()
    await writer.execute("COMMIT")
    assert await task == 1
    assert await place.indexes() == ["things_by_name", "things_by_size"]
    assert await place.run([]) == 0


async def test_what_a_killed_run_left_is_built_again(place: Place) -> None:
    """The server's process is ended: an index stays behind that nothing may read."""
    runner = await place.connect()
    writer, task = await start_and_stall(place, runner)
    await (await place.connect()).execute(
        "SELECT pg_terminate_backend($1)", runner.get_server_pid()
    )
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await task
    await writer.execute("COMMIT")
    assert await writer.fetchval(INVALID) == "things_by_size"
    reported: list[str] = []
    assert await place.run(reported) == 1
    assert any("dropping things_by_size" in text for text in reported)
    assert await writer.fetchval(INVALID) is None
    assert await place.indexes() == ["things_by_name", "things_by_size"]


async def test_a_run_waits_for_the_index_of_one_whose_client_is_gone(place: Place) -> None:
    """PostgreSQL goes on with it; to drop it would throw away what is nearly done."""
    runner = await place.connect()
    writer, task = await start_and_stall(place, runner)
    runner.terminate()
    await asyncio.gather(task, return_exceptions=True)
    reported: list[str] = []
    again = asyncio.create_task(place.run(reported))
    async with asyncio.timeout(10):
        while not any("waiting for things_by_size" in text for text in reported):
            await asyncio.sleep(0.01)
    await writer.execute("COMMIT")
    assert await again == 1
    assert not any("dropping" in text for text in reported)
    assert await place.indexes() == ["things_by_name", "things_by_size"]


async def test_two_runs_at_once_build_each_index_once(place: Place) -> None:
    assert sorted(await asyncio.gather(place.run([]), place.run([]))) == [0, 1]
    assert await place.indexes() == ["things_by_name", "things_by_size"]


async def test_our_own_concurrent_migrations_can_be_run_again(place: Place) -> None:
    """As if each had been killed just before it was written down."""
    connection = await place.connect()
    await connection.execute("DROP TABLE things, schema_migrations")
    await migrate(connection, lambda _text: None)
    numbers = [each.number for each in migrations() if each.concurrent]
    assert numbers
    await connection.execute("DELETE FROM schema_migrations WHERE number = ANY ($1)", numbers)
    assert await migrate(connection, lambda _text: None) == len(numbers)
    assert await connection.fetchval(INVALID) is None
