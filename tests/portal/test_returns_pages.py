"""Acceptance case B-15, and the pages of returns: asked for, reviewed, accepted."""

from concurrent.futures import ThreadPoolExecutor

from tests.portal.conftest import SignIn
from tests.support.disputes import given_dispute
from tests.support.fixtures import get_order, given_accepted, given_captured, listed, settle
from tests.support.http import Api, Doc, expect, money
from tests.support.portal import Screen, Visitor
from tests.support.returns import (
    accept_return,
    accept_units,
    accepted_return,
    get_return,
    given_return,
)
from tests.support.service import Account, Service


def page_of(goods: Doc) -> str:
    return f"/dashboard/returns/{goods['id']}"


def confirmed(visitor: Visitor, goods: Doc) -> Screen:
    """What is asked after a click on Accept return."""
    button = visitor.get(page_of(goods)).find("accept-return")
    return visitor.get(str(button["href"]))


def accept(visitor: Visitor, goods: Doc, screen: Screen, **fields: str) -> Screen:
    return visitor.post(f"{page_of(goods)}/accept", screen.fields() | fields)


def arrive(visitor: Visitor, goods: Doc, **units: str) -> Screen:
    """The confirmation of some units."""
    fields = visitor.get(page_of(goods)).fields("#partial")
    return visitor.post(f"{page_of(goods)}/accept/review", fields | units)


def asked(visitor: Visitor, order: Doc, **fields: str) -> Screen:
    """The review of a new return."""
    base = f"/dashboard/orders/{order['id']}/returns"
    return visitor.post(f"{base}/review", visitor.get(f"{base}/new").fields() | fields)


def test_b_15_an_accepted_return_is_refunded_at_once(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "W")
    goods = given_return(api, order, 2, "3", reason="Damaged Goods")
    staff = sign_in("customer_service")
    screen = confirmed(staff, goods)
    assert screen.read("consequence") == "A refund of 70.22 USD is issued at once."
    assert screen.read("refund-amount") == "70.22 USD"
    assert listed(api, "/refunds") == []
    done = accept(staff, goods, screen)
    assert (done.path, done.read("flash")) == (page_of(goods), "Return accepted.")
    assert done.read("state") == "Accepted"
    (row,) = done.rows("refunds")
    assert row[2:5] == ["Line items", "70.22 USD", "0.00 USD"]
    settle(api)
    order_page = staff.get(f"/dashboard/orders/{order['id']}")
    assert order_page.rows("refunds")[0][5] == "Succeeded"
    assert order_page.rows("returns")[0][4] == "Accepted"
    assert not staff.get(page_of(goods)).has("accept-return")


def test_one_form_accepts_a_return_once(api: Api, admin: Visitor) -> None:
    goods = given_return(api, given_captured(api, "W"), 2, 3)
    screen = confirmed(admin, goods)
    for _ in range(3):
        done = accept(admin, goods, screen)
        assert (done.status, done.read("flash")) == (200, "Return accepted.")
    assert len(listed(api, "/refunds")) == 1


def test_two_clicks_at_the_same_moment_accept_once(api: Api, admin: Visitor) -> None:
    goods = given_return(api, given_captured(api, "W"), 2, 3)
    screen = confirmed(admin, goods)
    with ThreadPoolExecutor(4) as clicks:
        waiting = [clicks.submit(accept, admin, goods, screen) for _ in range(4)]
    flashes = [each.result().read("flash") for each in waiting]
    assert flashes == ["Return accepted."] * 4
    assert len(listed(api, "/refunds")) == 1


def test_what_was_done_is_in_the_audit_log_and_what_was_refused_is_not(
    account: Account, api: Api, admin: Visitor
) -> None:
    goods = given_return(api, given_captured(api, "A"), 2)
    screen = confirmed(admin, goods)
    before = len(account.audited())
    refused = accept(admin, goods, screen, seen_refund="1")
    assert "the refund comes to 21.61 USD" in refused.error
    assert len(account.audited()) == before
    for _ in range(2):
        accept(admin, goods, screen)
    assert len(account.audited()) == before + 1
    who, action, what = account.audited()[0]
    assert who.startswith("administrator-")
    assert (action, what) == ("return.accept", goods["id"])


def test_units_are_accepted_line_by_line(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "W")
    goods = given_return(api, order, 2, 3)
    first, second = (item["id"] for item in order["items"])
    screen = arrive(admin, goods, **{f"qty-{first}": "2", f"qty-{second}": "1"})
    words = "No refund is issued yet: 2 more units are awaited."
    assert screen.read("consequence").startswith(words)
    assert not screen.has("refund-amount")
    done = accept(admin, goods, screen)
    flash = "Units accepted. The refund follows with the last of them."
    assert (done.read("flash"), done.read("state")) == (flash, "Created")
    assert [row[1:3] for row in done.rows("items")] == [["2", "2"], ["3", "1"]]
    assert listed(api, "/refunds") == []
    last = arrive(admin, goods, **{f"qty-{second}": "2"})
    assert last.read("consequence") == "A refund of 70.22 USD is issued at once."
    assert accept(admin, goods, last).read("flash") == "Return accepted."
    assert len(listed(api, "/refunds")) == 2


def test_too_many_units_are_refused_in_the_apis_words(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    goods = given_return(api, order, 2)
    line = order["items"][0]["id"]
    too_many = arrive(admin, goods, **{f"qty-{line}": "3"})
    assert (too_many.status, too_many.error) == (
        400,
        "Return quantity is larger than order quantity",
    )
    assert "Choose how many" in arrive(admin, goods, **{f"qty-{line}": "0"}).error
    assert arrive(admin, goods, **{f"qty-{line}": "-1"}).status == 400
    assert get_return(api, goods)["items"][0]["quantityAccepted"] == 0


def test_what_was_accepted_meanwhile_is_not_accepted_again(api: Api, admin: Visitor) -> None:
    goods = given_return(api, given_captured(api, "A"), 2)
    screen = confirmed(admin, goods)
    accept_return(api, goods)
    refused = accept(admin, goods, screen)
    assert (refused.status, refused.error) == (400, f"Return {goods['id']} is accepted.")
    assert len(listed(api, "/refunds")) == 1


def test_a_refund_that_changed_meanwhile_is_not_made(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    goods = given_return(api, order, 2)
    screen = confirmed(admin, goods)
    line = order["items"][0]["id"]
    body = {"orderId": order["id"], "currency": "USD", "items": [{"itemId": line, "amount": 5}]}
    expect(api.post("/refunds", body), 201)
    refused = accept(admin, goods, screen)
    assert "the refund comes to 16.61 USD. Nothing was done" in refused.error
    assert get_return(api, goods)["state"] == "created"
    assert len(listed(api, "/refunds")) == 1
    again = accept(admin, goods, confirmed(admin, goods))
    assert again.read("flash") == "Return accepted."


def test_units_that_arrived_meanwhile_change_what_is_agreed_to(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    goods = given_return(api, order, 2)
    part = arrive(admin, goods, **{f"qty-{order['items'][0]['id']}": "1"})
    accept_units(api, order, goods, "a", 1)
    assert "Nothing was done" in accept(admin, goods, part).error
    assert listed(api, "/refunds") == []


def test_a_return_is_reviewed_and_made_once(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "W")
    staff = sign_in("customer_service")
    first, second = (item["id"] for item in order["items"])
    fields = {f"qty-{first}": "2", f"qty-{second}": "1", "reason": "Damaged Goods"}
    screen = asked(staff, order, **fields)
    assert screen.read("review-total") == "37.81 USD"
    assert listed(api, "/returns") == []
    path = f"/dashboard/orders/{order['id']}/returns"
    shown = [staff.post(path, screen.fields()) for _ in range(2)]
    (return_id,) = listed(api, "/returns")
    for done in shown:
        assert done.read("flash") == "Return created."
        assert done.path == f"/dashboard/returns/{return_id}"
    made = expect(api.get(f"/returns/{return_id}"))
    assert (made["reason"], "location" in made) == ("Damaged Goods", False)
    assert [item["quantity"] for item in made["items"]] == [2, 1]
    assert get_order(api, order)["availableToRefundAmount"] == money("70.22")


def test_the_address_of_a_return_is_whole_or_absent(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    line = order["items"][0]["id"]
    address = {
        "line1": "Am Markt 1", "city": "Bremen", "postalCode": "28195", "state": "HB",
        "country": "DE", "name": "Returns desk",
    }  # fmt: skip
    fields = {f"qty-{line}": "1", "reason": "Wrong item", "shipping": "yes"}
    lacking = asked(admin, order, **fields, line1="Am Markt 1", city="Bremen")
    assert lacking.error == (
        "The return shipping information lacks: Postal code, State or region, Country."
    )
    assert lacking.fields()["line1"] == "Am Markt 1"
    screen = asked(admin, order, **fields, **address)
    done = admin.post(f"/dashboard/orders/{order['id']}/returns", screen.fields())
    assert "28195" in done.read("location")
    (return_id,) = listed(api, "/returns")
    location = expect(api.get(f"/returns/{return_id}"))["location"]
    assert location["name"] == "Returns desk"
    assert "line2" not in location["address"]


def test_a_return_needs_units_and_a_reason(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    line = order["items"][0]["id"]
    assert asked(admin, order, reason="x").error == "Choose how many of which items come back."
    missing = asked(admin, order, **{f"qty-{line}": "1"})
    assert missing.error == "Give a reason for the return."
    assert missing.fields()[f"qty-{line}"] == "1"
    long = asked(admin, order, **{f"qty-{line}": "1", "reason": "x" * 65})
    assert "is not a valid reason." in long.error
    too_many = asked(admin, order, **{f"qty-{line}": "3", "reason": "x"})
    assert too_many.error == "Return quantity is larger than order quantity"
    unknown = asked(admin, order, **{"qty-4711": "1", "reason": "x"})
    assert unknown.error == "Item '4711' not found."
    assert listed(api, "/returns") == []


def test_only_what_is_shipped_and_not_coming_back_can_be_returned(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    given_return(api, order, 1)
    form = admin.get(f"/dashboard/orders/{order['id']}/returns/new")
    assert form.find(f"qty-{order['items'][0]['id']}")["max"] == "1"
    unshipped = given_accepted(api, "A")
    button = admin.get(f"/dashboard/orders/{unshipped['id']}").find("create-return")
    assert button["title"] == "No shipped item is left to return."


def test_in_dispute_a_return_is_neither_made_nor_accepted(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    goods = given_return(api, order, 1)
    line = order["items"][0]["id"]
    reviewed = asked(admin, order, **{f"qty-{line}": "1", "reason": "x"})
    screen = confirmed(admin, goods)
    given_dispute(api, order)
    words = "A return cannot be performed while there is a dispute on the order."
    assert admin.get(page_of(goods)).find("accept-return").has_attr("disabled")
    assert admin.get(f"{page_of(goods)}/accept").error == words
    assert accept(admin, goods, screen).error == words
    made = admin.post(f"/dashboard/orders/{order['id']}/returns", reviewed.fields())
    assert made.error == words
    assert len(listed(api, "/returns")) == 1
    assert listed(api, "/refunds") == []


def test_roles_without_the_right_only_look(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "A")
    goods = given_return(api, order, 1)
    for role in ("finance_manager", "developer"):
        visitor = sign_in(role)
        assert not visitor.get(page_of(goods)).has("accept-return")
        fields = {"csrf_token": visitor.csrf()}
        assert visitor.get(f"{page_of(goods)}/accept").status == 403
        assert visitor.post(f"{page_of(goods)}/accept", fields).status == 403
        base = f"/dashboard/orders/{order['id']}/returns"
        assert visitor.get(f"{base}/new").status == 403
        assert visitor.post(base, fields).status == 403
    assert get_return(api, goods)["state"] == "created"


def test_returns_are_found_and_filtered(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "W")
    open_one = given_return(api, order, 1, 0)
    done = accepted_return(api, order, 0, 1)
    given_return(api, given_captured(api, "A"), 1)

    def found(query: str) -> list[str]:
        screen = admin.get(f"/dashboard/returns?{query}")
        return [str(link["title"]) for link in screen.soup.select("#returns a[title]")]

    assert len(found("")) == 3
    assert found(f"q={open_one['id']}") == [open_one["id"]]
    assert set(found(f"q={order['id']}")) == {open_one["id"], done["id"]}
    assert found("state=accepted") == [done["id"]]
    assert found(f"q={order['id'][:5]}") == []
    assert found("to=2020-01-01") == []
    assert admin.get("/dashboard/returns?from=x").status == 400


def test_another_accounts_return_is_not_found(service: Service, admin: Visitor) -> None:
    other = service.api(service.open_account().secret_test)
    goods = given_return(other, given_captured(other, "A"), 1)
    fields = {"csrf_token": admin.csrf()}
    assert admin.get(page_of(goods)).status == 404
    assert admin.get(f"{page_of(goods)}/accept").status == 404
    assert admin.post(f"{page_of(goods)}/accept", fields).status == 404
    assert get_return(other, goods)["state"] == "created"
