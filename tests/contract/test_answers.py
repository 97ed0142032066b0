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
from tests.support.http import Api, expect, money
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
    return event_type.partition(".")[0].capitalize()


def _check_all(api: Api) -> dict[str, int]:
    """Check every list and every object in it; how many objects each list has."""
    found: dict[str, int] = {}
    for kind in ("orders", "charges", "fulfillments", "refunds", "events"):
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
    assert min(found.values()) > 8


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
