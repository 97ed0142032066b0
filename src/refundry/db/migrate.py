"""Applies the numbered SQL files of `migrations/`, each once, each in its own transaction."""

import contextlib
import hashlib
from collections.abc import Callable
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
    lock, as an advisory lock is not to be had on every distributed PostgreSQL.
    """
    # Of two first runs at once one may fail to create the table; the other has done it.
    with contextlib.suppress(asyncpg.UniqueViolationError):
        await connection.execute(_TABLE)
    applied = 0
    for migration in migrations():
        async with connection.transaction():
            await connection.execute("LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE")
            if await _is_applied(connection, migration):
                continue
            report(f"migrating: {migration.name}")
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number, migration.name, migration.checksum,
            )  # fmt: skip
            applied += 1
    return applied


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
