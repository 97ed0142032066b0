"""F-14: the form for bank details in a merchant's page, in a real browser."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Shop
from tests.support.fixtures import advance, get_refund, given_captured, settle, settled_refund
from tests.support.http import Api, Doc
from tests.support.service import Account, Service

IBAN = "DE89370400440532013000"
READY = {"elementType": "offlinerefund"}
COMPLETE = {"complete": True, "empty": False, "elementType": "offlinerefund", "error": None}
EXPIRED = {
    "type": "validation_error",
    "code": "refund_token_expired",
    "message": "The refund token is no longer valid.",
}

pytestmark = pytest.mark.check


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def account(service: Service) -> Account:
    return service.open_account()


@pytest.fixture(scope="module")
def api(service: Service, account: Account) -> Api:
    return service.api(account.secret_test)


def waiting(api: Api) -> Doc:
    made = settled_refund(api, given_captured(api, "Q"), percent=100)
    assert made["state"] == "pending_information"
    return made


def token_of(refund: Doc) -> str:
    return refund["tokenInformation"]["token"]


def told(page: Page, count: int) -> list[Any]:
    """What the page's listeners were told, once it is `count` things."""
    page.wait_for_function(f"told.length >= {count}", timeout=20_000)
    page.wait_for_timeout(300)  # a second event would have come by now
    return json.loads(page.evaluate("JSON.stringify(told)"))


@pytest.mark.parametrize("name", ["offlinerefund", "offlineRefund"])
def test_f_14_ready_once_and_complete_once(api: Api, shop: Shop, name: str) -> None:
    made = waiting(api)
    page = shop(token_of(made), name)
    assert told(page, 1) == [["ready", READY]]
    form = page.frame_locator("#place iframe")
    form.locator("#accountHolderName").fill("Max Muster")
    form.locator("#iban").fill(IBAN[:-1] + "1")
    form.locator("#submit").click()
    form.locator("#e-iban").wait_for()
    assert told(page, 1) == [["ready", READY]]
    assert page.locator("#place").get_attribute("class") == "b i"
    form.locator("#iban").fill(IBAN)
    form.locator("#submit").click()
    form.locator("#success").wait_for()
    assert told(page, 2) == [["ready", READY], ["change", COMPLETE]]
    assert page.locator("#place").get_attribute("class") == "b c"
    settle(api)
    assert get_refund(api, made)["state"] == "succeeded"


def test_the_merchants_page_cannot_look_in(api: Api, shop: Shop) -> None:
    page = shop(token_of(waiting(api)))
    told(page, 1)
    page.frame_locator("#place iframe").locator("#iban").fill(IBAN)
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None
    assert IBAN not in page.content()
    height = page.locator("#place iframe").evaluate("frame => frame.clientHeight")
    inside = page.frames[1].evaluate("document.documentElement.scrollHeight")
    assert abs(height - inside) <= 2, "the frame is as tall as the form"


def test_the_form_is_dressed_as_the_merchant_says(api: Api, shop: Shop) -> None:
    page = shop(token_of(waiting(api)))
    told(page, 1)
    field = page.frame_locator("#place iframe").locator("#accountHolderName")
    colour = "field => getComputedStyle(field).color"
    assert field.evaluate(colour) == "rgb(255, 0, 0)"
    field.fill("Max")
    assert field.evaluate(colour) == "rgb(0, 0, 255)"


def test_a_dead_token_is_told(api: Api, shop: Shop) -> None:
    made = waiting(api)
    advance(api, 31 * 86_400)
    page = shop(token_of(made))
    ((name, event),) = told(page, 1)
    assert name == "change"
    assert (event["complete"], event["error"]) == (False, EXPIRED)
    text = page.frame_locator("#place iframe").locator("#told").inner_text()
    assert text == "This link is no longer valid."


def test_unmount_mount_and_destroy(api: Api, shop: Shop) -> None:
    page = shop(token_of(waiting(api)))
    told(page, 1)
    page.evaluate("element.unmount()")
    assert page.locator("iframe").count() == 0
    page.evaluate("element.mount('place')")
    assert told(page, 2) == [["ready", READY]] * 2
    page.evaluate("element.destroy()")
    assert page.locator("iframe").count() == 0
    again = "try { element.mount('place'); 'mounted' } catch (error) { error.code }"
    assert page.evaluate(again) == "invalid_state"


def test_an_element_without_a_token_is_refused(shop: Shop) -> None:
    page = shop("00000000-0000-4000-8000-000000000000")
    refused = "try { dr.createElement('offlinerefund', {}) } catch (error) { error.code }"
    assert page.evaluate(refused) == "missing_parameter"
