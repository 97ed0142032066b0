"""A failed refund paid another way, and a processor asked, with the pages' script and without."""

from collections.abc import Iterator

import pytest

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPT, Open
from tests.contract.connectors.stand import Plan
from tests.support.fixtures import given_captured, settle, settled_refund
from tests.support.http import Api, expect
from tests.support.service import Account
from tests.support.stripe_desk import StripeDesk, stripe_desk

pytestmark = WITH_AND_WITHOUT_SCRIPT


@pytest.fixture
def stripe(account: Account) -> Iterator[StripeDesk]:
    with stripe_desk() as desk:
        desk.take_payments_of(account)
        yield desk


def test_a_failed_refund_is_given_as_store_credit(api: Api, open_tab: Open, script: bool) -> None:
    first = settled_refund(api, given_captured(api, "R"), amount=5)
    tab = open_tab(script=script)
    tab.go(f"/dashboard/refunds/{first['id']}")
    assert tab.barriers() == []
    tab.click("way-store_credit")
    tab.fill("way-reason", "The card is closed.")
    tab.click("pay-another-way")
    assert tab.read("flash") == "This refund stands in the place of the one that failed."
    assert tab.read("state") == "Succeeded"
    made = expect(api.get(f"/refunds/{tab.path.rpartition('/')[2]}"))
    assert (made["replaces"], made["payoutWay"]) == (first["id"], "store_credit")
    assert tab.barriers() == []


def test_a_processor_is_asked_by_a_button(
    stripe: StripeDesk, api: Api, open_tab: Open, script: bool
) -> None:
    order = stripe.sold(api)
    stripe.plan(Plan(end="pending"))
    made = settled_refund(api, order, amount=5)
    tab = open_tab(script=script)
    tab.go(f"/dashboard/refunds/{made['id']}")
    assert tab.read("last-checked") == "never"
    assert tab.barriers() == []
    operation = tab.find("ask-processor").locator("xpath=../input[@name='operation']")
    stripe.settle(operation.get_attribute("value") or "")
    tab.click("ask-processor")
    assert tab.read("flash").startswith("The processor is being asked.")
    settle(api)
    tab.go(f"/dashboard/refunds/{made['id']}")
    assert tab.read("state") == "Succeeded"
    assert tab.has("arn")
