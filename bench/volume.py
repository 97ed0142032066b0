"""Lays orders with their refunds by the million: the database copies one order by itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from bench.laying import FIRST_ORDER, ID

_FIRST_LINE = 600_000_000_000
# Parents first. Each with the column that names the order.
_TABLES = {
    "orders": "id",
    "order_lines": "order_id",
    "charges": "order_id",
    "fulfillments": "order_id",
    "charge_operations": "order_id",
    "refunds": "order_id",
    "refund_parts": "order_id",
    "events": "order_id",
}
_BATCH = 2_000
_REPORT_SECONDS = 10.0

# An order comes this long after the one before, so that a million of them fill two years.
STEP = timedelta(minutes=1)

# An order that was refunded twice has thirty events of three kilobytes each; a shop that keeps
# them for a year still has fewer of them than this makes. One order in so many has its events.
EVENTS_OF_ONE_IN = 10


@dataclass(frozen=True, slots=True)
class Copier:
    """The statements that copy the order, in their order; $1, $2: first and last copy, from 0."""

    statements: tuple[str, ...]


async def prepare_copies(
    connection: "asyncpg.Connection[asyncpg.Record]", account_id: str, order_id: str
) -> Copier:
    """Read the order that is to be copied."""
    ids: set[str] = set()
    for table, column in _TABLES.items():
        rows = await connection.fetch(
            f"SELECT t::text AS row FROM {table} t WHERE {column} = $1", order_id
        )
        assert rows, f"the order has no {table}"
        ids |= {found for row in rows for found in ID.findall(row["row"])}
    names = _new_names(order_id, sorted(ids - {order_id, account_id}))
    statements = [
        _copy_statement(table, column, await _columns(connection, table), order_id, names)
        for table, column in _TABLES.items()
    ]
    return Copier(tuple(statements))


def _new_names(order_id: str, others: Sequence[str]) -> dict[str, str]:
    """For each id of the order that is copied, the expression of its copy's, by `n`."""
    lines = [each for each in others if len(each) == 12]
    names = {order_id: f"({FIRST_ORDER} + n)::text"}
    for place, line in enumerate(lines):
        names[line] = f"({_FIRST_LINE} + n * {len(lines)} + {place})::text"
    for other in others:
        if other not in names:
            names[other] = f"md5('{other}' || n)::uuid::text"
    return names


async def _columns(
    connection: "asyncpg.Connection[asyncpg.Record]", table: str
) -> list[tuple[str, str]]:
    """Name and type of each column that is written, `seq` left out: the database counts it."""
    rows = await connection.fetch(
        """
        SELECT attname, format_type(atttypid, atttypmod) AS kind
          FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'seq'
         ORDER BY attnum
        """,
        table,
    )
    return [(row["attname"], row["kind"]) for row in rows]


def _copy_statement(
    table: str,
    order_column: str,
    columns: Sequence[tuple[str, str]],
    order_id: str,
    names: dict[str, str],
) -> str:
    copied = ", ".join(_copied(name, kind, names) for name, kind in columns)
    listed = ", ".join(name for name, _ in columns)
    sparse = f" AND n % {EVENTS_OF_ONE_IN} = 0" if table == "events" else ""
    order = " ORDER BY n, t.seq" if table not in ("order_lines", "refund_parts") else ""
    return (
        f"INSERT INTO {table} ({listed}) SELECT {copied} FROM {table} t,"
        f" generate_series($1::bigint, $2::bigint) AS n"
        f" WHERE t.{order_column} = '{order_id}'{sparse}{order}"
    )


def _copied(name: str, kind: str, names: dict[str, str]) -> str:
    if kind == "timestamp with time zone":
        return f"t.{name} + n * interval '{STEP.total_seconds()} seconds' - interval '3 years'"
    if kind not in ("text", "text[]") or name == "account_id":
        return f"t.{name}"
    text = f"t.{name}::text"
    for old, new in names.items():
        text = f"replace({text}, '{old}', {new})"
    return f"({text})::{kind}"


async def lay(
    connection: "asyncpg.Connection[asyncpg.Record]",
    copier: Copier,
    first: int,
    count: int,
    report: Callable[[str], None],
) -> None:
    """Lay the copies from `first` up to `count`, and leave the tables as autovacuum would."""
    begun = said = time.monotonic()
    for begin in range(first, count, _BATCH):
        end = min(begin + _BATCH, count)
        async with connection.transaction():
            for statement in copier.statements:
                await connection.execute(statement, begin, end - 1)
        if begin == first:
            # The plans of foreign keys are made for tables of no rows until statistics come.
            await connection.execute(f"ANALYZE {', '.join(_TABLES)}")
        if time.monotonic() - said > _REPORT_SECONDS or end == count:
            said = time.monotonic()
            rate = (end - first) / (said - begun)
            report(f"        {end:,} of {count:,} orders, {(count - end) / rate / 60:.1f} min left")
    report("        vacuum and statistics")
    for table in _TABLES:
        await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=3600)
    await connection.execute("CHECKPOINT", timeout=3600)
