"""What browsers are told beside the page: who may frame it, and when to send its cookies."""

from collections.abc import Iterator

import pytest

from tests.portal.conftest import Stranger
from tests.support.portal import Visitor
from tests.support.service import PASSWORD, Account, Service

OVER_TLS = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https", "X-Forwarded-Ssl": "on"}


@pytest.fixture(scope="module")
def public() -> Iterator[Service]:
    """A service behind a proxy that speaks TLS with browsers."""
    with Service(env={"REFUNDRY_PUBLIC_URL": "https://refunds.shop.example"}) as service:
        yield service


def cookies(service: Service, account: Account, headers: dict[str, str]) -> list[str]:
    """What the sign-in sets, for visitors and for those who are signed in."""
    visitor = Visitor(service)
    shown = visitor.client.get("/dashboard/login", headers=headers)
    visitor_cookie = shown.headers["set-cookie"]
    token = visitor_cookie.partition(";")[0].partition("=")[2]
    fields = {"email": account.create_user("developer"), "password": PASSWORD, "csrf_token": token}
    entered = visitor.client.post(
        "/dashboard/login",
        data=fields,
        headers={"Cookie": f"refundry_visitor={token}", **headers},
        follow_redirects=False,
    )
    assert entered.status_code == 303
    visitor.close()
    return [visitor_cookie, entered.headers["set-cookie"]]


def test_cookies_of_a_public_service_go_over_tls_alone(public: Service) -> None:
    for each in cookies(public, public.open_account(), {}):
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(each.split("; "))


def test_no_header_says_that_there_is_tls(service: Service, account: Account) -> None:
    for headers in ({}, OVER_TLS):
        for each in cookies(service, account, headers):
            assert "Secure" not in each.split("; ")


def test_no_site_may_frame_a_page(admin: Visitor, stranger: Stranger) -> None:
    nobody = stranger()
    answers = [
        nobody.get("/dashboard/login"),
        nobody.get("/dashboard/password/x"),
        admin.get("/dashboard/orders"),
        admin.get("/dashboard/nowhere"),
        admin.get("/dashboard/api-keys"),
        admin.post("/dashboard/mode", {}),
        admin.post("/dashboard/orders", {}),
    ]
    assert {answer.status for answer in answers} == {200, 400, 403, 404, 405}
    for answer in answers:
        headers = answer.response.headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], answer.path
        assert headers["x-frame-options"] == "DENY"
