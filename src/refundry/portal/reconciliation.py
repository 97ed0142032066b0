"""Reconciliation: what does not agree with the processors' books, and the month for finance."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from refundry.access.rights import Right
from refundry.domain.money import find_currency, to_major
from refundry.errors import NotFound, required
from refundry.gateways import store as gateways_store
from refundry.http.answer import Answer
from refundry.operations.commands import Books
from refundry.portal.csv_export import Cell, csv_file, csv_lines
from refundry.portal.forms import Wrong
from refundry.portal.pages import Page, Streamed, Visit
from refundry.portal.rendering import amount as amount_text
from refundry.reconciliation import resolving
from refundry.reconciliation.exceptions import (
    MOST_SHOWN,
    Oddity,
    Sort,
    Step,
    find_oddity,
    list_oddities,
)
from refundry.reconciliation.month import Month, Paid, paid_in, read_month, totals_of
from refundry.reconciliation.resolving import NotResolved, Resolver

_LABELS = {
    Sort.LINE: "In a report, and not so here",
    Sort.MISSING: "Settled here, and in no report",
    Sort.CONFLICT: "Made at the processor, and does not fit",
    Sort.PARKED: "Answers that were not about what was asked",
    Sort.NOTICE: "Notifications that fit nothing",
}
_STEPS = {Step.ADOPT: "Adopt", Step.CHECK: "Look again"}
_HEAD = (
    "Settled", "Kind", "Order ID", "Upstream ID", "Refund IDs", "Dispute ID", "Record ID",
    "Currency", "Amount", "Gateway", "Processor reference", "Payout", "Fee", "Fee currency",
    "ARN", "Day in the report",
)  # fmt: skip
_LONGEST_NOTE = 500


async def show_reconciliation(visit: Visit) -> Answer:
    """Everything to look at, and the totals of a month."""
    found = await list_oddities(visit.database, visit.tenant)
    month = _month(visit)
    return visit.show(
        "reconciliation.html",
        groups=[(sort, _LABELS[sort], found[sort]) for sort in _LABELS if found[sort]],
        step_labels=_STEPS,
        most=MOST_SHOWN,
        month=month.text,
        totals=[
            (each, amount_text(each.amount, required(find_currency(each.currency))))
            for each in await totals_of(visit.database, visit.tenant, month)
        ],
        money=_money,
    )


def _month(visit: Visit) -> Month:
    """The month that is asked for; without one, the last that has ended. Raises Wrong."""
    text = visit.query.one("month")
    if not text:
        last = visit.now.replace(day=1) - timedelta(days=1)
        return Month(last.year, last.month)
    month = read_month(text)
    if month is None:
        raise Wrong(f"'{text[:20]}' is not a month. Write it like 2026-05.")
    return month


def _money(oddity: Oddity) -> str:
    currency = find_currency(oddity.currency) if oddity.currency else None
    if oddity.amount is None or currency is None:
        return ""
    return amount_text(oddity.amount, currency)


async def show_oddity(visit: Visit, *, error: str = "") -> Answer:
    """One thing to look at, with what may be done about it."""
    return visit.show(
        "oddity.html",
        status=400 if error else 200,
        error=error,
        oddity=await _load(visit),
        label=_LABELS,
        Step=Step,
        step_labels=_STEPS,
        money=_money,
        note=visit.form.text("note", _LONGEST_NOTE),
    )


async def _load(visit: Visit) -> Oddity:
    found = await find_oddity(visit.database, visit.tenant, visit.path["id"])
    if found is None:
        raise NotFound("Exception", visit.path["id"])
    return found


async def post_adopt(visit: Visit) -> Answer:
    """Take it into the books."""
    return await _resolve(visit, resolving.adopt, "adopted")


async def post_check(visit: Visit) -> Answer:
    """Look again."""
    return await _resolve(visit, resolving.check, "looked-again")


async def post_deal(visit: Visit) -> Answer:
    """Take it off the list."""
    note = visit.form.text("note", _LONGEST_NOTE)

    async def deal(resolver: Resolver, oddity: Oddity) -> None:
        await resolving.deal(resolver, oddity, note)

    return await _resolve(visit, deal, "dealt-with")


async def _resolve(
    visit: Visit, work: Callable[[Resolver, Oddity], Awaitable[None]], done: str
) -> Answer:
    oddity = await _load(visit)
    settings = visit.services.settings
    gateways = await gateways_store.list_of(visit.database, visit.tenant)
    processor = next((each.processor for each in gateways if each.name == oddity.gateway), "")
    resolver = Resolver(
        Books(visit.database, visit.services.vault), visit.tenant, visit.user.actor,
        visit.real_now, settings.rhythm(processor).pending[0],
    )  # fmt: skip
    try:
        await work(resolver, oddity)
    except NotResolved as no:
        return await show_oddity(visit, error=str(no))
    visit.services.wake()
    return visit.go("/dashboard/reconciliation", done=done)


async def export_month(visit: Visit) -> Streamed:
    """Every refund record and chargeback of a month as a file."""
    month = _month(visit)
    return csv_file(f"refunds-{month.text}", _month_parts(visit, month))


async def _month_parts(visit: Visit, month: Month) -> AsyncIterator[bytes]:
    yield csv_lines([_HEAD])
    async for batch in paid_in(visit.database, visit.tenant, month):
        yield csv_lines([_cells(each) for each in batch])


def _cells(paid: Paid) -> list[Cell]:
    fee: Cell = None
    if paid.fee is not None and paid.fee_currency is not None:
        fee = to_major(paid.fee, required(find_currency(paid.fee_currency)))
    return [
        paid.at, _kind(paid), paid.order_id, paid.upstream_id,
        paid.refund_ids, paid.dispute_id, paid.operation_id, paid.currency,
        to_major(paid.amount, required(find_currency(paid.currency))), paid.gateway,
        paid.reference, paid.payout, fee, paid.fee_currency if fee is not None else None,
        paid.arn, paid.booked_on.isoformat() if paid.booked_on else None,
    ]  # fmt: skip


def _kind(paid: Paid) -> str:
    if paid.dispute_id:
        return "chargeback"
    return "refund failed" if paid.failed_later else "refund"


PAGES = (
    Page("GET", "/reconciliation", show_reconciliation, Right.TRANSACTIONS),
    Page("GET", "/reconciliation.csv", export_month, Right.TRANSACTIONS),
    Page("GET", "/reconciliation/{id}", show_oddity, Right.TRANSACTIONS),
    Page("POST", "/reconciliation/{id}/adopt", post_adopt, Right.TRANSACTIONS),
    Page("POST", "/reconciliation/{id}/check", post_check, Right.TRANSACTIONS),
    Page("POST", "/reconciliation/{id}/deal", post_deal, Right.TRANSACTIONS),
)
