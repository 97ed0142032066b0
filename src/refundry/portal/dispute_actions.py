"""Open dispute, and close it: won, or lost with what the bank took."""

from dataclasses import dataclass

from refundry.access.rights import Right
from refundry.disputes.commands import Told, create_dispute, resolve_dispute
from refundry.disputes.reading import DisputeRequest, Resolution, read_dispute, read_resolution
from refundry.disputes.store import disputes_of_order
from refundry.domain.charge import Charge
from refundry.domain.dispute import (
    Dispute,
    DisputeState,
    check_resolution,
    limit_of,
    lose,
    primary_charge,
    win,
)
from refundry.domain.event import Change
from refundry.domain.money import to_minor
from refundry.domain.order import Order
from refundry.domain.refusal import InvalidField
from refundry.errors import Refused
from refundry.http.answer import Answer
from refundry.http.document import JsonValue
from refundry.http.fields import Fields
from refundry.ids import new_sales_transaction_id, new_uuid, new_web_token
from refundry.orders.store import StoredOrder
from refundry.portal.confirming import (
    PROBLEMS,
    Confirmation,
    Figure,
    confirm,
    do_once,
    problem_text,
)
from refundry.portal.disputes import load_dispute, show_dispute
from refundry.portal.forms import Form, Wrong
from refundry.portal.orders import STATES, load_order, why_no_dispute, why_undisputed
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import Deed, FormReceipt
from refundry.portal.rendering import amount, plain_amount
from refundry.portal.sources import source_label


@dataclass(frozen=True, slots=True)
class Choice:
    """A charge that can be disputed, or why it cannot. limit: minor units."""

    charge: Charge
    label: str
    limit: int
    reason: str


async def new_dispute(visit: Visit) -> Answer:
    """The form."""
    return await _form_page(visit, await load_order(visit))


async def _form_page(visit: Visit, stored: StoredOrder, *, error: str = "") -> Answer:
    order = stored.order
    known = await disputes_of_order(visit.database, visit.tenant, order.id)
    choices = [
        Choice(
            charge,
            source_label(stored, charge),
            limit_of(charge),
            why_no_dispute(order, charge, known),
        )
        for charge in order.charges
    ]
    return visit.show(
        "new_dispute.html",
        status=400 if error else 200,
        error=error or why_undisputed(order, known),
        order=order,
        choices=choices,
        chosen=visit.form.text("charge") or _proposed(order, choices),
        form=visit.form,
        form_token=new_web_token(),
    )


def _proposed(order: Order, choices: list[Choice]) -> str:
    """The charge that the API takes if none is named, if it can be disputed."""
    primary = primary_charge(order)
    open_to = [choice.charge.id for choice in choices if not choice.reason]
    if primary is not None and primary.id in open_to:
        return primary.id
    return open_to[0] if open_to else ""


async def submit_dispute(visit: Visit) -> Answer:
    """Open the dispute, once; otherwise show why not."""
    stored = await load_order(visit)
    order_id = stored.order.id
    token = visit.form.text("form_token") or new_web_token()
    receipt = FormReceipt(visit, token, "/dashboard/disputes/{id}", Deed("dispute.open"))
    try:
        request = _request(visit.form)

        async def work(kept: FormReceipt) -> bytes:
            told = Told(visit.tenant, visit.now, kept)
            return await create_dispute(visit.database, told, order_id, request)

        return await do_once(visit, receipt, work, "dispute-opened")
    except PROBLEMS as error:
        return await _form_page(visit, await load_order(visit), error=problem_text(error))


def _request(form: Form) -> DisputeRequest:
    """The request that a form makes. Raises Wrong and BadFields."""
    if not form.text("charge"):
        raise Wrong("Choose the charge that is disputed.")
    document: dict[str, JsonValue] = {"chargeId": form.text("charge")}
    document |= {name: text for name in ("amount", "reason") if (text := _number(form, name))}
    return read_dispute(Fields(document, []))


def _number(form: Form, name: str) -> str:
    """A field's text; the comma of an amount as the point that it means."""
    text = form.text(name)
    return text.replace(",", ".") if name == "amount" and text.count(",") == 1 else text


@dataclass(frozen=True, slots=True)
class Ending:
    """What closing a dispute would come to. order: as it would be afterwards."""

    dispute: Dispute
    order: Order


async def review_closing(visit: Visit) -> Answer:
    """What the outcome does to what can be refunded, or the dispute with what is wrong."""
    dispute, stored = await load_dispute(visit)
    try:
        ending = await _ending(visit, dispute, stored.order, _resolution(visit.form))
    except PROBLEMS as error:
        return await show_dispute(visit, error=problem_text(error))
    return confirm(visit, _confirmation(dispute, stored, ending))


def _resolution(form: Form) -> Resolution:
    """The outcome that a form says. Raises Wrong and BadFields."""
    outcome, fraud = form.text("outcome"), form.text("fraud")
    if outcome not in (DisputeState.WON, DisputeState.LOST):
        raise Wrong("Say whether the dispute was won or lost.")
    document: dict[str, JsonValue] = {"outcome": outcome}
    if outcome == DisputeState.LOST:
        if fraud not in ("yes", "no"):
            raise Wrong("Say whether it was fraud.")
        document["fraud"] = fraud == "yes"
        if text := _number(form, "amount"):
            document["amount"] = text
    return read_resolution(Fields(document, []))


async def _ending(visit: Visit, dispute: Dispute, order: Order, resolution: Resolution) -> Ending:
    """By the rules that the command follows. Raises Refused."""
    minor = None
    if resolution.amount is not None:
        minor = to_minor(resolution.amount, order.currency)
        if not minor:
            raise Refused(InvalidField("amount", resolution.sent_amount))
    charge = order.charge(dispute.charge_id)
    if refusal := check_resolution(dispute, charge, minor, resolution.sent_amount):
        raise Refused(refusal)
    known = await disputes_of_order(visit.database, visit.tenant, order.id)
    last = all(d.state is not DisputeState.OPEN for d in known if d.id != dispute.id)
    change = Change(order, visit.now)
    if not resolution.lost:
        return Ending(win(change, dispute, last=last), change.order)
    ended, _ = lose(
        change, dispute, amount=minor, fraud=resolution.fraud, last=last, new_id=new_uuid,
        new_sales_id=new_sales_transaction_id,
    )  # fmt: skip
    return Ending(ended, change.order)


def _confirmation(dispute: Dispute, stored: StoredOrder, ending: Ending) -> Confirmation:
    before, after = stored.order, ending.order
    currency, taken = before.currency, ending.dispute.chargeback
    hidden = [("outcome", ending.dispute.state.value)]
    figures = [Figure("Outcome", ending.dispute.state.value.capitalize())]
    if taken is not None:
        fraud = "yes" if ending.dispute.fraud else "no"
        figures += [
            Figure("Fraud", fraud.capitalize()),
            Figure("The bank keeps", amount(taken, currency), "chargeback-amount"),
        ]
        # What was shown is what is done: without an amount it would be what is left by then.
        hidden += [("fraud", fraud), ("amount", plain_amount(taken, currency) if taken else "")]
    here = f"/dashboard/disputes/{dispute.id}"
    return Confirmation(
        title="Close dispute",
        crumbs=[("/dashboard/disputes", "Disputes"), (here, dispute.id)],
        figures=[*figures, *_availability(before, after)],
        text=_effect(before, after, taken),
        action=f"{here}/close",
        button=f"Close as {ending.dispute.state.value}",
        back=here,
        hidden=hidden,
    )


def _availability(before: Order, after: Order) -> list[Figure]:
    """What can be refunded and how the order stands, before and after."""
    now, then = before.available_to_refund, after.available_to_refund
    return [
        Figure("Available to refund now", amount(now, before.currency), "available-before"),
        Figure("Available to refund afterwards", amount(then, after.currency), "available-after"),
        Figure("Status of the order afterwards", STATES[after.state.value], "state-after"),
    ]


def _effect(before: Order, after: Order, taken: int | None) -> str:
    """The sentence that has to be read before the button is pressed."""
    falls = before.available_to_refund - after.available_to_refund
    if not taken:
        return "What is available to refund stays as it is. A closed dispute stays closed."
    rest = taken - falls
    text = f"What is available to refund falls by {amount(falls, before.currency)}."
    if rest > 0:
        text += (
            f" {amount(rest, before.currency)} more is held by refunds on their way, and is taken"
            " as soon as it comes free."
        )
    return f"{text} A closed dispute stays closed."


async def submit_closing(visit: Visit) -> Answer:
    """Close the dispute as it was reviewed, once; otherwise show why not."""
    dispute, _ = await load_dispute(visit)
    token = visit.form.text("form_token") or new_web_token()
    deed = Deed("dispute.close", {"state": dispute.state.value})
    receipt = FormReceipt(visit, token, f"/dashboard/disputes/{dispute.id}", deed)
    try:
        resolution = _resolution(visit.form)

        async def work(kept: FormReceipt) -> bytes:
            told = Told(visit.tenant, visit.now, kept)
            return await resolve_dispute(visit.database, told, dispute.id, resolution)

        return await do_once(visit, receipt, work, "dispute-closed")
    except PROBLEMS as error:
        return await show_dispute(visit, error=problem_text(error))


PAGES = (
    Page("GET", "/orders/{id}/disputes/new", new_dispute, Right.DISPUTES),
    Page("POST", "/orders/{id}/disputes", submit_dispute, Right.DISPUTES),
    Page("POST", "/disputes/{id}/review", review_closing, Right.DISPUTES),
    Page("POST", "/disputes/{id}/close", submit_closing, Right.DISPUTES),
)
