"""Acceptance cases B-02 to B-12: the refund page, without a script."""

from tests.portal.conftest import SignIn
from tests.support.disputes import given_dispute
from tests.support.fixtures import (
    card,
    get_order,
    given_captured,
    given_half_captured,
    line,
    listed,
    paid_by,
    refund,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.portal import Screen, Visitor

NO_RIGHT = "You need the permission set DigitalRiver Connector – Refunds to create refunds."
TOO_MUCH = "The requested refund amount is greater than the available amount."


def form_of(visitor: Visitor, order: Doc, **fields: str) -> dict[str, str]:
    """The refund page's form, filled in."""
    screen = visitor.get(f"/dashboard/orders/{order['id']}/refunds/new")
    return screen.fields() | fields


def review(visitor: Visitor, order: Doc, **fields: str) -> Screen:
    path = f"/dashboard/orders/{order['id']}/refunds/review"
    return visitor.post(path, form_of(visitor, order, **fields))


def submit(visitor: Visitor, order: Doc, reviewed: Screen, **fields: str) -> Screen:
    path = f"/dashboard/orders/{order['id']}/refunds"
    return visitor.post(path, reviewed.fields() | fields)


def only_refund(api: Api, order: Doc) -> Doc:
    (refund_id,) = listed(api, f"/refunds?orderId={order['id']}")
    return expect(api.get(f"/refunds/{refund_id}"))


def test_b_02_without_the_permission_set_there_is_no_refund(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "A")
    staff = sign_in("customer_service")
    screen = staff.get(f"/dashboard/orders/{order['id']}")
    assert screen.status == 200
    assert not screen.has("create-refund")
    fields = {"csrf_token": staff.csrf(), "kind": "order", "amount": "5.00"}
    refused = staff.post(f"/dashboard/orders/{order['id']}/refunds", fields)
    assert (refused.status, refused.error) == (403, NO_RIGHT)
    assert listed(api, "/refunds") == []


def test_b_03_a_member_of_the_set_may(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "A")
    staff = sign_in("customer_service", in_refund_set=True)
    button = staff.get(f"/dashboard/orders/{order['id']}").find("create-refund")
    assert button.name == "a"


def test_b_04_every_choice_shows_what_is_left(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "E")
    screen = admin.get(f"/dashboard/orders/{order['id']}/refunds/new")
    shown = {
        kind: screen.read(f"available-{kind}") for kind in ("order", "shipping", "fees", "tax")
    }
    assert shown == {"order": "26.89", "shipping": "5.38", "fees": "17.20", "tax": "3.09"}
    for kind in ("duty", "importer_tax"):
        assert screen.find(f"kind-{kind}").has_attr("disabled")
    assert not screen.find("kind-order").has_attr("disabled")
    assert not screen.soup.select("input[name=kind][checked]"), "nothing is chosen by default"
    assert screen.read("fees-note") == "Regulatory fees are refunded separately."


def test_b_05_half_an_order_is_reviewed_and_refunded(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    reviewed = review(admin, order, kind="order", **{"amount-of-order": "13.51"})
    assert reviewed.read("review-total") == "13.51 USD"
    assert reviewed.read("review-split") == "To Visa •••• 1111 13.51 USD"
    assert reviewed.read("submit") == "Refund 13.51 USD to Visa •••• 1111"
    assert reviewed.read("left-afterwards") == "13.50 USD"
    assert listed(api, "/refunds") == []
    done = submit(admin, order, reviewed)
    assert done.path == f"/dashboard/orders/{order['id']}"
    assert done.read("flash") == "Refund submitted."
    first = done.rows("refunds")[0]
    assert first[2:6] == ["Complete order", "13.51 USD", "0.00 USD", "Pending"]
    made = only_refund(api, order)
    assert (made["amount"], made["items"]) == (money("13.51"), [])


def test_b_06_more_than_is_left_is_refused(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    fields = {"kind": "order", "amount-of-order": "27.02"}
    assert review(admin, order, **fields).error == TOO_MUCH
    path = f"/dashboard/orders/{order['id']}/refunds"
    assert admin.post(path, form_of(admin, order, **fields)).error == TOO_MUCH
    assert listed(api, "/refunds") == []


def test_b_07_units_times_amount(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "B")
    first, second = (item["id"] for item in order["items"])
    fields = {f"qty-{first}": "2", f"amount-{first}": "10.00", f"qty-{second}": "0"}
    reviewed = review(admin, order, kind="items", **fields)
    assert reviewed.read(f"line-total-{first}") == "20.00"
    assert not reviewed.has(f"line-total-{second}")
    submit(admin, order, reviewed)
    (item,) = only_refund(api, order)["items"]
    assert (item["itemId"], item["amount"], item["quantity"]) == (first, money("20.0"), 2)


def test_b_08_all_units_with_the_proposed_amount_take_all_that_is_left(
    api: Api, admin: Visitor
) -> None:
    order = given_captured(api, "A")
    (item,) = order["items"]
    reviewed = review(admin, order, kind="items", **{f"qty-{item['id']}": "2"})
    submit(admin, order, reviewed)
    assert only_refund(api, order)["items"][0]["amount"] == money("21.61")


def test_units_worth_less_than_a_cent_are_proposed_at_what_the_api_pays(
    api: Api, admin: Visitor
) -> None:
    """100 clips at 0.50 in all: 3 are worth 0.015, and 0.02 is paid."""
    clips = line(0.50, 0, 100)
    order = given_captured(
        api, "A", items=[clips], shippingChoice=None, totalAmount=0.50, payment=paid_by(card(0.50))
    )
    (item,) = order["items"]
    form = admin.get(f"/dashboard/orders/{order['id']}/refunds/new")
    assert form.find(f"amount-{item['id']}")["value"] == ""
    assert form.has(f"tiny-{item['id']}")
    full = {"itemId": item["id"], "quantity": 3, "percent": 100}
    body = {"orderId": order["id"], "currency": "USD", "items": [full]}
    told = expect(api.post("/refundry/v1/refund-previews", body))["amount"]
    reviewed = review(admin, order, kind="items", **{f"qty-{item['id']}": "3"})
    assert (reviewed.read("review-total"), told) == ("0.02 USD", money("0.02"))
    submit(admin, order, reviewed)
    assert only_refund(api, order)["items"][0]["amount"] == told
    everything = review(admin, order, kind="items", **{f"qty-{item['id']}": "100"})
    assert everything.read("review-total") == "0.48 USD"


def test_b_09_fees_are_refunded_by_line(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "E")
    submit(admin, order, review(admin, order, kind="fees", **{"amount-of-fees": "17.20"}))
    (item,) = only_refund(api, order)["items"]
    assert (item["type"], item["amount"]) == ("fees", money("17.2"))


def test_b_10_tax_is_refunded_in_full(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    submit(admin, order, review(admin, order, kind="tax"))
    made = only_refund(api, order)
    assert (made["type"], made["amount"]) == ("tax", money("2.01"))


def test_b_11_one_form_makes_one_refund(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    reviewed = review(admin, order, kind="order", **{"amount-of-order": "5.00"})
    for _ in range(3):
        done = submit(admin, order, reviewed)
        assert (done.status, done.read("flash")) == (200, "Refund submitted.")
    assert len(listed(api, "/refunds")) == 1


def test_b_12_in_dispute_nothing_can_be_done(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    given_dispute(api, order)
    screen = admin.get(f"/dashboard/orders/{order['id']}")
    assert screen.read("state") == "Disputed"
    for button in ("create-refund", "create-return", "fulfill", "cancel"):
        assert screen.find(button).has_attr("disabled")
        assert screen.find(button)["title"] == "There is a dispute on the order."
    form = admin.get(f"/dashboard/orders/{order['id']}/refunds/new")
    assert form.error == "There is a dispute on the order."


def test_a_balance_that_changed_meanwhile_is_shown_and_nothing_is_sent(
    api: Api, admin: Visitor
) -> None:
    order = given_captured(api, "A")
    reviewed = review(admin, order, kind="order", **{"amount-of-order": "5.00"})
    refund(api, order, amount=1)
    shown = submit(admin, order, reviewed)
    assert "available on the order is 26.01 USD, not 27.01" in shown.error
    assert len(listed(api, "/refunds")) == 1
    submit(admin, order, shown)
    assert len(listed(api, "/refunds")) == 2


def test_a_like_refund_of_the_last_day_is_warned_of_but_allowed(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    refund(api, order, amount=5)
    reviewed = review(admin, order, kind="order", **{"amount-of-order": "5.00"})
    assert "A like refund of 5.00 USD" in reviewed.read("warning")
    submit(admin, order, reviewed)
    assert len(listed(api, "/refunds")) == 2


def test_nothing_chosen_makes_nothing(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    assert review(admin, order).error == "Choose what to refund."
    path = f"/dashboard/orders/{order['id']}/refunds"
    assert admin.post(path, form_of(admin, order)).error == "Choose what to refund."
    nothing = review(admin, order, kind="items")
    assert nothing.error == "Choose how many of which items to refund."
    for text in ("", "-1", "0", "1.001", "1e2", "NaN", "five", "99999999999999"):
        shown = review(admin, order, kind="order", **{"amount-of-order": text, "amount": ""})
        assert shown.status == 400
    assert listed(api, "/refunds") == []


def test_only_what_is_captured_is_offered(api: Api, admin: Visitor) -> None:
    order = given_half_captured(api)
    screen = admin.get(f"/dashboard/orders/{order['id']}/refunds/new")
    now = get_order(api, order)
    assert money(screen.read("available-order")) == now["availableToRefundAmount"]
