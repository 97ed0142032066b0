"""Lays many orders: copies of one that the service itself took in, with ids of their own."""

import itertools
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

FIRST_ORDER = 500_000_000_000
_FIRST_LINE = 600_000_000_000

# Parents first. Each with the column that names the order.
_TABLES = {
    "orders": "id",
    "order_lines": "order_id",
    "charges": "order_id",
    "charge_operations": "order_id",
    "fulfillments": "order_id",
    "events": "order_id",
}
_BATCH = 500

# Orders and their lines have twelve digits, everything else a UUID, some with a prefix.
ID = re.compile(
    r"(?<![0-9A-Za-z])"
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[1-9][0-9]{11})"
    r"(?![0-9A-Za-z])"
)


@dataclass(frozen=True, slots=True)
class Template:
    """The rows of the order that is copied, by table."""

    order_id: str
    account_id: str
    rows: Mapping[str, list[dict[str, Any]]]


async def lay_orders(
    connection: "asyncpg.Connection[asyncpg.Record]",
    order_id: str,
    count: int,
    report: Callable[[str], None],
) -> None:
    """Lay `count` orders with the numbers from FIRST_ORDER on."""
    template = await _read_template(connection, order_id)
    copies = _copies(template)
    for begin in range(0, count, _BATCH):
        batch = list(itertools.islice(copies, min(_BATCH, count - begin)))
        for table in _TABLES:
            rows = [row for copy in batch for row in copy[table]]
            await connection.copy_records_to_table(
                table,
                records=[tuple(row.values()) for row in rows],
                columns=list(rows[0]),
            )
        if (begin + _BATCH) % 2500 == 0:
            report(f"        {begin + len(batch)} of {count} orders")
    for table in _TABLES:
        await connection.execute(f"VACUUM (ANALYZE) {table}")


async def _read_template(
    connection: "asyncpg.Connection[asyncpg.Record]", order_id: str
) -> Template:
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, column in _TABLES.items():
        found = await connection.fetch(f"SELECT * FROM {table} WHERE {column} = $1", order_id)
        assert found, f"the order has no {table}"
        if "seq" in found[0]:
            found.sort(key=lambda row: row["seq"])
        # The database counts `seq` itself.
        rows[table] = [{k: v for k, v in row.items() if k != "seq"} for row in found]
    return Template(order_id, rows["orders"][0]["account_id"], rows)


def _copies(template: Template) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Copies of the order without end."""
    others = _ids_of(template) - {template.order_id, template.account_id}
    lines = itertools.count(_FIRST_LINE)
    prepared = {
        table: [{name: split_ids(value) for name, value in row.items()} for row in rows]
        for table, rows in template.rows.items()
    }
    for order_number in itertools.count(FIRST_ORDER):
        ids = {template.order_id: str(order_number), template.account_id: template.account_id}
        for old in others:
            ids[old] = str(next(lines)) if len(old) == 12 else str(uuid.uuid4())
        yield {
            table: [{name: join_ids(value, ids) for name, value in row.items()} for row in rows]
            for table, rows in prepared.items()
        }


def _ids_of(template: Template) -> set[str]:
    texts = [
        text
        for rows in template.rows.values()
        for row in rows
        for value in row.values()
        for text in _texts(value)
    ]
    return {found for text in texts for found in ID.findall(text)}


def _texts(value: object) -> Sequence[str]:
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]  # pyright: ignore
    return [value] if isinstance(value, str) else []


class _Split:
    """A text that holds ids, cut so that every second piece is one."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces


def split_ids(value: Any) -> Any:
    """A column's value made ready for `join_ids`."""
    if isinstance(value, list):
        return [split_ids(part) for part in value]  # pyright: ignore
    if isinstance(value, str) and ID.search(value):
        return _Split(ID.split(value))
    return value


def join_ids(value: Any, ids: Mapping[str, str]) -> Any:
    """The column's value with other ids in the places of its own."""
    if isinstance(value, list):
        return [join_ids(part, ids) for part in value]  # pyright: ignore
    if isinstance(value, _Split):
        pieces = value.pieces.copy()
        pieces[1::2] = [ids[old] for old in pieces[1::2]]
        return "".join(pieces)
    return value
