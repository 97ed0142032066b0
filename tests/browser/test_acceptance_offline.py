"""Acceptance cases F-04, F-05, F-07, F-08 and F-13 in a browser, with a script and without.

The form needs none, and its page has none. F-14 is in `test_offline_element`; the cases without a
page are in tests/system.
"""

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPT, Open
from tests.support.browser import Tab
from tests.support.fixtures import advance, get_refund, given_captured, settle, settled_refund
from tests.support.http import Api, Doc

pytestmark = WITH_AND_WITHOUT_SCRIPT

IBAN = "DE89370400440532013000"
GONE = "This link is no longer valid."


def given_waiting(api: Api) -> tuple[Doc, str]:
    """Q, all of it refunded and waiting for bank details, and the address of its form."""
    refund = settled_refund(api, given_captured(api, "Q"), amount="29.75")
    return refund, f"/offline-refund/{refund['tokenInformation']['token']}"


def fill(tab: Tab, iban: str) -> None:
    tab.page.locator("#accountHolderName").fill("Max Muster")
    tab.page.locator("#iban").fill(iban)
    tab.page.locator("#submit").click()


def test_f_04_and_f_05_and_f_07_details_are_corrected_taken_and_taken_once(
    api: Api, open_tab: Open, script: bool
) -> None:
    refund, path = given_waiting(api)
    tab = open_tab(None, script=script)
    assert tab.go(path) == 200
    assert "29.75" in tab.page.inner_text("body")
    fill(tab, IBAN[:-1] + "1")
    tab.find("error-iban").wait_for()
    assert get_refund(api, refund)["state"] == "pending_information"
    fill(tab, IBAN)
    tab.find("success").wait_for()
    assert tab.read("success").startswith("Your bank details were received.")
    settle(api)
    assert get_refund(api, refund)["state"] == "succeeded"
    assert tab.go(path) == 410
    assert GONE in tab.page.inner_text("body")


def test_f_08_and_f_13_the_form_dies_after_thirty_days(
    api: Api, open_tab: Open, script: bool
) -> None:
    _, path = given_waiting(api)
    tab = open_tab(None, script=script)
    assert tab.go(path) == 200
    assert tab.page.locator("#iban").is_visible()
    advance(api, 30 * 86_400 + 1)
    assert tab.go(path) == 410
    assert GONE in tab.page.inner_text("body")
    assert tab.page.locator("form").count() == 0
