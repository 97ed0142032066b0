"""Create return: which units come back, and where to."""

from collections.abc import Mapping

from refundry.access.rights import Right
from refundry.domain.order import OrderState
from refundry.domain.refund import product_estimate
from refundry.domain.returns import ReturnItem, plan_return, returnable_units
from refundry.errors import Refused
from refundry.http.answer import Answer
from refundry.http.document import JsonValue
from refundry.http.fields import Fields
from refundry.ids import new_web_token
from refundry.orders.store import StoredOrder
from refundry.portal.confirming import (
    PROBLEMS,
    Confirmation,
    Figure,
    confirm,
    do_once,
    problem_text,
    sent_on,
)
from refundry.portal.forms import Form, Wrong
from refundry.portal.order_lines import line_name
from refundry.portal.orders import IN_DISPUTE, load_order
from refundry.portal.pages import Page, Visit
from refundry.portal.quantities import asked_units, hidden_units, item_members, quantity_rows
from refundry.portal.receipts import Deed, FormReceipt
from refundry.portal.rendering import amount
from refundry.returns.commands import create_return
from refundry.returns.reading import ReturnRequest, read_return
from refundry.returns.store import open_units

ADDRESS = {
    "line1": "Address line 1",
    "line2": "Address line 2",
    "city": "City",
    "postalCode": "Postal code",
    "state": "State or region",
    "country": "Country",
}
CONTACT = {"name": "Name", "phone": "Phone", "email": "Email"}
"""What the address of a return holds, by the names of the API."""

_SHIPPING = "shipping"


async def new_return(visit: Visit) -> Answer:
    """The empty form."""
    return await _form_page(visit, await load_order(visit))


async def _form_page(visit: Visit, stored: StoredOrder, *, error: str = "") -> Answer:
    taken = await open_units(visit.database, visit.tenant, stored.order.id)
    rows = quantity_rows(stored, visit.form, lambda line: returnable_units(line, taken))
    dispute = IN_DISPUTE if stored.order.state is OrderState.DISPUTE else ""
    return visit.show(
        "new_return.html",
        status=400 if error else 200,
        error=error or dispute,
        order=stored.order,
        rows=rows,
        form=visit.form,
        shipping=visit.form.ticked(_SHIPPING),
        address=ADDRESS,
        contact=CONTACT,
    )


async def review_return(visit: Visit) -> Answer:
    """What a return would be, by the API's own rules, or the form with what is wrong."""
    stored = await load_order(visit)
    try:
        request = _request(stored, visit.form)
        taken = await open_units(visit.database, visit.tenant, stored.order.id)
        items = plan_return(stored.order, request.items, taken)
        if not isinstance(items, tuple):
            raise Refused(items)
    except PROBLEMS as error:
        return await _form_page(visit, stored, error=problem_text(error))
    return confirm(visit, _confirmation(visit, stored, request, items))


def _request(stored: StoredOrder, form: Form) -> ReturnRequest:
    """The request that a form makes. Raises Wrong and BadFields."""
    if not asked_units(form):
        raise Wrong("Choose how many of which items come back.")
    if not form.text("reason"):
        raise Wrong("Give a reason for the return.")
    document: dict[str, JsonValue] = {
        "orderId": stored.order.id,
        "items": item_members(form, "quantity"),
        "reason": form.text("reason"),
    }
    if form.ticked(_SHIPPING):
        document["location"] = _location(form)
    return read_return(Fields(document, []))


def _location(form: Form) -> Mapping[str, JsonValue]:
    """Raises Wrong if the address is not whole."""
    missing = [label for name, label in ADDRESS.items() if name != "line2" and not form.text(name)]
    if missing:
        raise Wrong(f"The return shipping information lacks: {', '.join(missing)}.")
    address = {name: text for name in ADDRESS if (text := form.text(name))}
    return {"address": address} | {name: text for name in CONTACT if (text := form.text(name))}


def _confirmation(
    visit: Visit, stored: StoredOrder, request: ReturnRequest, items: tuple[ReturnItem, ...]
) -> Confirmation:
    order = stored.order
    base = f"/dashboard/orders/{order.id}"
    worth = [product_estimate(order, item.position, item.quantity) for item in items]
    figures = [
        Figure(
            f"{item.quantity} × {line_name(stored, item.position)}", amount(minor, order.currency)
        )
        for item, minor in zip(items, worth, strict=True)
    ]
    figures.append(Figure("Reason", request.reason or ""))
    figures.append(
        Figure("To be refunded", amount(sum(worth), order.currency), "review-total", True)
    )
    return Confirmation(
        title="Create return",
        crumbs=[("/dashboard/orders", "Orders"), (base, order.id)],
        figures=figures,
        text="No money moves yet. The refund is issued when the return is accepted, of what is"
        " left of these items then.",
        action=f"{base}/returns",
        button="Submit",
        back=f"{base}/returns/new",
        hidden=[
            *hidden_units(visit.form),
            *sent_on(visit.form, ["reason", _SHIPPING, *ADDRESS, *CONTACT]),
        ],
    )


async def submit_return(visit: Visit) -> Answer:
    """Authorise the return that was reviewed, once; otherwise show why not."""
    stored = await load_order(visit)
    token = visit.form.text("form_token") or new_web_token()
    receipt = FormReceipt(visit, token, "/dashboard/returns/{id}", Deed("return.create"))
    try:
        request = _request(stored, visit.form)
        return await do_once(
            visit,
            receipt,
            lambda kept: create_return(visit.database, visit.tenant, request, visit.now, kept),
            "return-created",
        )
    except PROBLEMS as error:
        return await _form_page(visit, await load_order(visit), error=problem_text(error))


PAGES = (
    Page("GET", "/orders/{id}/returns/new", new_return, Right.HANDLE_RETURNS),
    Page("POST", "/orders/{id}/returns/review", review_return, Right.HANDLE_RETURNS),
    Page("POST", "/orders/{id}/returns", submit_return, Right.HANDLE_RETURNS),
)
