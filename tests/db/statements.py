"""Statements for the tests of constraints: written past the code, and undone."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from refundry.db.database import Database, Tx


def filled(statement: str, names: Mapping[str, str]) -> str:
    """The statement with `{name}` replaced by the literal that it stands for."""
    for name, value in names.items():
        statement = statement.replace("{" + name + "}", f"'{value}'")
    return statement


class _Undo(Exception):
    pass


@asynccontextmanager
async def undone(database: Database) -> AsyncGenerator[Tx]:
    """A transaction that leaves nothing behind."""
    try:
        async with database.transaction() as tx:
            yield tx
            raise _Undo
    except _Undo:
        pass


def update(table: str, change: str, where: str) -> str:
    return f"UPDATE {table} SET {change} WHERE account_id = {{account}} AND {where}"


def copy(table: str, where: str = "account_id = {account}", **changes: object) -> str:
    """A second row like one that is there, but for `changes` (None: NULL)."""
    members = ", ".join(f"'{name}', {_literal(value)}" for name, value in changes.items())
    return (
        f"INSERT INTO {table} OVERRIDING USER VALUE"
        f" SELECT (jsonb_populate_record(t, jsonb_build_object({members}))).*"
        f" FROM {table} AS t WHERE {where} LIMIT 1"
    )


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    return text if text.startswith("{") and text.endswith("}") else f"'{text}'"


async def constraints(database: Database) -> set[str]:
    """The names of everything that the database checks by itself."""
    rows = await database.fetch(
        """
        SELECT conname AS name
          FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'f', 'p')
        UNION
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
        """
    )
    return {row["name"] for row in rows}
