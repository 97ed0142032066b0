"""Applies the numbered SQL files of `migrations/`, each once.

Each in a transaction of its own, which locks the tables that it changes until its end. A file whose
first line is `-- concurrently` runs statement by statement, so that it may build indexes while the
service writes. Killed on the way it runs again from its start: its statements must bear that.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TypeAlias

import asyncpg

from refundry.db.database import Session

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number      integer PRIMARY KEY,
    name        text NOT NULL,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)
"""

_LOCK = "LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE"
_CONCURRENTLY = "-- concurrently\n"
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<name>\w+)")
# An index of a large table takes minutes; a statement of the service may take one.
_TIMEOUT_SECONDS = 24 * 3600.0
_POLL_SECONDS = 1.0
# While a migration waits for a table, everybody else waits for the migration.
_LOCK_SECONDS = 1.0
_STEP_BACK_SECONDS = 10.0


class SchemaMismatch(Exception):
    """The database holds a migration that differs from ours, or one we do not know."""


# Texts that a migration once had on main. What they did more, the second migration does only where
# it is missing.
_OTHER_TEXTS = {1: ("cc4b8317d8a1cf5d48a85d2a336da5723f9f149173fe9581a4a3dfeca6d58d5a",)}


@dataclass(frozen=True, slots=True)
class Migration:
    """A numbered SQL file and the checksum of its text."""

    number: int
    name: str
    sql: str
    checksum: str

    @property
    def concurrent(self) -> bool:
        """Whether it runs outside a transaction, beside a service that writes."""
        return self.sql.startswith(_CONCURRENTLY)

    @property
    def statements(self) -> list[str]:
        """Of a concurrent one: its statements. Each ends where a line ends with a semicolon."""
        lines = [line for line in self.sql.splitlines() if not line.startswith("--")]
        parts = re.split(r";\s*(?:\n|$)", "\n".join(lines))
        return [part.strip() for part in parts if part.strip()]


def migrations() -> list[Migration]:
    """Every migration that comes with this version, by number."""
    folder = resources.files("refundry.db").joinpath("migrations")
    found = [
        _read(entry.name, entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def _read(name: str, sql: str) -> Migration:
    number = int(name.split("_", 1)[0])
    return Migration(number, name, sql, hashlib.sha256(sql.encode()).hexdigest())


async def migrate(connection: Connection, report: Callable[[str], None]) -> int:
    """Apply what is missing; gives how many were applied. Raises SchemaMismatch.

    Two runs at once are safe: the second waits for the first one's lock on the table. A table
    lock, as an advisory lock is not to be had on every distributed PostgreSQL. Of a concurrent
    migration both run the statements: PostgreSQL builds one index of a table at a time, and what
    is there by then is passed over.
    """
    # Of two first runs at once one may fail to create the table; the other has done it.
    with contextlib.suppress(asyncpg.UniqueViolationError):
        await connection.execute(_TABLE)
    return await apply(connection, migrations(), report)


async def apply(
    connection: Connection, known: Sequence[Migration], report: Callable[[str], None]
) -> int:
    """`migrate`, with these migrations; the table of those that were applied is there."""
    applied = 0
    for migration in known:
        if migration.concurrent:
            if await _is_applied(connection, migration):
                continue
            await _run_concurrently(connection, migration, report)
        while (done := await _apply_one(connection, migration, report)) is None:
            await asyncio.sleep(_STEP_BACK_SECONDS)
        applied += done
    return applied


async def _apply_one(
    connection: Connection, migration: Migration, report: Callable[[str], None]
) -> bool | None:
    """Apply a migration, or note one that ran concurrently; False if it is applied already.

    None if somebody held a table that it changes for too long. It gives up its place then, as all
    who come after it wait for it: a report that reads for an hour must not stop the service.
    """
    try:
        async with connection.transaction():
            await connection.execute(_LOCK)
            if await _is_applied(connection, migration):
                return False
            if not migration.concurrent:
                report(f"migrating: {migration.name}")
                await connection.execute(
                    "SELECT set_config('lock_timeout', $1, true)", f"{_LOCK_SECONDS:g}s"
                )
                await connection.execute(migration.sql, timeout=_TIMEOUT_SECONDS)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number, migration.name, migration.checksum,
            )  # fmt: skip
            return True
    except asyncpg.LockNotAvailableError:
        report(f"migrating: {migration.name} waits for a table that others use, and tries again")
        return None


async def _run_concurrently(
    connection: Connection, migration: Migration, report: Callable[[str], None]
) -> None:
    """Run its statements one by one, without those whose index is there."""
    statements = migration.statements
    for place, statement in enumerate(statements, 1):
        report(f"migrating: {migration.name} ({place} of {len(statements)})")
        while not await _run_beside_others(connection, statement, report):
            await asyncio.sleep(_POLL_SECONDS)


async def _run_beside_others(
    connection: Connection, statement: str, report: Callable[[str], None]
) -> bool:
    """Run a statement; False if another run got in its way, so that it is to be tried again."""
    index = _INDEX.match(statement)
    try:
        await _drop_unfinished(connection, report)
        if index and await connection.fetchval("SELECT to_regclass($1)", index["name"]) is not None:
            return True
        await connection.execute(statement, timeout=_TIMEOUT_SECONDS)
    except asyncpg.DuplicateTableError:
        return True  # Another run was quicker.
    except asyncpg.DeadlockDetectedError:
        return False
    except asyncpg.InternalServerError as error:
        # Two that change the settings of one table, or drop one index, at once.
        if "tuple concurrently updated" not in str(error):
            raise
        return False
    return True


async def _drop_unfinished(connection: Connection, report: Callable[[str], None]) -> None:
    """Drop indexes that a run left unfinished when it was killed. Writes pay for them, reads do not
    use them. One that is being built, by another run or for a client that is gone, is waited for.
    """
    while rows := await connection.fetch(
        """
        SELECT c.oid::regclass::text AS name,
               EXISTS (SELECT FROM pg_locks l
                        WHERE l.relation = i.indrelid AND l.pid <> pg_backend_pid()
                          AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted) AS busy
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE NOT i.indisvalid AND c.relkind = 'i'
           AND c.relnamespace = (SELECT relnamespace FROM pg_class
                                  WHERE oid = 'schema_migrations'::regclass)
        """
    ):
        for row in rows:
            if row["busy"]:
                report(f"migrating: waiting for {row['name']}, which is being built")
                await asyncio.sleep(_POLL_SECONDS)
            else:
                report(f"migrating: dropping {row['name']}, which was left unfinished")
                # `name` comes from the catalog, quoted where it must be.
                await connection.execute(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {row['name']}", timeout=_TIMEOUT_SECONDS
                )


async def is_current(session: Session) -> bool:
    """Whether every migration of this version is applied."""
    if await session.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return False
    count: int = await session.fetchval("SELECT count(*) FROM schema_migrations")
    return count >= len(migrations())


async def _is_applied(connection: Connection, migration: Migration) -> bool:
    stored = await connection.fetchval(
        "SELECT checksum FROM schema_migrations WHERE number = $1", migration.number
    )
    if stored not in (None, migration.checksum, *_OTHER_TEXTS.get(migration.number, ())):
        raise SchemaMismatch(
            f"migration {migration.name} was applied with another text; "
            "this database belongs to another version of Refundry"
        )
    return stored is not None
