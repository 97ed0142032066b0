"""The OpenAPI document is valid, complete and true to the code that reads and refuses."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from schemathesis.specs.openapi import definitions

from refundry.disputes.reading import read_dispute, read_resolution
from refundry.domain.refund import AmountBasis
from refundry.errors import BadFields
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.http.problems import TYPES
from refundry.http.query import Kind, Query, read_filters, read_page
from refundry.operations import routes
from refundry.orders.fulfillments import read_fulfillment
from refundry.orders.reading import read_order
from refundry.refunds.reading import read_refund
from refundry.returns.reading import read_return, read_return_update
from refundry.webhooks.reading import Rules, read_webhook
from refundry.webhooks.types import Transport
from tests.support.reference import (
    DOCUMENT,
    OPERATIONS,
    SCHEMAS,
    described,
    media,
    problems_of,
    success,
)

NOW = datetime(2024, 6, 1, tzinfo=UTC)
_IDS = [each[2]["operationId"] for each in described()]
each_operation = pytest.mark.parametrize(("path", "method", "operation"), described(), ids=_IDS)


def test_document_is_valid_openapi() -> None:
    definitions.OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    json.dumps(DOCUMENT, allow_nan=False)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(DOCUMENT))):
        target: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    unused = [name for name in SCHEMAS if f'"#/components/schemas/{name}"' not in text]
    assert unused == []


def test_every_operation_is_in_the_document_once() -> None:
    named = {(operation.method.lower(), operation.path) for operation in OPERATIONS}
    assert {(method, path) for path, method, _ in described()} == named
    assert len(set(_IDS)) == len(OPERATIONS)


@each_operation
def test_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in [
        each["name"] for each in DOCUMENT["tags"] if each["description"]
    ]
    for parameter in operation["parameters"]:
        assert parameter["description"]
        assert parameter["schema"]
    names = [(each["in"], each["name"]) for each in operation["parameters"]]
    assert len(set(names)) == len(names)
    assert (("path", "id") in names) == ("{id}" in path)


@each_operation
def test_examples_fit_their_schemas(path: str, method: str, operation: dict[str, Any]) -> None:
    answer = success(operation)
    assert (answer is None) == (method == "delete")
    if answer is not None:
        assert problems_of(answer["example"], answer["schema"]) == []
    assert ("requestBody" in operation) == (method in ("post", "patch"))
    if "requestBody" in operation:
        body = media(operation["requestBody"])
        assert problems_of(body["example"], body["schema"]) == []
    for parameter in operation["parameters"]:
        if "example" in parameter:
            assert problems_of(parameter["example"], parameter["schema"]) == []


@each_operation
def test_errors_have_examples_in_the_envelope(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    for status, response in operation["responses"].items():
        if status[0] == "2":
            continue
        content = media(response)
        assert content["schema"] == {"$ref": "#/components/schemas/Error"}
        named: dict[str, Any] = content.get("examples", {"": {"value": content.get("example")}})
        for example in named.values():
            assert problems_of(example["value"], content["schema"]) == []
            assert example["value"]["type"] == TYPES[int(status)]


@each_operation
def test_errors_that_may_come_are_there(path: str, method: str, operation: dict[str, Any]) -> None:
    is_open = operation.get("security") == []
    expected = {"400", "401", "406", "500", "503"}
    expected |= set() if is_open else {"403", "429"}
    expected |= {"404"} if "{id}" in path else set()
    expected |= {"404", "410", "429"} if "{token}" in path else set()
    expected |= {"408"} if method in ("post", "patch") else set()
    expected |= {"504"} if method != "get" else set()
    expected |= {"409"} if method == "post" and not is_open else set()
    assert {status for status in operation["responses"] if status[0] != "2"} == expected


def test_every_type_of_error_is_documented() -> None:
    assert SCHEMAS["Error"]["properties"]["type"]["enum"] == list(TYPES.values())


def test_refusals_of_a_refund_are_in_the_contracts_words() -> None:
    responses = DOCUMENT["paths"]["/refunds"]["post"]["responses"]
    found = {
        (status, error["parameter"], error["message"])
        for status in ("400", "409")
        for example in media(responses[status])["examples"].values()
        for error in example["value"]["errors"]
        if "parameter" in error
    }
    assert found >= {
        (
            "400",
            "amountRequested",
            "The requested refund amount is greater than the available amount.",
        ),
        ("400", "percentRequested", "Only full tax refunds are supported."),
        ("400", "currency", "Currency EUR is not supported."),
        (
            "400",
            "order",
            "A refund cannot be performed while there is a dispute on the order.",
        ),
        ("400", "percent", "The value must be between 0.01 and 100.00 inclusive."),
        ("409", "Idempotency-Key", "The idempotency key was used with a different request."),
    }


def test_only_processors_and_shoppers_need_no_key() -> None:
    unprotected = {path for path, _, operation in described() if "security" in operation}
    assert unprotected == {
        "/refundry/v1/processor-notifications",
        "/refundry/v1/refund-tokens/{token}",
    }
    assert DOCUMENT["security"] == [{"bearer": []}]


def test_money_is_a_number_and_no_decimal_string_is_left() -> None:
    assert SCHEMAS["Refund"]["properties"]["amount"]["type"] == "number"
    assert SCHEMAS["Order"]["properties"]["totalAmount"]["type"] == "number"
    assert '"decimal"' not in json.dumps(DOCUMENT)


def test_bodies_are_strict_where_the_contract_says_so() -> None:
    only_null = {"type": "null"}
    closed = {name for name, each in SCHEMAS.items() if each.get("additionalProperties") is False}
    strict = {n for n, each in SCHEMAS.items() if each.get("additionalProperties") == only_null}
    assert closed == set()
    assert strict == {
        "NewRefund",
        "PreviewedRefund",
        "NewRefundItem",
        "RefundUpdate",
        "AnotherWay",
        "NewFulfillment",
        "NewFulfillmentItem",
        "Notification",
        "NotificationData",
        "ClockAdvance",
        "NewWebhook",
        "NewAuthentication",
        "NewOAuth",
        "WebhookUpdate",
        "Resend",
        "Recover",
        "NewReturn",
        "NewReturnItem",
        "ReturnUpdate",
        "AcceptedUnits",
        "ReturnLocation",
        "ReturnAddress",
        "NewDispute",
        "DisputeResolution",
        "BankDetails",
    }


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.filters],
                         ids=lambda each: each.path)  # fmt: skip
def test_every_filter_is_a_parameter_with_its_operators(operation: Any) -> None:
    names = {
        each["name"]
        for each in DOCUMENT["paths"][operation.path]["get"]["parameters"]
        if each["in"] == "query"
    }
    assert ({"limit", "startingAfter", "endingBefore"} <= names) == operation.paged
    for each in operation.filters:
        assert each.name in names
        ranges = {f"{each.name}[{sign}]" for sign in ("eq", "gt", "gte", "lt", "lte")}
        assert (ranges <= names) == (each.kind in (Kind.TIME, Kind.NUMBER))


def _given_update(fields: Fields) -> None:
    fields.metadata()
    fields.unknown()
    fields.finish()


RULES = Rules(live=False, allow_http=False, expands=True, refused_hosts=frozenset())
READERS: dict[str, Callable[[Fields], object]] = {
    "NewOrder": lambda fields: read_order(fields, live=False, now=NOW),
    "NewRefund": lambda fields: read_refund(fields, AmountBasis.LINE),
    "RefundUpdate": _given_update,
    "NewFulfillment": read_fulfillment,
    "NewWebhook": lambda fields: read_webhook(fields, RULES, None),
    "WebhookUpdate": lambda fields: read_webhook(fields, RULES, Transport.HTTP),
    "Notification": routes._read,  # pyright: ignore[reportPrivateUsage]
    "NewReturn": read_return,
    "ReturnUpdate": lambda fields: read_return_update(fields, {}),
    "NewDispute": read_dispute,
    "DisputeResolution": read_resolution,
}
LINE = {"skuId": "s", "amount": 10, "quantity": 1}
CARD = {"number": "4444222233331111"}
SOURCE = {"type": "creditCard", "amount": 10, "creditCard": CARD}
ORDER = {"currency": "USD", "items": [LINE], "payment": {"sources": [SOURCE]}}
REFUND = {"orderId": "o", "currency": "USD"}
ELEMENT = {"itemId": "i", "amount": 1}
UNITS = {"itemId": "i", "quantity": 1}
TOLD = {"id": "n", "type": "refund.complete", "data": {"operationId": "x"}}
WEBHOOK = {"types": ["refund.complete"], "address": "https://shop.example"}
BASIC = {"userName": "u", "password": "p"}
OAUTH = {"tokenEndPoint": "http://id.example/t", "clientID": "c", "clientSecret": "s"}
OPENED = {"processorReference": "d1", "chargeId": "c", "amount": 27.01}
LOST = {"processorReference": "d1", "amount": "10.00", "fraud": True}
ADDRESS = {"line1": "1", "city": "c", "postalCode": "1", "state": "MN", "country": "US"}
BACK = {"orderId": "o", "items": [UNITS]}
ARRIVED = {**UNITS, "state": "accepted"}
MANY = {f"k{number}": number for number in range(51)}

TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("NewOrder", ORDER),
    ("NewOrder", {**ORDER, "unheardOf": 1, "shipTo": [1], "state": None}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "amount": "10.00", "quantity": "1.0"}]}),
    ("NewOrder", {**ORDER, "createdTime": "2024-02-29"}),
    ("NewOrder", {**ORDER, "createdTime": "2024-05-01T09:58:12.123456789Z"}),
    ("NewOrder", {**ORDER, "items": [{"productDetails": {}, "amount": 10, "quantity": 1000000}]}),
    ("NewRefund", {**REFUND, "amount": 13.51}),
    ("NewRefund", {**REFUND, "amount": "13.51", "percent": None, "type": "tax"}),
    ("NewRefund", {**REFUND, "percent": 0.01}),
    ("NewRefund", {**REFUND, "percent": "100.00"}),
    ("NewRefund", {**REFUND, "percent": "0.010"}),
    ("NewRefund", {**REFUND, "percent": 50, "items": []}),
    ("NewRefund", {"invoiceId": "v", "currency": "usd", "percent": 50}),
    ("NewRefund", {**REFUND, "items": [ELEMENT] * 500}),
    ("NewRefund", {**REFUND, "items": [{"skuId": "s", "percent": "5", "type": "fees"}]}),
    ("NewRefund", {**REFUND, "percent": 50, "reason": "r" * 64, "metadata": None}),
    ("NewRefund", {**REFUND, "percent": 50, "metadata": {"k" * 40: "v" * 500, "n": 1.5}}),
    ("RefundUpdate", {}),
    ("RefundUpdate", {"metadata": {"a": None, "b": True}}),
    ("NewFulfillment", {"orderId": "o", "items": [UNITS]}),
    ("NewFulfillment", {"orderId": "o", "items": [{"skuId": "s", "cancelQuantity": "2.0000"}]}),
    ("NewWebhook", WEBHOOK),
    ("NewWebhook", {**WEBHOOK, "authentication": BASIC, "transportType": "HTTP"}),
    ("NewWebhook", {**WEBHOOK, "authentication": {"username": "u", "password": "p"}}),
    ("NewWebhook", {**WEBHOOK, "oauth": OAUTH, "transportType": "OAUTH"}),
    ("NewWebhook", {**WEBHOOK, "address": "HTTP://[2001:db8::1]:65535?q", "apiVersion": None}),
    ("NewWebhook", {**WEBHOOK, "types": ["fileLink.created"] * 500, "apiVersion": "latest"}),
    ("NewWebhook", {**WEBHOOK, "expandedTypes": ["order.refunded"], "enabled": False}),
    ("WebhookUpdate", {}),
    ("WebhookUpdate", {"colour": None}),
    ("WebhookUpdate", {"types": None, "address": "https://b.example/", "enabled": True}),
    ("Notification", TOLD),
    ("Notification", {**TOLD, "occurredTime": "2024-05-01T09:58:12Z"}),
    ("Notification", {**TOLD, "type": "dispute.opened", "data": OPENED}),
    ("Notification", {**TOLD, "type": "dispute.opened", "data": {**OPENED, "reason": "fraud"}}),
    ("Notification", {**TOLD, "type": "dispute.won", "data": {"processorReference": "d1"}}),
    ("Notification", {**TOLD, "type": "dispute.lost", "data": LOST}),
    ("NewReturn", BACK),
    ("NewReturn", {**BACK, "items": [{"skuId": "s", "quantity": "3"}], "reason": "r" * 64}),
    ("NewReturn", {**BACK, "location": {"address": {**ADDRESS, "line2": "x"}, "name": "Desk"}}),
    ("ReturnUpdate", {}),
    ("ReturnUpdate", {"state": "accepted", "items": [ARRIVED], "location": {"address": ADDRESS}}),
    ("NewDispute", {}),
    ("NewDispute", {"chargeId": "c", "amount": 1, "reason": "r", "processorReference": "d"}),
    ("DisputeResolution", {"outcome": "won"}),
    ("DisputeResolution", {"outcome": "lost", "fraud": False}),
    ("DisputeResolution", {"outcome": "lost", "fraud": True, "amount": "10.00"}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("NewOrder", {}),
    ("NewOrder", {**ORDER, "currency": "XYZ"}),
    ("NewOrder", {**ORDER, "items": []}),
    ("NewOrder", {**ORDER, "items": [{"amount": 10, "quantity": 1}]}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "quantity": 0}]}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "quantity": 1000001}]}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "quantity": "1000001"}]}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "amount": -1}]}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "amount": 10**12}]}),
    ("NewOrder", {**ORDER, "items": [{**LINE, "state": "lost"}]}),
    ("NewOrder", {**ORDER, "id": "with space"}),
    ("NewOrder", {**ORDER, "id": "i" * 65}),
    ("NewOrder", {**ORDER, "state": "dispute"}),
    ("NewOrder", {**ORDER, "createdTime": "2023-02-29"}),
    ("NewOrder", {**ORDER, "createdTime": "2024-05-01T09:58:12+02:00"}),
    ("NewOrder", {**ORDER, "metadata": {"a": []}}),
    ("NewOrder", {**ORDER, "metadata": MANY}),
    ("NewOrder", {**ORDER, "payment": {"sources": [{**SOURCE, "type": "Credit"}]}}),
    ("NewOrder", {**ORDER, "payment": {"sources": [{**SOURCE, "amount": 0}]}}),
    ("NewOrder", {**ORDER, "email": "\x00"}),
    ("NewRefund", REFUND),
    ("NewRefund", {"currency": "USD", "percent": 50}),
    ("NewRefund", {**REFUND, "currency": None, "percent": 50}),
    ("NewRefund", {**REFUND, "amount": 1, "percent": 50}),
    ("NewRefund", {**REFUND, "amount": 1, "items": [ELEMENT]}),
    ("NewRefund", {**REFUND, "items": [ELEMENT], "type": "fees"}),
    ("NewRefund", {**REFUND, "items": [ELEMENT] * 501}),
    ("NewRefund", {**REFUND, "items": [{"itemId": "i"}]}),
    ("NewRefund", {**REFUND, "items": [{**ELEMENT, "percent": 1}]}),
    ("NewRefund", {**REFUND, "items": [{**ELEMENT, "type": "tax"}]}),
    ("NewRefund", {**REFUND, "items": [{**ELEMENT, "quantity": 0}]}),
    ("NewRefund", {**REFUND, "items": [{**ELEMENT, "colour": 1}]}),
    ("NewRefund", {**REFUND, "amount": 0}),
    ("NewRefund", {**REFUND, "amount": "0.00"}),
    ("NewRefund", {**REFUND, "amount": True}),
    ("NewRefund", {**REFUND, "amount": "1e3"}),
    ("NewRefund", {**REFUND, "percent": 0.009}),
    ("NewRefund", {**REFUND, "percent": "0.009"}),
    ("NewRefund", {**REFUND, "percent": 100.01}),
    ("NewRefund", {**REFUND, "percent": "100.01"}),
    ("NewRefund", {**REFUND, "percent": 50, "reason": ""}),
    ("NewRefund", {**REFUND, "percent": 50, "reason": "r" * 65}),
    ("NewRefund", {**REFUND, "percent": 50, "metadata": {"k" * 41: 1}}),
    ("NewRefund", {**REFUND, "percent": 50, "metadata": {"k": "v" * 501}}),
    ("NewRefund", {**REFUND, "percent": 50, "colour": "red"}),
    ("RefundUpdate", {"reason": "other"}),
    ("NewFulfillment", {"orderId": "o", "items": []}),
    ("NewFulfillment", {"orderId": "o", "items": [{"itemId": "i", "quantity": 0}]}),
    ("NewFulfillment", {"orderId": "o", "items": [{"itemId": "i", "quantity": "0.0"}]}),
    ("NewFulfillment", {"orderId": "o", "items": [{"itemId": "i", "quantity": 1.5}]}),
    ("NewFulfillment", {"orderId": "o" * 65, "items": [UNITS]}),
    ("NewFulfillment", {"orderId": "o", "items": [UNITS], "colour": 1}),
    ("NewWebhook", {"types": ["refund.complete"]}),
    ("NewWebhook", {**WEBHOOK, "types": []}),
    ("NewWebhook", {**WEBHOOK, "types": ["refund.*"]}),
    ("NewWebhook", {**WEBHOOK, "types": ["refund.complete"] * 501}),
    ("NewWebhook", {**WEBHOOK, "address": "https://user@shop.example"}),
    ("NewWebhook", {**WEBHOOK, "address": "https://shop.example:65536"}),
    ("NewWebhook", {**WEBHOOK, "address": "https://shop.example/" + "p" * 2048}),
    ("NewWebhook", {**WEBHOOK, "apiVersion": "2019-01-01"}),
    ("NewWebhook", {**WEBHOOK, "enabled": "true"}),
    ("NewWebhook", {**WEBHOOK, "transportType": "MAIL"}),
    ("NewWebhook", {**WEBHOOK, "authentication": {"password": "p"}}),
    ("NewWebhook", {**WEBHOOK, "authentication": {**BASIC, "userName": "a:b"}}),
    ("NewWebhook", {**WEBHOOK, "authentication": {**BASIC, "password": ""}}),
    ("NewWebhook", {**WEBHOOK, "authentication": {**BASIC, "colour": 1}}),
    ("NewWebhook", {**WEBHOOK, "expandedTypes": ["refund.complete"]}),
    ("NewWebhook", {**WEBHOOK, "id": "w"}),
    ("NewWebhook", {**WEBHOOK, "transportType": "OAUTH", "oauth": {**OAUTH, "clientID": ""}}),
    ("WebhookUpdate", {"types": []}),
    ("WebhookUpdate", {"colour": "red"}),
    ("Notification", {**TOLD, "type": "refund.maybe"}),
    ("Notification", {**TOLD, "data": {}}),
    ("Notification", {**TOLD, "colour": 1}),
    ("Notification", {**TOLD, "data": {"operationId": "x", "chargeId": "c"}}),
    ("Notification", {**TOLD, "type": "dispute.opened", "data": {"processorReference": "d1"}}),
    ("Notification", {**TOLD, "type": "dispute.opened", "data": {**OPENED, "amount": 0}}),
    ("Notification", {**TOLD, "type": "dispute.won", "data": OPENED}),
    ("Notification", {**TOLD, "type": "dispute.lost", "data": {**LOST, "fraud": None}}),
    ("NewReturn", {"orderId": "o"}),
    ("NewReturn", {"orderId": "o", "items": []}),
    ("NewReturn", {"items": [UNITS]}),
    ("NewReturn", {**BACK, "items": [{"itemId": "i"}]}),
    ("NewReturn", {**BACK, "items": [{**UNITS, "quantity": 0}]}),
    ("NewReturn", {**BACK, "items": [{**UNITS, "amount": 1}]}),
    ("NewReturn", {**BACK, "location": {}}),
    ("NewReturn", {**BACK, "location": {"address": {**ADDRESS, "city": None}}}),
    ("NewReturn", {**BACK, "reason": "r" * 65}),
    ("ReturnUpdate", {"state": "closed"}),
    ("ReturnUpdate", {"items": [UNITS]}),
    ("ReturnUpdate", {"reason": "other"}),
    ("NewDispute", {"amount": 0}),
    ("NewDispute", {"colour": 1}),
    ("DisputeResolution", {}),
    ("DisputeResolution", {"outcome": "drawn"}),
    ("DisputeResolution", {"outcome": "lost"}),
    ("DisputeResolution", {"outcome": "won", "fraud": False}),
]


def _is_read(name: str, body: dict[str, Any]) -> bool:
    try:
        READERS[name](Fields(read_object(json.dumps(body).encode()), []))
    except BadFields:
        return False
    return True


@pytest.mark.parametrize(("name", "body"), TAKEN)
def test_schema_allows_what_the_reader_takes(name: str, body: dict[str, Any]) -> None:
    assert _is_read(name, body)
    assert problems_of(body, SCHEMAS[name]) == []


@pytest.mark.parametrize(("name", "body"), REFUSED)
def test_schema_forbids_what_the_reader_refuses(name: str, body: dict[str, Any]) -> None:
    assert not _is_read(name, body)
    assert problems_of(body, SCHEMAS[name]) != []


ORDER_FILTERS = next(each.filters for each in OPERATIONS if each.path == "/orders")


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("limit", 1, True),
        ("limit", 100, True),
        ("limit", 0, False),
        ("limit", 101, False),
        ("createdTime[gte]", "2024-02-29", True),
        ("createdTime[gte]", "2024-05-01T09:58:12Z", True),
        ("createdTime", "2024-05-01T24:00:00Z", False),
        ("createdTime", "0000-01-01", False),
        ("createdTime", "1900-02-29", False),
        ("totalAmount[lt]", -20.99, True),
        ("totalAmount", 10**18, False),
        ("state", "complete", True),
        ("state", "lost", False),
        ("email", "ana@example.com", True),
        ("email", "\x00", False),
    ],
)
def test_query_schema_is_what_queries_are_read_by(name: str, value: Any, good: bool) -> None:
    parameters = DOCUMENT["paths"]["/orders"]["get"]["parameters"]
    schema = next(each["schema"] for each in parameters if each["name"] == name)
    text = str(value).replace("\x00", "%00")
    query = Query(f"{name}={text}".encode())
    try:
        read_page(query)
        read_filters(query, ORDER_FILTERS)
        is_read = True
    except BadFields:
        is_read = False
    assert is_read is good
    assert (problems_of(value, schema) == []) is good
