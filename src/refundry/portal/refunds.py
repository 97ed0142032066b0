"""Refunds: the search over all of them, and its result as a file."""

from refundry.access.rights import Right
from refundry.db.listing import Condition
from refundry.domain.choices import TYPE_LABELS
from refundry.domain.money import to_major
from refundry.http.answer import Answer
from refundry.portal.csv_export import Cell, Export, stream_csv
from refundry.portal.lists import file_address, page_of
from refundry.portal.orders import search_orders
from refundry.portal.pages import Page, Streamed, Visit
from refundry.portal.refund_filters import RefundFilters, read_filters
from refundry.portal.refund_rows import FAILURES, STATES, RefundRow, refund_rows
from refundry.refunds.store import find_refunds


async def list_refunds(visit: Visit) -> Answer:
    """The refunds, newest first, whatever made them."""
    filters = read_filters(visit)
    ids, pages = await page_of(visit, "refunds", await _conditions(visit, filters))
    return visit.show(
        "refunds.html",
        refunds=await _rows(visit, ids),
        with_order=True,
        pages=pages,
        q=_sought(visit),
        filters=filters.values,
        active=filters.active,
        states=STATES,
        types=TYPE_LABELS,
        failures=FAILURES,
        export=file_address(visit, "/dashboard/refunds.csv"),
    )


def _sought(visit: Visit) -> str:
    return (visit.query.one("q") or "").strip()


async def _conditions(visit: Visit, filters: RefundFilters) -> list[Condition]:
    """What narrows the list and the file alike."""
    q = _sought(visit)
    if not q:
        return filters.conditions
    orders = await search_orders(visit, q)
    found = Condition("t.id = ANY ({}::text[])", await _search(visit, q, orders))
    return [*filters.conditions, found]


async def _search(visit: Visit, q: str, orders: list[str]) -> list[str]:
    """The ids of the refunds with this id, or of these orders; at most a thousand."""
    rows = await visit.database.fetch(
        """
        (SELECT id FROM refunds WHERE account_id = $1 AND live = $2 AND id = $3)
        UNION
        (SELECT id FROM refunds WHERE account_id = $1 AND live = $2 AND order_id = ANY ($4::text[])
          ORDER BY created_at DESC, seq DESC LIMIT 1000)
        """,
        visit.tenant.account_id, visit.tenant.live, q, orders,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def _rows(visit: Visit, ids: list[str]) -> list[RefundRow]:
    found = await find_refunds(visit.database, visit.tenant, ids)
    return refund_rows([each.refund for each in found])


_HEAD = (
    "Refund ID", "Order ID", "Created", "Type", "Currency", "Amount", "Refunded amount", "State",
    "Needs attention", "Reason", "Failure reason", "Failure code",
)  # fmt: skip


async def export_refunds(visit: Visit) -> Streamed:
    """Every refund of the filtered list as a file."""

    async def rows(ids: list[str]) -> list[list[Cell]]:
        return [_cells(row) for row in await _rows(visit, ids)]

    conditions = await _conditions(visit, read_filters(visit))
    export = Export("refunds", _HEAD, rows)
    return stream_csv(visit.database, visit.tenant, "refunds", conditions, export)


def _cells(row: RefundRow) -> list[Cell]:
    refund = row.refund
    currency = refund.currency
    return [
        refund.id, refund.order_id, refund.created_at, row.type, currency.code,
        to_major(refund.amount, currency), to_major(refund.refunded, currency), row.state,
        "yes" if refund.needs_attention else "", refund.reason, row.failure, refund.failure_reason,
    ]  # fmt: skip


PAGES = (
    Page("GET", "/refunds", list_refunds, Right.VIEW_ORDERS),
    Page("GET", "/refunds.csv", export_refunds, Right.VIEW_ORDERS),
)
