"""How many rows there are, and how many of them have been copied so far."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg

from refundry.db.database import connect_arguments
from refundry.db.embedded_lock import Progress
from refundry.settings import Settings

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_LOOK_EVERY_SECONDS = 0.5

_TABLES = """
SELECT c.relname AS name, format('SELECT count(*) FROM %I.%I', n.nspname, c.relname) AS counting
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname
"""

_COPYING = """
SELECT c.relname AS name, p.tuples_processed AS moved
  FROM pg_stat_progress_copy p
  JOIN pg_class c ON c.oid = p.relid
 WHERE p.datname = current_database()
"""


async def connect(settings: Settings) -> Connection:
    """A connection whose statements may take as long as they need: counting does."""
    arguments = connect_arguments(settings)
    arguments["command_timeout"] = None
    return await asyncpg.connect(**arguments)


async def count_rows(connection: Connection) -> dict[str, int]:
    """The rows of every table of ours, as the connection's transaction sees them."""
    tables = await connection.fetch(_TABLES)
    # The names are those of the catalogue, and the server has quoted them.
    return {each["name"]: await connection.fetchval(each["counting"]) for each in tables}


@asynccontextmanager
async def copying_reported(
    settings: Settings, what: str, rows: Mapping[str, int], report: Callable[[str], None]
) -> AsyncGenerator[None]:
    """Say now and then how much of `rows` has been copied, while the block copies."""
    watcher = asyncio.create_task(_watch(settings, what, rows, Progress(report)))
    try:
        yield
    finally:
        watcher.cancel()
        # It is there for the words alone: its failure must not be the copy's.
        with suppress(asyncio.CancelledError, OSError, asyncpg.PostgresError,
                      asyncpg.InterfaceError):  # fmt: skip
            await watcher


async def _watch(
    settings: Settings, what: str, rows: Mapping[str, int], progress: Progress
) -> None:
    connection = await connect(settings)
    try:
        moved: dict[str, int] = {}
        total = sum(rows.values())
        while True:
            current = {row["name"]: row["moved"] for row in await connection.fetch(_COPYING)}
            done = copied_rows(rows, moved, current)
            progress.tick(f"{what}: {stage(done, total, copying=bool(current))}")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
    finally:
        await connection.close()


def stage(done: int, total: int, *, copying: bool) -> str:
    """How far it is, in words. What follows the rows, their indexes, may take as long as they."""
    if not copying and done > 0.98 * total:
        return "the rows are done, the rest follows"
    return f"{100 * done // max(total, 1)} % of {total:,} rows"


def copied_rows(rows: Mapping[str, int], moved: dict[str, int], current: Mapping[str, int]) -> int:
    """How many rows are copied, never more than there are.

    current: of the tables under way. moved: of all that were seen, brought up to date here; one
    that was under way and is no longer is done. Small tables may never be seen.
    """
    for name in moved.keys() - current.keys():
        moved[name] = rows.get(name, 0)
    for name, count in current.items():
        moved[name] = min(count, rows.get(name, 0))
    return sum(moved.values())
