"""The page on which a shopper sees how a refund stands, behind a signed link."""

import pytest

from refundry.sealing import open_vault
from refundry.settings import load_settings
from refundry.shopper.links import status_link
from refundry.tenant import Tenant
from tests.support.fixtures import advance, given_captured, refund, settle, settled_refund
from tests.support.http import Api, Doc
from tests.support.portal import Screen
from tests.support.service import Account, Service


def link_of(service: Service, account: Account, refund: Doc) -> str:
    settings = load_settings(service.environment, {"data_dir": service.data_dir})
    tenant = Tenant(account.account_id, live=False)
    return f"/refund-status/{status_link(open_vault(settings), tenant, refund['id'])}"


def look(service: Service, path: str, accepted: str = "en") -> Screen:
    return Screen(service.client.get(path, headers={"Accept-Language": accepted}))


def test_a_refund_from_request_to_payment(service: Service, account: Account, api: Api) -> None:
    made = refund(api, given_captured(api, "A"), percent=50)
    path = link_of(service, account, made)
    before = look(service, path)
    assert before.status == 200
    assert (before.read("amount"), before.read("state")) == ("$13.51", "On its way")
    assert before.read("reference") == made["id"]
    settle(api)
    paid = look(service, path)
    assert (paid.read("state"), paid.read("methods")) == ("Paid", "Card ending in 1111")
    assert paid.read("expected").startswith("Usually by ")
    advance(api, 30 * 86_400)
    assert look(service, path).read("expected").startswith("It should be there.")


@pytest.mark.parametrize(
    ("order", "state", "text"),
    [
        ("R", "Not paid", "could not be paid"),
        ("Q", "Waiting for your bank details", "Open the link"),
        ("G", "Paid", "The money was sent"),
    ],
)
def test_states_in_plain_words(
    service: Service, account: Account, api: Api, order: str, state: str, text: str
) -> None:
    made = settled_refund(api, given_captured(api, order), percent=100)
    page = look(service, link_of(service, account, made))
    assert page.read("state") == state
    assert text in page.read("state-text")
    assert page.has("expected") == (order != "R")


def test_an_expired_refund(service: Service, account: Account, api: Api) -> None:
    made = settled_refund(api, given_captured(api, "J"), percent=100)
    advance(api, 31 * 86_400)
    page = look(service, link_of(service, account, made))
    assert "did not come in time" in page.read("state-text")


@pytest.mark.parametrize(
    ("accepted", "state"),
    [("en", "Paid"), ("de-DE", "Bezahlt"), ("fr", "Payé"), ("es", "Pagado"), ("ja", "返金済み"),
     ("pt-BR", "Pago"), ("nl", "Paid")],
)  # fmt: skip
def test_languages(service: Service, account: Account, api: Api, accepted: str, state: str) -> None:
    made = settled_refund(api, given_captured(api, "A"), percent=50)
    path = link_of(service, account, made)
    assert look(service, path, accepted).read("state") == state
    # A choice counts for more than what the browser asks for.
    page = look(service, f"{path}?lang=de", accepted)
    assert page.read("state") == "Bezahlt"
    assert page.response.headers["Content-Language"] == "de"
    assert len(page.soup.select("nav.languages a")) == 6


def test_it_tells_nothing_of_anything_else(service: Service, account: Account, api: Api) -> None:
    order = given_captured(api, "A")
    made, other = (settled_refund(api, order, amount=amount) for amount in (5.00, 3.00))
    page = look(service, link_of(service, account, made))
    for secret in (order["id"], other["id"], "ana.lind@example.com", "Lind", "27.01", "sku-tee"):
        assert secret not in page.response.text
    assert "noindex" in page.response.headers["X-Robots-Tag"]
    assert page.response.headers["Cache-Control"] == "no-store"
    assert page.response.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")


def test_a_link_cannot_be_made_up(service: Service, account: Account, api: Api) -> None:
    made = settled_refund(api, given_captured(api, "A"), percent=50)
    path = link_of(service, account, made)
    nobody = link_of(service, account, {"id": "re_nobody"})
    for wrong in (path[:-3] + "xyz", path + "A", "/refund-status/x", nobody):
        page = look(service, wrong)
        assert (page.status, page.read("told")) == (404, "This link is no longer valid.")
    assert service.client.post(path).status_code == 405


def test_too_many_look_ups_are_put_off(service: Service) -> None:
    """From an address of its own, as a proxy in front names it."""
    headers = {"X-Forwarded-For": "192.0.2.77"}
    answers = [service.client.get("/refund-status/x", headers=headers) for _ in range(62)]
    assert [answer.status_code for answer in answers] == [404] * 60 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) >= 1
