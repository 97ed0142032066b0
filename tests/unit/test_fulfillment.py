from dataclasses import replace

import pytest

from refundry.domain.charge import (
    ChargeState,
    Failure,
    Operation,
    OperationKind,
    OperationState,
)
from refundry.domain.event import Change
from refundry.domain.fulfillment import (
    FulfilledItem,
    FulfillmentAsk,
    check_fulfillment,
    fulfill,
    settle_authorization,
    settle_capture,
    split_over,
    units_amount,
)
from refundry.domain.order import Order, OrderState
from refundry.domain.refusal import (
    FulfillmentTooLarge,
    ItemUnknown,
    OrderCancelled,
    OrderFulfilled,
    OrderNotSubmitted,
    Refusal,
    SkuAmbiguous,
)
from tests.unit.given import NOW, SECOND, accepted, cells, counting, line, operation, types

FULL = [
    "fulfillment.created",
    "order.charge.capture.pending",
    "order.charge.processing",
    "order.fulfilled",
]


def ask(place: int, quantity: int = 0, cancelled: int = 0) -> FulfillmentAsk:
    return FulfillmentAsk(f"line{place}", None, quantity, cancelled)


def do(order: Order, *asks: FulfillmentAsk, name: str = "op") -> tuple[Order, list[str]]:
    """The order after a fulfilment that must be possible, and the events; ids op1, op2, ..."""
    items = check_fulfillment(order, asks)
    assert isinstance(items, list)
    change = Change(order, NOW)
    made = fulfill(change, items, fulfillment_id=f"ful_{name}", new_id=counting(name))
    assert (made.created_at, made.items) == (SECOND, tuple(items))
    return change.order, types(change)


def settle(order: Order, id: str, failure: Failure | None = None) -> tuple[Order, list[str]]:
    change = Change(order, NOW)
    settle_capture(change, find(order, id), failure)
    return change.order, types(change)


def find(order: Order, id: str) -> Operation:
    every = [each for charge in order.charges for each in charge.operations]
    return next(each for each in every if each.id == id)


def two_lines() -> Order:
    return accepted(line(cells(1000, 80), 2, sku="a"), line(cells(500), 3, sku="b"))


@pytest.mark.parametrize(
    ("whole", "quantity", "amounts"),
    [
        (8871, 1, [8871]),
        (100, 3, [33, 34, 33]),
        (1, 3, [0, 1, 0]),
        (2161, 2, [1081, 1080]),
        (0, 2, [0, 0]),
    ],
)
def test_the_units_of_a_line_sum_to_its_worth(
    whole: int, quantity: int, amounts: list[int]
) -> None:
    assert [units_amount(whole, quantity, done, 1) for done in range(quantity)] == amounts
    assert units_amount(whole, quantity, 0, quantity) == whole


def test_published_partial_captures_are_exact() -> None:
    """Three units of 96.78 and two of 48.38: captures 64.52 and 24.19, cancels 32.26 and 24.19."""
    order = accepted(line(cells(9678), 3), line(cells(4838), 2))
    order, _ = do(order, ask(0, 2, 1), ask(1, 1, 1))
    amounts = [(each.kind.value, each.amount) for each in order.charges[0].operations]
    assert amounts == [("capture", 6452), ("cancel", 3226), ("capture", 2419), ("cancel", 2419)]


def test_a_full_fulfilment_announces_itself_and_what_follows() -> None:
    order, events = do(accepted(line(cells(1000))), ask(0, 1))
    assert events == FULL
    assert (order.state.value, order.lines[0].state.value) == ("fulfilled", "fulfilled")
    assert order.lines[0].state_times["fulfilled"] == NOW
    assert order.captured == 0
    order, events = settle(order, "op1")
    assert events == ["order.charge.capture.complete", "order.charge.complete", "order.complete"]
    assert (order.state.value, order.captured, order.available_to_refund) == (
        "complete",
        1000,
        1000,
    )


def test_a_partial_fulfilment_leaves_the_order_accepted() -> None:
    order, events = do(two_lines(), ask(0, 1))
    assert events == ["fulfillment.created", "order.charge.capture.pending"]
    assert (order.state.value, order.charges[0].state.value) == ("accepted", "capturable")
    assert order.lines[0].processing == cells(500, 40)


def test_a_cancelled_order_announces_its_end_when_the_cancel_is_done() -> None:
    order, events = do(accepted(line(cells(1000), 2)), ask(0, 0, 2))
    assert events == [FULL[0], "order.charge.cancel.pending", "order.charge.processing"]
    assert (order.state.value, order.lines[0].state.value) == ("accepted", "cancelled")
    order, events = settle(order, "op1")
    assert events == ["order.charge.cancel.complete", "order.charge.cancelled", "order.cancelled"]
    assert (order.cancelled, order.lines[0].cancelled) == (1000, cells(1000))


def test_captures_come_before_cancels_within_an_element() -> None:
    order, events = do(accepted(line(cells(1000), 2)), ask(0, 1, 1))
    assert events[1:3] == ["order.charge.capture.pending", "order.charge.cancel.pending"]
    assert [(each.entry, each.units) for each in order.charges[0].operations] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("asked", "amounts"),
    [
        (ask(0, 1), [("customerCredit", "capture", 400), ("creditCard", "capture", 100)]),
        (ask(0, 0, 1), [("creditCard", "cancel", 500)]),
        (ask(0, 0, 2), [("customerCredit", "cancel", 400), ("creditCard", "cancel", 600)]),
    ],
)
def test_credit_is_captured_first_and_cancelled_last(
    asked: FulfillmentAsk, amounts: list[tuple[str, str, int]]
) -> None:
    sources = [("customerCredit", 400), ("creditCard", 600)]
    order, _ = do(accepted(line(cells(1000), 2), sources=sources), asked)
    made = [
        (charge.source_type, each.kind.value, each.amount)
        for charge in order.charges
        for each in charge.operations
    ]
    assert made == amounts


def test_a_capture_that_fails_opens_its_charge_and_frees_its_cells() -> None:
    order, _ = do(two_lines(), ask(0, 2), ask(1, 3))
    order, events = settle(order, "op1", Failure("no", "No."))
    assert events == ["order.charge.capture.failed", "order.charge.capturable"]
    assert find(order, "op1").failure == Failure("no", "No.")
    assert order.lines[0].uncaptured == cells(1000, 80)
    assert (order.lines[0].captured_units, order.lines[0].fulfilled_units) == (0, 2)
    order, events = settle(order, "op2")
    assert events == ["order.charge.capture.complete"]
    assert (order.state.value, order.captured) == ("fulfilled", 500)


def test_a_cancel_that_fails_leaves_its_units_cancelled_and_its_amount_open() -> None:
    order, _ = do(accepted(line(cells(1000))), ask(0, 0, 1))
    order, events = settle(order, "op1", Failure())
    assert events == ["order.charge.cancel.failed", "order.charge.capturable"]
    assert order.lines[0].cancelled_units == 1
    assert (order.charges[0].open, order.state.value) == (1000, "accepted")


def test_a_unit_over_two_charges_is_captured_by_either_and_counts_once() -> None:
    sources = [("customerCredit", 400), ("creditCard", 600)]
    order, _ = do(accepted(line(cells(700, 300), 1), sources=sources), ask(0, 1))
    assert find(order, "op1").shares == {0: cells(280, 120)}
    assert find(order, "op2").shares == {0: cells(420, 180)}
    order, _ = settle(order, "op1", Failure())
    assert order.lines[0].captured_units == 0
    order, _ = settle(order, "op2")
    assert order.lines[0].captured_units == 1
    both, _ = do(accepted(line(cells(700, 300), 1), sources=sources), ask(0, 1))
    both, _ = settle(settle(both, "op1")[0], "op2")
    assert both.lines[0].captured_units == 1
    assert both.lines[0].captured == cells(700, 300)


def test_units_of_two_elements_of_one_line_count_apart() -> None:
    order, _ = do(accepted(line(cells(1000), 2)), ask(0, 1), ask(0, 1))
    order, _ = settle(settle(order, "op1")[0], "op2")
    assert order.lines[0].captured_units == 2


def test_units_that_are_worth_nothing_make_no_records() -> None:
    order, events = do(accepted(line(cells()), line(cells(100))), ask(0, 1), ask(1, 1))
    assert events == FULL
    assert [each.amount for each in order.charges[0].operations] == [100]


def test_a_free_order_is_complete_at_once() -> None:
    _, events = do(accepted(line(cells())), ask(0, 1))
    assert events == ["fulfillment.created", "order.fulfilled", "order.complete"]


@pytest.mark.parametrize(
    ("asks", "refusal"),
    [
        ([ask(0, 3)], FulfillmentTooLarge("items[0].quantity")),
        ([ask(0, 1, 2)], FulfillmentTooLarge("items[0].cancelQuantity")),
        ([ask(0, 1), ask(0, 2)], FulfillmentTooLarge("items[1].quantity")),
        ([ask(0, 2), ask(1, 3), ask(1, 0, 1)], FulfillmentTooLarge("items[2].cancelQuantity")),
        ([ask(7, 1)], ItemUnknown("items[0].itemId", "line7")),
        ([ask(0, 9), ask(7, 1)], ItemUnknown("items[1].itemId", "line7")),
        ([FulfillmentAsk(None, "z", 1, 0)], ItemUnknown("items[0].skuId", "z")),
    ],
)
def test_what_is_not_left_or_not_there_is_named(
    asks: list[FulfillmentAsk], refusal: Refusal
) -> None:
    assert check_fulfillment(two_lines(), asks) == refusal


def test_a_line_is_found_by_a_sku_that_no_other_has() -> None:
    by_sku = FulfillmentAsk(None, "b", 1, 0)
    assert check_fulfillment(two_lines(), [by_sku]) == [FulfilledItem(1, 1, 0)]
    twice = accepted(line(cells(1), sku="b"), line(cells(1), sku="b"))
    assert check_fulfillment(twice, [by_sku]) == SkuAmbiguous("items[0].skuId", "b")


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        ("pending_payment", OrderNotSubmitted("o1")),
        ("in_review", OrderNotSubmitted("o1")),
        ("blocked", OrderNotSubmitted("o1")),
        ("dispute", OrderNotSubmitted("o1")),
        ("cancelled", OrderCancelled("o1")),
        ("fulfilled", OrderFulfilled("o1")),
        ("complete", OrderFulfilled("o1")),
        ("returned", OrderFulfilled("o1")),
    ],
)
def test_only_an_accepted_order_is_fulfilled_whatever_is_asked(
    state: str, refusal: Refusal
) -> None:
    order = replace(two_lines(), state=OrderState(state))
    assert check_fulfillment(order, [ask(7, 99)]) == refusal


def test_an_accepted_order_without_units_left_is_fulfilled() -> None:
    """All its units are cancelled, but the processor has not confirmed the cancel yet."""
    order, _ = do(accepted(line(cells(1000))), ask(0, 0, 1))
    assert order.state is OrderState.ACCEPTED
    assert check_fulfillment(order, [ask(0, 1)]) == OrderFulfilled("o1")


def test_each_charge_is_filled_before_the_next() -> None:
    charges = accepted(line(cells(100)), sources=[("customerCredit", 10)] * 10).charges
    rooms = list(zip(charges, [0, 5, -3, 7, 9], strict=False))
    assert [(c.id, part) for c, part in split_over(rooms, 10)] == [("c1", 5), ("c3", 5)]
    assert split_over(rooms, 0) == []
    assert sum(part for _, part in split_over(rooms, 100)) == 21


def waiting(*types: str) -> Order:
    """An order whose charges wait for their authorisation."""
    order = accepted(line(cells(100 * len(types))), sources=[(each, 100) for each in types])
    for charge in order.charges:
        asked = operation(charge.id, OperationKind.AUTHORIZE, 100, id=f"auth-{charge.id}")
        pending = replace(charge, state=ChargeState.PENDING)
        order = order.with_charge(pending.with_operation(asked))
    return replace(order, state=OrderState.PENDING_PAYMENT)


def authorise(order: Order, id: str, failure: Failure | None = None) -> tuple[Order, list[str]]:
    change = Change(order, NOW)
    settle_authorization(change, find(order, id), failure)
    return change.order, types(change)


def test_an_order_is_accepted_with_its_last_authorisation() -> None:
    order, events = authorise(waiting("directDebit", "customerCredit"), "auth-c0")
    assert events == ["order.charge.capturable"]
    assert order.state is OrderState.PENDING_PAYMENT
    order, events = authorise(order, "auth-c1")
    assert events == ["order.charge.capturable", "order.accepted"]
    assert order.state is OrderState.ACCEPTED


def test_an_authorisation_that_fails_fails_its_charge() -> None:
    order, events = authorise(waiting("directDebit"), "auth-c0", Failure())
    assert events == ["order.charge.failed"]
    assert (order.state.value, order.charges[0].state.value) == ("pending_payment", "failed")
    assert find(order, "auth-c0").state is OperationState.FAILED


def test_an_authorisation_does_not_undo_what_the_merchant_decided() -> None:
    order = waiting("directDebit")
    accepted_by_hand = order.with_charge(replace(order.charges[0], state=ChargeState.CAPTURABLE))
    after, events = authorise(accepted_by_hand, "auth-c0", Failure())
    assert events == []
    assert after.charges[0].state is ChargeState.CAPTURABLE
