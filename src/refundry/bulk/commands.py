"""What may be asked of bulk refunds: check a file, keep it, let it run, stop it, forget it."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from refundry.access.audit_log import Actor, Change, audit
from refundry.bulk import store
from refundry.bulk.reading import MOST_LINES, Row, Sheet, read_row, read_sheet
from refundry.bulk.store import Run
from refundry.bulk.verdicts import Known, LineState, Verdict, confirms, judge, totals_text
from refundry.db.database import Database, Tx
from refundry.domain.order import Order
from refundry.errors import NotFound, required
from refundry.ids import new_bulk_run_id
from refundry.orders.store import order_key
from refundry.refunds.store import find_refundables
from refundry.tenant import Tenant

_LIKE_WITHIN = timedelta(hours=24)
_ORDERS_AT_ONCE = 500
_LONGEST_NAME = 200


class BulkRefused(Exception):
    """A run cannot do this now; the message is for people."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is asked for. now: on the tenant's clock; real_now: of the machine."""

    now: datetime
    real_now: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """A file with a verdict on each line; nothing is stored."""

    name: str
    digest: bytes
    sheet: Sheet
    with_duplicates: bool
    verdicts: list[Verdict]


async def check_file(
    database: Database, tenant: Tenant, name: str, content: bytes, now: datetime, *,
    with_duplicates: bool = False,
) -> Checked:  # fmt: skip
    """Read a file and say what would become of each line. Raises BadSheet."""
    # A file of 10,000 lines is seconds of work, and other requests are not to wait for it.
    sheet = await asyncio.to_thread(read_sheet, content)
    verdicts = await _verdicts(database, tenant, sheet.rows, now, with_duplicates)
    digest = hashlib.sha256(content).digest()
    return Checked(name[:_LONGEST_NAME] or "refunds.csv", digest, sheet, with_duplicates, verdicts)


async def _verdicts(
    database: Database, tenant: Tenant, rows: tuple[Row, ...], now: datetime, with_duplicates: bool
) -> list[Verdict]:
    upstream_ids = list({row.upstream_id for row in rows if row.upstream_id})
    by_upstream = await store.orders_by_upstream(database, tenant, upstream_ids)
    ids = {row.order_id for row in rows if row.order_id}
    order_ids = sorted(ids.union(*by_upstream.values()))
    orders: dict[str, Order] = {}
    for first in range(0, len(order_ids), _ORDERS_AT_ONCE):
        keys = [order_key(tenant, each) for each in order_ids[first : first + _ORDERS_AT_ONCE]]
        found = await find_refundables(database, keys)
        orders |= {order.id: order for order in found.values()}
    earlier = await store.refunds_since(database, tenant, order_ids, now - _LIKE_WITHIN)
    known = Known(orders, by_upstream, earlier)
    return await asyncio.to_thread(judge, rows, known, now=now, with_duplicates=with_duplicates)


async def save_run(
    database: Database, tenant: Tenant, actor: Actor, checked: Checked, at: Moment
) -> str:
    """Keep a checked file to be confirmed; gives the id of its run.

    The same file has one run for ever: one that waits for its confirmation gets the new verdicts,
    one that was confirmed stays as it is.
    """
    run = Run(
        tenant, new_bulk_run_id(), at.now, checked.name, checked.digest, checked.sheet.head,
        checked.with_duplicates, at.now, "checked", actor,
    )  # fmt: skip

    async def work(tx: Tx) -> str:
        if await store.insert_run(tx, run):
            await store.put_lines(tx, tenant, run.id, checked.verdicts)
            await _audit(tx, run, actor, "bulk.upload", at, {"file": run.name})
            return run.id
        known = required(await store.run_of_file(tx, tenant, checked.digest))
        before = required(await store.lock_run(tx, tenant, known))
        if before.state == "checked":
            await store.put_lines(tx, tenant, known, checked.verdicts)
            await store.set_checked(tx, replace(run, id=known))
        return known

    return await database.run(work)


async def recheck_run(
    database: Database, tenant: Tenant, run_id: str, at: Moment, *, with_duplicates: bool
) -> None:
    """Give the lines of a run that waits for its confirmation new verdicts.

    Raises NotFound and BulkRefused.
    """
    run = await store.find_run(database, tenant, run_id)
    if run is None:
        raise NotFound("Bulk run", run_id)
    lines = await store.lines_of(database, run, limit=MOST_LINES)
    rows = tuple(read_row(line.number, run.head, line.cells) for line in lines)
    verdicts = await _verdicts(database, tenant, rows, at.now, with_duplicates)

    async def work(tx: Tx, locked: Run) -> None:
        _demand(locked, "checked")
        await store.put_lines(tx, tenant, run_id, verdicts)
        fresh = replace(locked, with_duplicates=with_duplicates, checked_at=at.now)
        await store.set_checked(tx, fresh)

    await _on_run(database, tenant, run_id, work)


async def start_run(
    database: Database, tenant: Tenant, run_id: str, actor: Actor, typed: str, at: Moment
) -> None:
    """Let a run go when its total was typed. Twice is once. Raises NotFound and BulkRefused."""

    async def work(tx: Tx, run: Run) -> None:
        if run.state in ("running", "finished"):
            return
        _demand(run, "checked")
        tally = (await store.tallies_of(tx, run))[LineState.READY]
        if not tally.count:
            raise BulkRefused("No line of the file can be refunded.")
        text = totals_text(tally.totals)
        if not confirms(typed, tally.totals):
            raise BulkRefused(f"Type the total, {text}, to confirm. Nothing was refunded.")
        await store.set_running(tx, run, actor, at.now)
        await _audit(tx, run, actor, "bulk.start", at, {"lines": tally.count, "total": text})

    await _on_run(database, tenant, run_id, work)


async def stop_run(
    database: Database, tenant: Tenant, run_id: str, actor: Actor, at: Moment
) -> None:
    """Stop a run: lines that are not made yet wait. Raises NotFound."""

    async def work(tx: Tx, run: Run) -> None:
        if run.state == "running":
            await store.set_stopped(tx, run)
            await _audit(tx, run, actor, "bulk.stop", at, None)

    await _on_run(database, tenant, run_id, work)


async def resume_run(
    database: Database, tenant: Tenant, run_id: str, actor: Actor, at: Moment
) -> None:
    """Let a stopped run go on: its total was confirmed before. Raises NotFound."""

    async def work(tx: Tx, run: Run) -> None:
        if run.state == "stopped":
            await store.set_running(tx, run, actor, at.now)
            await _audit(tx, run, actor, "bulk.resume", at, None)

    await _on_run(database, tenant, run_id, work)


async def discard_run(
    database: Database, tenant: Tenant, run_id: str, actor: Actor, at: Moment
) -> None:
    """Forget a file that was not confirmed. Raises NotFound and BulkRefused."""

    async def work(tx: Tx, run: Run) -> None:
        _demand(run, "checked")
        await store.delete_run(tx, run)
        await _audit(tx, run, actor, "bulk.discard", at, None)

    await _on_run(database, tenant, run_id, work)


def _demand(run: Run, state: str) -> None:
    if run.state != state:
        raise BulkRefused(f"This file is {run.state} already.")


async def _on_run(
    database: Database, tenant: Tenant, run_id: str, work: Callable[[Tx, Run], Any]
) -> None:
    async def run(tx: Tx) -> None:
        locked = await store.lock_run(tx, tenant, run_id)
        if locked is None:
            raise NotFound("Bulk run", run_id)
        await work(tx, locked)

    await database.run(run)


async def _audit(
    tx: Tx, run: Run, actor: Actor, action: str, at: Moment, after: Mapping[str, Any] | None
) -> None:
    change = Change(action, "bulk", run.id, None, after, run.tenant.live)
    await audit(tx, run.tenant.account_id, actor, change, at.real_now)
