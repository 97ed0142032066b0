"""The payload of every documented event, member by member and in order, as the service makes it.

A layout names members in their order: `name{...}` an object, `name[...; ...]` a list and the
objects in it, anything else a plain value.
"""

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.support.disputes import given_dispute, lose
from tests.support.fixtures import (
    SUCCESS,
    event_log,
    events_since,
    get_order,
    given_captured,
    mark,
    order_body,
    refund,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.returns import accept_return, accept_units, given_return
from tests.support.service import Service

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ADDRESS = {"line1": "12 Harbor St", "city": "Duluth", "postalCode": "55802", "state": "MN",
           "country": "US"}  # fmt: skip
PERSON = {"address": ADDRESS, "name": "Ana Lind"}
# Fixture A with all that the documented order shows.
TOLD = {
    "upstreamId": "WEB-100482",
    "locale": "en_US",
    "customerType": "individual",
    "shipTo": PERSON,
    "billTo": {**PERSON, "email": "ana.lind@example.com"},
    "fraudState": "passed",
    "fraudStateTransitions": {"passed": "2024-05-01T09:40:02Z"},
}

ADDRESS_LAYOUT = "address{line1 city postalCode state country}"
REFUND = (
    "id amount createdTime currency items[] orderId %(reason)srefundedAmount state %(more)sliveMode"
)
REFUND_CHARGES = "charges[id captured refunded refunds[createdTime amount state] sourceId]"
CHARGE = (
    "id createdTime currency amount state orderId captured"
    " captures[id createdTime updatedTime amount state fulfillmentId]"
    " refunded refunds[id createdTime updatedTime amount state%(failure)s]"
    " sourceId paymentSessionId type liveMode"
)
ORDER = (
    "id createdTime currency email"
    f" shipTo{{{ADDRESS_LAYOUT} name}} billTo{{{ADDRESS_LAYOUT} name email}}"
    " totalAmount subtotal totalFees totalTax totalImporterTax totalDuty totalDiscount"
    " totalShipping"
    " items[id skuId amount quantity state stateTransitions{created fulfilled} tax{rate amount}"
    " importerTax{amount} duties{amount} availableToRefundAmount fees{amount taxAmount}"
    " shipping{amount taxAmount}]"
    " shippingChoice{amount description serviceLevel taxAmount} upstreamId updatedTime version"
    " locale customerType liveMode"
    " payment{charges[id createdTime currency amount state captured"
    " captures[id createdTime amount state] refunded%(refunds)s sourceId type]"
    " sources[id type amount owner{firstName lastName email}"
    " creditCard{brand expirationMonth expirationYear lastFourDigits}]"
    " session{id amountContributed amountRemainingToBeContributed state clientSecret}}"
    " state stateTransitions{accepted fulfilled complete%(disputed)s}"
    " fraudState fraudStateTransitions{passed%(reviewed)s}"
    " requestToBeForgotten capturedAmount cancelledAmount refundedAmount availableToRefundAmount"
)
PAID = " refunds[createdTime amount state]"
RETURN = (
    "id createdTime updatedTime currency items[itemId amount quantity quantityAccepted skuId state]"
    " orderId reason state %(refunds)sliveMode"
)
SALES_TRANSACTION = (
    "id createdTime updatedTime saleTime currency amount type orderId orderUpstreamId skuId"
    " quantity lineItemId payoutAmounts{currency exchangeRate amount tax shipping regulatoryFees"
    " landedCost productPrice digitalRiverShare distributorShare transactionFees shippingDiscount"
    " regulatoryFeeDiscount remitShipping remitLandedCost payoutAmount storeCredit}"
    " payerId payerName payeeId payeeName shipToCountry billToCountry paymentType orderMetadata{}"
    " lineItemMetadata{} liveMode"
)


def refund_layout(*, reason: bool = True, more: str = "", charges: bool = False) -> str:
    head = REFUND % {"reason": "reason " if reason else "", "more": more}
    return f"{head} {REFUND_CHARGES}" if charges else head


def order_layout(*, paid: bool = False, disputed: bool = False) -> str:
    return ORDER % {
        "refunds": PAID if paid else "",
        "disputed": " dispute" if disputed else "",
        "reviewed": " review_opened" if disputed else "",
    }


LAYOUTS = {
    "refund.created": refund_layout(),
    "refund.pending": refund_layout(),
    "order.charge.refund.pending": CHARGE % {"failure": ""},
    "order.charge.refund.complete": CHARGE % {"failure": ""},
    "refund.complete": refund_layout(charges=True),
    "order.refunded": order_layout(paid=True),
    "return.created": RETURN % {"refunds": ""},
    "return.updated": RETURN % {"refunds": ""},
    "return.accepted": RETURN % {"refunds": "refundIds[] "},
    "sales_transaction.created": SALES_TRANSACTION,
    "order.dispute": order_layout(disputed=True),
    "order.chargeback": order_layout(paid=True, disputed=True),
    "order.dispute.resolved": order_layout(paid=True, disputed=True),
}


ENVELOPE = "id type data{%s} liveMode createdTime webhookIds[] sequence digitalriverVersion"
WAITING = "tokenInformation{token expiresTime} expiresTime "


def layout(value: Any) -> str:
    """The layout of a JSON value: nothing for a plain one."""
    if isinstance(value, dict):
        members = cast(dict[str, Any], value)
        return "{" + " ".join(key + layout(each) for key, each in members.items()) + "}"
    if isinstance(value, list):
        objects = [layout(each)[1:-1] for each in cast(list[Any], value) if isinstance(each, dict)]
        return "[" + "; ".join(objects) + "]"
    return ""


def event_layout(kind: str, *changed: str) -> str:
    """The layout of an event; changed: the previous attributes that it shows."""
    shown = f"object{{{kind}}}"
    return ENVELOPE % (f"{shown} previousAttributes{{{' '.join(changed)}}}" if changed else shown)


def by_type(events: list[Doc]) -> dict[str, Doc]:
    """The first event of each type."""
    return {event["type"]: event for event in reversed(events)}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def api(service: Service) -> Api:
    return service.api(service.open_account().secret_test)


@pytest.fixture
def order(api: Api) -> Doc:
    """A captured order that says all that the documented one says."""
    items = order_body("A")["items"]
    items[0]["tax"] = {"rate": 0.08025, "amount": 1.61}
    return given_captured(api, "A", items=items, **TOLD)


def assert_enveloped(event: Doc) -> None:
    assert (event["liveMode"], event["webhookIds"]) == (False, [])
    assert event["digitalriverVersion"] == "2021-12-13"
    assert TIME.fullmatch(event["createdTime"])
    assert UUID.fullmatch(event["id"])


def assert_laid_out(event: Doc, *changed: str) -> None:
    assert layout(event) == f"{{{event_layout(LAYOUTS[event['type']], *changed)}}}"
    assert_enveloped(event)


def test_a_refund_from_asking_to_success(api: Api, order: Doc) -> None:
    start = mark(api)
    settled_refund(api, order, amount=13.51, reason="requested_by_customer")
    events = events_since(api, start)
    assert [event["type"] for event in events] == SUCCESS
    for event in events:
        assert_laid_out(event)
    assert events[0]["data"] == events[1]["data"]
    for kind in ("pending", "complete"):
        charge = by_type(events)[f"order.charge.refund.{kind}"]["data"]["object"]
        (record,) = charge["refunds"]
        assert (record["state"], record["amount"]) == (kind, money("13.51"))
        assert (charge["state"], charge["captured"], charge["refunded"]) == ("complete", True, True)
    done = by_type(events)["refund.complete"]["data"]["object"]
    assert (done["state"], done["refundedAmount"]) == ("succeeded", money("13.51"))
    shown = events[-1]["data"]["object"]
    assert shown == get_order(api, order)
    assert (shown["state"], shown["availableToRefundAmount"]) == ("complete", money("13.5"))


def test_a_refund_that_fails(api: Api) -> None:
    start = mark(api)
    settled_refund(api, given_captured(api, "R"), percent=100, reason="r")
    events = by_type(events_since(api, start))
    failed = events["order.charge.refund.failed"]
    record = CHARGE % {"failure": " failureCode failureMessage"}
    assert layout(failed) == f"{{{event_layout(record)}}}"
    told = failed["data"]["object"]["refunds"][0]
    assert (told["failureCode"], told["failureMessage"]) == (
        "failed-request",
        "Failed to operate on charge",
    )
    failed = events["refund.failed"]
    kind = f"{refund_layout()} failureReason {REFUND_CHARGES}"
    assert layout(failed) == f"{{{event_layout(kind)}}}"
    shown = failed["data"]["object"]
    assert (shown["state"], shown["refundedAmount"]) == ("failed", money("0.0"))


def test_a_refund_that_needs_bank_details(api: Api) -> None:
    start = mark(api)
    settled_refund(api, given_captured(api, "J"), percent=100)
    event = by_type(events_since(api, start))["refund.pending_information"]
    kind = refund_layout(reason=False, more=WAITING, charges=True)
    assert layout(event) == f"{{{event_layout(kind)}}}"
    assert_enveloped(event)
    shown = event["data"]["object"]
    assert shown["expiresTime"] == shown["tokenInformation"]["expiresTime"]
    (charge,) = shown["charges"]
    assert [record["state"] for record in charge["refunds"]] == ["pending_information"]


def test_new_metadata_of_a_refund(api: Api, order: Doc) -> None:
    made = refund(api, order, amount=13.51, reason="requested_by_customer")
    start = mark(api)
    expect(api.post(f"/refunds/{made['id']}", {"metadata": {"ticket": "CS-881"}}))
    (event,) = events_since(api, start)
    kind = f"{refund_layout()} metadata{{ticket}}"
    assert layout(event) == f"{{{event_layout(kind, 'metadata{}')}}}"
    assert event["data"]["previousAttributes"] == {"metadata": {}}


def test_a_return_from_asking_to_acceptance(api: Api, order: Doc) -> None:
    start = mark(api)
    goods = given_return(api, order, 2, reason="Incorrect size")
    accept_units(api, order, goods, "a", 1)
    accepted = accept_return(api, goods)
    events = events_since(api, start)
    assert [event["type"] for event in events][:3] == [
        "return.created",
        "return.updated",
        "return.accepted",
    ]
    created, updated, done = events[:3]
    assert_laid_out(created)
    line = "itemId amount quantity quantityAccepted skuId state"
    assert_laid_out(updated, f"items[{line}]")
    assert_laid_out(done)
    assert done["data"]["object"] == accepted == expect(api.get(f"/returns/{goods['id']}"))
    assert len(accepted["refundIds"]) == 2


def test_a_dispute_and_its_chargeback(api: Api, order: Doc) -> None:
    start = mark(api)
    lose(api, given_dispute(api, order), 10.00)
    events = events_since(api, start)
    assert [event["type"] for event in events] == [
        "order.dispute",
        "sales_transaction.created",
        "order.chargeback",
        "order.dispute.resolved",
    ]
    for event in events[1:]:
        assert_laid_out(event)
    assert layout(events[0]) == f"{{{event_layout(order_layout(disputed=True))}}}"
    opened, sale, taken, resolved = (event["data"]["object"] for event in events)
    assert [each["state"] for each in (opened, taken, resolved)] == ["dispute"] * 2 + ["complete"]
    reviews = [each["fraudState"] for each in (opened, taken, resolved)]
    assert reviews == ["review_opened", "review_opened", "passed"]
    assert (taken["refundedAmount"], taken["availableToRefundAmount"]) == (
        money("10.0"),
        money("17.01"),
    )
    assert [item["availableToRefundAmount"] for item in taken["items"]] == [money("13.61")]
    assert sale["amount"] == money("-10.0")
    assert resolved == get_order(api, order)


def test_events_of_an_order_are_numbered_without_a_gap(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 1)
    accept_return(api, goods)
    lose(api, given_dispute(api, order), 5.00)
    settle(api)
    events = event_log(api)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    times = [event["createdTime"] for event in events]
    assert len(set(times)) == len(times)
