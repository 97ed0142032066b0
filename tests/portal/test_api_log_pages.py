"""Acceptance case B-20, and what else the pages of API logs do."""

import json
from urllib.parse import urlencode

from tests.portal.conftest import SignIn
from tests.support.fixtures import ask, given_captured, refund
from tests.support.http import Api, Doc, expect
from tests.support.portal import Screen, Visitor
from tests.support.processes import eventually
from tests.support.service import Account, Service

LOGS = "/dashboard/api-logs"


def calls(visitor: Visitor, **filters: str) -> list[list[str]]:
    """The rows that the filters leave."""
    screen = visitor.get(f"{LOGS}?{urlencode(filters)}")
    assert screen.status == 200, screen.text
    return screen.rows("api-logs") if screen.has("api-logs") else []


def written(visitor: Visitor, count: int, **filters: str) -> list[list[str]]:
    """The rows, once so many calls are in the log, which is written beside the requests."""
    assert eventually(lambda: len(calls(visitor, **filters)) >= count)
    return calls(visitor, **filters)


def opened(visitor: Visitor, **filters: str) -> Screen:
    """The page of the newest call that the filters leave."""
    link = visitor.get(f"{LOGS}?{urlencode(filters)}").find("api-logs").select_one("tbody a")
    assert link is not None
    return visitor.get(str(link["href"]))


def over_refund(api: Api) -> Doc:
    """What R-07 does: more than there is."""
    order = given_captured(api, "A")
    assert ask(api, order, amount=27.02).status_code == 400
    return order


def test_b_20_a_refused_call_is_found_with_its_error_and_bodies(api: Api, sign_in: SignIn) -> None:
    order = over_refund(api)
    developer = sign_in("developer")
    (row,) = written(developer, 1, status="4xx")
    assert row[0:2] == ["POST /refunds", "400"]
    page = opened(developer, status="4xx")
    asked = json.loads(page.find("request").get_text())
    assert (asked["orderId"], asked["amount"]) == (order["id"], 27.02)
    answered = json.loads(page.find("response").get_text())
    message = answered["errors"][0]["message"]
    assert message in row[5]
    assert message in page.read("error-message")
    assert page.read("call-status") == "400"


def test_calls_are_found_by_every_filter(
    service: Service, account: Account, admin: Visitor
) -> None:
    narrow = account.create_key(kind="restricted", permissions={"orders": "read"})
    headers = {"Upstream-Id": "WEB-7", "Upstream-Application-Id": "Shop/2.1"}
    api = service.api(account.secret_test)
    order = given_captured(api, "A")
    refund(api, order, amount=1)
    expect(service.api(narrow).get(f"/orders/{order['id']}", headers=headers))
    assert service.api(narrow).get("/refunds").status_code == 403
    (row,) = written(admin, 1, status="4xx")
    assert row[0] == "GET /refunds"
    assert {each[0] for each in calls(admin, key=row[4])} == {
        f"GET /orders/{order['id']}", "GET /refunds",
    }  # fmt: skip
    for filters in ({"upstream": "WEB-7"}, {"application": "Shop"}):
        (found,) = calls(admin, **filters)
        assert found[0] == f"GET /orders/{order['id']}"
    assert {each[0] for each in calls(admin, path="/refunds")} == {"GET /refunds", "POST /refunds"}
    assert [each[0] for each in calls(admin, path="/refunds", method="POST")] == ["POST /refunds"]
    assert calls(admin, status="5xx") == calls(admin, method="DELETE") == []
    assert calls(admin, key="nobody's") == []
    assert calls(admin, to="2020-01-01") == []
    assert len(calls(admin, status="2xx")) == len(calls(admin)) - 1


def test_a_refund_leads_to_the_call_that_made_it(api: Api, sign_in: SignIn) -> None:
    made = refund(api, given_captured(api, "A"), amount=1)
    developer = sign_in("developer")
    written(developer, 1, resource=made["id"])
    page = developer.get(f"/dashboard/refunds/{made['id']}")
    call = developer.get(str(page.find("api-request")["href"]))
    assert json.loads(call.find("response").get_text())["id"] == made["id"]
    other = sign_in("customer_service").get(f"/dashboard/refunds/{made['id']}")
    assert (other.status, other.has("api-request")) == (200, False)


def test_the_log_has_pages(api: Api, admin: Visitor) -> None:
    for _ in range(28):
        expect(api.get("/orders"))
    assert eventually(lambda: admin.get(f"{LOGS}?path=/orders").has("older"))
    assert eventually(
        lambda: (
            len(admin.get(LOGS + str(admin.get(LOGS).find("older")["href"])).rows("api-logs")) == 3
        )
    )
    second = admin.get(LOGS + str(admin.get(LOGS).find("older")["href"]))
    first = admin.get(LOGS + str(second.find("newer")["href"]))
    assert (len(first.rows("api-logs")), first.has("newer")) == (25, False)
    for wrong in ("?after=x", "?from=31.12.2024"):
        assert admin.get(LOGS + wrong).status == 400


def test_another_accounts_calls_are_not_found(
    service: Service, admin: Visitor, sign_in: SignIn, api: Api
) -> None:
    over_refund(api)
    written(admin, 1, status="4xx")
    page = opened(admin, status="4xx")
    stranger = Visitor(service)
    stranger.sign_in(service.open_account().create_user("administrator"))
    assert stranger.get(page.path).status == 404
    assert calls(stranger) == []
    stranger.close()
    assert admin.get(f"{LOGS}/no-id").status == 404
    admin.post("/dashboard/mode", {"csrf_token": admin.csrf(), "live": "true"})
    assert admin.get(page.path).status == 404
