"""Accept return: what it would refund, and the acceptance, whole or in part.

By the role alone: no permission set (contract, dashboard, section 1.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import msgspec

from refundry.access.rights import Right
from refundry.domain.event import Change
from refundry.domain.money import to_minor
from refundry.domain.order import Order
from refundry.domain.returns import Return, ReturnState, Units, accept, plan_acceptance
from refundry.errors import Refused
from refundry.http.answer import Answer
from refundry.http.document import JsonValue
from refundry.http.fields import Fields
from refundry.ids import new_refund_id, new_web_token
from refundry.orders.store import StoredOrder
from refundry.portal.confirming import (
    PROBLEMS,
    Changed,
    Confirmation,
    Figure,
    confirm,
    do_once,
    problem_text,
)
from refundry.portal.forms import Form, whole
from refundry.portal.order_lines import line_name
from refundry.portal.pages import Page, Visit
from refundry.portal.quantities import asked_units, hidden_units, item_members
from refundry.portal.receipts import Deed, FormReceipt
from refundry.portal.rendering import amount
from refundry.portal.returns import load_return, show_return
from refundry.refunds.limits import user_requester
from refundry.returns.commands import ReturnDesk, update_return
from refundry.returns.reading import ReturnUpdate, read_return_update

# A form with units says so, as one that names none means everything.
_PART = "part"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an acceptance would come to. units: by the position of their line. refunded: minor
    units; 0 while units are awaited."""

    units: Units
    after: Return
    refunded: int

    @property
    def complete(self) -> bool:
        """Whether nothing is awaited any more."""
        return self.after.state is ReturnState.ACCEPTED


async def review_acceptance(visit: Visit) -> Answer:
    """What accepting would come to: of the units in the form, or of everything."""
    goods, stored = await load_return(visit)
    if visit.form.ticked(_PART) and not asked_units(visit.form):
        return await show_return(visit, error="Choose how many of which items have arrived.")
    try:
        outcome = _outcome(goods, stored.order, _update(visit.form), visit)
    except PROBLEMS as error:
        return await show_return(visit, error=problem_text(error))
    return confirm(visit, _confirmation(visit, stored, goods, outcome))


def _update(form: Form) -> ReturnUpdate:
    """The request that a form makes. Raises BadFields."""
    document: dict[str, JsonValue] = (
        {"items": item_members(form, "quantity", state="accepted")}
        if asked_units(form)
        else {"state": "accepted"}
    )
    return read_return_update(Fields(document, []), document)


def _outcome(goods: Return, order: Order, update: ReturnUpdate, visit: Visit) -> Outcome:
    """By the rules that the command follows. Raises Refused."""
    units = plan_acceptance(order, goods, update.items, everything=update.accept)
    if not isinstance(units, dict):
        raise Refused(units)
    change = Change(order, visit.now)
    after = accept(change, goods, units, new_refund_id=new_refund_id)
    return Outcome(units, after, sum(refund.amount for refund in change.refunds.values()))


def _confirmation(
    visit: Visit, stored: StoredOrder, goods: Return, outcome: Outcome
) -> Confirmation:
    here = f"/dashboard/returns/{goods.id}"
    return Confirmation(
        title="Accept return",
        crumbs=[("/dashboard/returns", "Returns"), (here, goods.id)],
        figures=_figures(stored, outcome),
        text=_consequence(stored, outcome),
        action=f"{here}/accept",
        button="Submit",
        back=here,
        hidden=[
            *hidden_units(visit.form),
            ("seen_refund", str(outcome.refunded)),
            ("seen_state", outcome.after.state.value),
        ],
    )


def _figures(stored: StoredOrder, outcome: Outcome) -> list[Figure]:
    """What arrives; with the last unit, what is refunded for all that the return was about."""
    currency = stored.order.currency
    if not outcome.complete:
        return [
            Figure(line_name(stored, position), f"{units} arrived")
            for position, units in outcome.units.items()
        ]
    figures = [
        Figure(
            f"{item.quantity} × {line_name(stored, item.position)}",
            amount(item.amount or 0, currency),
        )
        for item in outcome.after.items
    ]
    return [*figures, Figure("Refund", amount(outcome.refunded, currency), "refund-amount", True)]


def _consequence(stored: StoredOrder, outcome: Outcome) -> str:
    """The sentence that has to be read before the button is pressed."""
    if not outcome.complete:
        awaited = sum(item.outstanding for item in outcome.after.items)
        return (
            f"No refund is issued yet: {awaited} more {'unit is' if awaited == 1 else 'units are'}"
            " awaited. The refund is issued with the last of them."
        )
    if not outcome.refunded:
        return "No refund is issued: nothing is left of these items."
    return f"A refund of {amount(outcome.refunded, stored.order.currency)} is issued at once."


async def submit_acceptance(visit: Visit) -> Answer:
    """Accept what was reviewed, once; otherwise show why not."""
    goods, stored = await load_return(visit)
    done = "return-accepted" if visit.form.text("seen_state") == "accepted" else "units-accepted"
    before = {
        "state": goods.state.value,
        "quantityAccepted": [item.accepted for item in goods.items],
    }
    deed = Deed("return.accept", before, _as_shown(visit.form, stored.order))
    token = visit.form.text("form_token") or new_web_token()
    receipt = FormReceipt(visit, token, f"/dashboard/returns/{goods.id}", deed)
    window = timedelta(seconds=visit.services.settings.refund_batch_window)
    requester = user_requester(visit.user)
    desk = ReturnDesk(visit.database, visit.services.vault, window, requester)
    try:
        update = _update(visit.form)
        return await do_once(
            visit,
            receipt,
            lambda kept: update_return(desk, visit.tenant, goods.id, update, visit.now, kept),
            done,
        )
    except PROBLEMS as error:
        return await show_return(visit, error=problem_text(error))


class _Item(msgspec.Struct):
    amount: Decimal


class _Accepted(msgspec.Struct):
    state: str
    items: list[_Item]


def _as_shown(form: Form, order: Order) -> Callable[[bytes], None]:
    """A look at the answer: raises Changed if it is not what the person has agreed to."""
    state, refunded = form.text("seen_state"), whole(form.text("seen_refund"))

    def check(body: bytes) -> None:
        made = msgspec.json.decode(body, type=_Accepted)
        minor = sum(to_minor(item.amount, order.currency) or 0 for item in made.items)
        accepted = made.state == ReturnState.ACCEPTED
        if state and (made.state != state or (accepted and minor != refunded)):
            now = amount(minor if accepted else 0, order.currency)
            raise Changed(
                "The balance changed while you were looking: the refund comes to"
                f" {now}. Nothing was done; check the amounts again."
            )

    return check


PAGES = (
    Page("GET", "/returns/{id}/accept", review_acceptance, Right.HANDLE_RETURNS),
    Page("POST", "/returns/{id}/accept/review", review_acceptance, Right.HANDLE_RETURNS),
    Page("POST", "/returns/{id}/accept", submit_acceptance, Right.HANDLE_RETURNS),
)
