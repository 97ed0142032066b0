"""Orders in dispute, and the steps of disputes and refunds; amounts are minor units."""

from datetime import datetime
from decimal import Decimal

from refundry.domain import settlement
from refundry.domain.charge import Failure, Operation
from refundry.domain.dispute import Dispute, SalesTransaction, lose, open_dispute
from refundry.domain.event import Change
from refundry.domain.order import Order, hold
from refundry.domain.refund import Refund, RefundAsk, plan_refund
from tests.unit.given import NOW, SECOND, captured, cells, counting, line, order_a

MIXED = [("creditCard", 689), ("customerCredit", 2000)]


def order_e() -> Order:
    """20.00 + 1.51 with shipping of 5.00 + 0.38 and fees of 16.00 + 1.20: 44.09 in all."""
    return captured(line(cells(2000, 151, shipping=(500, 38), fees=(1600, 120)), 2))


def order_g() -> Order:
    """26.89, of which a card (c0) paid 6.89 and credit (c1) 20.00."""
    return captured(line(cells(2000, 151, shipping=(500, 38)), 2), sources=MIXED)


def in_dispute(order: Order) -> Order:
    """The order after a dispute was opened on it."""
    change = Change(order, NOW)
    open_dispute(change)
    return change.order


def case(order: Order, charge_id: str = "c0", amount: int | None = None) -> Dispute:
    """An open dispute; without an amount about all that was captured."""
    disputed = order.charge(charge_id).captured if amount is None else amount
    return Dispute(f"dp_{charge_id}", order.id, charge_id, order.currency, disputed, SECOND)


def charged_back(
    order: Order,
    amount: int | None = None,
    charge_id: str = "c0",
    *,
    disputed: int | None = None,
    now: datetime = NOW,
    last: bool = True,
    fraud: bool = True,
) -> tuple[Change, Dispute, list[SalesTransaction]]:
    """What becomes of an order, if need be put into dispute, that loses a dispute."""
    change = Change(in_dispute(order), now)
    dispute = case(order, charge_id, disputed)
    ended, made = lose(
        change, dispute, amount=amount, fraud=fraud, last=last,
        new_id=lambda: f"cb_{charge_id}", new_sales_id=counting(f"st_{charge_id}_"),
    )  # fmt: skip
    return change, ended, made


def asked(order: Order, amount: str, name: str = "re_1") -> tuple[Order, Refund]:
    """A refund of an amount in major units that is held and not submitted."""
    ask = RefundAsk("o1", None, order.currency.code, amount=Decimal(amount))
    refund = plan_refund(order, ask, refund_id=name, now=NOW)
    assert isinstance(refund, Refund), refund
    return hold(order, refund.shares), refund


def sent(order: Order, refund: Refund) -> tuple[Order, Refund]:
    """The refund submitted: its records are `re_1-op1`, `re_1-op2`, ..."""
    change = Change(order, NOW)
    settlement.submit(change, [refund], counting(f"{refund.id}-op"))
    return change.order, change.refunds[refund.id]


def answered(
    order: Order, refund: Refund, record_id: str, failure: Failure | None = None
) -> tuple[Order, Refund]:
    """A record of the refund answered; a complete one that is answered again fails late."""
    change = Change(order, NOW)
    record = find(order, record_id)
    if record.state.value == "complete":
        settlement.fail_late(change, record, [refund], failure or Failure())
    else:
        settlement.settle(change, record, [refund], failure)
    return change.order, change.refunds.get(refund.id, refund)


def find(order: Order, operation_id: str) -> Operation:
    """The operation with this id."""
    every = [o for charge in order.charges for o in charge.operations]
    return next(o for o in every if o.id == operation_id)


def owed(order: Order) -> dict[str, int]:
    """What the bank took and found no free money for, by chargeback."""
    return {o.id: o.owed for o in order.chargebacks}


def assert_adds_up(order: Order) -> None:
    """Every chargeback is its shares and what is owed; nothing is owed while money is free."""
    for each in order.chargebacks:
        assert each.shares is not None
        assert sum(map(sum, each.shares.values())) + each.owed == each.amount
    assert not (order.available_to_refund and any(owed(order).values()))
    for each in order.lines:
        assert min(each.available) >= 0
    gone = sum(sum(each.refunded) for each in order.lines) + sum(owed(order).values())
    assert gone == order.refunded


def refunded_a() -> Order:
    """27.01, of which 13.51 was paid back."""
    order, refund = sent(*asked(order_a(), "13.51"))
    order, _ = answered(order, refund, "re_1-op1")
    return order
