from dataclasses import replace
from datetime import timedelta

import pytest

from refundry.domain.cells import Cells
from refundry.domain.intake import (
    ChargeAsk,
    LineAsk,
    NewIds,
    OrderAsk,
    PastAmount,
    SourceAsk,
    admit,
)
from refundry.domain.order import LineState, Order, OrderState
from refundry.domain.refusal import InvalidField
from tests.unit.given import NOW, SECOND, cells, counting, currency


def line(
    ordered: Cells,
    quantity: int = 1,
    *,
    shipping: tuple[int, int] | None = None,
    physical: bool = True,
    fulfilled: int | None = None,
    cancelled: int = 0,
) -> LineAsk:
    return LineAsk(None, None, quantity, ordered, shipping, physical, fulfilled, cancelled, None)


def ask(
    *lines: LineAsk,
    shipping: tuple[int, int] = (0, 0),
    sources: tuple[SourceAsk, ...] | None = None,
    state: str = "accepted",
    charges: tuple[ChargeAsk, ...] | None = None,
) -> OrderAsk:
    whole = sum(sum(each.ordered) for each in lines) + sum(shipping)
    card = (SourceAsk(None, "creditCard", whole),) if whole else ()
    return OrderAsk(
        id="o1",
        currency=currency(),
        state=OrderState(state),
        lines=lines,
        shipping=shipping,
        totals={},
        sources=card if sources is None else sources,
        charges=charges,
        created_at=None,
    )


def past(
    captures: tuple[int, ...] | None = None,
    cancels: tuple[int, ...] | None = None,
    refunds: tuple[int, ...] = (),
) -> ChargeAsk:
    """A charge with operations of these amounts; None where a list was not sent."""
    return ChargeAsk(
        id=None,
        type=None,
        captures=None if captures is None else tuple(PastAmount(n, None) for n in captures),
        cancels=None if cancels is None else tuple(PastAmount(n, None) for n in cancels),
        refunds=tuple(PastAmount(amount, None) for amount in refunds),
    )


def take(ask: OrderAsk) -> Order | InvalidField:
    return admit(ask, now=NOW, ids=NewIds(counting("n"), counting("u")))


def taken(ask: OrderAsk) -> Order:
    order = take(ask)
    assert isinstance(order, Order)
    return order


def shares(order: Order) -> list[tuple[int, int]]:
    return [(each.ordered[2], each.ordered[3]) for each in order.lines]


def test_a_new_order_is_accepted_and_its_charges_are_open() -> None:
    order = taken(ask(line(cells(2000, 161), 2), shipping=(500, 40)))
    assert (order.state.value, order.version, order.total_amount) == ("accepted", 1, 2701)
    assert order.state_times == {"accepted": SECOND}
    (charge,) = order.charges
    assert (charge.amount, charge.state.value, charge.type) == (
        2701,
        "capturable",
        "customer_initiated",
    )
    assert (order.lines[0].state.value, order.lines[0].units_left) == ("created", 2)


def test_ids_that_were_sent_are_kept_and_others_are_made() -> None:
    sent = replace(
        ask(replace(line(cells(10)), id="L1"), line(cells(5))),
        sources=(SourceAsk("S1", "creditCard", 10), SourceAsk(None, "customerCredit", 5)),
        charges=(replace(past(), id="C1", source_id="S1"), past()),
    )
    order = taken(sent)
    assert [each.id for each in order.lines] == ["L1", "n1"]
    assert [(each.id, each.source_id) for each in order.charges] == [("C1", "S1"), ("u1", "u2")]


@pytest.mark.parametrize(
    ("name", "cents"),
    [
        ("totalAmount", 4409 + 100),
        ("subtotal", 4100 + 100),
        ("totalTax", 309),
        ("totalFees", 1600),
        ("totalDuty", 70),
        ("totalImporterTax", 30),
        ("totalShipping", 500),
    ],
)
def test_totals_are_those_of_the_contract(name: str, cents: int) -> None:
    """20.00 + 16.00 fees + 5.00 shipping, tax 1.51 + 0.38 + 1.20; duty and importer tax on top."""
    sent = ask(
        line(cells(2000, 151, duty=70, importer_tax=30, fees=(1600, 120))), shipping=(500, 38)
    )
    assert isinstance(take(replace(sent, totals={name: (cents, "x")})), Order)
    assert take(replace(sent, totals={name: (cents + 1, "27.02")})) == InvalidField(name, "27.02")


def test_shipping_is_spread_by_price_and_only_over_what_is_shipped() -> None:
    lines = [line(cells(2000)), line(cells(1000)), line(cells(9000), physical=False)]
    assert shares(taken(ask(*lines, shipping=(500, 40)))) == [(333, 27), (167, 13), (0, 0)]


@pytest.mark.parametrize("lines", [[line(cells(7), physical=False)] * 2, [line(cells(0, 5))] * 2])
def test_without_a_price_to_go_by_shipping_is_spread_evenly(lines: list[LineAsk]) -> None:
    assert shares(taken(ask(*lines, shipping=(5, 1)))) == [(3, 1), (2, 0)]


def test_shipping_of_the_items_must_sum_to_the_orders() -> None:
    lines = [line(cells(10), shipping=(300, 20)), line(cells(10))]
    sources = (SourceAsk(None, "creditCard", 340),)
    sent = ask(*lines, shipping=(300, 20), sources=sources)
    assert shares(taken(sent)) == [(300, 20), (0, 0)]
    assert take(replace(sent, shipping=(301, 20))) == InvalidField("items.shipping", "3.0")
    assert take(replace(sent, shipping=(300, 19))) == InvalidField("items.shipping", "0.2")


@pytest.mark.parametrize(
    ("sources", "shown"),
    [
        ([("creditCard", 2700)], "27.0"),
        ([("creditCard", 2702)], "27.02"),
        ([], "0.0"),
        ([("creditCard", 1701), ("payPal", 1000)], "27.01"),
    ],
)
def test_sources_must_pay_the_order_with_one_primary_at_most(
    sources: list[tuple[str, int]], shown: str
) -> None:
    asks = tuple(SourceAsk(None, kind, amount) for kind, amount in sources)
    refused = take(ask(line(cells(2701)), sources=asks))
    assert refused == InvalidField("payment.sources", shown)


def test_several_credits_may_pay_beside_one_card() -> None:
    kinds = ("customerCredit", "payPal", "customerCredit")
    sources = tuple(SourceAsk(None, kind, 900) for kind in kinds)
    assert len(taken(ask(line(cells(2700)), sources=sources)).charges) == 3


def test_a_free_order_needs_no_source() -> None:
    assert taken(ask(line(cells()))).charges == ()


@pytest.mark.parametrize(
    ("charges", "shown"),
    [
        ((), "0.0"),
        ((past(), past()), "0.0"),
        ((replace(past(), amount=99),), "0.99"),
        ((replace(past(), source_id="other"),), "other"),
    ],
)
def test_charges_are_one_for_each_source(charges: tuple[ChargeAsk, ...], shown: str) -> None:
    sent = ask(line(cells(100)), sources=(SourceAsk("S1", "creditCard", 100),), charges=charges)
    assert take(sent) == InvalidField("payment.charges", shown)


def test_an_order_waits_for_the_authorisation_of_its_sources() -> None:
    waits = SourceAsk(None, "directDebit", 100, waits=True)
    order = taken(ask(line(cells(100)), sources=(waits,)))
    assert (order.state.value, order.charges[0].state.value) == ("pending_payment", "pending")
    (asked,) = order.charges[0].operations
    assert (asked.kind.value, asked.amount, asked.state.value) == ("authorize", 100, "pending")


def test_an_import_is_captured_whatever_its_source_would_do_now() -> None:
    waits = SourceAsk(None, "directDebit", 100, waits=True)
    order = taken(ask(line(cells(100)), sources=(waits,), state="complete"))
    assert (order.captured, order.charges[0].state.value) == (100, "complete")


def test_an_import_without_figures_is_fulfilled_and_captured() -> None:
    order = taken(ask(line(cells(2000, 161), 2), shipping=(500, 40), state="complete"))
    assert (order.captured, order.available_to_refund) == (2701, 2701)
    assert order.charges[0].state.value == "complete"
    (made,) = order.lines
    assert (made.fulfilled_units, made.captured_units, made.units_left) == (2, 2, 0)
    assert made.state is LineState.FULFILLED
    assert set(made.state_times) == {"created", "fulfilled"}


@pytest.mark.parametrize(
    ("fulfilled", "cancelled", "operations"),
    [
        (1, 0, [[("capture", 400)], [("capture", 100)]]),
        (0, 1, [[], [("cancel", 500)]]),
        (1, 1, [[("capture", 400)], [("capture", 100), ("cancel", 500)]]),
    ],
)
def test_an_import_takes_captures_from_credit_first_and_cancels_from_the_card(
    fulfilled: int, cancelled: int, operations: list[list[tuple[str, int]]]
) -> None:
    sources = (SourceAsk(None, "customerCredit", 400), SourceAsk(None, "creditCard", 600))
    units = line(cells(1000), 2, fulfilled=fulfilled, cancelled=cancelled)
    order = taken(ask(units, sources=sources, state="complete"))
    made = [[(o.kind.value, o.amount) for o in charge.operations] for charge in order.charges]
    assert made == operations


def test_once_an_import_gives_fulfilled_units_the_others_have_none() -> None:
    order = taken(
        ask(line(cells(10), 2, fulfilled=1), line(cells(10), 2, cancelled=2), state="fulfilled")
    )
    units = [(each.fulfilled_units, each.cancelled_units) for each in order.lines]
    assert units == [(1, 0), (0, 2)]
    assert [each.state.value for each in order.lines] == ["created", "cancelled"]
    silent = taken(ask(line(cells(10), 2), line(cells(10), 2, cancelled=1), state="fulfilled"))
    assert [each.fulfilled_units for each in silent.lines] == [2, 1]


def test_captures_and_cancels_of_an_import_are_kept_with_their_times() -> None:
    then = SECOND - timedelta(days=9)
    charge = replace(past(), captures=(PastAmount(40, then, "CAP"), PastAmount(10, None)))
    order = taken(ask(line(cells(100), 2, cancelled=1), charges=(charge,), state="complete"))
    kept = [(each.kind.value, each.amount, each.created_at) for each in order.charges[0].operations]
    assert kept == [("capture", 40, then), ("capture", 10, SECOND), ("cancel", 50, SECOND)]
    assert order.charges[0].operations[0].id == "CAP"


@pytest.mark.parametrize(
    ("charge", "parameter", "shown"),
    [
        (past(captures=(49,)), "payment.charges", "0.49"),
        (past(captures=(51,)), "payment.charges", "0.51"),
        (past(captures=()), "payment.charges", "0.0"),
        (past(cancels=(25, 26)), "payment.charges", "0.51"),
        (past(captures=(50,), cancels=(50,), refunds=(51,)),
         "payment.charges[0].refunds[0].amount", "0.51"),
        (past(refunds=(30, 21)), "payment.charges[0].refunds[1].amount", "0.21"),
    ],
)  # fmt: skip
def test_a_past_that_does_not_add_up_is_named(
    charge: ChargeAsk, parameter: str, shown: str
) -> None:
    sent = ask(line(cells(100), 2, cancelled=1), charges=(charge,), state="complete")
    assert take(sent) == InvalidField(parameter, shown)


def test_no_charge_can_have_captured_more_than_its_amount() -> None:
    sources = (SourceAsk(None, "creditCard", 60), SourceAsk(None, "customerCredit", 40))
    charges = (past(captures=(59,)), past(captures=(41,)))
    sent = ask(line(cells(100)), sources=sources, charges=charges, state="complete")
    assert take(sent) == InvalidField("payment.charges", "1.0")


def test_refunds_of_an_import_leave_fees_for_last() -> None:
    sent = ask(line(cells(1000, 100, fees=(200, 20))), state="complete")
    order = taken(replace(sent, charges=(past(refunds=(550,)),)))
    assert order.lines[0].refunded == cells(500, 50)
    order = taken(replace(sent, charges=(past(refunds=(550, 660)),)))
    assert order.lines[0].refunded == cells(1000, 100, fees=(100, 10))
    assert (order.refunded, order.available_to_refund) == (1210, 110)
