"""Acceptance cases B-01 and B-14 to B-20 in a browser, with the script of the pages and without."""

import json

import pytest
from playwright.sync_api import expect as see

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPT, Open
from tests.support.answers import status
from tests.support.fixtures import (
    ask,
    get_order,
    given_captured,
    listed,
    order_body,
    paid_by,
    refund,
    source,
)
from tests.support.http import Api, expect, money
from tests.support.receiver import Receiver
from tests.support.returns import accepted_return, given_return
from tests.support.service import PASSWORD, Account, Service
from tests.support.webhooks import is_signed, subscribe

pytestmark = WITH_AND_WITHOUT_SCRIPT


def test_b_01_a_deep_link_survives_the_sign_in(
    account: Account, api: Api, open_tab: Open, script: bool
) -> None:
    order = given_captured(api, "A")
    tab = open_tab(None, script=script)
    tab.go(f"/dashboard/orders/{order['id']}")
    assert tab.page.url.endswith(f"/dashboard/login?next=%2Fdashboard%2Forders%2F{order['id']}")
    tab.fill("email", account.create_user("administrator"))
    tab.fill("password", PASSWORD)
    tab.click("sign-in")
    assert tab.path == f"/dashboard/orders/{order['id']}"
    assert tab.read("available-amount") == "27.01 USD"


@pytest.mark.check
def test_b_14_every_refund_is_found_whatever_made_it(
    api: Api, open_tab: Open, script: bool
) -> None:
    order = given_captured(api, "B")
    by_api = refund(api, order, amount=1)
    accepted_return(api, order, 1)
    refund(api, given_captured(api, "A"), amount=1)
    tab = open_tab(script=script)
    tab.go(f"/dashboard/orders/{order['id']}/refunds/new")
    tab.click("kind-order")
    tab.fill("amount-of-order", "2.00")
    tab.preview()
    tab.click("submit")

    def found(q: str) -> int:
        tab.go("/dashboard/refunds")
        tab.fill("q", q)
        tab.click("search")
        return len(tab.rows("refunds"))

    assert found(order["id"]) == 3
    assert found(by_api["id"]) == 1
    assert found(order["id"][:6]) == 0


def test_b_15_a_return_is_accepted_and_its_refund_appears(
    api: Api, open_tab: Open, script: bool
) -> None:
    order = given_captured(api, "B")
    goods = given_return(api, order, 1)
    tab = open_tab("customer_service", script=script)
    tab.go(f"/dashboard/returns/{goods['id']}")
    assert not tab.has("refunds")
    tab.click("accept-return")
    assert "at once" in tab.read("consequence")
    assert listed(api, "/refunds") == []
    tab.click("submit")
    assert tab.read("flash") == "Return accepted."
    (row,) = tab.rows("refunds")
    (made,) = expect(api.get("/refunds"))["data"]
    amount = sum(item["amount"] for item in made["items"])
    assert row[3] == f"{amount} USD"


def test_b_16_the_token_is_shown_for_the_right_password_and_a_test_is_recorded(
    api: Api, open_tab: Open, receiver: Receiver, script: bool
) -> None:
    endpoint = receiver.endpoint(status(202, b"thanks"))
    webhook = subscribe(api, endpoint)
    tab = open_tab("developer", script=script)
    tab.go(f"/dashboard/webhooks/{webhook['id']}")

    def reveal(password: str) -> None:
        tab.page.locator("#reveal-password").fill(password)
        tab.click("reveal")

    reveal("not the password")
    assert tab.read("error") == "The password is incorrect."
    assert not tab.has("signing-token")
    reveal(PASSWORD)
    token = tab.find("signing-token").input_value()
    tab.find("test-type").select_option("refund.complete")
    tab.click("test")
    assert (tab.read("test-status"), tab.read("test-response")) == ("202", "thanks")
    (row,) = tab.rows("attempts")
    assert (row[3], row[4]) == ("202", tab.read("test-duration"))
    (arrival,) = endpoint.arrivals
    assert is_signed(arrival, token)


@pytest.mark.check
def test_b_17_a_user_manager_sees_only_settings(open_tab: Open, script: bool) -> None:
    tab = open_tab("user_manager", script=script)
    assert tab.go("/dashboard/orders") == 403
    headings = tab.find("navigation").locator("h2").all_inner_texts()
    assert [text.lower() for text in headings] == ["settings"]


def test_b_18_a_form_without_its_token_is_refused(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    tab.go(f"/dashboard/orders/{order['id']}/refunds/new")
    tab.click("kind-order")
    tab.preview()
    for token in tab.page.locator("main [name=csrf_token]").all():
        token.evaluate("field => field.remove()")
    with tab.page.expect_navigation() as answered:
        tab.click("submit")
    assert answered.value.status == 403
    assert listed(api, "/refunds") == []
    assert get_order(api, order)["availableToRefundAmount"] == money("27.01")


def test_b_19_each_mode_shows_its_own_orders(
    service: Service, account: Account, api: Api, open_tab: Open, script: bool
) -> None:
    test = given_captured(api, "A")
    body = order_body("A", payment=paid_by(source("payPal", 27.01)))
    live = expect(service.api(account.secret_live).post("/orders", body), 201)
    tab = open_tab(script=script)

    def shown() -> tuple[str, list[str]]:
        tab.go("/dashboard/orders")
        return tab.read("mode"), [row[0] for row in tab.rows("orders")]

    assert shown() == ("Test", [test["id"]])
    tab.click("mode-switch")
    assert shown() == ("Production", [live["id"]])
    assert tab.go(f"/dashboard/orders/{test['id']}") == 404
    tab.click("mode-switch")
    assert shown() == ("Test", [test["id"]])


@pytest.mark.check
def test_b_20_a_refused_call_is_found_with_its_error_and_bodies(
    api: Api, open_tab: Open, script: bool
) -> None:
    order = given_captured(api, "A")
    assert ask(api, order, amount=27.02).status_code == 400
    tab = open_tab("developer", script=script)
    tab.go("/dashboard/api-logs")
    tab.find("status").select_option("4xx")
    tab.click("apply")
    tab.wait(lambda: tab.has("api-logs"))
    (row,) = tab.rows("api-logs")
    assert row[0:2] == ["POST /refunds", "400"]
    tab.click(tab.page.get_by_role("link", name="POST /refunds"))
    answered = json.loads(tab.find("response").inner_text())
    assert json.loads(tab.find("request").inner_text())["orderId"] == order["id"]
    see(tab.find("error-message")).to_contain_text(answered["errors"][0]["message"])
