from dataclasses import replace
from decimal import Decimal

import pytest

from refundry.domain.order import Order, OrderState, hold
from refundry.domain.refund import (
    AmountBasis,
    ElementAsk,
    Refund,
    RefundAsk,
    RefundType,
    plan_refund,
)
from refundry.domain.refusal import (
    AmountUnavailable,
    BelowSmallestAmount,
    CurrencyNotSupported,
    InvalidField,
    ItemUnknown,
    OnlyFullTax,
    QuantityAboveOrder,
    RefundDuringDispute,
    Refusal,
    SkuAmbiguous,
)
from tests.unit.given import NOW, SECOND, accepted, captured, cells, line, order_a

D = Decimal


def whole(
    amount: str | None = None, *, percent: str | None = None, type: str | None = None
) -> RefundAsk:
    """A request of the order level."""
    return RefundAsk(
        order_id="o1",
        invoice_id=None,
        currency="USD",
        amount=None if amount is None else D(amount),
        percent=None if percent is None else D(percent),
        type=RefundType(type) if type else None,
        sent_amount=amount or "",
    )


def item(
    place: int = 0,
    amount: str | None = None,
    *,
    percent: str | None = None,
    type: str | None = None,
    quantity: int | None = None,
) -> ElementAsk:
    return ElementAsk(
        item_id=f"line{place}",
        sku_id=None,
        quantity=quantity,
        amount=None if amount is None else D(amount),
        percent=None if percent is None else D(percent),
        type=RefundType(type) if type else None,
        sent_amount=amount or "",
    )


def items(*elements: ElementAsk, basis: AmountBasis = AmountBasis.LINE) -> RefundAsk:
    return RefundAsk("o1", None, "USD", items=elements, basis=basis)


def plan(order: Order, ask: RefundAsk) -> Refund | Refusal:
    """The plan for `ask`, in the currency of the order."""
    ask = replace(ask, currency=order.currency.code)
    return plan_refund(order, ask, refund_id="re_1", now=NOW)


def accept(order: Order, ask: RefundAsk) -> tuple[Refund, Order]:
    """A refund that must be possible, and the order that holds it."""
    refund = plan(order, ask)
    assert isinstance(refund, Refund)
    return refund, hold(order, refund.shares)


FEES = captured(
    line(cells(2000, 151, shipping=(500, 38), fees=(240, 20))),
    line(cells(1600, 100, duty=70, importer_tax=30)),
)
PUBLISHED = [
    ("half of 27.01", order_a(), whole(percent="50"), 1351, 1350),
    ("half of 4 units", captured(line(cells(4000, 321), 4)), items(item(percent="50")), 2161, 2160),
    ("half of 26.89", captured(line(cells(2489, 200))), whole(percent="50"), 1345, 1344),
    (
        "2 units beside half of 4",
        captured(line(cells(2000, 161), 2), line(cells(4000, 321), 4)),
        items(item(0, percent="100"), item(1, percent="50")),
        4322,
        2160,
    ),
    (
        "3 units and 2 units",
        captured(line(cells(6750, 542), 3), line(cells(2000, 161), 2)),
        items(item(0, percent="100"), item(1, percent="100")),
        9453,
        0,
    ),
    ("tax", order_a(), whole(percent="100", type="tax"), 201, 2500),
    ("shipping", order_a(), whole(percent="100", type="shipping"), 540, 2161),
    ("75 % of shipping", order_a(), whole(percent="75", type="shipping"), 405, 2296),
    ("21.60 of a line of 21.61", order_a(), items(item(0, "21.60")), 2160, 541),
    (
        "lines of 15.00 and 27.01",
        captured(line(cells(1500)), line(cells(2500, 201))),
        items(item(0, percent="100"), item(1, percent="100")),
        4201,
        0,
    ),
    (
        "two lines with shipping",
        captured(*[line(cells(1000, 80, shipping=(250, 20)))] * 2),
        items(item(0, percent="100")),
        1080,
        2700 - 1080,
    ),
    (
        "what is left of 88.71",
        captured(line(cells(6452)), line(cells(2419))),
        items(item(0, "32.26"), item(1, "21.51")),
        5377,
        3494,
    ),
    ("half of yen", captured(line(cells(3301)), code="JPY"), whole(percent="50"), 1651, 1650),
    ("half of dinar", captured(line(cells(10505)), code="BHD"), whole(percent="50"), 5253, 5252),
]


@pytest.mark.parametrize(
    ("order", "ask", "amount", "left"),
    [row[1:] for row in PUBLISHED],
    ids=[row[0] for row in PUBLISHED],
)
def test_published_figures(order: Order, ask: RefundAsk, amount: int, left: int) -> None:
    refund, after = accept(order, ask)
    assert refund.amount == amount
    assert after.available_to_refund == left


def test_half_of_27_01_is_spread_as_in_the_worked_example() -> None:
    refund, _ = accept(order_a(), whole(percent="50"))
    assert refund.shares == {0: cells(1000, 81, shipping=(250, 20))}


def test_a_cent_is_left_of_a_line_refunded_but_for_a_cent() -> None:
    _, after = accept(order_a(), items(item(0, "21.60")))
    assert after.lines[0].available_to_refund == 1
    assert accept(after, items(item(0, percent="100")))[0].amount == 1


def test_a_second_unit_takes_what_is_left() -> None:
    one = items(item(percent="100", quantity=1))
    first, after = accept(order_a(), one)
    second, after = accept(after, one)
    assert (first.amount, second.amount) == (1081, 1080)
    assert plan(after, one) == AmountUnavailable()


def test_after_a_half_a_hundred_percent_takes_the_rest() -> None:
    _, after = accept(order_a(), items(item(percent="50")))
    assert accept(after, items(item(percent="100")))[0].amount == 2161 - 1081


def test_units_are_valued_by_those_that_were_captured() -> None:
    """Of four units two were cancelled: one of the others is worth half of what was captured."""
    made = captured(line(cells(2000), 2))
    half = replace(made.lines[0], quantity=4, ordered=cells(4000), cancelled_units=2)
    order = made.with_line(half)
    assert accept(order, items(item(percent="100", quantity=1)))[0].amount == 1000
    assert accept(order, items(item(percent="100", quantity=4)))[0].amount == 2000


@pytest.mark.parametrize(
    ("type", "taken"),
    [
        (None, [cells(2000, 151, shipping=(500, 38)), cells(1600, 100, duty=70, importer_tax=30)]),
        ("shipping", [cells(shipping=(500, 38)), None]),
        ("duty", [None, cells(duty=70)]),
        ("tax", [(0, 151, 0, 38, 0, 0, 0, 20), cells(0, 100)]),
        ("importer_tax", [None, cells(importer_tax=30)]),
        ("fees", [cells(fees=(240, 20)), None]),
    ],
)
def test_each_type_takes_its_cells_of_every_line(
    type: str | None, taken: list[tuple[int, ...] | None]
) -> None:
    refund, after = accept(FEES, whole(percent="100", type=type))
    assert [refund.shares.get(place) for place in (0, 1)] == taken
    assert plan(after, whole(percent="100", type=type)) == AmountUnavailable()


@pytest.mark.parametrize(
    ("type", "place", "taken"),
    [
        (None, 0, cells(2000, 151)),
        ("shipping", 0, cells(shipping=(500, 38))),
        ("duty", 1, cells(duty=70)),
        ("fees", 0, cells(fees=(240, 20))),
    ],
)
def test_each_item_type_takes_its_cells_of_the_line(
    type: str | None, place: int, taken: tuple[int, ...]
) -> None:
    refund, after = accept(FEES, items(item(place, percent="100", type=type)))
    assert refund.shares == {place: taken}
    assert plan(after, items(item(place, percent="1", type=type))) == AmountUnavailable()


def test_a_line_may_stand_once_for_each_type() -> None:
    refund, _ = accept(
        FEES,
        items(item(0, "21.51"), item(0, "2.60", type="fees"), item(0, "5.38", type="shipping")),
    )
    assert [(each.type, each.amount) for each in refund.elements] == [
        (None, 2151),
        ("fees", 260),
        ("shipping", 538),
    ]
    assert refund.shares == {0: FEES.lines[0].captured}


@pytest.mark.parametrize(
    ("ask", "refusal"),
    [
        (whole("27.02"), AmountUnavailable()),
        (whole("5.41", type="shipping"), AmountUnavailable()),
        (whole("0.01", type="fees"), AmountUnavailable()),
        (whole(percent="100", type="duty"), AmountUnavailable()),
        (whole(percent="99.99", type="tax"), OnlyFullTax()),
        (whole("2.00", type="tax"), OnlyFullTax()),
        (whole("2.02", type="tax"), AmountUnavailable()),
        (whole(percent="99", type="importer_tax"), OnlyFullTax()),
        (whole(percent="100", type="importer_tax"), AmountUnavailable()),
        (whole(percent="0.01"), BelowSmallestAmount()),
        (whole("27.011"), InvalidField("amount", "27.011")),
        (whole("0.0000009"), InvalidField("amount", "0.0000009")),
        (items(item(0, "21.62")), AmountUnavailable()),
        (items(item(0, "5.41", type="shipping")), AmountUnavailable()),
        (items(item(0, percent="0.01")), BelowSmallestAmount()),
        (items(item(0, "1"), item(0, "1.001")), InvalidField("items[1].amount", "1.001")),
        (items(item(0, "1"), item(0, "1")), InvalidField("items[1].itemId", "line0")),
        (items(item(0, "1", quantity=3)), QuantityAboveOrder("items[0].quantity")),
        (items(item(0, "99"), item(7, "1")), ItemUnknown("items[1].itemId", "line7")),
        (items(replace(item(0, "1"), sku_id="x")), InvalidField("items[0].skuId", "x")),
        (
            items(replace(item(0, "1"), item_id=None, sku_id="x")),
            ItemUnknown("items[0].skuId", "x"),
        ),
    ],
)
def test_refusals_of_order_a(ask: RefundAsk, refusal: Refusal) -> None:
    assert plan(order_a(), ask) == refusal


def test_a_full_amount_of_tax_is_as_good_as_a_hundred_percent() -> None:
    assert accept(order_a(), whole("2.01", type="tax"))[0].amount == 201


def test_a_line_is_found_by_a_sku_that_no_other_has() -> None:
    order = captured(line(cells(10), sku="a"), line(cells(20), sku="b"), line(cells(30), sku="b"))
    by_a = items(replace(item(percent="100"), item_id=None, sku_id="a"))
    assert accept(order, by_a)[0].elements[0].item_id == "line0"
    by_b = items(replace(item(percent="100"), item_id=None, sku_id="b"))
    assert plan(order, by_b) == SkuAmbiguous("items[0].skuId", "b")


def test_an_amount_per_unit_counts_for_all_units_and_is_rounded_once() -> None:
    order = captured(line(cells(1000), 3))
    per_unit = items(item(0, "3.333333", quantity=3), basis=AmountBasis.UNIT)
    assert accept(order, per_unit)[0].amount == 1000
    whole_line = items(item(0, "3.33", quantity=3))
    assert accept(order, whole_line)[0].amount == 333


@pytest.mark.parametrize(
    ("amount", "refusal"),
    [
        ("3.3333333", InvalidField("items[0].amount", "3.3333333")),
        ("3.34", AmountUnavailable()),
        ("0.001", BelowSmallestAmount()),
    ],
)
def test_an_amount_per_unit_has_limits_too(amount: str, refusal: Refusal) -> None:
    order = captured(line(cells(1000), 3))
    ask = items(item(0, amount), basis=AmountBasis.UNIT)
    assert plan(order, ask) == refusal


def test_an_uncaptured_order_has_nothing_available() -> None:
    order = accepted(line(cells(2000, 161), 2))
    for ask in (whole("0.01"), whole(percent="100"), items(item(0, percent="100"))):
        assert plan(order, ask) == AmountUnavailable()


def test_dispute_comes_before_currency_and_currency_before_the_rest() -> None:
    bad = replace(whole("27.011"), currency="EUR")
    disputed = replace(order_a(), state=OrderState.DISPUTE)
    assert plan_refund(disputed, bad, refund_id="re_1", now=NOW) == RefundDuringDispute()
    assert plan_refund(order_a(), bad, refund_id="re_1", now=NOW) == CurrencyNotSupported("EUR")
    lower = replace(bad, currency="usd")
    assert plan_refund(order_a(), lower, refund_id="re_1", now=NOW) == InvalidField(
        "amount", "27.011"
    )


def test_items_are_found_before_any_amount_is_weighed() -> None:
    assert plan(order_a(), items(item(0, "99"), item(0, "1", type="fees", quantity=9))) == (
        QuantityAboveOrder("items[1].quantity")
    )


def test_a_planned_refund_is_pending_and_says_what_was_asked() -> None:
    order = replace(order_a(), invoice_id="inv-1")
    ask = replace(items(item(0, "10.00", quantity=1)), reason="damaged", metadata='{"a":1}')
    refund, _ = accept(order, ask)
    assert (refund.state.value, refund.refunded, refund.submitted) == ("pending", 0, False)
    assert (refund.order_id, refund.invoice_id) == ("o1", "inv-1")
    assert (refund.reason, refund.metadata) == ("damaged", '{"a":1}')
    assert refund.created_at == SECOND
    (element,) = refund.elements
    assert (element.item_id, element.sku_id, element.quantity) == ("line0", "sku-tee", 1)
    assert (element.amount, element.refunded) == (1000, 0)


def test_a_quantity_that_was_not_sent_is_the_ordered_one() -> None:
    refund, _ = accept(order_a(), items(item(0, "10.00")))
    assert refund.elements[0].quantity == 2
