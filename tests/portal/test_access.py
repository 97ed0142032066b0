"""Acceptance cases B-01, B-17 to B-19: who comes in, and what they see."""

import re

from tests.portal.conftest import SignIn, Stranger
from tests.support.fixtures import given_captured, order_body, paid_by, source
from tests.support.http import Api, expect
from tests.support.portal import Visitor
from tests.support.service import Account, Service


def test_b_01_a_deep_link_survives_the_sign_in(
    account: Account, api: Api, stranger: Stranger
) -> None:
    order = given_captured(api, "A")
    path = f"/dashboard/orders/{order['id']}"
    visitor = stranger()
    asked = visitor.get(path, follow=False)
    assert asked.status == 303
    assert (
        asked.response.headers["location"]
        == f"/dashboard/login?next=%2Fdashboard%2Forders%2F{order['id']}"
    )
    login = visitor.get(asked.response.headers["location"])
    fields = login.fields() | {
        "email": account.create_user("administrator"),
        "password": "correct horse battery staple",
    }
    entered = visitor.post("/dashboard/login", fields, follow=False)
    assert (entered.status, entered.response.headers["location"]) == (303, path)
    assert visitor.get(path).status == 200


def test_another_site_is_no_place_to_go_after_signing_in(
    account: Account, stranger: Stranger
) -> None:
    email = account.create_user("administrator")
    for place in (
        "//evil.example", "https://evil.example/dashboard", "/\\evil.example",
        "/dashboard\\@evil.example", "/dashboard/\r\nX: y", "/dashboards", "javascript:1",
    ):  # fmt: skip
        visitor = stranger()
        fields = visitor.get("/dashboard/login").fields() | {"next": place, "email": email}
        fields["password"] = "correct horse battery staple"
        entered = visitor.post("/dashboard/login", fields, follow=False)
        assert entered.response.headers["location"] == "/dashboard/start", place


def test_a_wrong_password_and_an_unknown_address_look_alike(
    account: Account, stranger: Stranger
) -> None:
    email = account.create_user("administrator")
    for address in (email, "nobody@shop.example"):
        screen = stranger().sign_in(address, "not the password")
        assert (screen.status, screen.error) == (401, "Email or password is incorrect.")


def test_five_failures_lock_a_user_out(account: Account, stranger: Stranger) -> None:
    email = account.create_user("developer")
    visitor = stranger()
    for _ in range(5):
        visitor.sign_in(email, "not the password")
    assert visitor.sign_in(email).error == "Email or password is incorrect."


def test_b_17_a_user_manager_sees_only_settings(admin: Visitor, sign_in: SignIn) -> None:
    manager = sign_in("user_manager")
    screen = manager.get("/dashboard/orders")
    assert screen.status == 403
    assert "Orders" not in screen.read("navigation")
    assert "Orders" in admin.get("/dashboard/orders").read("navigation")


def test_b_18_a_form_without_its_token_is_refused(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    fields = {"kind": "order", "amount-of-order": "1.00"}
    for path in (
        f"/dashboard/orders/{order['id']}/refunds",
        "/dashboard/mode",
        "/dashboard/logout",
    ):
        assert admin.post(path, fields).status == 403
        assert admin.post(path, fields | {"csrf_token": "0" * 64}).status == 403
    assert admin.get("/dashboard/orders").path == "/dashboard/orders"


def test_another_sessions_token_is_refused(admin: Visitor, sign_in: SignIn) -> None:
    token = sign_in().csrf()
    assert admin.post("/dashboard/mode", {"csrf_token": token, "live": "true"}).status == 403


def test_b_19_each_mode_shows_its_own_orders(
    service: Service, account: Account, api: Api, admin: Visitor
) -> None:
    test = given_captured(api, "A")
    body = order_body("A", payment=paid_by(source("payPal", 27.01)))
    live = expect(service.api(account.secret_live).post("/orders", body), 201)
    screen = admin.get("/dashboard/orders")
    assert (screen.read("mode"), [row[0] for row in screen.rows("orders")]) == (
        "Test",
        [test["id"]],
    )
    assert admin.get(f"/dashboard/orders/{live['id']}").status == 404
    screen = admin.post("/dashboard/mode", {"csrf_token": admin.csrf(), "live": "true"})
    assert screen.read("mode") == "Production"
    assert [row[0] for row in admin.get("/dashboard/orders").rows("orders")] == [live["id"]]
    assert admin.get(f"/dashboard/orders/{test['id']}").status == 404


def test_another_accounts_order_is_not_found(service: Service, admin: Visitor) -> None:
    other = service.open_account()
    order = given_captured(service.api(other.secret_test), "A")
    screen = admin.get(f"/dashboard/orders/{order['id']}")
    assert screen.status == 404
    assert order["id"] in screen.error


def test_the_session_changes_at_sign_in_and_ends_at_sign_out(
    account: Account, stranger: Stranger
) -> None:
    email = account.create_user("administrator")
    visitor = stranger()
    visitor.client.cookies.set("refundry_session", "0" * 64, path="/dashboard")
    visitor.sign_in(email)
    cookies = [c.value for c in visitor.client.cookies.jar if c.name == "refundry_session"]
    session = next(value for value in cookies if value and value != "0" * 64)
    thief = stranger()
    thief.client.cookies.set("refundry_session", session, path="/dashboard")
    assert thief.get("/dashboard/orders").path == "/dashboard/orders"
    thief.post("/dashboard/logout", {"csrf_token": thief.csrf()})
    assert visitor.get("/dashboard/orders").path == "/dashboard/login"


def test_pages_say_what_they_may_load_and_cookies_are_closed(
    account: Account, admin: Visitor, stranger: Stranger
) -> None:
    screen = admin.get("/dashboard/orders")
    policy = screen.response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert screen.response.headers["cache-control"] == "no-store"
    assert not screen.soup.find(style=True)
    assert not screen.soup.select("script:not([src]), style, [onclick]")
    addresses = re.findall(r'(?:src|href|action)="([^"]+)"', screen.response.text)
    assert addresses
    assert all(re.match(r"/|\?|#|$", each) for each in addresses)
    entered = stranger()
    fields = entered.get("/dashboard/login").fields()
    fields |= {
        "email": account.create_user("developer"),
        "password": "correct horse battery staple",
    }
    cookie = entered.post("/dashboard/login", fields, follow=False).response.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/dashboard"} <= set(cookie.split("; "))


def test_what_leads_nowhere_is_said_so_on_a_page(admin: Visitor, stranger: Stranger) -> None:
    screen = admin.get("/dashboard/nowhere/at/all")
    assert screen.status == 404
    assert screen.has("navigation")
    assert stranger().get("/dashboard/nowhere").path == "/dashboard/login"
