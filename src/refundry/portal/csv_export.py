"""Lists as files for spreadsheets: written while they are read, row by row, however long."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from refundry.db.database import Database
from refundry.db.listing import Condition, Page, list_ids
from refundry.errors import required
from refundry.portal.pages import Streamed
from refundry.portal.rendering import HEADERS, iso
from refundry.tenant import Tenant

# So few that memory and the wait for the first row stay small, so many that reading pays.
_BATCH = 500
# What spreadsheets take for the beginning of a formula, in narrow and in wide characters.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Cell = str | int | Decimal | datetime | None
"""Numbers are written as they are, so that they can be added up; times to the second in UTC."""


@dataclass(frozen=True, slots=True)
class Export:
    """What goes into a file. name: of the file, without its ending. rows: gives the rows of objects
    by their ids, each as long as `head`. batch: how many are read at once."""

    name: str
    head: Sequence[str]
    rows: Callable[[list[str]], Awaitable[Sequence[Sequence[Cell]]]]
    batch: int = _BATCH


def stream_csv(
    database: Database, tenant: Tenant, table: str, conditions: Sequence[Condition], export: Export
) -> Streamed:
    """A whole list, newest first, as a file to be kept. table: a constant, as for `list_ids`."""
    return csv_file(export.name, _parts(database, tenant, table, conditions, export))


def csv_file(name: str, parts: AsyncIterator[bytes]) -> Streamed:
    """Parts of `csv_lines` as a file to be kept. name: without its ending."""
    headers: Mapping[str, str] = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        **HEADERS,
    }
    return Streamed(parts, headers)


async def _parts(
    database: Database, tenant: Tenant, table: str, conditions: Sequence[Condition], export: Export
) -> AsyncIterator[bytes]:
    yield csv_lines([export.head])
    page, more = Page(export.batch), True
    while more:
        ids, more = required(await list_ids(database, tenant, table, conditions, page))
        if ids:
            yield csv_lines(await export.rows(ids))
            page = Page(export.batch, after=ids[-1])


def csv_lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Rows as RFC 4180 has them, in UTF-8. No text of somebody else's can become a formula."""
    text = io.StringIO()
    csv.writer(text).writerows([_written(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _written(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case str():
            return f"'{cell}" if cell.startswith(_FORMULA) else cell
        case datetime():
            return iso(cell)
        case Decimal():
            return format(cell, "f")
        case _:
            return str(cell)
