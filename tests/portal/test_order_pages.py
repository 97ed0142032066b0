"""The list of orders with its search, and what an order's page tells of lines, money and time."""

from tests.portal.test_refund_search import DAY
from tests.support.disputes import given_dispute
from tests.support.fixtures import (
    FIXTURES,
    advance,
    fulfil,
    given_accepted,
    given_captured,
    refund_line,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc, expect
from tests.support.portal import Screen, Visitor
from tests.support.returns import given_return

STATUSES = ["All", "Pending Payment", "In review", "Accepted", "Fulfilled", "Complete", "Blocked",
            "Cancelled", "Returned", "Disputed"]  # fmt: skip


def orders(visitor: Visitor, query: str = "") -> list[str]:
    """The ids in the list, as they stand there."""
    screen = visitor.get(f"/dashboard/orders?{query}")
    assert screen.status == 200, screen.text
    return [row[0] for row in screen.rows("orders")] if screen.has("orders") else []


def page(visitor: Visitor, order: Doc, query: str = "") -> Screen:
    return visitor.get(f"/dashboard/orders/{order['id']}{query}")


def moments(screen: Screen) -> list[str]:
    """What the timeline tells, without its times."""
    return [each.get_text() for each in screen.find("timeline").select("li > div:first-child")]


def test_the_list_says_what_may_be_refunded_newest_first(api: Api, admin: Visitor) -> None:
    older = given_captured(api, "A", upstreamId="WEB-7")
    settled_refund(api, older, amount=5)
    newer = given_accepted(api, "J")
    screen = admin.get("/dashboard/orders")
    head = [each.get_text() for each in screen.find("orders").select("th")]
    assert head == ["ID", "Created", "Email", "Upstream ID", "Total", "Refunded",
                    "Available to refund", "Status"]  # fmt: skip
    rows = [[row[0], *row[2:]] for row in screen.rows("orders")]
    assert rows == [
        [newer["id"], "ana.lind@example.com", "", "3301 JPY", "0 JPY", "0 JPY", "Accepted"],
        [older["id"], "ana.lind@example.com", "WEB-7", "27.01 USD", "5.00 USD", "22.01 USD",
         "Complete"],
    ]  # fmt: skip
    assert screen.find("refresh")["href"] == ""


def test_orders_are_found_by_what_is_complete_alone(api: Api, admin: Visitor) -> None:
    found = given_accepted(api, "A", upstreamId="WEB-1001", email="ben.oak@example.com")
    given_accepted(api, "A", upstreamId="WEB-10012", email="ben.oak@example.com.au")
    for text in (found["id"], "WEB-1001", "ben.oak@example.com", " WEB-1001 "):
        assert orders(admin, f"q={text}") == [found["id"]], text
    for text in (found["id"][:6], found["id"][1:], "WEB-100", "web", "ben.oak", "%25", "_EB-1001"):
        assert orders(admin, f"q={text}") == [], text


def test_filters_narrow_and_are_counted(api: Api, admin: Visitor) -> None:
    old = given_captured(api, "A")
    advance(api, 2 * DAY)
    accepted = given_accepted(api, "A")
    disputed = given_captured(api, "A")
    given_dispute(api, disputed)
    first, last = old["createdTime"][:10], accepted["createdTime"][:10]
    assert orders(admin, "state=complete") == [old["id"]]
    assert orders(admin, "state=accepted") == [accepted["id"]]
    assert orders(admin, "state=dispute") == [disputed["id"]]
    assert orders(admin, f"from={last}") == [disputed["id"], accepted["id"]]
    assert orders(admin, f"to={first}") == [old["id"]]
    assert orders(admin, f"to={first}&state=accepted") == []
    assert admin.get("/dashboard/orders?from=x").status == 400
    screen = admin.get(f"/dashboard/orders?from={first}&state=complete")
    assert screen.read("filters") == "Filters (2)"
    assert screen.find("clear")["href"] == "/dashboard/orders"
    assert admin.get("/dashboard/orders").read("filters") == "Filters"
    assert [each.get_text() for each in screen.find("state").select("option")] == STATUSES


def test_a_page_has_twenty_five(api: Api, admin: Visitor) -> None:
    made = [given_accepted(api, "P")["id"] for _ in range(26)][::-1]
    assert orders(admin) == made[:25]
    (older,) = admin.get("/dashboard/orders").soup.select("a[rel=next]")
    assert orders(admin, str(older["href"]).lstrip("?")) == made[25:]


def test_an_order_shows_every_component_of_its_lines(api: Api, admin: Visitor) -> None:
    (line,) = FIXTURES["E"]["items"]
    more = {"discount": {"amountOff": 2.5}, "metadata": {"gift": "yes"}}
    order = given_captured(api, "E", items=[{**line, **more}])
    settled_refund(api, order, amount=5)
    screen = page(admin, order)
    figures = ("captured-amount", "refunded-amount", "available-amount")
    assert [screen.read(each) for each in figures] == ["44.09 USD", "5.00 USD", "39.09 USD"]
    (item,) = order["items"]
    assert screen.read(f"item-available-{item['id']}")
    details = screen.soup.select_one("section[aria-labelledby=h-items] details")
    assert details is not None
    components = [[cell.get_text() for cell in row.find_all(["th", "td"])]
                  for row in details.select("details > table > tbody > tr")]  # fmt: skip
    assert {name: ordered for name, ordered, *_ in components} == {
        "Product": "20.00", "Product tax": "1.51", "Shipping": "5.00", "Shipping tax": "0.38",
        "Fees": "16.00", "Tax on fees": "1.20",
    }  # fmt: skip
    assert '"amountOff":2.5' in screen.read(f"discount-{item['id']}")
    assert '"gift"' in details.get_text()
    left = api.get(f"/orders/{order['id']}").json()["items"][0]["availableToRefundAmount"]
    assert screen.read(f"item-available-{item['id']}") == f"{left:.2f}"


def test_a_charge_shows_what_was_done_with_it_and_why_it_failed(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "R")
    settled_refund(api, order, amount=3)
    (table,) = page(admin, order).soup.select("section[aria-labelledby=h-charges] tbody")
    rows = [[" ".join(cell.get_text(" ").split()) for cell in row.find_all("td")]
            for row in table.find_all("tr")]  # fmt: skip
    assert [row[1:4] for row in rows] == [
        ["Capture", "27.01 USD", "Complete"], ["Refund", "3.00 USD", "Failed"],
    ]  # fmt: skip
    assert rows[1][4]


def test_the_timeline_is_of_the_whole_order_or_of_one_item(api: Api, admin: Visitor) -> None:
    order = given_accepted(api, "W")
    first, second = (item["id"] for item in order["items"])
    fulfil(api, order, 2, 3)
    settle(api)
    made = refund_line(api, order, "a", amount=4)
    settle(api)
    goods = given_return(api, order, 0, 1)
    told = moments(page(admin, order))
    assert {"Order accepted", "Order fulfilled", "Order complete", "Refund complete"} <= set(told)
    of_first, of_second = (page(admin, order, f"?item={each}") for each in (first, second))
    assert moments(of_first) == [
        "Refund of 4.00 USD: succeeded", "Capture of 21.61 USD: complete", "Ordered, 2 units",
    ]  # fmt: skip
    assert moments(of_second) == [
        "Return of 1: 0 accepted", "Capture of 48.61 USD: complete", "Ordered, 3 units",
    ]  # fmt: skip
    links = {str(a["href"]) for each in (of_first, of_second) for a in
             each.find("timeline").select("a")}  # fmt: skip
    assert links == {f"/dashboard/refunds/{made['id']}", f"/dashboard/returns/{goods['id']}"}
    chosen = of_second.find("timeline-item").find("option", selected=True)
    assert chosen is not None
    assert chosen["value"] == second
    assert page(admin, order, "?item=nothing").status == 404


def test_an_order_of_one_unit_says_so(api: Api, admin: Visitor) -> None:
    order = expect(api.get(f"/orders/{given_accepted(api, 'P')['id']}"))
    (item,) = order["items"]
    assert moments(page(admin, order, f"?item={item['id']}")) == ["Ordered, 1 unit"]
