"""Disputes as a processor tells of them: in any order, more than once, against what is known."""

import uuid
from dataclasses import dataclass

import pytest

from tests.support.disputes import (
    LOST,
    NOTED,
    charge_back,
    dispute_of,
    disputes_of,
    get_dispute,
    given_dispute,
    sales_of,
    tell,
    win,
)
from tests.support.fixtures import (
    assert_available,
    charges,
    get_order,
    given_captured,
    mark,
    only_charge,
    order_body,
    refund,
    settle,
    types_since,
)
from tests.support.http import Api, Doc, assert_invalid, assert_missing, error, expect, money, read
from tests.support.service import Service


@dataclass(frozen=True)
class Case:
    """The bank's case on the order's primary charge, as its processor reports it."""

    service: Service
    api: Api
    order: Doc
    reference: str

    def opened(self, amount: object = 27.01, **more: object) -> Doc:
        charge_id = self.order["payment"]["charges"][0]["id"]
        data = {"processorReference": self.reference, "chargeId": charge_id, "amount": amount}
        return tell(self.service, "dispute.opened", **data, **more)

    def won(self) -> Doc:
        return tell(self.service, "dispute.won", processorReference=self.reference)

    def lost(self, amount: object = 10.00, fraud: bool = True) -> Doc:
        data = {"processorReference": self.reference, "amount": amount, "fraud": fraud}
        return tell(self.service, "dispute.lost", **data)

    @property
    def disputes(self) -> list[Doc]:
        return disputes_of(self.api, self.order)


@pytest.fixture
def case(service: Service, api: Api) -> Case:
    return Case(service, api, given_captured(api, "A"), f"case-{uuid.uuid4()}")


def test_a_dispute_is_opened_and_lost(case: Case) -> None:
    start = mark(case.api)
    assert case.opened(20.00, reason="fraudulent") == NOTED
    (opened,) = case.disputes
    shown = (opened["state"], opened["amount"], opened["reason"], opened["processorReference"])
    assert shown == ("open", money("20.0"), "fraudulent", case.reference)
    assert case.lost(10.00, fraud=False) == NOTED
    (lost,) = case.disputes
    assert (lost["id"], lost["state"], lost["fraud"]) == (opened["id"], "lost", False)
    assert lost["chargebackAmount"] == money("10.0")
    assert types_since(case.api, start) == ["order.dispute", *LOST]
    assert_available(case.api, case.order, "17.01", "13.61")
    assert [sale["type"] for sale in sales_of(case.api, case.order)] == ["non_fraud_chargeback"]


def test_a_dispute_is_opened_and_won(case: Case) -> None:
    start = mark(case.api)
    case.opened()
    assert case.won() == NOTED
    (won,) = case.disputes
    assert (won["state"], get_order(case.api, case.order)["state"]) == ("won", "complete")
    assert types_since(case.api, start) == ["order.dispute", "order.dispute.resolved"]


def test_what_is_told_again_changes_nothing(case: Case) -> None:
    for step in (case.opened, case.opened, case.lost, case.lost, case.opened):
        assert step() == NOTED
    (lost,) = case.disputes
    assert (lost["state"], lost["chargebackAmount"]) == ("lost", money("10.0"))
    assert_available(case.api, case.order, "17.01")
    assert len(sales_of(case.api, case.order)) == 1


def test_the_first_outcome_stands(case: Case) -> None:
    case.opened()
    case.won()
    start = mark(case.api)
    assert case.lost() == NOTED
    (won,) = case.disputes
    assert won["state"] == "won"
    assert_available(case.api, case.order, "27.01")
    assert types_since(case.api, start) == []


def test_a_loss_is_not_won_afterwards(case: Case) -> None:
    case.opened()
    case.lost()
    start = mark(case.api)
    assert case.won() == NOTED
    (lost,) = case.disputes
    assert lost["state"] == "lost"
    assert_available(case.api, case.order, "17.01")
    assert types_since(case.api, start) == []


def test_an_operators_dispute_is_closed_by_its_reference(case: Case) -> None:
    dispute = given_dispute(case.api, case.order, processorReference=case.reference)
    case.lost(27.01)
    assert get_dispute(case.api, dispute)["chargebackAmount"] == money("27.01")
    assert_available(case.api, case.order, "0.0")


def test_an_operators_dispute_takes_the_processors_reference(case: Case) -> None:
    dispute = given_dispute(case.api, case.order, amount=5.00)
    start = mark(case.api)
    assert case.opened(27.01) == NOTED
    (known,) = case.disputes
    assert known == {**dispute, "processorReference": case.reference}
    assert types_since(case.api, start) == []
    case.won()
    assert get_dispute(case.api, dispute)["state"] == "won"


def test_a_reference_is_not_replaced(case: Case) -> None:
    dispute = given_dispute(case.api, case.order, processorReference="another")
    case.opened()
    case.won()
    assert case.disputes == [dispute]


def test_more_than_there_is_is_never_booked(case: Case) -> None:
    start = mark(case.api)
    case.opened(30.00)
    assert case.lost(27.02) == NOTED
    (dispute,) = case.disputes
    assert (dispute["state"], dispute["amount"]) == ("open", money("30.0"))
    assert_available(case.api, case.order, "27.01")
    assert types_since(case.api, start) == ["order.dispute"]


def test_an_order_that_cannot_be_disputed_is_left_alone(service: Service, api: Api) -> None:
    order = expect(api.post("/orders", order_body("A", state="in_review")), 201)
    before = get_order(api, order)
    case = Case(service, api, order, f"case-{uuid.uuid4()}")
    assert case.opened() == NOTED
    assert (case.disputes, get_order(api, order)) == ([], before)


@pytest.mark.parametrize("kind", ["opened", "won", "lost"])
def test_what_nobody_knows_is_taken(case: Case, kind: str) -> None:
    stranger = Case(case.service, case.api, {"payment": {"charges": [{"id": "x"}]}}, "no-such")
    before = get_order(case.api, case.order)
    assert getattr(stranger, kind)() == NOTED
    assert get_order(case.api, case.order) == before


def test_two_cases_on_two_charges(service: Service, api: Api) -> None:
    order = given_captured(api, "G")
    start = mark(api)
    parts = {
        kind: (charge["id"], f"case-{uuid.uuid4()}", charge["amount"])
        for kind, charge in charges(api, order).items()
    }
    for charge_id, reference, amount in parts.values():
        tell(service, "dispute.opened", processorReference=reference, chargeId=charge_id,
             amount=str(amount))  # fmt: skip
    _, reference, _ = parts["creditCard"]
    tell(service, "dispute.lost", processorReference=reference, amount=6.89, fraud=True)
    assert get_order(api, order)["state"] == "dispute"
    _, reference, _ = parts["customerCredit"]
    tell(service, "dispute.won", processorReference=reference)
    assert get_order(api, order)["state"] == "complete"
    assert types_since(api, start) == ["order.dispute", *LOST]
    assert_available(api, order, "20.0")


def test_an_operator_and_a_processor_on_two_charges(service: Service, api: Api) -> None:
    order = given_captured(api, "H")
    by_hand = dispute_of(api, order, "customerCredit")
    case = Case(service, api, order, f"case-{uuid.uuid4()}")
    case.opened(15.89)
    assert [each["state"] for each in case.disputes] == ["open", "open"]
    case.lost(15.89)
    assert get_order(api, order)["state"] == "dispute"
    win(api, by_hand)
    assert get_order(api, order)["state"] == "complete"


def test_a_chargeback_is_not_taken_back(service: Service, api: Api) -> None:
    """Its record is on the charge as a refund's is, but no notification of a refund is about it."""
    order = given_captured(api, "A")
    charge_back(api, order, 10.00)
    (record,) = only_charge(api, order)["refunds"]
    before = get_order(api, order)
    for kind in ("refund.failed", "refund.complete", "refund.pending_information"):
        assert tell(service, kind, operationId=record["id"]) == NOTED
        settle(api)
    assert get_order(api, order) == before
    assert refund(api, order, amount=17.01)["state"] == "pending"


def test_fields_of_the_notifications(service: Service) -> None:
    opened = {"processorReference": "r", "chargeId": "c", "amount": 1}
    for name in opened:
        data = {key: value for key, value in opened.items() if key != name}
        assert_missing(service.notify("dispute.opened", data, "n1"), f"data.{name}")
    lost = {"processorReference": "r", "amount": 1, "fraud": True}
    for name in lost:
        data = {key: value for key, value in lost.items() if key != name}
        assert_missing(service.notify("dispute.lost", data, "n2"), f"data.{name}")
    assert_missing(service.notify("dispute.won", {}, "n3"), "data.processorReference")
    told = read(service.notify("dispute.settled", {"processorReference": "r"}, "n4"))
    message = "'dispute.settled' is not a valid type."
    assert told["errors"][0] == error("invalid_parameter", "type", message)
    assert_invalid(service.notify("dispute.lost", lost | {"fraud": "no"}, "n5"), "data.fraud", "no")
