"""Acceptance cases H-01 to H-33: keys, versions, lists, errors, limits, money, idempotency."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import httpx
import pytest

from tests.support.fixtures import (
    advance,
    ask,
    ask_line,
    assert_available,
    element,
    get_refund,
    given_captured,
    line_amounts,
    listed,
    monies,
    refund,
    settled_refund,
)
from tests.support.http import (
    Api,
    Doc,
    assert_bad,
    assert_conflict,
    assert_error,
    assert_forbidden,
    assert_invalid,
    assert_invalid_format,
    assert_unknown,
    error,
    expect,
    money,
)
from tests.support.service import Account, Service

UNAUTHORIZED = {
    "type": "unauthorized",
    "errors": [{"message": "An authorization error has occurred."}],
}


def page(api: Api, query: str) -> tuple[list[str], bool]:
    answer = expect(api.get(f"/refunds?{query}"))
    assert set(answer) == {"hasMore", "data"}
    return [entry["id"] for entry in answer["data"]], answer["hasMore"]


def test_h_01_missing_authorization_is_401(service: Service) -> None:
    response = service.api(None).get("/refunds")
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


def test_h_02_unknown_key_is_401(service: Service) -> None:
    response = service.api("sk_test_00000000000000000000000000000000").get("/refunds")
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


def test_h_03_public_key_is_forbidden(service: Service, account: Account) -> None:
    assert_forbidden(service.api(account.public_test).get("/orders"))


def test_h_04_restricted_key_reads_but_does_not_write(
    service: Service, account: Account, api: Api
) -> None:
    order = given_captured(api, "A")
    reader = service.api(account.create_key(kind="restricted", permissions={"refunds": "read"}))
    assert expect(reader.get("/refunds")) == {"hasMore": False, "data": []}
    assert_forbidden(ask(reader, order, percent=50))
    assert listed(api, "/refunds") == []


def test_h_05_object_of_the_other_mode_is_not_found(
    service: Service, account: Account, api: Api
) -> None:
    order = given_captured(api, "A")
    response = service.api(account.secret_live).get(f"/orders/{order['id']}")
    message = f"Order '{order['id']}' not found."
    assert_error(response, 404, "not_found", "not_found", "id", message)


def test_h_06_version_header(api: Api) -> None:
    expect(api.get("/refunds", {"digitalriver-version": "2021-03-23"}))
    response = api.get("/refunds", {"digitalriver-version": "2019-01-01"})
    assert_invalid(response, "digitalriver-version", "2019-01-01")


def test_h_07_body_that_is_not_json(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    assert_invalid_format(api.request("POST", "/refunds", content="{", headers=headers))


def test_h_08_content_types(api: Api) -> None:
    order = given_captured(api, "A")
    text = json.dumps({"orderId": order["id"], "currency": "USD", "amount": 1.00})

    def post_as(media_type: str) -> httpx.Response:
        return api.request("POST", "/refunds", content=text, headers={"Content-Type": media_type})

    expect(post_as("text/plain"), 201)
    assert_invalid_format(post_as("application/xml"))
    assert len(listed(api, "/refunds")) == 1


def test_h_09_unacceptable_media_type(api: Api) -> None:
    response = api.get("/refunds", {"Accept": "text/html"})
    message = "Only application/json responses are available."
    assert_error(response, 406, "not_acceptable", "not_acceptable", None, message)


def test_h_10_method_not_allowed(api: Api) -> None:
    made = refund(api, given_captured(api, "A"), percent=50)
    response = api.put(f"/refunds/{made['id']}", {})
    message = "The method is not allowed. Provide a valid method value and try again."
    assert_error(response, 405, "method_not_allowed", "method_not_allowed", None, message)
    allowed = {method.strip() for method in response.headers["Allow"].split(",")}
    assert allowed - {"HEAD", "OPTIONS"} == {"GET", "POST"}


@pytest.fixture(scope="module")
def list_of_25(service: Service) -> tuple[Api, list[str]]:
    """25 refunds on 25 orders: the key, and the ids newest first."""
    api = service.api(service.open_account().secret_test)
    made = [refund(api, given_captured(api, "A"), percent=50) for _ in range(25)]
    return api, [each["id"] for each in reversed(made)]


def test_h_11_first_page_is_the_ten_newest(list_of_25: tuple[Api, list[str]]) -> None:
    api, ids = list_of_25
    assert page(api, "") == (ids[:10], True)


def test_h_12_starting_after(list_of_25: tuple[Api, list[str]]) -> None:
    api, ids = list_of_25
    assert page(api, f"startingAfter={ids[9]}") == (ids[10:20], True)
    assert page(api, f"startingAfter={ids[19]}") == (ids[20:], False)


def test_h_13_ending_before(list_of_25: tuple[Api, list[str]]) -> None:
    api, ids = list_of_25
    assert page(api, f"endingBefore={ids[10]}") == (ids[:10], False)


def test_h_14_ending_before_with_limit(list_of_25: tuple[Api, list[str]]) -> None:
    api, ids = list_of_25
    assert page(api, f"endingBefore={ids[20]}&limit=5") == (ids[15:20], True)


@pytest.mark.parametrize("limit", ["0", "101", "abc"])
def test_h_15_limit_out_of_range(api: Api, limit: str) -> None:
    assert_invalid(api.get(f"/refunds?limit={limit}"), "limit", limit)


def test_h_15_limit_of_100(api: Api) -> None:
    assert page(api, "limit=100") == ([], False)


def test_h_16_both_cursors(api: Api) -> None:
    order = given_captured(api, "A")
    first, second = (refund(api, order, amount=1.00)["id"] for _ in range(2))
    response = api.get(f"/refunds?startingAfter={second}&endingBefore={first}")
    message = "Only one of startingAfter and endingBefore may be provided."
    assert_bad(response, "invalid_parameter", "endingBefore", message)


def test_h_17_unknown_cursor(api: Api) -> None:
    assert_invalid(api.get("/refunds?startingAfter=re_nope"), "startingAfter", "re_nope")


def given_three_five_seconds_apart(api: Api) -> list[Doc]:
    order = given_captured(api, "A")
    made: list[Doc] = []
    for _ in range(3):
        made.append(refund(api, order, amount=1.00))
        advance(api, 5)
    assert len({each["createdTime"] for each in made}) == 3
    return made


def test_h_18_range_of_created_times(api: Api) -> None:
    _, second, third = given_three_five_seconds_apart(api)
    since, until = second["createdTime"], third["createdTime"]
    query = f"createdTime[gte]={since}&createdTime[lt]={until}"
    assert page(api, query) == ([second["id"]], False)


def test_h_19_escaped_brackets_and_equality(api: Api) -> None:
    _, second, third = given_three_five_seconds_apart(api)
    since, until = second["createdTime"], third["createdTime"]
    query = f"createdTime%5Bgte%5D={since}&createdTime%5Blt%5D={until}"
    assert page(api, query) == ([second["id"]], False)
    assert page(api, f"createdTime={since}") == ([second["id"]], False)


def test_h_20_bad_timestamp(api: Api) -> None:
    response = api.get("/refunds?createdTime[gt]=yesterday")
    message = "yesterday is not a valid timestamp."
    assert_bad(response, "invalid_parameter", "createdTime", message)


def test_h_21_range_of_amounts(api: Api) -> None:
    refund(api, given_captured(api, "A"), amount=5.40)
    second = refund(api, given_captured(api, "A"), percent=50)
    order = given_captured(api, "B")
    both = [
        element(order, "a", quantity=2, percent=100),
        element(order, "b", quantity=4, percent=50),
    ]
    third = refund(api, order, items=both)
    assert line_amounts(third) == monies("21.61", "21.61")
    assert page(api, "amount[gte]=10&amount[lt]=50") == ([third["id"], second["id"]], False)


@pytest.mark.parametrize(
    ("query", "found"),
    [("ids={x},{y}", 2), ("ids={x}&ids={y}", 2), ("ids[]={x}&ids[]={y}", 2), ("ids[0]={x}", 1)],
)
def test_h_22_several_ids(api: Api, query: str, found: int) -> None:
    order = given_captured(api, "A")
    x, y, _ = (refund(api, order, amount=1.00)["id"] for _ in range(3))
    ids, has_more = page(api, query.format(x=x, y=y))
    assert (set(ids), len(ids), has_more) == ({x, y} if found == 2 else {x}, found, False)


def test_h_23_rate_limit_of_test_keys() -> None:
    """A burst of 60 calls: 25, and what refills meanwhile, pass; a refused refund is not made."""
    with Service(env={"REFUNDRY_RATE_LIMIT_TEST": None}) as limited:
        account = limited.open_account()
        owner = limited.api(account.secret_test)
        order = given_captured(owner, "A")
        key = account.create_key(kind="restricted", permissions={"refunds": "read_write"})
        api = limited.api(key)

        def call(number: int) -> httpx.Response:
            return api.get("/refunds") if number < 30 else ask(api, order, amount=0.01)

        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(call, range(60)))
        elapsed = time.monotonic() - started
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 25 <= len(answers) - len(refused) <= 25 + 25 * elapsed + 1
        for answer in refused:
            kind, message = "too_many_requests", "Too many requests."
            assert_error(answer, 429, kind, kind, None, message)
            assert int(answer.headers["Retry-After"]) >= 1
        created = [answer for answer in answers[30:] if answer.status_code == 201]
        assert len(created) < 30, "no refund was refused"
        assert len(listed(owner, "/refunds?limit=100")) == len(created)


def test_h_24_idempotency_key_replays_the_answer(api: Api) -> None:
    order = given_captured(api, "A")
    body = {"orderId": order["id"], "currency": "USD", "percent": 50}
    first, second = (api.post("/refunds", body, {"Idempotency-Key": "k1"}) for _ in range(2))
    made = expect(first, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert expect(second, 201) == made
    assert second.headers["Idempotent-Replayed"] == "true"
    assert listed(api, "/refunds") == [made["id"]]
    assert_available(api, order, "13.5")


def test_h_25_idempotency_key_with_another_body(api: Api) -> None:
    order = given_captured(api, "A")
    body = {"orderId": order["id"], "currency": "USD", "percent": 50}
    expect(api.post("/refunds", body, {"Idempotency-Key": "k1"}), 201)
    response = api.post("/refunds", {**body, "percent": 40}, {"Idempotency-Key": "k1"})
    message = "The idempotency key was used with a different request."
    assert_conflict(response, "idempotency_key_reused", "Idempotency-Key", message)
    assert len(listed(api, "/refunds")) == 1


def test_h_26_money_is_written_without_float_noise(api: Api) -> None:
    order = given_captured(api, "B")
    both = [
        element(order, "a", quantity=2, percent=100),
        element(order, "b", quantity=4, percent=50),
    ]
    settled_refund(api, order, items=both)
    text = api.get(f"/orders/{order['id']}").text
    assert re.search(r'"refundedAmount": ?43\.22[,}]', text)
    assert re.search(r"\d\.\d{6,}", text) is None


def test_h_27_float_noise_is_snapped(api: Api) -> None:
    made = refund(api, given_captured(api, "B"), amount=53.769999999999996)
    assert made["amount"] == money("53.77")


def test_h_28_too_precise_amount(api: Api) -> None:
    assert_invalid(ask(api, given_captured(api, "A"), amount=10.005), "amount", "10.005")


def test_h_29_every_bad_field_is_reported(api: Api) -> None:
    reason = "x" * 65
    response = api.post("/refunds", {"currency": "USD", "percent": 0, "reason": reason})
    percent_range = "The value must be between 0.01 and 100.00 inclusive."
    assert expect(response, 400) == {
        "type": "bad_request",
        "errors": [
            error("missing_parameter", "orderId", "A parameter is missing."),
            error("invalid_parameter", "percent", percent_range),
            error("invalid_parameter", "reason", f"'{reason}' is not a valid reason."),
        ],
    }


def test_h_30_unknown_fields(api: Api) -> None:
    order = given_captured(api, "A")
    assert_unknown(ask(api, order, percent=50, foo=1), "foo")
    assert_unknown(ask_line(api, order, percent=50, bar=1), "items[0].bar")
    assert listed(api, "/refunds") == []


def test_h_31_unknown_refund(api: Api) -> None:
    message = "Refund 're_x' not found."
    assert_error(api.get("/refunds/re_x"), 404, "not_found", "not_found", "id", message)


def test_h_32_metadata_is_merged(api: Api) -> None:
    sent = {"a": "x", "n": 1.5, "b": True}
    made = refund(api, given_captured(api, "A"), percent=50, metadata=sent)
    stored = get_refund(api, made)["metadata"]
    assert stored == {"a": "x", "n": money("1.5"), "b": True}
    assert stored["b"] is True
    updated = expect(api.post(f"/refunds/{made['id']}", {"metadata": {"n": None, "c": 2}}))
    assert updated["metadata"] == {"a": "x", "b": True, "c": 2}
    assert get_refund(api, made)["metadata"] == updated["metadata"]


def test_h_33_bad_metadata(api: Api) -> None:
    order = given_captured(api, "A")
    response = ask(api, order, percent=50, metadata={"k" * 41: "x"})
    (only,) = expect(response, 400)["errors"]
    assert only == error("invalid_parameter", ANY, ANY)
    assert only["parameter"].startswith("metadata")
    response = ask(api, order, percent=50, metadata={"k": [1, 2]})
    assert_invalid(response, "metadata.k", "[1,2]")
    assert listed(api, "/refunds") == []
