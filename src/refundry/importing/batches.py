"""Imports a batch of entries: what is new and passes the rules is written, all at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from refundry.db.database import Database
from refundry.http.problems import error_of
from refundry.importing.exports import Entry
from refundry.importing.judging import Errors, Judged, id_of, judge
from refundry.orders.commands import taken_id
from refundry.orders.copying import copy_orders
from refundry.tenant import Tenant

_Write = tuple[Entry, Judged]


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said of one entry. errors: why it was refused; notes: it was imported so."""

    file: str
    number: int
    order_id: str | None
    errors: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class BatchResult:
    """What became of a batch. known: orders that were there before."""

    imported: int = 0
    known: int = 0
    refused: int = 0
    remarks: list[Remark] = field(default_factory=list["Remark"])


async def import_batch(
    database: Database, tenant: Tenant, entries: Sequence[Entry], now: datetime
) -> BatchResult:
    """Import some entries; what an earlier run or another process has written is left as it is."""
    result = BatchResult()
    known = await _known(database, tenant, [id_of(entry.content) for entry in entries])
    ready: dict[str, _Write] = {}
    for entry in entries:
        order_id = id_of(entry.content)
        if order_id is not None and (order_id in known or order_id in ready):
            result.known += 1
            continue
        judged = judge(entry, live=tenant.live, now=now)
        if isinstance(judged, Judged):
            ready[judged.stored.order.id] = entry, judged
        else:
            _refuse(result, entry, order_id, judged)
    await _write(database, tenant, list(ready.values()), result)
    result.remarks.sort(key=lambda remark: (remark.file, remark.number))
    return result


def _refuse(result: BatchResult, entry: Entry, order_id: str | None, errors: Errors) -> None:
    result.refused += 1
    result.remarks.append(Remark(entry.file, entry.number, order_id, errors=tuple(errors)))


async def _known(database: Database, tenant: Tenant, ids: Sequence[str | None]) -> set[str]:
    rows = await database.fetch(
        "SELECT id FROM orders WHERE account_id = $1 AND live = $2 AND id = ANY ($3::text[])",
        tenant.account_id, tenant.live, [each for each in ids if each is not None],
    )  # fmt: skip
    return {row["id"] for row in rows}


async def _write(
    database: Database, tenant: Tenant, ready: Sequence[_Write], result: BatchResult
) -> None:
    """Write all in one transaction; where an id is taken, the halves apart, down to the one."""
    if not ready:
        return
    try:
        async with database.connection() as connection, connection.transaction():
            await copy_orders(connection, tenant, [judged.stored for _, judged in ready])
    except asyncpg.UniqueViolationError as error:
        if len(ready) > 1:
            middle = len(ready) // 2
            await _write(database, tenant, ready[:middle], result)
            await _write(database, tenant, ready[middle:], result)
        else:
            await _tell_taken(database, tenant, ready[0], error, result)
        return
    result.imported += len(ready)
    for entry, judged in ready:
        if judged.notes:
            order_id = judged.stored.order.id
            result.remarks.append(Remark(entry.file, entry.number, order_id, notes=judged.notes))


async def _tell_taken(
    database: Database,
    tenant: Tenant,
    write: _Write,
    error: asyncpg.UniqueViolationError,
    result: BatchResult,
) -> None:
    """Somebody wrote the order meanwhile, or an id in it belongs to something else."""
    entry, judged = write
    order_id = judged.stored.order.id
    if await _known(database, tenant, [order_id]):
        result.known += 1
    else:
        _refuse(result, entry, order_id, [error_of(taken_id(error, judged.read))])
