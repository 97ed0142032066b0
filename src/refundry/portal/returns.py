"""Returns: the list with its search, and one return with all that became of it."""

import msgspec

from refundry.access.rights import Right
from refundry.domain.order import OrderState
from refundry.domain.returns import Return, ReturnState
from refundry.errors import NotFound, required
from refundry.http.answer import Answer
from refundry.orders.store import StoredOrder, find_order
from refundry.portal.lists import SearchedList, show_list
from refundry.portal.new_return import ADDRESS, CONTACT
from refundry.portal.order_lines import as_object, line_name
from refundry.portal.orders import IN_DISPUTE
from refundry.portal.pages import Page, Visit
from refundry.portal.quantities import Row
from refundry.portal.refund_rows import refund_rows
from refundry.refunds.store import find_refunds
from refundry.returns.store import find_return, find_returns

STATES = {"created": "Created", "accepted": "Accepted"}


async def list_returns(visit: Visit) -> Answer:
    """The returns, newest first."""
    return await show_list(visit, "returns", SearchedList(STATES, _search, find_returns))


async def _search(visit: Visit, q: str) -> list[str]:
    """The ids of the return with this id, or of those of the order; at most a thousand."""
    rows = await visit.database.fetch(
        """
        (SELECT id FROM returns WHERE account_id = $1 AND live = $2 AND id = $3)
        UNION
        (SELECT id FROM returns WHERE account_id = $1 AND live = $2 AND order_id = $3
          ORDER BY created_at DESC, seq DESC LIMIT 1000)
        """,
        visit.tenant.account_id, visit.tenant.live, q,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def load_return(visit: Visit) -> tuple[Return, StoredOrder]:
    """The return of the address with its order. Raises NotFound."""
    goods = await find_return(visit.database, visit.tenant, visit.path["id"])
    if goods is None:
        raise NotFound("Return", visit.path["id"])
    return goods, required(await find_order(visit.database, visit.tenant, goods.order_id))


async def show_return(visit: Visit, *, error: str = "") -> Answer:
    """The return's page. error: why something with it was not done."""
    goods, stored = await load_return(visit)
    refunds = await find_refunds(visit.database, visit.tenant, goods.refund_ids)
    created = goods.state is ReturnState.CREATED
    return visit.show(
        "return.html",
        status=400 if error else 200,
        error=error,
        goods=goods,
        order=stored.order,
        states=STATES,
        names=[line_name(stored, item.position) for item in goods.items],
        amounts=[goods.amount_of(item, stored.order) for item in goods.items],
        location=_location(goods),
        refunds=refund_rows([each.refund for each in refunds]),
        can_accept=created and visit.may(Right.HANDLE_RETURNS),
        reason=IN_DISPUTE if stored.order.state is OrderState.DISPUTE else "",
        rows=_awaited(visit, goods, stored),
    )


def _awaited(visit: Visit, goods: Return, stored: StoredOrder) -> list[Row]:
    """A row of the form for each line of which units are still awaited."""
    lines = stored.order.lines
    return [
        Row(
            lines[item.position],
            line_name(stored, item.position),
            item.outstanding,
            visit.form.text(f"qty-{lines[item.position].id}") or "0",
        )
        for item in goods.items
        if item.outstanding
    ]


def _location(goods: Return) -> list[tuple[str, str]]:
    """Where the goods go, as labels with texts."""
    known = as_object(msgspec.json.decode(goods.location)) if goods.location else {}
    address = as_object(known.get("address"))
    found = [(label, address.get(name)) for name, label in ADDRESS.items()]
    found += [(label, known.get(name)) for name, label in CONTACT.items()]
    return [(label, str(text)) for label, text in found if text]


PAGES = (
    Page("GET", "/returns", list_returns, Right.VIEW_ORDERS),
    Page("GET", "/returns/{id}", show_return, Right.VIEW_ORDERS),
)
