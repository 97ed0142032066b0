"""Fills tables as a bulk loader does: their indexes and keys are dropped, and made again after."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect: TypeAlias = Callable[[], Awaitable[Connection]]

# The server has two cores to itself while it is filled.
LANES = 2
_REPORT_SECONDS = 10.0

# While tables are filled. Without WAL a table is written once, by the transaction that emptied it;
# an index that is built is not logged either. Both need a restart, and so does the way back.
LAYING_SETTINGS = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
_SESSION_SETTINGS = {
    "maintenance_work_mem": "1GB",
    "work_mem": "256MB",
    "max_parallel_maintenance_workers": "0",
    "synchronous_commit": "off",
}


class Rest:
    """Says now and then how much of a phase is done and how long the rest will take."""

    def __init__(self, title: str, whole: float, report: Callable[[str], None]) -> None:
        self._title = title
        self._whole = whole
        self._report = report
        self._done = 0.0
        self._begun = self._said = time.monotonic()

    def add(self, part: float) -> None:
        """So much more of the whole is done."""
        self._done += part
        now = time.monotonic()
        if now - self._said > _REPORT_SECONDS and self._done < self._whole:
            self._said = now
            share = self._done / self._whole
            left = (now - self._begun) * (1 - share) / share
            self._report(f"        {self._title}: {share:.0%}, {left / 60:.1f} min left")

    def end(self) -> None:
        """It is all done."""
        self._report(f"        {self._title}: {time.monotonic() - self._begun:.0f} s")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped: (table, statement) that makes each again, in this order of phases."""

    indexes: Sequence[tuple[str, str]]
    keys: Sequence[tuple[str, str]]
    foreign_keys: Sequence[tuple[str, str]]


async def open_lane(connect: Connect) -> Connection:
    """A connection that may take memory."""
    connection = await connect()
    for name, value in _SESSION_SETTINGS.items():
        await connection.execute("SELECT set_config($1, $2, false)", name, value)
    return connection


async def catalog(connection: Connection) -> list[str]:
    """The schema as far as laying touches it: tables' options, indexes and constraints."""
    rows = await connection.fetch(
        """
        SELECT format('table %s %s %s', relname, relpersistence, reloptions) AS line
          FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        UNION ALL
        SELECT format('index %s %s %s', pg_get_indexdef(indexrelid), indisvalid, indisready)
          FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('constraint %s %s %s %s', conrelid::regclass, conname,
                      pg_get_constraintdef(oid), convalidated)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('trigger %s %s', pg_get_triggerdef(oid), tgenabled)
          FROM pg_trigger WHERE NOT tgisinternal
         ORDER BY line
        """
    )
    return [row["line"] for row in rows]


async def drop_indexes(connection: Connection, tables: Sequence[str]) -> Dropped:
    """Drop the indexes and keys of `tables`, and the foreign keys from and to them."""
    foreign = await connection.fetch(
        """
        SELECT conrelid::regclass::text AS relation, conname AS name,
               pg_get_constraintdef(oid) AS definition
          FROM pg_constraint
         WHERE contype = 'f'
           AND (conrelid = ANY ($1::text[]::regclass[]) OR confrelid = ANY ($1::text[]::regclass[]))
        """,
        tables,
    )
    keys = await connection.fetch(
        """
        SELECT conrelid::regclass::text AS relation, conname AS name,
               CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END AS kind
          FROM pg_constraint
         WHERE contype IN ('p', 'u') AND conrelid = ANY ($1::text[]::regclass[])
        """,
        tables,
    )
    indexes = await connection.fetch(
        """
        SELECT indrelid::regclass::text AS relation, indexrelid::regclass::text AS name,
               pg_get_indexdef(indexrelid) AS definition
          FROM pg_index WHERE indrelid = ANY ($1::text[]::regclass[])
         ORDER BY pg_relation_size(indrelid) DESC
        """,
        tables,
    )
    for row in (*foreign, *keys):
        await connection.execute(f"ALTER TABLE {row['relation']} DROP CONSTRAINT {row['name']}")
    for row in indexes:
        await connection.execute(f"DROP INDEX IF EXISTS {row['name']}")
    return Dropped(
        [(row["relation"], row["definition"]) for row in indexes],
        [(row["relation"], _add(row, f"{row['kind']} USING INDEX {row['name']}")) for row in keys],
        [(row["relation"], _add(row, row["definition"])) for row in foreign],
    )


def _add(row: asyncpg.Record, what: str) -> str:
    return f"ALTER TABLE {row['relation']} ADD CONSTRAINT {row['name']} {what}"


async def make_indexes(connect: Connect, dropped: Dropped, report: Callable[[str], None]) -> None:
    """Make again what was dropped, the indexes in two lanes, and take the statistics."""
    lane = await open_lane(connect)
    rows = {
        row["relation"]: float(row["rows"])
        for row in await lane.fetch(
            "SELECT oid::regclass::text AS relation, greatest(reltuples, 1) AS rows FROM pg_class"
            " WHERE relkind = 'r'"
        )
    }
    # The longest first, so that the lanes end together.
    indexes = sorted(dropped.indexes, key=lambda each: -rows[each[0]])
    rest = Rest("indexes", sum(rows[table] for table, _ in indexes), report)
    await run_in_lanes(
        connect,
        [(statement, rows[table]) for table, statement in indexes],
        lambda connection, statement: connection.execute(statement, timeout=3600),
        rest,
    )
    rest.end()
    rest = Rest("keys", sum(rows[table] for table, _ in dropped.foreign_keys) + 1, report)
    for _, statement in dropped.keys:
        await lane.execute(statement, timeout=3600)
    for table, statement in dropped.foreign_keys:
        await lane.execute(statement, timeout=3600)
        rest.add(rows[table])
    rest.end()
    await lane.close()


async def run_in_lanes(
    connect: Connect,
    jobs: Sequence[tuple[str, float]],
    work: Callable[[Connection, str], Awaitable[object]],
    rest: Rest,
) -> None:
    """Do each job, (text, weight), as soon as one of two connections is free."""
    waiting = list(jobs)

    async def run_lane() -> None:
        connection = await open_lane(connect)
        while waiting:
            text, weight = waiting.pop(0)
            await work(connection, text)
            rest.add(weight)
        await connection.close()

    await asyncio.gather(*(run_lane() for _ in range(LANES)))
