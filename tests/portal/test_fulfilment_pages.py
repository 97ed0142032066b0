"""Acceptance case B-12's other buttons: Fulfill items and Cancel items."""

import pytest

from tests.portal.conftest import SignIn
from tests.support.disputes import given_dispute
from tests.support.fixtures import fulfil, get_order, given_accepted, given_captured, settle
from tests.support.http import Api, Doc, money
from tests.support.portal import Screen, Visitor
from tests.support.service import Account

WAYS = ("fulfill", "cancel")


def review(visitor: Visitor, order: Doc, way: str, **fields: str) -> Screen:
    """The confirmation that the filled-in form leads to."""
    path = f"/dashboard/orders/{order['id']}/{way}"
    return visitor.post(f"{path}/review", visitor.get(path).fields() | fields)


def submit(visitor: Visitor, order: Doc, way: str, reviewed: Screen) -> Screen:
    return visitor.post(f"/dashboard/orders/{order['id']}/{way}", reviewed.fields())


def field(order: Doc, index: int = 0) -> str:
    return f"qty-{order['items'][index]['id']}"


def test_units_are_fulfilled_once_and_captured(account: Account, api: Api, sign_in: SignIn) -> None:
    order = given_accepted(api, "N")
    staff = sign_in("customer_service")
    fields = {field(order, 0): "2", field(order, 1): "0", "trackingNumber": "00340434"}
    reviewed = review(staff, order, "fulfill", **fields)
    assert reviewed.read("review-total") == "64.52 USD"
    assert "Captured from Visa •••• 1111 64.52 USD" in reviewed.text
    assert get_order(api, order)["items"][0]["state"] == "created"
    for _ in range(2):
        done = submit(staff, order, "fulfill", reviewed)
        assert done.path == f"/dashboard/orders/{order['id']}"
        assert done.read("flash") == "Items fulfilled."
    settle(api)
    assert get_order(api, order)["capturedAmount"] == money("64.52")
    assert staff.get(f"/dashboard/orders/{order['id']}").read("captured-amount") == "64.52 USD"
    actions = [action for _, action, _ in account.audited()]
    assert actions.count("fulfillment.create") == 1


def test_all_that_is_left_is_proposed_to_be_fulfilled_and_nothing_to_be_cancelled(
    api: Api, admin: Visitor
) -> None:
    order = given_accepted(api, "N")
    fulfil(api, order, 1, 0)
    base = f"/dashboard/orders/{order['id']}"
    left = [admin.get(f"{base}/fulfill").fields()[field(order, index)] for index in (0, 1)]
    assert left == ["2", "2"]
    none = [admin.get(f"{base}/cancel").fields()[field(order, index)] for index in (0, 1)]
    assert none == ["0", "0"]


def test_units_are_cancelled_and_never_captured(api: Api, admin: Visitor) -> None:
    order = given_accepted(api, "A")
    reviewed = review(admin, order, "cancel", **{field(order): "2"})
    assert reviewed.read("consequence").startswith("The units are cancelled for good.")
    done = submit(admin, order, "cancel", reviewed)
    assert done.read("flash") == "Items cancelled."
    settle(api)
    assert get_order(api, order)["state"] == "cancelled"
    assert submit(admin, order, "cancel", reviewed).read("flash") == "Items cancelled."


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    api: Api, admin: Visitor, way: str
) -> None:
    order = given_accepted(api, "A")
    before = get_order(api, order)
    assert (
        review(admin, order, way, **{field(order): "0"}).error == "Choose how many of which items."
    )
    for units in ("3", "-1", "1.5", "x", "9999999999"):
        assert review(admin, order, way, **{field(order): units}).status == 400, units
    assert review(admin, order, way, **{"qty-4711": "1"}).error == "Item '4711' not found."
    assert get_order(api, order) == before


@pytest.mark.parametrize("way", WAYS)
def test_units_that_are_gone_meanwhile_are_refused(api: Api, admin: Visitor, way: str) -> None:
    order = given_accepted(api, "N")
    reviewed = review(admin, order, way, **{field(order): "3", field(order, 1): "0"})
    fulfil(api, order, 2, 0)
    before = get_order(api, order)
    refused = submit(admin, order, way, reviewed)
    assert (refused.status, refused.find(field(order))["max"]) == (400, "1")
    assert refused.error
    assert get_order(api, order) == before


def test_b_12_in_dispute_nothing_is_fulfilled_or_cancelled(api: Api, admin: Visitor) -> None:
    order = given_accepted(api, "A")
    reviewed = {way: review(admin, order, way, **{field(order): "1"}) for way in WAYS}
    given_dispute(api, order)
    screen = admin.get(f"/dashboard/orders/{order['id']}")
    for way in WAYS:
        assert screen.find(way).has_attr("disabled")
        assert screen.find(way)["title"] == "There is a dispute on the order."
        form = admin.get(f"/dashboard/orders/{order['id']}/{way}")
        assert form.error == "There is a dispute on the order."
        refused = submit(admin, order, way, reviewed[way])
        assert refused.error == f"Order '{order['id']}' has not been submitted."
    assert get_order(api, order)["items"][0]["state"] == "created"


def test_a_complete_order_has_nothing_left(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    button = admin.get(f"/dashboard/orders/{order['id']}").find("fulfill")
    assert button["title"] == "No item is left to fulfil or cancel."
    form = admin.get(f"/dashboard/orders/{order['id']}/fulfill")
    assert not form.has("review")


def test_roles_without_the_right_cannot(api: Api, sign_in: SignIn) -> None:
    order = given_accepted(api, "A")
    for role in ("finance_manager", "developer", "user_manager"):
        visitor = sign_in(role)
        assert not visitor.get(f"/dashboard/orders/{order['id']}").has("fulfill")
        for way in WAYS:
            path = f"/dashboard/orders/{order['id']}/{way}"
            fields = {"csrf_token": visitor.csrf(), field(order): "1"}
            assert visitor.get(path).status == 403
            assert visitor.post(path, fields).status == 403
            assert visitor.post(f"{path}/review", fields).status == 403
    assert get_order(api, order)["items"][0]["state"] == "created"
