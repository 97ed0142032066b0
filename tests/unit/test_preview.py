"""Previews by example: sources, what is left out and every refusal; and the choices beside them."""

from dataclasses import replace
from decimal import Decimal

from refundry.domain.cells import Component
from refundry.domain.choices import Choice, Nothing, whole_ask, why_nothing
from refundry.domain.order import Order, hold
from refundry.domain.preview import LeftOut, Outside, Preview, preview_refund, type_of
from refundry.domain.refund import ElementAsk, Refund, RefundAsk, RefundType, plan_refund
from refundry.domain.refusal import (
    AmountUnavailable,
    CurrencyNotSupported,
    InvalidField,
    ItemUnknown,
    QuantityAboveOrder,
)
from tests.unit.given import NOW, captured, cells, line, order_a

G = (("creditCard", 689), ("customerCredit", 2000))


def order_g() -> Order:
    """26.89, of which 6.89 by card and 20.00 by credit."""
    return captured(line(cells(2000, 151, shipping=(500, 38)), 2), sources=G)


def previewed(order: Order, *, waiting: int = 0, **more: object) -> Preview:
    ask = replace(RefundAsk(order.id, None, order.currency.code), **more)  # type: ignore[arg-type]
    return preview_refund(order, ask, waiting=waiting, now=NOW)


def item(name: str, kind: RefundType | None = None, **more: object) -> ElementAsk:
    return replace(ElementAsk(name, None, None, None, Decimal(100), kind), **more)  # type: ignore[arg-type]


def split(preview: Preview) -> list[tuple[str, int]]:
    return [(share.charge.source_type, share.amount) for share in preview.shares]


def test_the_primary_source_comes_first() -> None:
    preview = previewed(order_g(), percent=Decimal(50))
    assert preview.refund is not None
    assert preview.refund.amount == 1345
    assert split(preview) == [("creditCard", 689), ("customerCredit", 656)]
    assert preview.after.available_to_refund == 1344


def test_what_is_not_sent_yet_comes_before() -> None:
    order = order_g()
    first = plan_refund(
        order, RefundAsk("o1", None, "USD", percent=Decimal(10)), refund_id="a", now=NOW
    )
    assert isinstance(first, Refund)
    preview = previewed(hold(order, first.shares), waiting=first.amount, percent=Decimal(50))
    assert split(preview) == [("creditCard", 689 - 269), ("customerCredit", 1210 - 420)]


def test_fees_and_other_items_are_left_out_for_different_reasons() -> None:
    with_fees = line(cells(1000, 80, fees=(100, 8)))
    order = captured(with_fees, line(cells(500, 40)))
    assert previewed(order, percent=Decimal(50)).left_out == (
        LeftOut(Component.FEES, 100),
        LeftOut(Component.FEES_TAX, 8),
    )
    assert previewed(order, items=(item("line0"),)).left_out == (
        LeftOut(Component.PRODUCT, 500, Outside.OTHER_ITEMS),
        LeftOut(Component.TAX, 40, Outside.OTHER_ITEMS),
        LeftOut(Component.FEES, 100),
        LeftOut(Component.FEES_TAX, 8),
    )
    assert (type_of(Component.FEES_TAX), type_of(Component.TAX)) == (RefundType.FEES, None)


def test_every_refusal_is_named_by_its_place() -> None:
    good, unknown = item("line0"), item("nobody")
    many = item("line0", RefundType.SHIPPING, quantity=3)
    fine = item("line0", RefundType.DUTY, percent=None, amount=Decimal("0.001"), sent_amount="x")
    preview = previewed(order_a(), items=(good, unknown, many, fine), currency="EUR")
    assert preview.refusals == (
        CurrencyNotSupported("EUR"),
        InvalidField("items[3].amount", "x"),
        ItemUnknown("items[1].itemId", "nobody"),
        QuantityAboveOrder("items[2].quantity"),
    )


def test_a_line_named_twice_counts_once() -> None:
    preview = previewed(order_a(), items=(item("line0"), item("line0")))
    assert preview.base == 2161
    assert preview.refusals == (InvalidField("items[1].itemId", "line0"),)


def test_fees_of_an_order_without_any_are_refused_by_the_rules() -> None:
    order = order_a()
    for amount, refusal in ((5, AmountUnavailable()), (0, InvalidField("items[0].amount", "0.00"))):
        ask = whole_ask(order, Choice.FEES, amount)
        assert plan_refund(order, ask, refund_id="a", now=NOW) == refusal


def test_it_is_said_why_nothing_is_left() -> None:
    order = order_a()
    assert why_nothing(order, Choice.FEES) is Nothing.NEVER_CAPTURED
    refund = previewed(order, percent=Decimal(100)).refund
    assert refund is not None
    assert why_nothing(hold(order, refund.shares), Choice.ORDER) is Nothing.HELD
    paid = replace(order.lines[0], refunded=order.lines[0].captured)
    assert why_nothing(order.with_line(paid), Choice.ORDER) is Nothing.REFUNDED
