"""Fulfill items and Cancel items: units per line, what that captures or gives up, and doing it."""

from dataclasses import dataclass
from functools import partial

from refundry.access.rights import Right
from refundry.domain.charge import Operation
from refundry.domain.event import Change
from refundry.domain.fulfillment import check_fulfillment, fulfill
from refundry.domain.order import Order, OrderState
from refundry.errors import Refused
from refundry.http.answer import Answer
from refundry.http.document import JsonValue
from refundry.http.fields import Fields
from refundry.ids import new_uuid, new_web_token
from refundry.orders.commands import FulfillmentRequest, create_fulfillment
from refundry.orders.fulfillments import read_fulfillment
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
from refundry.portal.sources import source_label

TRACKING = {"trackingCompany": "Tracking company", "trackingNumber": "Tracking number"}


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two things that become of units. member: where a request names them."""

    path: str
    title: str
    member: str
    action: str
    done: str
    booked: str
    text: str


FULFIL = Way(
    "fulfill", "Fulfill items", "quantity", "fulfillment.create", "fulfilled", "Captured from",
    "The units count as shipped, and the amount is captured at once.",
)  # fmt: skip
CANCEL = Way(
    "cancel", "Cancel items", "cancelQuantity", "fulfillment.cancel", "cancelled", "Given up of",
    "The units are cancelled for good. Their amount is never captured.",
)  # fmt: skip


async def new_fulfilment(way: Way, visit: Visit) -> Answer:
    """The form."""
    return _form_page(way, visit, await load_order(visit))


def _form_page(way: Way, visit: Visit, stored: StoredOrder, *, error: str = "") -> Answer:
    order = stored.order
    dispute = IN_DISPUTE if order.state is OrderState.DISPUTE else ""
    rows = quantity_rows(stored, visit.form, lambda line: line.units_left, all_of_it=way is FULFIL)
    return visit.show(
        "fulfilment.html",
        status=400 if error else 200,
        error=error or dispute,
        order=order,
        way=way,
        rows=rows if order.state is OrderState.ACCEPTED else [],
        tracking=TRACKING if way is FULFIL else {},
        form=visit.form,
    )


async def review_fulfilment(way: Way, visit: Visit) -> Answer:
    """What the units come to, by the API's own rules, or the form with what is wrong."""
    stored = await load_order(visit)
    try:
        records = _records(visit, stored.order, _request(way, stored, visit.form))
    except PROBLEMS as error:
        return _form_page(way, visit, stored, error=problem_text(error))
    return confirm(visit, _confirmation(way, visit.form, stored, records))


def _request(way: Way, stored: StoredOrder, form: Form) -> FulfillmentRequest:
    """The request that a form makes. Raises Wrong and BadFields."""
    if not asked_units(form):
        raise Wrong("Choose how many of which items.")
    document: dict[str, JsonValue] = {
        "orderId": stored.order.id,
        "items": item_members(form, way.member),
    }
    if way is FULFIL:
        document |= {name: text for name in TRACKING if (text := form.text(name))}
    return read_fulfillment(Fields(document, []))


def _records(visit: Visit, order: Order, request: FulfillmentRequest) -> list[Operation]:
    """The captures and cancels that a request makes, by the command's rules. Raises Refused."""
    items = check_fulfillment(order, request.items)
    if not isinstance(items, list):
        raise Refused(items)
    change = Change(order, visit.now)
    made = fulfill(change, items, fulfillment_id="", new_id=new_uuid)
    records = [o for charge in change.order.charges for o in charge.operations]
    return [record for record in records if record.id in made.operation_ids]


def _confirmation(
    way: Way, form: Form, stored: StoredOrder, records: list[Operation]
) -> Confirmation:
    order = stored.order
    base = f"/dashboard/orders/{order.id}"
    names = {line.id: line_name(stored, line.position) for line in order.lines}
    figures = [
        Figure(names[line_id], f"{units} units" if units != "1" else "1 unit")
        for line_id, units in asked_units(form).items()
    ]
    for charge in order.charges:
        minor = sum(record.amount for record in records if record.charge_id == charge.id)
        if minor:
            label = f"{way.booked} {source_label(stored, charge)}"
            figures.append(Figure(label, amount(minor, order.currency)))
    total = amount(sum(record.amount for record in records), order.currency)
    return Confirmation(
        title=way.title,
        crumbs=[("/dashboard/orders", "Orders"), (base, order.id)],
        figures=[*figures, Figure("Amount", total, "review-total", True)],
        text=way.text,
        action=f"{base}/{way.path}",
        button=f"{way.title} ({total})",
        back=f"{base}/{way.path}",
        hidden=[*hidden_units(form), *sent_on(form, TRACKING)],
    )


async def submit_fulfilment(way: Way, visit: Visit) -> Answer:
    """Do what was reviewed, once; otherwise show why not."""
    stored = await load_order(visit)
    token = visit.form.text("form_token") or new_web_token()
    address = f"/dashboard/orders/{stored.order.id}"
    receipt = FormReceipt(visit, token, address, Deed(way.action))
    try:
        request = _request(way, stored, visit.form)
        return await do_once(
            visit,
            receipt,
            lambda kept: create_fulfillment(visit.database, visit.tenant, request, visit.now, kept),
            way.done,
        )
    except PROBLEMS as error:
        return _form_page(way, visit, await load_order(visit), error=problem_text(error))


def _pages(way: Way) -> tuple[Page, ...]:
    path = f"/orders/{{id}}/{way.path}"
    return (
        Page("GET", path, partial(new_fulfilment, way), Right.FULFIL),
        Page("POST", f"{path}/review", partial(review_fulfilment, way), Right.FULFIL),
        Page("POST", path, partial(submit_fulfilment, way), Right.FULFIL),
    )


PAGES = (*_pages(FULFIL), *_pages(CANCEL))
