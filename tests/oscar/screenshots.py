"""Makes the picture of docs/oscar.md, in a demo shop: part of `make screenshots`."""

from playwright.sync_api import sync_playwright

from tests.browser.screenshots import picture
from tests.oscar.visiting import open_refunds, sign_in
from tests.support.browser import Tab, launch
from tests.support.fixtures import refund
from tests.support.oscar_shop import STAFF, Shop
from tests.support.service import Service
from tests.support.webhooks import LOOPBACK

WIDTH = 1280


def main() -> None:
    """An order that was refunded in part, and a request that was refused."""
    with (
        Service(env={"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}) as service,
        Shop(service) as shop,
    ):
        number = shop.place([("rain-jacket", 2), ("wool-socks", 3)], voucher="SAVE10")
        order = shop.complete(number)
        refund(shop.api, order, type="shipping", percent=100, reason="late_delivery")
        shop.settle()
        with sync_playwright() as playwright:
            playwright.selectors.set_test_id_attribute("data-testid")
            browser = launch(playwright)
            tab = Tab(browser.new_page(viewport={"width": WIDTH, "height": 1640}), shop.url)
            sign_in(tab, STAFF)
            open_refunds(tab, number)
            tab.find("amount-amount").fill("1000")
            tab.click("refund-submit")
            tab.find("refund-error").wait_for()
            open_refunds(tab, number)
            tab.click("kind-items")
            tab.find("qty-2").select_option("1")
            picture("oscar-refunds", tab)
            browser.close()


if __name__ == "__main__":
    main()
