from collections.abc import Mapping
from dataclasses import replace

import pytest

from refundry.domain.order import LineState, Order, OrderState
from refundry.domain.refund import RefundState, plan_units_refund, product_estimate
from refundry.domain.refusal import (
    InvalidField,
    ItemUnknown,
    Refusal,
    ReturnAccepted,
    ReturnDuringDispute,
    ReturnTooLarge,
    SkuAmbiguous,
)
from refundry.domain.returns import (
    Return,
    ReturnItem,
    ReturnState,
    UnitsAsk,
    plan_acceptance,
    plan_return,
)
from tests.unit.given import NOW, SECOND, cells, line, types
from tests.unit.given_returns import (
    ask,
    goods,
    order_v,
    order_w,
    refunds_of,
    shipped,
    spent,
    take,
    with_returned,
)

ACCEPTED = ["return.accepted", "refund.created", "refund.pending"]


def amounts(returned: Return, order: Order) -> list[int]:
    return [returned.amount_of(item, order) for item in returned.items]


def test_a_return_is_authorised_line_by_line() -> None:
    by_sku = UnitsAsk(None, "sku-cap", 3)
    items = plan_return(order_w(), [ask(0, 2), by_sku], {})
    assert items == (ReturnItem(0, 2), ReturnItem(1, 3))
    fresh = [(item.state, item.outstanding) for item in goods(2, 3).items]
    assert fresh == [(ReturnState.CREATED, 2), (ReturnState.CREATED, 3)]


def test_an_estimate_is_what_a_refund_would_take_now() -> None:
    order = order_w()
    assert amounts(goods(2, 3), order) == [2161, 4861]
    assert order.available_to_refund == 7022


def test_a_line_named_twice_is_added_up() -> None:
    twice = [ask(1, 1), ask(0, 1), UnitsAsk(None, "sku-cap", 2)]
    assert plan_return(order_w(), twice, {}) == (ReturnItem(1, 3), ReturnItem(0, 1))


def partly_shipped() -> Order:
    """Of three caps one is fulfilled."""
    order = order_v()
    cap = replace(
        order.lines[1], fulfilled_units=1, captured_units=1, captured=cells(2000, 161),
        state=LineState.CREATED,
    )  # fmt: skip
    return replace(order.with_line(cap), state=OrderState.ACCEPTED)


@pytest.mark.parametrize(
    ("order", "open_units", "asks", "refusal"),
    [
        (order_v(), {}, [ask(1, 4)], ReturnTooLarge("items[0].qty")),
        (order_v(), {1: 3}, [ask(1, 1)], ReturnTooLarge("items[0].qty")),
        (order_v(), {1: 2}, [ask(0, 2), ask(1, 2)], ReturnTooLarge("items[1].qty")),
        (order_v(), {0: 9}, [ask(1, 3), ask(0, 1)], ReturnTooLarge("items[1].qty")),
        (with_returned(order_v(), 1, 2), {1: 1}, [ask(1, 1)], ReturnTooLarge("items[0].qty")),
        (order_v(), {}, [ask(0, 1), ask(1, 2), ask(1, 2)], ReturnTooLarge("items[1].qty")),
        (partly_shipped(), {}, [ask(1, 2)], ReturnTooLarge("items[0].qty")),
        (order_v(), {}, [ask(7, 1)], ItemUnknown("items[0].itemId", "line7")),
        (order_v(), {}, [ask(1, 99), ask(7, 1)], ItemUnknown("items[1].itemId", "line7")),
        (order_v(), {}, [UnitsAsk(None, "none", 1)], ItemUnknown("items[0].skuId", "none")),
        (
            order_v(),
            {},
            [UnitsAsk("line0", "sku-cap", 1)],
            InvalidField("items[0].skuId", "sku-cap"),
        ),
        (
            shipped(line(cells(1), sku="s"), line(cells(1), sku="s")),
            {},
            [UnitsAsk(None, "s", 1)],
            SkuAmbiguous("items[0].skuId", "s"),
        ),
        (
            replace(order_v(), state=OrderState.DISPUTE, previous_state=OrderState.COMPLETE),
            {},
            [ask(7, 99)],
            ReturnDuringDispute(),
        ),
    ],
)
def test_what_cannot_come_back_is_named(
    order: Order, open_units: Mapping[int, int], asks: list[UnitsAsk], refusal: Refusal
) -> None:
    assert plan_return(order, asks, open_units) == refusal


def test_what_is_left_of_a_line_can_come_back() -> None:
    order = with_returned(order_v(), 1, 1)
    assert plan_return(order, [ask(1, 1)], {1: 1}) == (ReturnItem(1, 1),)
    assert plan_return(partly_shipped(), [ask(1, 1)], {}) == (ReturnItem(1, 1),)


def test_a_line_and_its_own_sku_may_be_named_together() -> None:
    both = UnitsAsk("line1", "sku-cap", 2)
    assert plan_return(order_v(), [both], {}) == (ReturnItem(1, 2),)
    assert plan_acceptance(order_v(), goods(0, 2), [both], everything=False) == {1: 2}


@pytest.mark.parametrize(
    ("asks", "everything", "units"),
    [
        ([], True, {0: 2, 1: 3}),
        ([ask(1, 2)], False, {1: 2}),
        ([ask(1, 1), ask(1, 1)], False, {1: 2}),
        ([ask(1, 2)], True, {1: 3, 0: 2}),
    ],
)
def test_an_acceptance_takes_what_it_names_and_then_the_rest(
    asks: list[UnitsAsk], everything: bool, units: dict[int, int]
) -> None:
    assert plan_acceptance(order_v(), goods(2, 3), asks, everything=everything) == units


def test_what_has_arrived_is_not_accepted_again() -> None:
    arrived = replace(goods(2, 3), items=(ReturnItem(0, 2, 2), ReturnItem(1, 3, 1)))
    assert plan_acceptance(order_v(), arrived, [], everything=True) == {1: 2}


DISPUTED = replace(order_v(), state=OrderState.DISPUTE, previous_state=OrderState.COMPLETE)
DONE = replace(goods(2), state=ReturnState.ACCEPTED)


@pytest.mark.parametrize(
    ("order", "returned", "asks", "refusal"),
    [
        (order_v(), goods(0, 3), [ask(1, 4)], ReturnTooLarge("items[0].qty")),
        (order_v(), goods(2, 3), [ask(0, 1), ask(1, 2), ask(1, 2)], ReturnTooLarge("items[1].qty")),
        (order_v(), goods(0, 3), [ask(0, 1)], ItemUnknown("items[0].itemId", "line0")),
        (
            order_v(),
            goods(0, 3),
            [UnitsAsk(None, "sku-tee", 1)],
            ItemUnknown("items[0].skuId", "sku-tee"),
        ),
        (
            order_v(),
            goods(0, 3),
            [UnitsAsk("line1", "sku-tee", 1)],
            InvalidField("items[0].skuId", "sku-tee"),
        ),
        (order_v(), DONE, [ask(0, 1)], ReturnAccepted("ret_1")),
        (DISPUTED, goods(0, 3), [ask(7, 1)], ReturnDuringDispute()),
        (DISPUTED, DONE, [ask(0, 1)], ReturnDuringDispute()),
    ],
)
def test_what_cannot_be_accepted_is_named(
    order: Order, returned: Return, asks: list[UnitsAsk], refusal: Refusal
) -> None:
    assert plan_acceptance(order, returned, asks, everything=True) == refusal


def test_more_than_is_outstanding_is_refused() -> None:
    arrived = replace(goods(0, 3), items=(ReturnItem(1, 3, 2),))
    refusal = plan_acceptance(order_v(), arrived, [ask(1, 2)], everything=False)
    assert refusal == ReturnTooLarge("items[0].qty")


def test_a_sku_is_looked_for_in_the_return_only() -> None:
    """It stands on two lines of the order, but on one of the return."""
    order = shipped(line(cells(100), sku="s"), line(cells(100), sku="s"))
    by_sku = UnitsAsk(None, "s", 1)
    assert plan_acceptance(order, goods(0, 1), [by_sku], everything=False) == {1: 1}


def test_an_acceptance_as_a_whole_makes_one_refund() -> None:
    change, returned = take(order_w(), goods(2, 3, reason="Damaged Goods"), everything=True)
    (refund,) = refunds_of(change)
    assert types(change) == ACCEPTED
    assert (refund.amount, refund.reason, refund.return_id) == (7022, "Damaged Goods", "ret_1")
    assert (refund.type, refund.invoice_id, refund.created_at) == (None, None, SECOND)
    assert [(e.item_id, e.quantity, e.amount) for e in refund.elements] == [
        ("line0", 2, 2161),
        ("line1", 3, 4861),
    ]
    assert returned.state is ReturnState.ACCEPTED
    assert returned.refund_ids == (refund.id,)
    assert [(item.accepted, item.amount) for item in returned.items] == [(2, 2161), (3, 4861)]
    assert change.order.lines[0].held == cells(2000, 161)
    assert change.order.open_return_refunds == 1
    assert [(each.returned_units, each.state) for each in change.order.lines] == [
        (2, LineState.RETURNED),
        (3, LineState.RETURNED),
    ]
    assert change.order.lines[0].state_times["returned"] == NOW
    assert change.order.state is OrderState.COMPLETE


def test_the_events_show_the_return_and_its_refunds_as_they_are() -> None:
    change, returned = take(order_w(), goods(2, 3), everything=True)
    announced, created, pending = change.drafts
    assert announced.goods == returned
    assert announced.goods_before is None
    assert created.refund == pending.refund == refunds_of(change)[0]
    assert created.goods is None


def test_a_partial_acceptance_moves_no_money() -> None:
    change, returned = take(order_v(), goods(2, 3), ask(0, 2))
    assert change.drafts == []
    assert change.refunds == {}
    assert change.order.available_to_refund == order_v().available_to_refund
    assert [each.returned_units for each in change.order.lines] == [0, 0]
    assert returned.state is ReturnState.CREATED
    assert [item.state for item in returned.items] == [ReturnState.ACCEPTED, ReturnState.CREATED]
    assert amounts(returned, change.order) == [2161, 6482]
    assert returned.acceptances == ({0: 2},)
    assert returned.refund_ids == ()


def test_an_item_that_was_accepted_earlier_keeps_its_estimate_up_to_date() -> None:
    order = order_v()
    _, returned = take(order, goods(2, 3), ask(0, 2))
    spent = order.with_line(replace(order.lines[0], refunded=cells(2000)))
    assert amounts(returned, spent) == [161, 6482]


def test_each_acceptance_request_becomes_a_refund() -> None:
    _, first = take(order_v(), goods(2, 3), ask(0, 2))
    change, second = take(order_v(), first, ask(1, 3))
    assert [refund.amount for refund in refunds_of(change)] == [2161, 6482]
    assert types(change) == [*ACCEPTED, *ACCEPTED[1:]]
    assert second.refund_ids == tuple(change.refunds)
    assert change.order.open_return_refunds == 2


def test_units_of_one_line_are_worth_what_the_earlier_ones_leave() -> None:
    """Two units of three, then the last: 43.21 and 21.61, in all what the line was paid."""
    _, first = take(order_v(), goods(0, 3), ask(1, 2))
    assert first.items[0].state is ReturnState.CREATED
    change, second = take(order_v(), first, ask(1, 1))
    assert [refund.amount for refund in refunds_of(change)] == [4321, 2161]
    assert second.items[0].amount == 6482


def test_a_part_that_is_authorised_is_worth_its_part() -> None:
    assert amounts(goods(0, 2), order_v()) == [4321]
    change, returned = take(order_v(), goods(0, 2), everything=True)
    assert [refund.amount for refund in refunds_of(change)] == [4321]
    assert returned.items[0].amount == 4321
    assert change.order.lines[1].state is LineState.FULFILLED


def test_what_is_left_of_a_line_is_the_most_that_it_is_worth() -> None:
    order = spent(order_v(), 1, 6400)
    assert amounts(goods(0, 3), order) == [82]
    change, returned = take(order, goods(0, 3), everything=True)
    assert [refund.amount for refund in refunds_of(change)] == [82]
    assert returned.items[0].amount == 82


def test_a_line_with_nothing_left_is_accepted_without_a_refund() -> None:
    order = spent(order_v(), 1, 6482)
    change, returned = take(order, goods(0, 3), everything=True)
    assert types(change) == ["return.accepted"]
    assert (returned.state, returned.refund_ids) == (ReturnState.ACCEPTED, ())
    assert returned.items[0].amount == 0
    assert change.order.open_return_refunds == 0


def test_a_line_with_nothing_left_is_dropped_from_the_refund() -> None:
    change, returned = take(spent(order_v(), 1, 6482), goods(2, 3), everything=True)
    (refund,) = refunds_of(change)
    assert [element.position for element in refund.elements] == [0]
    assert [item.amount for item in returned.items] == [2161, 0]


def test_a_request_without_anything_left_makes_no_refund_among_others() -> None:
    """The first request is for the line that was paid back already."""
    order = spent(order_v(), 1, 6482)
    _, first = take(order, goods(2, 3), ask(1, 3))
    change, second = take(order, first, ask(0, 2))
    assert [refund.amount for refund in refunds_of(change)] == [2161]
    assert second.refund_ids == tuple(change.refunds)


def test_only_product_and_its_tax_come_back() -> None:
    worth = cells(2000, 161, shipping=(500, 40), duty=7, importer_tax=11, fees=(13, 17))
    order = shipped(line(worth, 2))
    assert product_estimate(order, 0, 2) == 2161
    change, _ = take(order, goods(2), everything=True)
    assert change.order.lines[0].held == cells(2000, 161)
    assert change.order.available_to_refund == 588


def test_units_that_were_never_captured_are_worth_nothing() -> None:
    order = order_v()
    uncaptured = order.with_line(replace(order.lines[1], captured=cells(), captured_units=0))
    assert product_estimate(uncaptured, 1, 3) == 0
    assert plan_units_refund(uncaptured, {1: 3}, refund_id="re_1", now=NOW) is None


def test_a_refund_of_units_takes_lines_apart() -> None:
    refund = plan_units_refund(order_v(), {1: 2, 0: 1}, refund_id="re_1", now=NOW)
    assert refund is not None
    assert [(e.position, e.sku_id, e.quantity, e.amount) for e in refund.elements] == [
        (1, "sku-cap", 2, 4321),
        (0, "sku-tee", 1, 1081),
    ]
    assert refund.amount == sum(map(sum, refund.shares.values())) == 5402
    assert (refund.id, refund.created_at, refund.state) == ("re_1", SECOND, RefundState.PENDING)


def test_a_line_with_units_left_to_ship_is_not_returned_yet() -> None:
    change, _ = take(partly_shipped(), goods(0, 1), everything=True)
    cap = change.order.lines[1]
    assert (cap.returned_units, cap.units_left, cap.state) == (1, 2, LineState.CREATED)
