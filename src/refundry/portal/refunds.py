"""Refunds: the search over all of them, and one with all that became of it."""

from refundry.access.rights import Right
from refundry.db.listing import Condition
from refundry.domain.refund import RefundState
from refundry.http.answer import Answer
from refundry.portal.lists import active_filters, day_conditions, page_of
from refundry.portal.orders import search_orders
from refundry.portal.pages import Page, Visit
from refundry.portal.refund_rows import STATES, refund_rows
from refundry.refunds.store import find_refunds


async def list_refunds(visit: Visit) -> Answer:
    """The refunds, newest first, whatever made them."""
    conditions = day_conditions(visit, "t.created_at")
    state = visit.query.one("state") or ""
    if state in set(RefundState):
        conditions.append(Condition("lower(t.state) = {}::text", state))
    q = (visit.query.one("q") or "").strip()
    if q:
        orders = await search_orders(visit, q)
        conditions.append(Condition("t.id = ANY ({}::text[])", await _search(visit, q, orders)))
    ids, pages = await page_of(visit, "refunds", conditions)
    found = await find_refunds(visit.database, visit.tenant, ids)
    return visit.show(
        "refunds.html",
        refunds=refund_rows([each.refund for each in found]),
        with_order=True,
        pages=pages,
        q=q,
        state=state,
        states=STATES,
        first=visit.query.one("from") or "",
        last=visit.query.one("to") or "",
        active=active_filters(visit, "state", "from", "to"),
    )


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


PAGES = (Page("GET", "/refunds", list_refunds, Right.VIEW_ORDERS),)
