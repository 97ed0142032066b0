"""Lays orders with their refunds by the million: the database copies one order by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from bench.bulk import (
    Connect,
    Connection,
    Rest,
    catalog,
    drop_indexes,
    make_indexes,
    open_lane,
    run_in_lanes,
)
from bench.laying import FIRST_ORDER, ID

_FIRST_LINE = 600_000_000_000
# Each with the column that names the order.
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
_BATCH = 5_000

# An order comes this long after the one before, so that a million of them fill two years.
STEP = timedelta(minutes=1)

# An order that was refunded twice has thirty events of three kilobytes each; a shop that keeps
# them for a year still has fewer of them than this makes. One order in so many has its events.
EVENTS_OF_ONE_IN = 10


class SchemaChanged(Exception):
    """Laying did not leave the schema as it was."""


@dataclass(frozen=True, slots=True)
class Copy:
    """How a table's rows of one order are copied. statement: $1, $2: first and last copy.

    weight: what an order's rows count for in the time that is left.
    """

    table: str
    statement: str
    weight: float


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: str


async def prepare_copies(connection: Connection, account_id: str, order_id: str) -> Sequence[Copy]:
    """Read the order that is to be copied."""
    rows: dict[str, list[asyncpg.Record]] = {}
    columns: dict[str, list[_Column]] = {}
    for table, column in _TABLES.items():
        columns[table] = await _columns(connection, table)
        rows[table] = await _rows(connection, table, columns[table], column, order_id)
        assert rows[table], f"the order has no {table}"
    texts = [str(value) for each in rows.values() for row in each for value in row.values()]
    ids = {found for text in texts for found in ID.findall(text)}
    names = _new_names(order_id, sorted(ids - {account_id}))
    return [
        Copy(table, _statement(table, columns[table], rows[table], names), _weight(rows[table]))
        for table in _TABLES
    ]


async def _columns(connection: Connection, table: str) -> list[_Column]:
    """Each column that is written, `seq` left out: the database counts it."""
    rows = await connection.fetch(
        """
        SELECT attname, format_type(atttypid, atttypmod) AS kind
          FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'seq'
           AND attgenerated = ''
         ORDER BY attnum
        """,
        table,
    )
    return [_Column(row["attname"], row["kind"]) for row in rows]


async def _rows(
    connection: Connection, table: str, columns: Sequence[_Column], order_column: str, order: str
) -> list[asyncpg.Record]:
    """The order's rows, each column as text, in the order that they were written."""
    listed = ", ".join(f"t.{column.name}::text" for column in columns)
    return await connection.fetch(
        f"SELECT {listed} FROM {table} t WHERE t.{order_column} = $1 ORDER BY t.ctid", order
    )


def _new_names(order_id: str, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each id of the order that is copied: a name, and the expression of its copy's by `n`."""
    lines = [each for each in ids if len(each) == 12 and each != order_id]
    names: dict[str, tuple[str, str]] = {}
    for place, each in enumerate(ids):
        if each == order_id:
            made = f"({FIRST_ORDER} + n)::text"
        elif each in lines:
            made = f"({_FIRST_LINE} + n * {len(lines)} + {lines.index(each)})::text"
        else:
            made = f"md5('{each}' || n)::uuid::text"
        names[each] = (f"i{place}", made)
    return names


def _weight(rows: Sequence[asyncpg.Record]) -> float:
    """By how it went: a row costs as much as 500 bytes of it."""
    return sum(500 + sum(len(value or "") for value in row.values()) for row in rows)


def _statement(
    table: str,
    columns: Sequence[_Column],
    rows: Sequence[asyncpg.Record],
    names: Mapping[str, tuple[str, str]],
) -> str:
    """Copies whole orders: the rows of one stay together, as the service writes them."""
    values = [
        "(" + ", ".join(_copied(row[c.name], c.kind, names) for c in columns) + ")" for row in rows
    ]
    listed = ", ".join(column.name for column in columns)
    made = ", ".join(f"{expression} AS {name}" for name, expression in names.values())
    step = EVENTS_OF_ONE_IN if table == "events" else 1
    later = f"n * interval '{STEP.total_seconds()} seconds' - interval '3 years'"
    # OFFSET 0: so that an id is made once an order and not once where it stands.
    return f"""
        INSERT INTO {table} ({listed})
        SELECT v.*
          FROM generate_series($1::bigint, $2::bigint) AS n
         CROSS JOIN LATERAL (
            SELECT {made}, {later} AS later OFFSET 0) AS g
         CROSS JOIN LATERAL (VALUES {", ".join(values)}) AS v
         WHERE n % {step} = 0
    """


def _copied(value: str | None, kind: str, names: Mapping[str, tuple[str, str]]) -> str:
    """The expression of a copy's value."""
    if value is None:
        return f"NULL::{kind}"
    if kind == "timestamp with time zone":
        return f"{_literal(value)}::timestamptz + g.later"
    if kind not in ("text", "text[]"):
        return f"{_literal(value)}::{kind}"
    pieces = ID.split(value)
    # Every second piece is an id; the account's own stays what it is.
    parts = [
        f"g.{names[piece][0]}" if place % 2 and piece in names else _literal(piece)
        for place, piece in enumerate(pieces)
        if piece
    ]
    return f"({' || '.join(parts) or _literal('')})::{kind}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def lay(
    connect: Connect, copies: Sequence[Copy], count: int, report: Callable[[str], None]
) -> None:
    """Lay `count` copies beside what is there. Raises SchemaChanged.

    The tables are left as autovacuum would in a quiet hour, and the schema as migrations made it.
    """
    connection = await open_lane(connect)
    before = await catalog(connection)
    dropped = await drop_indexes(connection, list(_TABLES))
    rest = Rest("rows", sum(copy.weight for copy in copies) * count, report)
    largest = sorted(copies, key=lambda copy: -copy.weight)
    by_table = {copy.table: copy for copy in copies}
    await run_in_lanes(
        connect,
        [(copy.table, 0) for copy in largest],
        lambda lane, table: _lay_table(lane, by_table[table], count, rest),
        rest,
    )
    rest.end()
    await make_indexes(connect, dropped, report)
    await _finish(connect, report)
    after = await catalog(connection)
    await connection.close()
    if after != before:
        different = "\n".join(sorted(set(after) ^ set(before)))
        raise SchemaChanged(f"laying has changed the schema:\n{different}")


async def _lay_table(connection: Connection, copy: Copy, count: int, rest: Rest) -> None:
    """In the transaction that empties the table, so that nothing of it need be logged."""
    table = copy.table
    async with connection.transaction():
        await connection.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
        await connection.execute(f"TRUNCATE {table}")
        await connection.execute(
            f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}"
        )
        await connection.execute(f"DROP TABLE kept_{table}")
        for begin in range(0, count, _BATCH):
            end = min(begin + _BATCH, count)
            await connection.execute(copy.statement, begin, end - 1, timeout=3600)
            rest.add(copy.weight * (end - begin))
    # Before there are indexes: vacuum would read them all.
    await connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}", timeout=3600)


async def _finish(connect: Connect, report: Callable[[str], None]) -> None:
    """Statistics of what indexes compute, and everything on disk."""
    rest = Rest("statistics", len(_TABLES), report)
    await run_in_lanes(
        connect,
        [(table, 1) for table in _TABLES],
        lambda lane, table: lane.execute(f"ANALYZE {table}", timeout=3600),
        rest,
    )
    connection = await open_lane(connect)
    await connection.execute("CHECKPOINT", timeout=3600)
    await connection.close()
    rest.end()
