"""Every answer of the running service has the shape that the OpenAPI document gives it."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.fixtures import (
    advance,
    cancel,
    element,
    event_log,
    fulfil,
    given_accepted,
    given_captured,
    order_body,
    refund,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.reference import DOCUMENT, EXAMPLES, media, problems_of
from tests.support.service import Service

# What is passed through, so that every optional member of an order appears once.
_EVERYTHING = {
    "upstreamId": "WEB-1",
    "customerId": "c-1",
    "checkoutId": "co-1",
    "applicationId": "app-1",
    "browserIp": "192.0.2.1",
    "customerType": "business",
    "locale": "de_DE",
    "invoiceId": "INV-1",
    "fraudState": "passed",
    "fraudStateTransitions": {"passed": "2024-05-01T09:40:02Z"},
    "metadata": {"text": "x", "whole": 1, "part": 1.5, "yes": True},
    "shipTo": {"name": "Ana Lind"},
    "invoicePDFs": [{"id": "1"}],
    "importerOfRecordTax": True,
    "requestToBeForgotten": True,
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def api(service: Service) -> Api:
    return service.api(service.open_account().secret_test)


def _check(response: httpx.Response, method: str, path: str) -> None:
    """path: as the document has it."""
    operation = DOCUMENT["paths"][path][method]
    content = media(operation["responses"][str(response.status_code)])
    body = json.loads(response.text)
    assert problems_of(body, content["schema"]) == [], response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]


def _object_of(event_type: str) -> str:
    """The resource that an event shows."""
    if event_type.startswith("order.charge."):
        return "Charge"
    return "".join(word.capitalize() for word in event_type.partition(".")[0].split("_"))


_LISTS = ("orders", "charges", "fulfillments", "refunds", "events", "returns",
          "refundry/v1/disputes", "sales-transactions")  # fmt: skip


def _check_all(api: Api) -> dict[str, int]:
    """Check every list and every object in it; how many objects each list has."""
    found: dict[str, int] = {}
    for kind in _LISTS:
        answer = api.get(f"/{kind}?limit=100&expand=true")
        _check(answer, "get", f"/{kind}")
        objects = expect(answer)["data"]
        found[kind] = len(objects)
        for each in objects:
            _check(api.get(f"/{kind}/{each['id']}"), "get", f"/{kind}/{{id}}")
    for event in event_log(api):
        shape = {"$ref": f"#/components/schemas/{_object_of(event['type'])}"}
        assert problems_of(event["data"]["object"], shape) == [], event["type"]
    for order in expect(api.get("/orders?limit=100"))["data"]:
        for source in order["payment"]["sources"]:
            _check(api.get(f"/sources/{source['id']}"), "get", "/sources/{id}")
    return found


_LOCATION = {
    "address": {
        "line1": "12 Harbor St", "line2": "Gate 4", "city": "Duluth", "postalCode": "55802",
        "state": "MN", "country": "US",
    },
    "name": "Returns desk", "phone": "1", "email": "returns@example.com",
}  # fmt: skip


def _returned(api: Api, name: str, *arrivals: list[int], **fields: object) -> Doc:
    """An order of which a return was made and, in so many shipments, accepted; the return."""
    order = given_captured(api, name)
    asked = [{"itemId": each["id"], "quantity": each["quantity"]} for each in order["items"]]
    goods = expect(api.post("/returns", {"orderId": order["id"], "items": asked, **fields}), 201)
    for units in arrivals:
        arrived = [{"itemId": each["id"], "quantity": count, "state": "accepted"}
                   for each, count in zip(order["items"], units, strict=True) if count]  # fmt: skip
        goods = expect(api.post(f"/returns/{goods['id']}", {"items": arrived}))
    settle(api)
    return goods


def _disputed(api: Api, order: Doc, outcome: Doc | None = None, **fields: object) -> Doc:
    """A dispute on an order, open or with this outcome."""
    dispute = expect(api.post(f"/refundry/v1/orders/{order['id']}/disputes", fields), 201)
    if outcome is None:
        return dispute
    return expect(api.post(f"/refundry/v1/disputes/{dispute['id']}", outcome))


def _given_after_sale(api: Api) -> None:
    """Returns, disputes and sales transactions in every state, with every member."""
    _returned(api, "W")
    more = {"reason": "Damaged", "location": _LOCATION, "metadata": {"a": 1}}
    _returned(api, "V", [2, 0], **more)
    _returned(api, "W", [2, 0], [0, 2], [0, 1], **more)
    lost = {"outcome": "lost", "fraud": True}
    _disputed(api, given_captured(api, "A"), reason="fraud", processorReference="dsp_contract")
    _disputed(api, given_captured(api, "A"), {"outcome": "won"})
    address = {"address": {"country": "US"}}
    whole = given_captured(
        api, "F", **_EVERYTHING | {
            "upstreamId": "WEB-2", "invoiceId": "INV-2", "shipTo": address, "shipFrom": address,
            "billTo": address, "sellingEntity": {"id": "s", "name": "Seller"},
        },
    )  # fmt: skip
    _disputed(api, whole, lost | {"amount": 10}, amount=20)
    _disputed(api, given_captured(api, "D"), lost | {"fraud": False})
    odd = given_captured(api, "G", shipTo="Am Markt 1", billTo=7, shipFrom=[], sellingEntity=[])
    _disputed(api, odd, lost)
    taken = given_captured(api, "E")
    settled_refund(api, taken, amount=44.09 - 17.20)
    held = refund(api, taken, type="fees", percent=100)
    _disputed(api, taken, lost)
    settle(api)
    assert expect(api.get(f"/refunds/{held['id']}"))["failureReason"] == "declined"
    nothing = given_captured(api, "A")
    settled_refund(api, nothing, percent=100)
    assert _disputed(api, nothing, lost)["chargebackAmount"] == 0


def test_returns_disputes_and_their_events_fit(api: Api) -> None:
    _given_after_sale(api)
    found = _check_all(api)
    assert (found["returns"], found["refundry/v1/disputes"]) == (3, 7)
    # F has two lines, and nothing was left to take of the last order.
    assert found["sales-transactions"] == 5
    kinds = {event["type"].partition(".")[0] for event in event_log(api)}
    assert kinds == {"order", "fulfillment", "refund", "return", "sales_transaction"}


def test_every_resource_and_event_fits(api: Api) -> None:
    whole = given_captured(api, "A", **_EVERYTHING)
    settled_refund(api, whole, percent=50, reason="r", metadata={"ticket": "CS-1"})
    refund(api, whole, type="shipping", percent=100)
    lines = given_captured(api, "B")
    settled_refund(api, lines, items=[element(lines, "a", percent=50, quantity=1)])
    for name in ("E", "G", "J", "K", "R", "S"):
        order = given_captured(api, name)
        settled_refund(api, order, percent=50)
    digital = given_accepted(api, "Q")
    fulfil(api, digital, 1, 0)
    cancel(api, digital, 0, 1)
    advance(api, 3600)
    expect(api.post("/orders", order_body("A", state="in_review")), 201)
    found = _check_all(api)
    assert found["orders"] == 10
    assert found["refunds"] == 9
    assert min(found[kind] for kind in _LISTS[:5]) > 8


def test_answers_to_commands_fit(api: Api) -> None:
    created = api.post("/orders", EXAMPLES["/orders"])
    _check(created, "post", "/orders")
    order = expect(created, 201)
    update = api.post(f"/orders/{order['id']}", {"metadata": {"a": 1}})
    _check(update, "post", "/orders/{id}")
    body = EXAMPLES["/fulfillments"] | {"orderId": order["id"]}
    _check(api.post("/fulfillments", body), "post", "/fulfillments")
    settle(api)
    asked = api.post("/refunds", EXAMPLES["/refunds"] | {"orderId": order["id"]})
    _check(asked, "post", "/refunds")
    assert expect(asked, 201)["amount"] == money("13.51")
    refund_id = expect(asked, 201)["id"]
    update = api.post(f"/refunds/{refund_id}", EXAMPLES["/refunds/{id}"])
    _check(update, "post", "/refunds/{id}")
    path = "/refundry/v1/test/advance"
    _check(api.post(path, EXAMPLES[path]), "post", path)


def test_answers_to_commands_on_returns_and_disputes_fit(api: Api) -> None:
    order = given_captured(api, "A")
    items = [{"skuId": "sku-tee", "quantity": 2}]
    created = api.post("/returns", EXAMPLES["/returns"] | {"orderId": order["id"], "items": items})
    _check(created, "post", "/returns")
    goods = f"/returns/{expect(created, 201)['id']}"
    one = {"items": [{"skuId": "sku-tee", "quantity": 1, "state": "accepted"}]}
    for body in (one, {"location": _LOCATION}, {"metadata": {"a": 1}}, {}, {"state": "accepted"}):
        updated = api.post(goods, body)
        assert updated.status_code == 200
        _check(updated, "post", "/returns/{id}")
    own = "/refundry/v1/orders/{id}/disputes"
    opened = api.post(own.replace("{id}", order["id"]), EXAMPLES[own])
    _check(opened, "post", own)
    dispute = f"/refundry/v1/disputes/{expect(opened, 201)['id']}"
    lost = api.post(dispute, EXAMPLES["/refundry/v1/disputes/{id}"])
    assert lost.status_code == 200
    _check(lost, "post", "/refundry/v1/disputes/{id}")
    bare = api.post(own.replace("{id}", order["id"]), {})
    assert bare.status_code == 201
    _check(bare, "post", own)


def test_refusals_of_returns_and_disputes_fit(api: Api) -> None:
    order = given_captured(api, "A")
    too_many = {"orderId": order["id"], "items": [{"skuId": "sku-tee", "quantity": 3}]}
    dispute = _disputed(api, order)["id"]
    one = "/refundry/v1/disputes/{id}"
    many = "/refundry/v1/orders/{id}/disputes"
    here = one.replace("{id}", dispute)
    refused = [
        (api.post("/returns", too_many), "post", "/returns", 409),
        (api.post("/returns", {}), "post", "/returns", 400),
        (api.get("/returns/none"), "get", "/returns/{id}", 404),
        (api.post("/returns/none", {}), "post", "/returns/{id}", 404),
        (api.get("/returns?state=lost"), "get", "/returns", 400),
        (api.post(many.replace("{id}", order["id"]), {}), "post", many, 409),
        (api.post(many.replace("{id}", "none"), {}), "post", many, 404),
        (api.post(many.replace("{id}", order["id"]), {"chargeId": "c"}), "post", many, 400),
        (api.get("/refundry/v1/disputes?state=lost,"), "get", "/refundry/v1/disputes", 400),
        (api.get("/refundry/v1/disputes/none"), "get", one, 404),
        (api.post(here, {"outcome": "lost"}), "post", one, 400),
        (api.post(here, {"outcome": "won"}), "post", one, 200),
        (api.post(here, {"outcome": "won"}), "post", one, 409),
        (api.post("/returns", too_many), "post", "/returns", 409),
        (api.get("/sales-transactions/none"), "get", "/sales-transactions/{id}", 404),
        (api.get("/sales-transactions?type=gift"), "get", "/sales-transactions", 400),
    ]
    for answer, method, path, status in refused:
        assert answer.status_code == status, f"{path}: {answer.text}"
        _check(answer, method, path)


def test_webhooks_and_the_answers_to_their_commands_fit(api: Api) -> None:
    settled_refund(api, given_captured(api, "A"), percent=50)
    event_id = next(each["id"] for each in event_log(api) if each["type"] == "refund.complete")
    created = api.post("/webhooks", EXAMPLES["/webhooks"])
    _check(created, "post", "/webhooks")
    webhook_id = expect(created, 201)["id"]
    oauth = {"tokenEndPoint": "https://id.example", "clientID": "c", "clientSecret": "s"}
    body = EXAMPLES["/webhooks"] | {"transportType": "OAUTH", "oauth": oauth}
    del body["authentication"]
    _check(api.post("/webhooks", body), "post", "/webhooks")
    listed = api.get("/webhooks")
    _check(listed, "get", "/webhooks")
    assert len(listed.json()) == 2
    path = f"/webhooks/{webhook_id}"
    _check(api.get(path), "get", "/webhooks/{id}")
    own = "/refundry/v1/webhooks/{id}/"
    here = own.replace("{id}", webhook_id)
    _check(api.post(f"{here}resend", {"eventId": event_id}), "post", f"{own}resend")
    _check(api.post(f"{here}recover", EXAMPLES[f"{own}recover"]), "post", f"{own}recover")
    _check(api.get(f"{here}deliveries"), "get", f"{own}deliveries")
    _check(api.patch(path, {"enabled": False}), "patch", "/webhooks/{id}")
    for command, sent in (("resend", {"eventId": event_id}), ("recover", {"since": "2024-05-01"})):
        refused = api.post(f"{here}{command}", sent)
        assert refused.status_code == 409
        _check(refused, "post", f"{own}{command}")
    _check(api.patch(path, {"oauth": oauth}), "patch", "/webhooks/{id}")
    deleted = api.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert deleted.headers["x-request-id"]
    _check(api.delete(path), "delete", "/webhooks/{id}")


def test_the_notification_of_a_processor_is_answered_as_documented(service: Service) -> None:
    path = "/refundry/v1/processor-notifications"
    told = service.notify("refund.complete", {"operationId": "nobody-knows-it"}, "ntf-contract")
    _check(told, "post", path)
    _check(service.api(None).post(path, EXAMPLES[path]), "post", path)


def test_previews_fit(api: Api) -> None:
    path = "/refundry/v1/refund-previews"
    order = given_captured(api, "E")
    asked = {"orderId": order["id"], "currency": "USD"}
    for more in (
        {"percent": 50},
        {"amount": 1000},
        {"items": [element(order, "a", percent=50), element(order, "a", percent=50, type="fees")]},
    ):
        _check(api.post(path, asked | more), "post", path)
    _check(api.post(path, {}), "post", path)
    _check(api.post(path, asked | {"orderId": "none", "percent": 5}), "post", path)


def test_errors_fit(api: Api, service: Service) -> None:
    _check(api.get("/orders/none"), "get", "/orders/{id}")
    _check(api.get("/orders?limit=0"), "get", "/orders")
    _check(api.post("/refunds", {}), "post", "/refunds")
    _check(api.get("/orders", {"Accept": "text/html"}), "get", "/orders")
    _check(service.api(None).get("/orders"), "get", "/orders")
    key = {"Idempotency-Key": "once"}
    assert api.post("/orders", EXAMPLES["/orders"], key).status_code == 201
    replayed = api.post("/orders", EXAMPLES["/orders"], key)
    _check(replayed, "post", "/orders")
    assert replayed.headers["idempotent-replayed"] == "true"
    reused = api.post("/orders", {"other": 1}, key)
    assert reused.status_code == 409
    _check(reused, "post", "/orders")


def test_the_service_shows_its_document_and_the_page_made_of_it(service: Service) -> None:
    shown = service.api(None).get("/openapi.json").json()
    assert shown["paths"] == DOCUMENT["paths"]
    page = service.api(None).get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'id="createRefund"' in page.text
    style = service.api(None).get("/docs/style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
