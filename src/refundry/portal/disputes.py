"""Disputes: the list with its search, and one dispute with its order."""

from refundry.access.rights import Right
from refundry.disputes.store import find_dispute, find_disputes, find_sales_transactions
from refundry.domain.dispute import Dispute, DisputeState, limit_of
from refundry.errors import NotFound, required
from refundry.http.answer import Answer
from refundry.orders.store import StoredOrder, find_order
from refundry.portal.lists import SearchedList, show_list
from refundry.portal.orders import STATES as ORDER_STATES
from refundry.portal.pages import Page, Visit
from refundry.portal.sources import source_label
from refundry.portal.transactions import transaction_rows

STATES = {"open": "Open", "won": "Won", "lost": "Lost"}


async def list_disputes(visit: Visit) -> Answer:
    """The disputes, newest first."""
    return await show_list(visit, "disputes", SearchedList(STATES, _search, find_disputes))


async def _search(visit: Visit, q: str) -> list[str]:
    """The ids of the dispute with this id, or of those of the order."""
    rows = await visit.database.fetch(
        """
        (SELECT id FROM disputes WHERE account_id = $1 AND live = $2 AND id = $3)
        UNION
        (SELECT id FROM disputes WHERE account_id = $1 AND live = $2 AND order_id = $3
          ORDER BY created_at DESC, seq DESC LIMIT 1000)
        """,
        visit.tenant.account_id, visit.tenant.live, q,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def load_dispute(visit: Visit) -> tuple[Dispute, StoredOrder]:
    """The dispute of the address with its order. Raises NotFound."""
    dispute = await find_dispute(visit.database, visit.tenant, visit.path["id"])
    if dispute is None:
        raise NotFound("Dispute", visit.path["id"])
    return dispute, required(await find_order(visit.database, visit.tenant, dispute.order_id))


async def show_dispute(visit: Visit, *, error: str = "") -> Answer:
    """The dispute's page. error: why something with it was not done."""
    dispute, stored = await load_dispute(visit)
    charge = stored.order.charge(dispute.charge_id)
    sales = await find_sales_transactions(
        visit.database, visit.tenant, dispute.sales_transaction_ids
    )
    return visit.show(
        "dispute.html",
        status=400 if error else 200,
        error=error,
        dispute=dispute,
        order=stored.order,
        states=STATES,
        order_states=ORDER_STATES,
        label=source_label(stored, charge),
        limit=min(limit_of(charge), dispute.amount),
        transactions=transaction_rows(sales),
        can_close=dispute.state is DisputeState.OPEN and visit.may(Right.DISPUTES),
        form=visit.form,
    )


PAGES = (
    Page("GET", "/disputes", list_disputes, Right.VIEW_ORDERS),
    Page("GET", "/disputes/{id}", show_dispute, Right.VIEW_ORDERS),
)
