"""Orders whose goods come back, and the steps of a return; amounts are minor units."""

from dataclasses import replace

from refundry.domain import settlement
from refundry.domain.charge import Failure
from refundry.domain.event import Change
from refundry.domain.order import Line, LineState, Order
from refundry.domain.refund import Refund
from refundry.domain.returns import Return, ReturnItem, UnitsAsk, accept, plan_acceptance
from tests.unit.given import NOW, SECOND, Sources, captured, cells, counting, line


def shipped(*lines: Line, sources: Sources = ()) -> Order:
    """A complete order whose lines say that they are fulfilled."""
    order = captured(*lines, sources=sources)
    for each in order.lines:
        order = order.with_line(replace(each, state=LineState.FULFILLED))
    return order


def order_w() -> Order:
    """Two tees and three caps for 21.61 and 48.61."""
    return shipped(
        line(cells(2000, 161), 2, sku="sku-tee"), line(cells(4500, 361), 3, sku="sku-cap")
    )


def order_v() -> Order:
    """Two tees and three caps for 21.61 and 64.82."""
    return shipped(
        line(cells(2000, 161), 2, sku="sku-tee"), line(cells(6000, 482), 3, sku="sku-cap")
    )


def ask(place: int, quantity: int) -> UnitsAsk:
    return UnitsAsk(f"line{place}", None, quantity)


def goods(*units: int, reason: str | None = None) -> Return:
    """A return of so many units of each line; lines of 0 are left out."""
    items = tuple(ReturnItem(place, count) for place, count in enumerate(units) if count)
    return Return("ret_1", "o1", SECOND, SECOND, items, reason=reason)


def take(
    order: Order, returned: Return, *asks: UnitsAsk, everything: bool = False
) -> tuple[Change, Return]:
    """What an acceptance that must be possible makes of the order and the return."""
    units = plan_acceptance(order, returned, asks, everything=everything)
    assert isinstance(units, dict), units
    change = Change(order, NOW)
    used = len(returned.acceptances)
    return change, accept(change, returned, units, new_refund_id=counting(f"re_{used}"))


def refunds_of(change: Change) -> list[Refund]:
    return list(change.refunds.values())


def settled(order: Order, refund: Refund, failure: Failure | None = None) -> Order:
    """The order after its refund went to the processors and was answered."""
    change = Change(order, NOW)
    records = settlement.submit(change, [refund], counting(f"op-{refund.id}-"))
    for record in records:
        settlement.settle(change, record, [change.refunds[refund.id]], failure)
    return change.order


def with_returned(order: Order, position: int, units: int) -> Order:
    return order.with_line(replace(order.lines[position], returned_units=units))


def spent(order: Order, position: int, amount: int) -> Order:
    """An item refund of this line that succeeded: of the product first, then of its tax."""
    of_line = order.lines[position]
    product = min(amount, of_line.captured[0])
    return order.with_line(replace(of_line, refunded=cells(product, amount - product)))
