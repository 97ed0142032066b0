"""What people do in the shop with a browser: customers buy, staff ship and look at refunds."""

from refundry_sync.client import Client
from tests.support.browser import Tab
from tests.support.oscar_shop import PASSWORD, Shop


def sign_in(tab: Tab, email: str) -> None:
    tab.go("/accounts/login/")
    tab.page.locator("#id_login-username").fill(email)
    tab.page.locator("#id_login-password").fill(PASSWORD)
    tab.page.locator("button[name=login_submit]").click()
    tab.page.wait_for_url(lambda url: "/login/" not in url)


def buy(tab: Tab, title: str, way: str) -> str:
    """From the product's page to the order's number, as a customer does."""
    page = tab.page
    tab.go("/catalogue/")
    page.get_by_role("link", name=title).first.click()
    page.get_by_role("button", name="Add to basket").first.click()
    tab.go("/checkout/shipping-address/")
    for name, text in (
        ("first_name", "Ana"), ("last_name", "Lind"), ("line1", "Hafenstraße 12"),
        ("line4", "Hamburg"), ("postcode", "20457"),
    ):  # fmt: skip
        page.locator(f"#id_{name}").fill(text)
    page.get_by_role("button", name="Continue").click()
    tab.click(f"way-{way}")
    page.locator("#view_preview").click()
    page.locator("#place-order").click()
    heading = page.locator("#default").inner_text()
    return heading.split("order number is ")[1].split()[0].rstrip(".")


def ship(tab: Tab, number: str) -> None:
    """On the order's page of Oscar's dashboard: all its lines have left."""
    page = tab.page
    tab.go(f"/dashboard/orders/{number}/")
    for box in page.locator("input[name=selected_line]").all():
        box.check()
    page.locator("#shipping_event_check").check()
    page.locator("#shipping_event_type_select").select_option("shipped")
    page.get_by_role("button", name="Go!").click()
    page.get_by_role("alert").first.wait_for()


def open_refunds(tab: Tab, number: str) -> None:
    """The Refunds tab of an order."""
    tab.go(f"/dashboard/orders/{number}/")
    tab.click("tab-refunds")
    tab.find("refundry-panel").wait_for()


def hand_in(shop: Shop, token: str) -> None:
    """The customer's bank details, as the form behind the mail's link sends them."""
    details = {"accountHolderName": "Ana Lind", "iban": "DE89370400440532013000"}
    with Client(shop.refundry_url, shop.account.secret_test) as client:
        form = client.refund_tokens.get(token)
        given = {each.name: details.get(each.name, "x") for each in form.fields if each.required}
        client.refund_tokens.submit(token, {"fields": given})


def states(tab: Tab) -> list[str]:
    return [row[5] for row in tab.rows("refunds") if len(row) > 5]


def wait_for_state(tab: Tab, state: str) -> None:
    """Until the newest refund on the open page has a state, without touching the page."""
    tab.find("refunds").locator(f"tbody tr:first-child:has-text('{state}')").wait_for()
