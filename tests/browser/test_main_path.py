"""How much work the main path is: an order found by its ID, half of it refunded, its state seen."""

from tests.support.browser import Effort, Tab
from tests.support.fixtures import given_captured, settle
from tests.support.http import Api
from tests.support.service import ROOT

MOST_CLICKS = 5


def refund_half(tab: Tab, order_id: str) -> Effort:
    """From the page after signing in, by mouse, to the refund's state; what it took."""
    tab.effort = Effort()
    tab.click("q")
    tab.type(order_id)
    tab.press("Enter")
    tab.click(tab.page.get_by_role("link", name=order_id))
    tab.click("create-refund")
    tab.click("kind-order")
    tab.press("Tab")  # to the amount, and selects it
    tab.type("13.51")
    tab.preview()
    tab.click("submit")
    assert tab.read("flash") == "Refund submitted."
    assert tab.rows("refunds")[0][3:6] == ["13.51 USD", "0.00 USD", "Pending"]
    return tab.effort


def test_the_main_path_takes_five_clicks(api: Api, tab: Tab) -> None:
    order = given_captured(api, "A")
    tab.page.reload()
    effort = refund_half(tab, order["id"])
    own_keys = effort.keys - len(order["id"]) - len("13.51")
    tab.effort = Effort()
    settle(api)
    tab.page.reload()
    assert tab.rows("refunds")[0][4:6] == ["13.51 USD", "Succeeded"]
    words = f"{effort.pages} pages, {effort.clicks} clicks and {effort.keys} keys"
    print(f"main path: {words}, {own_keys} beside the ID and the amount")
    assert effort.clicks <= MOST_CLICKS
    assert words in " ".join((ROOT / "docs/issue-a-refund.md").read_text("utf-8").split())
