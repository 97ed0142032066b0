"""Acceptance cases F-01 to F-15: refunds that wait for a shopper's bank details.

F-14, the element in a merchant's page, is in tests/browser.
"""

import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.command import complaint, run_sql, said
from tests.support.fixtures import (
    FAILURE,
    advance,
    assert_available,
    events_since,
    fulfil,
    get_order,
    get_refund,
    given_captured,
    mark,
    only_charge,
    order_body,
    refund,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import Api, Doc, assert_error, assert_invalid, assert_missing, expect, money
from tests.support.portal import Screen
from tests.support.service import Account, Service
from tests.system.test_cli import run
from tests.system.test_hostile import holders, logs

DAY = 86_400
IBAN = "DE89370400440532013000"
MAX = {"accountHolderName": "Max Muster", "iban": IBAN}
GONE = ("gone", "refund_token_expired", "token", "The refund token is no longer valid.")


def waiting(api: Api, name: str, **fields: object) -> Doc:
    """A refund of all that a captured order has, which waits for bank details."""
    made = settled_refund(api, given_captured(api, name, **fields), percent=100)
    assert made["state"] == "pending_information"
    return made


def path_of(refund: Doc) -> str:
    return f"/refundry/v1/refund-tokens/{refund['tokenInformation']['token']}"


@pytest.fixture
def shopper(service: Service) -> Api:
    """Somebody without a key."""
    return service.api(None)


def give(shopper: Api, refund: Doc, fields: object, **more: object) -> httpx.Response:
    return shopper.post(path_of(refund), {"fields": fields, **more})


def named(last_name: str) -> Doc:
    """The payment of Q by somebody with another last name."""
    payment = order_body("Q")["payment"]
    payment["sources"][0]["owner"]["lastName"] = last_name
    return payment


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_f_01_a_konbini_refund_waits_for_bank_details(api: Api) -> None:
    order = given_captured(api, "J")
    start = mark(api)
    made = settled_refund(api, order, percent=100)
    assert made["state"] == "pending_information"
    (event,) = [e for e in events_since(api, start) if e["type"] == "refund.pending_information"]
    expires = at(made["tokenInformation"]["expiresTime"])
    created = at(event["createdTime"])
    assert expires == created.replace(microsecond=created.microsecond // 1000 * 1000) + timedelta(
        days=30
    )
    assert uuid.UUID(made["tokenInformation"]["token"]).version == 4
    (record,) = only_charge(api, order)["refunds"]
    assert record["state"] == "pending_information"
    assert_available(api, order, "0.0")
    assert types_since(api, start)[-1] == "refund.pending_information"


def test_f_02_japanese_fields(api: Api, shopper: Api) -> None:
    made = waiting(api, "J")
    form = expect(shopper.get(path_of(made)))
    assert form["amount"] == money("3301.0")
    assert (form["currency"], form["method"], form["country"]) == ("JPY", "konbini", "JP")
    assert [field["name"] for field in form["fields"]] == [
        "bankCode", "branchCode", "accountType", "accountNumber", "accountHolderNameKana",
    ]  # fmt: skip
    assert form["refundId"] == made["id"]
    assert form["expiresTime"] == made["tokenInformation"]["expiresTime"]
    assert form["liveMode"] is False
    # Konbini are in Japan, whatever is asked.
    assert expect(shopper.get(f"{path_of(made)}?country=DE"))["country"] == "JP"


def test_f_03_german_fields(api: Api, shopper: Api) -> None:
    form = expect(shopper.get(path_of(waiting(api, "Q"))))
    assert form["country"] == "DE"
    assert [(each["name"], each["required"]) for each in form["fields"]] == [
        ("accountHolderName", True), ("iban", True), ("bic", False),
    ]  # fmt: skip


def test_f_04_details_are_given_and_the_refund_is_paid(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    start = mark(api)
    taken = expect(give(shopper, made, {**MAX, "iban": "de89 3704 0044 0532 0130 00"}))
    assert taken == {"complete": True, "refundId": made["id"], "state": "pending"}
    after = get_refund(api, made)
    assert after["state"] == "pending"
    assert after.keys().isdisjoint({"tokenInformation", "expiresTime"})
    settle(api)
    assert types_since(api, start) == [
        "refund.pending", "order.charge.refund.complete", "refund.complete", "order.refunded",
    ]  # fmt: skip
    done = get_refund(api, made)
    assert (done["state"], done["refundedAmount"]) == ("succeeded", money("29.75"))


def test_f_05_a_wrong_check_digit(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    answer = give(shopper, made, {**MAX, "iban": "DE89370400440532013001"})
    assert_invalid(answer, "fields.iban", "*" * 18 + "3001")
    expect(shopper.get(path_of(made)))


def test_f_06_without_a_name(api: Api, shopper: Api) -> None:
    assert_missing(give(shopper, waiting(api, "Q"), {"iban": IBAN}), "fields.accountHolderName")


def test_f_07_a_token_is_used_once(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    expect(give(shopper, made, MAX))
    assert_error(give(shopper, made, MAX), 410, *GONE)
    settle(api)
    assert_error(shopper.get(path_of(made)), 410, *GONE)


def test_f_08_after_thirty_days_the_refund_expires(api: Api, shopper: Api) -> None:
    order = given_captured(api, "J")
    start = mark(api)
    made = settled_refund(api, order, percent=100)
    waited = at(made["tokenInformation"]["expiresTime"]) - at(
        events_since(api, start)[-1]["createdTime"]
    )
    assert waited <= timedelta(days=30)
    advance(api, 30 * DAY - 10)
    assert get_refund(api, made)["state"] == "pending_information"
    advance(api, 12)
    done = get_refund(api, made)
    assert (done["state"], done["failureReason"]) == ("expired", "information_not_provided")
    assert_available(api, order, "3301.0")
    assert types_since(api, start)[-2:] == FAILURE[-2:]
    assert events_since(api, start)[-1]["data"]["object"]["state"] == "expired"
    assert_error(shopper.get(path_of(made)), 410, *GONE)


def test_f_09_an_expired_refund_may_be_asked_for_again(api: Api) -> None:
    order = given_captured(api, "J")
    settled_refund(api, order, percent=100)
    advance(api, 30 * DAY + 1)
    again = refund(api, order, percent=100)
    settle(api)
    assert get_refund(api, again)["state"] == "pending_information"


def test_f_10_the_bank_rejects_the_details(api: Api, shopper: Api) -> None:
    order = given_captured(api, "Q", payment=named("RefundFailAfterPaymentInfo"))
    made = settled_refund(api, order, percent=100)
    expect(give(shopper, made, MAX))
    settle(api)
    done = get_refund(api, made)
    assert (done["state"], done["failureReason"]) == ("failed", "account_closed")
    assert_available(api, order, "29.75")


def test_f_11_refused_before_any_details(api: Api) -> None:
    order = given_captured(api, "Q", payment=named("RefundFailWhileCreation"))
    made = settled_refund(api, order, percent=100)
    assert (made["state"], made["failureReason"]) == ("failed", "declined")
    assert "tokenInformation" not in made


@pytest.mark.parametrize("token", ["4d5ad0f5-3b0f-4d0e-9f63-0c6d3c2a9a11", "nonsense", "%00"])
def test_f_12_an_unknown_token(shopper: Api, token: str) -> None:
    answer = shopper.get(f"/refundry/v1/refund-tokens/{token}")
    wanted = ("not_found", "not_found", "token", "Refund token not found.")
    if token == "%00":
        assert answer.status_code == 404
    else:
        assert_error(answer, 404, *wanted)
        assert_error(shopper.post(answer.request.url.path, {"fields": {}}), 404, *wanted)


def test_f_13_the_hosted_page(service: Service, api: Api) -> None:
    made = waiting(api, "J")
    path = f"/offline-refund/{made['tokenInformation']['token']}"
    page = Screen(service.client.get(path))
    assert page.status == 200
    assert page.read("amount") == "¥3,301"
    assert set(page.fields("#bank-details")) >= {"bankCode", "accountHolderNameKana"}
    advance(api, 30 * DAY + 1)
    dead = Screen(service.client.get(path))
    assert dead.status == 410
    assert dead.read("told") == "This link is no longer valid."


def test_f_15_details_are_erased_and_are_never_told(
    service: Service, account: Account, api: Api, shopper: Api
) -> None:
    made = waiting(api, "Q")
    expect(give(shopper, made, MAX))
    assert holders(service, IBAN) == []
    assert len(sealed_details(service, made)) == 1
    settle(api)
    assert get_refund(api, made)["state"] == "succeeded"
    assert holders(service, IBAN) == []
    assert holders(service, "Max Muster") == []
    assert IBAN not in logs(service) + api.get("/events?limit=100").text
    assert sealed_details(service, made) == []


def sealed_details(service: Service, refund: Doc) -> list[bytes]:
    """The sealed bank details of the records of a refund's order."""
    rows = run_sql(
        service.data_dir,
        "SELECT sealed_bank_details AS sealed FROM charge_operations"
        " WHERE order_id = $1 AND sealed_bank_details IS NOT NULL",
        refund["orderId"],
    )
    return [row["sealed"] for row in rows]


def test_the_page_works_without_a_script(service: Service, api: Api) -> None:
    made = waiting(api, "Q")
    path = f"/offline-refund/{made['tokenInformation']['token']}"
    page = Screen(service.client.get(path, headers={"Accept-Language": "de-AT"}))
    assert page.soup.html is not None
    assert page.soup.html["lang"] == "de"
    fields = page.fields("#bank-details") | {"accountHolderName": "M", "iban": IBAN[:-1] + "1"}
    wrong = Screen(service.client.post(path, data=fields))
    assert wrong.status == 400
    assert wrong.has("error-accountHolderName")
    assert wrong.has("error-iban")
    assert wrong.fields("#bank-details")["accountHolderName"] == "M"
    done = Screen(service.client.post(path, data=fields | MAX))
    assert done.status == 200
    assert done.read("success") == (
        "Your bank details were received. Your refund is being processed."
    )
    settle(api)
    assert get_refund(api, made)["state"] == "succeeded"
    assert Screen(service.client.post(path, data=fields | MAX)).status == 410


def test_the_page_shows_another_countrys_fields(service: Service, api: Api) -> None:
    path = f"/offline-refund/{waiting(api, 'Q')['tokenInformation']['token']}"
    page = Screen(service.client.get(f"{path}?country=US&lang=fr"))
    assert page.fields("#bank-details").keys() == {
        "country", "accountHolderName", "routingNumber", "accountNumber", "accountType",
    }  # fmt: skip
    assert "Numéro de compte" in page.text
    assert Screen(service.client.get(f"{path}?country=XX")).status == 400


def test_pages_are_guarded(service: Service, api: Api) -> None:
    path = f"/offline-refund/{waiting(api, 'Q')['tokenInformation']['token']}"
    for address, framed_by in ((path, "'none'"), (f"{path}/element", "*")):
        headers = service.client.get(address).headers
        policy = headers["Content-Security-Policy"]
        assert policy.endswith(f"frame-ancestors {framed_by}")
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert "noindex" in headers["X-Robots-Tag"]
        assert headers["Referrer-Policy"] == "no-referrer"


def test_any_page_may_call_and_none_may_keep_the_answer(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    origin = {"Origin": "https://shop.example"}
    asked = {"Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type"}  # fmt: skip
    before = shopper.request("OPTIONS", path_of(made), headers=origin | asked)
    assert before.status_code == 204
    assert "POST" in before.headers["Access-Control-Allow-Methods"]
    assert "content-type" in before.headers["Access-Control-Allow-Headers"]
    for answer in (
        before,
        shopper.get(path_of(made), origin),
        shopper.post(path_of(made), {"fields": {}}, origin),
        shopper.delete(path_of(made)),
        shopper.get("/refundry/v1/refund-tokens/none", origin),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_key_that_is_sent_must_be_of_the_account(
    service: Service, account: Account, api: Api
) -> None:
    made = waiting(api, "Q")
    assert service.api(account.public_test).get(path_of(made)).status_code == 200
    assert service.api(account.public_live).get(path_of(made)).status_code == 404
    assert service.api(service.open_account().public_test).get(path_of(made)).status_code == 404
    assert service.api("pk_test_" + "0" * 32).get(path_of(made)).status_code == 401


def test_labels_are_in_the_language_of_the_browser(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    for accepted, label in (("de", "Kontoinhaber"), ("ja, en;q=0.5", "口座名義"),
                            ("nl", "Account holder")):  # fmt: skip
        form = expect(shopper.get(path_of(made), {"Accept-Language": accepted}))
        assert form["fields"][0]["label"] == label


def test_the_countries_of_a_request(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    form = expect(shopper.get(f"{path_of(made)}?country=za"))
    assert form["country"] == "ZA"
    assert [field["name"] for field in form["fields"]] == [
        "accountHolderName", "bankName", "accountNumber", "swiftBic", "bankCountry",
    ]  # fmt: skip
    assert_invalid(give(shopper, made, MAX, country="XX"), "country", "XX")
    british = {"accountHolderName": "Max", "sortCode": "20-00-00", "accountNumber": "55779911"}
    expect(give(shopper, made, british, country="GB"))


def test_a_country_nobody_said_gets_the_fields_that_do_anywhere(api: Api, shopper: Api) -> None:
    payment = order_body("Q")["payment"]
    del payment["sources"][0]["owner"]["address"]
    form = expect(shopper.get(path_of(waiting(api, "Q", payment=payment))))
    assert "country" not in form
    assert form["fields"][1]["name"] == "bankName"
    address = {"line1": "1 High St", "country": "GB"}
    made = waiting(api, "Q", payment=payment, billTo={"name": "Ana Lind", "address": address})
    assert expect(shopper.get(path_of(made)))["country"] == "GB"


def test_wrong_bodies_are_told_field_by_field(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    answer = give(shopper, made, {"iban": 7, "bic": "DE", "colour": "red"})
    problems = [(e["code"], e["parameter"]) for e in expect(answer, 400)["errors"]]
    assert problems == [
        ("missing_parameter", "fields.accountHolderName"),
        ("invalid_parameter", "fields.iban"),
        ("invalid_parameter", "fields.bic"),
        ("unknown_parameter", "fields.colour"),
    ]
    assert_missing(shopper.post(path_of(made), {}), "fields")
    # Mistaken for another field, an account number is not repeated either.
    assert IBAN not in give(shopper, made, {**MAX, "bic": IBAN}).text


def test_a_token_is_used_twenty_times_a_minute_at_most(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    answers = [shopper.get(path_of(made)) for _ in range(22)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    advance(api, 61)
    expect(shopper.get(path_of(made)))


def test_ten_refused_submissions_lock_a_token_for_an_hour(api: Api, shopper: Api) -> None:
    made = waiting(api, "Q")
    for _ in range(10):
        expect(give(shopper, made, {}), 400)
    locked = give(shopper, made, MAX)
    assert locked.status_code == 429
    assert 3500 <= int(locked.headers["Retry-After"]) <= 3600
    advance(api, 3500)
    assert shopper.get(path_of(made)).status_code == 429
    advance(api, 101)
    expect(give(shopper, made, {}), 400)
    expect(give(shopper, made, MAX))


def test_the_api_log_has_the_calls_without_details_and_token(
    service: Service, account: Account, api: Api, shopper: Api
) -> None:
    made = waiting(api, "Q")
    start = service.log_size()
    expect(give(shopper, made, {**MAX, "iban": "DE89370400440532013001"}), 400)
    expect(give(shopper, made, MAX))
    rows = logged_calls(service, account)
    assert [row["status"] for row in rows] == [400, 200]
    kept = "".join(row["text"] for row in rows)
    token = made["tokenInformation"]["token"]
    for secret in (IBAN, "DE89370400440532013001", "Max Muster", token):
        assert secret not in kept
    assert token not in service.log_since(start)
    assert "refund-tokens/{token}" in service.log_since(start)


def logged_calls(service: Service, account: Account) -> list[Any]:
    """The newest two calls of tokens in the API log, which is written a moment later."""
    deadline = time.monotonic() + 10
    while True:
        rows = run_sql(
            service.data_dir,
            "SELECT status, l::text AS text FROM api_log l WHERE method = 'POST'"
            " AND account_id = $1 AND path LIKE '%refund-tokens%' ORDER BY id DESC LIMIT 2",
            account.account_id,
        )
        if [row["status"] for row in rows] == [200, 400] or time.monotonic() > deadline:
            return rows[::-1]
        time.sleep(0.1)


def test_who_pays_by_hand_is_shown_the_details(service: Service, account: Account) -> None:
    """The manual processor, the default of live mode: a person pays, and then says so."""
    live = service.api(account.secret_live)
    order = expect(live.post("/orders", order_body("Q")), 201)
    fulfil(live, order, *(item["quantity"] for item in order["items"]))
    said(run(service, "work", "--drain"))
    for capture in only_charge(live, order)["captures"]:
        said(run(service, "operation", "settle", capture["id"], "complete", "--note", "Ana"))
    made = refund(live, order, percent=100)
    said(run(service, "work", "--drain"))
    (record,) = only_charge(live, order)["refunds"]
    command = ("operation", "bank-details", record["id"])
    assert "No bank details wait" in complaint(run(service, *command))
    expect(give(service.api(None), get_refund(live, made), MAX))
    said(run(service, "work", "--drain"))
    assert get_refund(live, made)["state"] == "pending"
    assert said(run(service, *command)).splitlines() == [
        "accountHolderName\tMax Muster", f"iban\t{IBAN}", "country\tDE",
    ]  # fmt: skip
    said(run(service, "operation", "settle", record["id"], "complete", "--note", "Ana"))
    assert get_refund(live, made)["state"] == "succeeded"
    assert "No bank details wait" in complaint(run(service, *command))


def test_the_order_counts_what_the_other_source_paid_meanwhile(api: Api, shopper: Api) -> None:
    """Two sources, one of which waits: the amount of the form is that of the record that waits."""
    sources = order_body("G")["payment"]["sources"]
    sources[0] = {**sources[0], "type": "wireTransfer"}
    del sources[0]["creditCard"]
    order = given_captured(api, "G", payment={"sources": sources})
    made = settled_refund(api, order, percent=100)
    assert made["state"] == "pending_information"
    assert get_order(api, order)["refundedAmount"] == money("20.0")
    assert expect(shopper.get(path_of(made)))["amount"] == money("6.89")
    fields = {"accountHolderName": "Max", "bankName": "B", "accountNumber": "12345678",
              "swiftBic": "COBADEFF", "bankCountry": "DE"}  # fmt: skip
    expect(give(shopper, made, fields))
    settle(api)
    assert get_refund(api, made)["refundedAmount"] == money("26.89")
