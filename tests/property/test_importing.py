"""Exported orders keep their money to the last unit, whatever they went through."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refundry.domain.charge import OperationKind
from refundry.domain.money import to_major
from refundry.domain.order import Order
from refundry.http.document import to_json
from refundry.importing.exports import Entry
from refundry.importing.judging import Errors, Judged, judge
from refundry.importing.samples import sample_orders

NOW = datetime(2026, 7, 1, tzinfo=UTC)
Doc = dict[str, Any]


def judged(content: bytes | Doc) -> Judged | Errors:
    text = content if isinstance(content, bytes) else to_json(content)
    return judge(Entry("orders.jsonl", 1, text), live=False, now=NOW)


def taken(content: bytes | Doc) -> Order:
    found = judged(content)
    assert isinstance(found, Judged), found
    return found.stored.order


def refused(content: Doc) -> str:
    found = judged(content)
    assert isinstance(found, list)
    return found[0]["parameter"]


def read(content: bytes) -> Doc:
    return json.loads(content, parse_float=Decimal)


def sample(**members: object) -> Doc:
    """An order of two lines of 10.00 and 1.00 tax each, all captured and nothing refunded."""
    item = {"skuId": "a", "amount": 10, "quantity": 2, "state": "fulfilled", "tax": {"amount": 1}}
    charge = {
        "id": "c1",
        "sourceId": "s1",
        "amount": 22,
        "captures": [{"amount": 22, "state": "complete"}],
    }
    return {
        "id": "1",
        "currency": "USD",
        "items": [item | {"id": "1"}, item | {"id": "2"}],
        "payment": {
            "sources": [{"id": "s1", "type": "creditCard", "amount": 22}],
            "charges": [charge],
        },
        "state": "complete",
        "capturedAmount": 22,
        **members,
    }


@given(st.integers(0, 10**6))
def test_every_sample_is_taken_with_exactly_the_money_it_tells(seed: int) -> None:
    (content,) = sample_orders(1, seed=seed)
    export, order = read(content), taken(content)

    def major(minor: int) -> Decimal:
        return to_major(minor, order.currency)

    assert major(order.total_amount) == export["totalAmount"]
    assert major(order.captured) == export["capturedAmount"]
    assert major(order.cancelled) == export["cancelledAmount"]
    assert major(order.refunded) == export["refundedAmount"]
    assert major(order.available_to_refund) == export["availableToRefundAmount"]
    for line, item in zip(order.lines, export["items"], strict=True):
        assert major(line.available_to_refund) == item["availableToRefundAmount"]
    for charge, told in zip(order.charges, export["payment"]["charges"], strict=True):
        done = [r for r in told.get("refunds", ()) if r["state"] == "complete"]
        assert major(charge.refunded) == sum(r["amount"] for r in done)
        assert charge.state == told["state"]


@given(st.integers(0, 10**6))
def test_the_cells_of_a_sample_are_the_sums_of_its_records(seed: int) -> None:
    """What `refundry audit` asks of what is stored."""
    (content,) = sample_orders(1, seed=seed)
    order = taken(content)
    for kind, name in (
        (OperationKind.CAPTURE, "captured"),
        (OperationKind.CANCEL, "cancelled"),
        (OperationKind.REFUND, "refunded"),
    ):
        sums = {line.position: [0] * 8 for line in order.lines}
        for operation in (o for charge in order.charges for o in charge.operations):
            for position, cells in (operation.shares or {}).items():
                if operation.kind is kind:
                    sums[position] = [a + b for a, b in zip(sums[position], cells, strict=True)]
            assert sum(sum(c) for c in (operation.shares or {}).values()) == operation.amount
        for line in order.lines:
            assert list(getattr(line, name)) == sums[line.position]
            assert min(line.available) >= 0


def test_samples_are_the_same_for_the_same_seed() -> None:
    assert list(sample_orders(50, seed=7)) == list(sample_orders(50, seed=7))
    assert list(sample_orders(50, seed=7)) != list(sample_orders(50, seed=8))


def test_samples_hold_every_currency_form_and_every_state() -> None:
    orders = [read(line) for line in sample_orders(600, seed=1)]
    assert {"USD", "JPY", "KWD", "EUR"} <= {order["currency"] for order in orders}
    states = {order["state"] for order in orders}
    assert {"complete", "returned", "dispute", "cancelled", "accepted", "in_review"} == states
    assert any(len(order["payment"]["sources"]) == 2 for order in orders)
    assert all(isinstance(judged(to_json_of(order)), Judged) for order in orders)


def to_json_of(order: Doc) -> bytes:
    return json.dumps(order, default=float).encode()


def test_refusable_samples_are_refused_and_no_others_come_along() -> None:
    plain = sum(isinstance(judged(line), list) for line in sample_orders(300, seed=3))
    some = [judged(line) for line in sample_orders(600, seed=3, refusable=True)]
    assert plain == 0
    assert 3 <= sum(isinstance(each, list) for each in some) <= 30


def test_units_are_found_again_from_the_sums() -> None:
    """One unit of the first line was shipped, the other cancelled."""
    order = sample(capturedAmount=16.5, cancelledAmount=5.5)
    charge = order["payment"]["charges"][0]
    charge["captures"] = [{"amount": 16.5, "state": "complete"}]
    charge["cancels"] = [{"amount": 5.5, "state": "complete"}]
    order["items"][0]["availableToRefundAmount"] = 5.5
    order["items"][1]["availableToRefundAmount"] = 11
    lines = taken(order).lines
    assert [(line.fulfilled_units, line.cancelled_units) for line in lines] == [(1, 1), (2, 0)]


def test_units_that_could_be_split_in_two_ways_are_refused() -> None:
    order = sample(capturedAmount=16.5, cancelledAmount=5.5)
    charge = order["payment"]["charges"][0]
    charge["captures"] = [{"amount": 16.5, "state": "complete"}]
    charge["cancels"] = [{"amount": 5.5, "state": "complete"}]
    assert refused(order) == "payment.charges"


def test_a_refund_stays_on_the_line_that_the_export_says() -> None:
    order = sample(refundedAmount=11)
    order["payment"]["charges"][0]["refunds"] = [{"amount": 11, "state": "complete"}]
    order["items"][0]["availableToRefundAmount"] = 0
    order["items"][1]["availableToRefundAmount"] = 11
    assert [line.available_to_refund for line in taken(order).lines] == [0, 1100]


def test_a_line_figure_that_cannot_be_is_noted_and_the_rule_stands() -> None:
    order = sample(availableToRefundAmount=22)
    order["items"][0]["availableToRefundAmount"] = 27.01
    order["items"][1]["availableToRefundAmount"] = 11
    found = judged(order)
    assert isinstance(found, Judged)
    assert found.notes == ("items[0].availableToRefundAmount: 27.01 in the export, 11.0 here",)
    assert found.stored.order.available_to_refund == 2200


@pytest.mark.parametrize(
    "name", ["capturedAmount", "cancelledAmount", "refundedAmount", "availableToRefundAmount"]
)
def test_a_sum_that_the_records_do_not_have_is_refused(name: str) -> None:
    assert refused(sample(**{name: 21.99})) in (name, "payment.charges")


@pytest.mark.parametrize("state", ["pending", "pending_information", "PENDING"])
def test_a_refund_under_way_is_refused(state: str) -> None:
    order = sample()
    order["payment"]["charges"][0]["refunds"] = [{"amount": 1, "state": state}]
    assert refused(order) == "payment.charges[0].refunds[0].state"


def test_what_failed_moved_nothing() -> None:
    order = sample()
    charge = order["payment"]["charges"][0]
    charge["refunds"] = [{"amount": 22, "state": "failed"}]
    charge["captures"].insert(0, {"amount": 22, "state": "failed"})
    found = taken(order)
    assert (found.captured, found.refunded, found.available_to_refund) == (2200, 0, 2200)


def test_charges_may_come_in_another_order_than_their_sources() -> None:
    order = sample()
    payment = order["payment"]
    payment["sources"] = [
        {"id": "s1", "type": "creditCard", "amount": 20},
        {"id": "s2", "type": "customerCredit", "amount": 2},
    ]
    payment["charges"] = [
        {"id": "c2", "sourceId": "s2", "amount": 2, "captures": [{"amount": 2}]},
        {"id": "c1", "sourceId": "s1", "amount": 20, "captures": [{"amount": 20}]},
    ]
    assert [charge.id for charge in taken(order).charges] == ["c1", "c2"]


def test_an_order_in_dispute_comes_as_it_was_before() -> None:
    times = {"accepted": "2025-01-01T00:00:00Z", "fulfilled": "2025-01-02T00:00:00Z"}
    found = judged(sample(state="dispute", stateTransitions=times))
    assert isinstance(found, Judged)
    assert found.stored.order.state == "fulfilled"
    assert found.notes == ("state: in dispute; imported as fulfilled",)


def test_an_order_without_an_id_is_refused() -> None:
    order = sample()
    del order["id"]
    assert refused(order) == "id"


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_refused(content: bytes) -> None:
    assert isinstance(judged(content), list)
