"""Webhooks over HTTP: cases W-03 to W-06, W-22, W-23 and W-25, and what goes along with them."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.command import Done, complaint, refundry, run_sql, said
from tests.support.fixtures import event_log, given_captured, settled_refund
from tests.support.http import (
    Api,
    Doc,
    assert_bad,
    assert_conflict,
    assert_error,
    assert_forbidden,
    assert_invalid,
    assert_missing,
    assert_unknown,
    expect,
    read,
)
from tests.support.service import Account, Service

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
MILLISECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
BODY: dict[str, Any] = {"types": ["refund.complete"], "address": "https://shop.example/hook"}
OAUTH: dict[str, Any] = {
    "tokenEndPoint": "https://id.shop.example/token",
    "clientID": "client",
    "clientSecret": "client secret",
}
BASIC = {"userName": "u", "password": "p"}


@pytest.fixture
def live(service: Service, account: Account) -> Api:
    return service.api(account.secret_live)


def made(api: Api, **fields: Any) -> Doc:
    return expect(api.post("/webhooks", BODY | fields), 201)


def assert_gone(api: Api, webhook: Doc) -> None:
    answer = api.get(f"/webhooks/{webhook['id']}")
    message = f"Webhook '{webhook['id']}' not found."
    assert_error(answer, 404, "not_found", "not_found", "id", message)


def test_w_03_a_webhook_is_made_with_its_defaults(api: Api) -> None:
    answer = api.post("/webhooks", BODY)
    webhook = expect(answer, 201)
    assert re.fullmatch(UUID, webhook["id"])
    assert re.fullmatch(MILLISECONDS, webhook["createdTime"])
    assert webhook == {
        "id": webhook["id"],
        "types": ["refund.complete"],
        "address": "https://shop.example/hook",
        "apiVersion": "default",
        "enabled": True,
        "transportType": "HTTP",
        "liveMode": False,
        "createdTime": webhook["createdTime"],
        "updatedTime": webhook["createdTime"],
    }
    assert not re.search("[0-9a-f]{64}", answer.text)
    assert expect(api.get(f"/webhooks/{webhook['id']}/")) == webhook


def test_w_04_basic_credentials_come_back_in_both_spellings(api: Api) -> None:
    webhook = made(api, authentication=BASIC)
    assert webhook["authentication"] == {"userName": "u", "username": "u", "password": "p"}
    other = made(api, authentication={"username": "u", "password": "p"})
    assert other["authentication"] == webhook["authentication"]


def test_w_05_types_and_address_are_checked(api: Api) -> None:
    assert_invalid(api.post("/webhooks", {**BODY, "types": []}), "types", "[]")
    unknown = api.post("/webhooks", BODY | {"types": ["foo.bar"]})
    assert_bad(unknown, "invalid_parameter", "types[0]", "'foo.bar' is not a valid types[0].")
    assert_missing(api.post("/webhooks", {"types": ["refund.complete"]}), "address")
    assert made(api, types=["checkout.created"])["types"] == ["checkout.created"]


def test_w_06_oauth_needs_its_secret(api: Api) -> None:
    part = {name: value for name, value in OAUTH.items() if name != "clientSecret"}
    body = BODY | {"transportType": "OAUTH", "oauth": part}
    assert_missing(api.post("/webhooks", body), "oauth.clientSecret")
    assert_missing(api.post("/webhooks", BODY | {"transportType": "OAUTH"}), "oauth")


def test_w_22_a_change_leaves_the_rest_and_a_deletion_nothing(api: Api) -> None:
    webhook = made(api, authentication=BASIC)
    path = f"/webhooks/{webhook['id']}"
    changed = expect(api.patch(path, {"types": ["refund.failed"]}))
    assert changed["updatedTime"] >= webhook["updatedTime"]
    assert changed == webhook | {
        "types": ["refund.failed"],
        "updatedTime": changed["updatedTime"],
    }
    assert expect(api.get(path)) == changed
    deleted = api.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-type" not in deleted.headers
    assert_gone(api, webhook)
    message = f"Webhook '{webhook['id']}' not found."
    for again in (api.delete(path), api.patch(path, {"colour": 1})):
        assert_error(again, 404, "not_found", "not_found", "id", message)


def test_w_23_the_list_is_a_bare_array_newest_first(api: Api) -> None:
    assert read(api.get("/webhooks")) == []
    three = [made(api) for _ in range(3)]
    assert read(api.get("/webhooks")) == three[::-1]


def test_w_25_live_mode_wants_https_and_a_public_host(live: Api, api: Api) -> None:
    for address in ("http://shop.example", "https://127.0.0.1/x"):
        assert_invalid(live.post("/webhooks", BODY | {"address": address}), "address", address)
    assert made(live)["liveMode"] is True
    assert made(api, address="http://shop.example")["liveMode"] is False


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0x7f.1",
        "2130706433",
    ],
)
def test_no_webhook_of_either_mode_leads_into_the_operators_network(
    api: Api, live: Api, host: str
) -> None:
    address = f"https://{host}:1/x"
    for each in (api, live):
        assert_invalid(each.post("/webhooks", BODY | {"address": address}), "address", address)
    oauth = OAUTH | {"tokenEndPoint": address}
    body = BODY | {"transportType": "OAUTH", "oauth": oauth}
    assert_invalid(api.post("/webhooks", body), "oauth.tokenEndPoint", address)
    webhook = made(api)
    path = f"/webhooks/{webhook['id']}"
    assert_invalid(api.patch(path, {"address": address}), "address", address)
    assert expect(api.get(path)) == webhook


def test_an_oauth_webhook_shows_its_credentials(api: Api) -> None:
    webhook = made(api, transportType="OAUTH", oauth=OAUTH)
    assert webhook["transportType"] == "OAUTH"
    assert webhook["oauth"] == OAUTH | {"grantType": "password"}
    assert "authentication" not in webhook


def test_another_transport_brings_its_credentials_and_drops_the_others(api: Api) -> None:
    webhook = made(api, authentication=BASIC)
    path = f"/webhooks/{webhook['id']}"
    assert_missing(api.patch(path, {"transportType": "OAUTH"}), "oauth")
    assert_unknown(api.patch(path, {"oauth": OAUTH}), "oauth")
    moved = expect(api.patch(path, {"transportType": "OAUTH", "oauth": OAUTH}))
    assert "authentication" not in moved
    assert moved["oauth"]["clientSecret"] == "client secret"
    assert_unknown(api.patch(path, {"authentication": BASIC}), "authentication")
    assert_missing(api.patch(path, {"transportType": "HTTP"}), "authentication")
    back = expect(api.patch(path, {"transportType": "HTTP", "authentication": BASIC}))
    assert back == webhook | {"updatedTime": back["updatedTime"]}


def test_lists_can_be_narrowed_to_subscribers(api: Api) -> None:
    refunds = made(api, types=["refund.complete", "refund.failed"])
    orders = made(api, types=["order.accepted"])
    both = made(api, types=["refund.failed", "order.charge.refund.failed"])

    def listed(query: str) -> list[str]:
        return [each["id"] for each in read(api.get(f"/webhooks?{query}"))]

    assert listed("type=refund.complete") == [refunds["id"]]
    assert listed("type=refund.*") == [both["id"], refunds["id"]]
    assert listed("type=order.*") == [both["id"], orders["id"]]
    assert listed("type=refund_failed") == []
    assert listed("types=order.accepted,refund.complete") == [orders["id"], refunds["id"]]
    message = "Only one of type and types may be provided."
    answer = api.get("/webhooks?type=refund.*&types=refund.failed")
    assert_bad(answer, "invalid_parameter", "types", message)
    many = ",".join(["refund.failed"] * 21)
    assert_invalid(api.get(f"/webhooks?types={many}"), "types", many)


def test_a_webhook_is_seen_in_its_own_mode_and_account_alone(
    service: Service, api: Api, live: Api
) -> None:
    webhook = made(api)
    for other in (live, service.api(service.open_account().secret_test)):
        assert_gone(other, webhook)
        assert read(other.get("/webhooks")) == []
        assert other.delete(f"/webhooks/{webhook['id']}").status_code == 404
    assert expect(api.get(f"/webhooks/{webhook['id']}")) == webhook


def test_a_restricted_key_needs_its_permission(service: Service, account: Account) -> None:
    def limited(right: str) -> Api:
        return service.api(account.create_key(kind="restricted", permissions={"webhooks": right}))

    reader, writer = limited("read"), limited("write")
    webhook = made(writer)
    path = f"/webhooks/{webhook['id']}"
    assert expect(reader.get(path)) == webhook
    assert_forbidden(writer.get(path))
    refused: list[Callable[[], Any]] = [
        lambda: reader.post("/webhooks", BODY),
        lambda: reader.patch(path, {}),
        lambda: reader.delete(path),
        lambda: reader.post(f"/refundry/v1{path}/recover", {"since": "2024-05-01"}),
        lambda: writer.get(f"/refundry/v1{path}/deliveries"),
        lambda: service.api(account.public_test).get("/webhooks"),
    ]
    for ask in refused:
        assert_forbidden(ask())
    assert writer.delete(path).status_code == 204


def test_a_retry_makes_no_second_webhook_and_its_stored_answer_is_encrypted(
    service: Service, api: Api
) -> None:
    key = {"Idempotency-Key": "webhook-once"}
    body = BODY | {"authentication": {"userName": "u", "password": "open sesame"}}
    first = api.post("/webhooks", body, key)
    again = api.post("/webhooks", body, key)
    assert again.headers["idempotent-replayed"] == "true"
    assert expect(again, 201) == expect(first, 201)
    assert len(read(api.get("/webhooks"))) == 1
    (row,) = run_sql(
        service.data_dir,
        "SELECT k.answer, w.sealed_password, w.sealed_token FROM webhooks w"
        " JOIN idempotency_keys k USING (account_id, live)"
        " WHERE w.id = $1 AND k.key = 'webhook-once'",
        expect(first, 201)["id"],
    )
    assert b"sesame" not in row["answer"] + row["sealed_password"] + row["sealed_token"]


def test_methods_that_a_path_does_not_have_are_named(api: Api) -> None:
    answer = api.put("/webhooks", BODY)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    answer = api.post(f"/webhooks/{made(api)['id']}", {})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PATCH, DELETE")


def run(service: Service, *arguments: str) -> Done:
    """A command on the service's data, with its settings."""
    own = {name: v for name, v in service.environment.items() if name.startswith("REFUNDRY_")}
    return refundry(*arguments, data_dir=service.data_dir, env=own)


def account_name(service: Service, account: Account) -> str:
    sql = "SELECT name FROM accounts WHERE id = $1"
    (row,) = run_sql(service.data_dir, sql, account.account_id)
    return row["name"]


def test_expanded_types_can_be_asked_for_once_they_are_switched_on(
    service: Service, account: Account, api: Api
) -> None:
    body = BODY | {"expandedTypes": ["order.refunded"]}
    assert_unknown(api.post("/webhooks", body), "expandedTypes")
    name = account_name(service, account)
    said(run(service, "account", "expanded-events", "on", "--account", name))
    webhook = made(api, expandedTypes=["order.refunded"])
    assert webhook["expandedTypes"] == ["order.refunded"]
    wrong = api.post("/webhooks", BODY | {"expandedTypes": ["refund.complete"]})
    assert_invalid(wrong, "expandedTypes[0]", "refund.complete")
    said(run(service, "account", "expanded-events", "off", "--account", name))
    assert_unknown(api.post("/webhooks", body), "expandedTypes")


def test_the_command_line_shows_and_turns_tokens(service: Service, api: Api) -> None:
    webhook = made(api)
    listed = said(run(service, "webhook", "list")).splitlines()
    (own,) = [each.split("\t") for each in listed if each.startswith(webhook["id"])]
    assert own[1:] == ["test", "enabled", BODY["address"], "refund.complete"]
    first = said(run(service, "webhook", "token", webhook["id"]))
    assert re.fullmatch("[0-9a-f]{64}", first)
    turned = said(run(service, "webhook", "rotate", webhook["id"])).splitlines()
    assert turned[0] != first
    assert re.fullmatch(rf"{first}\tuntil \S+Z", turned[1])
    assert said(run(service, "webhook", "token", webhook["id"])).splitlines() == turned
    last = said(run(service, "webhook", "rotate", webhook["id"], "--overlap", "now"))
    assert re.fullmatch("[0-9a-f]{64}", last)
    assert last not in turned
    refused = run(service, "webhook", "token", "nobody")
    assert complaint(refused) == "Error: Webhook nobody not found"


def test_an_event_can_be_sent_again_and_missed_ones_recovered(service: Service, api: Api) -> None:
    settled_refund(api, given_captured(api, "A"), percent=50)
    events = [each["id"] for each in event_log(api) if each["type"] == "refund.complete"]
    assert len(events) == 1
    webhook = made(api, address="https://nowhere.invalid/hook")
    own = f"/refundry/v1/webhooks/{webhook['id']}"
    since = {"since": "2024-05-01"}
    assert expect(api.post(f"{own}/recover", since)) == {"queued": 1}
    assert expect(api.post(f"{own}/recover", {"since": "2999-01-01"})) == {"queued": 0}
    assert expect(api.post(f"{own}/resend", {"eventId": events[0]})) == {"queued": 1}
    unknown = api.post(f"{own}/resend", {"eventId": "none"})
    assert_bad(unknown, "invalid_parameter", "eventId", "Event 'none' not found.")
    assert_missing(api.post(f"{own}/resend", {}), "eventId")
    assert_missing(api.post(f"{own}/recover", {}), "since")
    assert_invalid(api.post(f"{own}/recover", {"since": "noon"}), "since", "noon")
    assert_unknown(api.post(f"{own}/recover", since | {"until": 1}), "until")
    assert said(run(service, "webhook", "resend", webhook["id"], events[0])) == "queued."
    expect(api.patch(f"/webhooks/{webhook['id']}", {"enabled": False}))
    message = f"Webhook {webhook['id']} is disabled."
    for answer in (
        api.post(f"{own}/recover", since),
        api.post(f"{own}/resend", {"eventId": events[0]}),
    ):
        assert_conflict(answer, "invalid_state", "enabled", message)
    refused = run(service, "webhook", "recover", webhook["id"], "--since", "2024-05-01")
    assert complaint(refused) == f"Error: {message}"
    bad_time = run(service, "webhook", "recover", webhook["id"], "--since", "noon")
    assert "noon is not a time in UTC" in complaint(bad_time, 2)


def test_attempts_of_a_webhook_are_a_list_with_pages(api: Api) -> None:
    own = f"/refundry/v1/webhooks/{made(api)['id']}/deliveries"
    assert expect(api.get(own)) == {"hasMore": False, "data": []}
    for cursor in ("none", "a.b.c", "e.0.1", "e.0.99999", "..", "e.0.1.2"):
        assert_invalid(api.get(f"{own}?startingAfter={cursor}"), "startingAfter", cursor)
    assert_invalid(api.get(f"{own}?state=lost"), "state", "lost")
    missing = api.get("/refundry/v1/webhooks/none/deliveries")
    message = "Webhook 'none' not found."
    assert_error(missing, 404, "not_found", "not_found", "id", message)
