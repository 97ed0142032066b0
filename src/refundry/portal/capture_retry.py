"""Retry capture and Retry cancel: what a failed record would be sent for again, and sending it."""

from refundry.access.rights import Right
from refundry.domain.capture_retry import check_retry, find_record, retry
from refundry.domain.charge import Operation, OperationKind
from refundry.domain.event import Change
from refundry.domain.order import Order
from refundry.domain.refusal import NotRetriable
from refundry.errors import Refused
from refundry.http.answer import Answer
from refundry.ids import new_uuid, new_web_token
from refundry.orders.commands import retry_operation
from refundry.orders.store import StoredOrder
from refundry.portal.confirming import (
    PROBLEMS,
    Confirmation,
    Figure,
    confirm,
    do_once,
    problem_text,
)
from refundry.portal.forms import Wrong
from refundry.portal.orders import load_order, order_page
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import Deed, FormReceipt
from refundry.portal.rendering import amount
from refundry.portal.sources import source_label

_BOOKED = {OperationKind.CAPTURE: "Captured from", OperationKind.CANCEL: "Given up of"}
_TEXTS = {
    OperationKind.CAPTURE: "The payment provider is asked for the money again, under a new number."
    " The units stay as they are.",
    OperationKind.CANCEL: "The payment provider is asked again to give the amount up."
    " It is never captured then.",
}


async def review_retry(visit: Visit) -> Answer:
    """What is sent again, and from which payment methods; else the order, with why it is not."""
    stored = await load_order(visit)
    operation_id = visit.query.one("operation")
    if not operation_id:
        return visit.go(_address(stored.order))
    try:
        return confirm(visit, _confirmation(visit, stored, operation_id))
    except PROBLEMS as error:
        return await order_page(visit, stored, error=problem_text(error))


def _confirmation(visit: Visit, stored: StoredOrder, operation_id: str) -> Confirmation:
    """By the command's own rules. Raises Refused."""
    order = stored.order
    failed = check_retry(order, operation_id)
    if isinstance(failed, NotRetriable):
        raise Refused(failed)
    records = retry(Change(order, visit.now), failed, new_uuid)
    figures = [_figure(stored, record) for record in records]
    title, total = f"Retry {failed.kind}", amount(failed.amount, order.currency)
    return Confirmation(
        title=title,
        crumbs=[("/dashboard/orders", "Orders"), (_address(order), order.id)],
        figures=[*figures, Figure("Amount", total, "review-total", True)],
        text=_TEXTS[failed.kind],
        action=f"{_address(order)}/retry",
        button=f"{title} ({total})",
        back=_address(order),
        hidden=[("operation", failed.id)],
    )


def _figure(stored: StoredOrder, record: Operation) -> Figure:
    label = source_label(stored, stored.order.charge(record.charge_id))
    text = amount(record.amount, stored.order.currency)
    return Figure(f"{_BOOKED[record.kind]} {label}", text)


def _address(order: Order) -> str:
    return f"/dashboard/orders/{order.id}"


async def submit_retry(visit: Visit) -> Answer:
    """Send it again, once; otherwise show why not."""
    stored = await load_order(visit)
    try:
        return await _submit(visit, stored.order)
    except PROBLEMS as error:
        return await order_page(visit, await load_order(visit), error=problem_text(error))


async def _submit(visit: Visit, order: Order) -> Answer:
    """Raises Wrong and Refused."""
    record = find_record(order, visit.form.text("operation"))
    if record is None:
        raise Wrong("Choose a failed capture or cancel of the order.")
    token = visit.form.text("form_token") or new_web_token()
    receipt = FormReceipt(visit, token, _address(order), Deed(f"{record.kind}.retry"))
    return await do_once(
        visit,
        receipt,
        lambda kept: retry_operation(
            visit.database, visit.tenant, order.id, record.id, visit.now, kept
        ),
        f"{record.kind}-retried",
    )


PAGES = (
    Page("GET", "/orders/{id}/retry", review_retry, Right.FULFIL),
    Page("POST", "/orders/{id}/retry", submit_retry, Right.FULFIL),
)
