"""What happened to an order, or to one of its lines, as its page tells it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry.domain.charge import Operation, OperationState
from refundry.domain.order import Line, Order
from refundry.domain.returns import Return, ReturnState
from refundry.outbox.store import events_of_order
from refundry.portal.pages import Visit
from refundry.portal.refund_rows import RefundRow
from refundry.portal.rendering import amount, words

_FEW_EVENTS = 200
_TONES = {
    "failed": "bad", "complete": "ok", "refunded": "ok", "opened": "warn", "dispute": "bad",
    "succeeded": "ok", "expired": "bad", "accepted": "ok",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. tone: how its mark is coloured. address: where more is."""

    at: datetime
    text: str
    tone: str = ""
    address: str = ""


async def timeline_of(visit: Visit, order: Order) -> list[Moment]:
    """Events and states of an order, newest first."""
    events = await events_of_order(visit.database, visit.tenant, order.id, _FEW_EVENTS)
    moments = [Moment(at, event_words(kind), _tone(kind.rsplit(".", 1)[-1])) for at, kind in events]
    return sorted(moments, key=lambda each: each.at, reverse=True)


def line_timeline(
    order: Order, line: Line, refunds: Sequence[RefundRow], returns: Sequence[Return]
) -> list[Moment]:
    """What was done with one line, newest first: its part of captures, refunds and all the rest.

    refunds, returns: of the order; those that leave the line alone are left out.
    """
    units = "1 unit" if line.quantity == 1 else f"{line.quantity} units"
    moments = [Moment(order.created_at, f"Ordered, {units}")]
    for charge in order.charges:
        moments += _of_operations(order, line, charge.operations)
    for row in refunds:
        if any(row.refund.shares.get(line.position, ())):
            minor, state = sum(row.refund.shares[line.position]), row.refund.state.value
            text = f"Refund of {amount(minor, order.currency)}: {row.state.lower()}"
            address = f"/dashboard/refunds/{row.refund.id}"
            moments.append(Moment(row.refund.created_at, text, _tone(state), address))
    for goods in returns:
        moments += _of_return(line, goods)
    # Records of charges have whole seconds: within one, what stands later in the list came later.
    moments.sort(key=lambda each: each.at.replace(microsecond=0))
    return moments[::-1]


def _of_operations(order: Order, line: Line, operations: Sequence[Operation]) -> Iterator[Moment]:
    """Of captures, cancels and chargebacks; the records of refunds are told by the refunds."""
    for each in operations:
        minor = sum((each.shares or {}).get(line.position, ()))
        if not minor:
            continue
        kind = "Chargeback" if each.dispute_id else words(each.kind.value)
        text = f"{kind} of {amount(minor, order.currency)}: {each.state.value}"
        settled = each.state is not OperationState.PENDING
        at = each.updated_at if settled else each.created_at
        yield Moment(at, text, _tone(each.state.value))


def _of_return(line: Line, goods: Return) -> Iterator[Moment]:
    for item in goods.items:
        if item.position == line.position:
            accepted = item.state is ReturnState.ACCEPTED
            text = f"Return of {item.quantity}: {item.accepted} accepted"
            tone = _tone("accepted") if accepted else ""
            yield Moment(goods.created_at, text, tone, f"/dashboard/returns/{goods.id}")


def event_words(kind: str) -> str:
    """An event type for people: `order.charge.capture.complete` -> `Charge capture complete`."""
    parts = kind.split(".")
    told = parts[1:] if parts[0] == "order" and len(parts) > 2 else parts
    return " ".join(told).replace("_", " ").capitalize()


def _tone(end: str) -> str:
    """The colour for how something ended."""
    return _TONES.get(end, "")
