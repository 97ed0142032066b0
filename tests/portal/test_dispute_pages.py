"""The pages of disputes: opened, shown, and closed with what that does to the order."""

from tests.portal.conftest import SignIn
from tests.support.disputes import charge_back, disputes_of, get_dispute, given_dispute, win
from tests.support.fixtures import (
    charges,
    get_order,
    given_accepted,
    given_captured,
    only_charge,
    order_body,
    refund,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service


def page_of(dispute: Doc) -> str:
    return f"/dashboard/disputes/{dispute['id']}"


def open_one(visitor: Visitor, order: Doc, **fields: str) -> Screen:
    base = f"/dashboard/orders/{order['id']}/disputes"
    return visitor.post(base, visitor.get(f"{base}/new").fields() | fields)


def review(visitor: Visitor, dispute: Doc, **fields: str) -> Screen:
    form = visitor.get(page_of(dispute)).fields()
    return visitor.post(f"{page_of(dispute)}/review", form | fields)


def close(visitor: Visitor, dispute: Doc, reviewed: Screen) -> Screen:
    return visitor.post(f"{page_of(dispute)}/close", reviewed.fields())


def test_a_dispute_is_opened_once_for_charge_amount_and_reason(
    account: Account, api: Api, sign_in: SignIn
) -> None:
    order = given_captured(api, "A")
    finance = sign_in("finance_manager")
    button = finance.get(f"/dashboard/orders/{order['id']}").find("open-dispute")
    assert button.name == "a"
    form = finance.get(str(button["href"])).fields()
    assert form["charge"] == only_charge(api, order)["id"]
    form |= {"amount": "13,51", "reason": "product_not_received"}
    shown = [finance.post(f"/dashboard/orders/{order['id']}/disputes", form) for _ in range(2)]
    (made,) = disputes_of(api, order)
    for done in shown:
        assert (done.read("flash"), done.read("state")) == ("Dispute opened.", "Open")
        assert done.path == page_of(made)
    assert (made["amount"], made["reason"]) == (money("13.51"), "product_not_received")
    assert get_order(api, order)["state"] == "dispute"
    assert account.audited()[0][1:] == ("dispute.open", made["id"])


def test_without_an_amount_it_is_about_all_that_is_left(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    open_one(admin, order)
    assert disputes_of(api, order)[0]["amount"] == money("27.01")


def test_the_button_says_why_no_dispute_can_be_opened(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    given_dispute(api, order)
    button = admin.get(f"/dashboard/orders/{order['id']}").find("open-dispute")
    assert (button.has_attr("disabled"), button["title"]) == (
        True,
        "There is a dispute on the order.",
    )
    waiting = expect(api.post("/orders", order_body("A", state="in_review")), 201)
    assert waiting["state"] == "in_review"
    button = admin.get(f"/dashboard/orders/{waiting['id']}").find("open-dispute")
    assert button["title"] == "'in_review' orders cannot be disputed."


def test_another_charge_can_be_disputed_too(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "G")
    by_type = charges(api, order)
    given_dispute(api, order, chargeId=by_type["creditCard"]["id"])
    form = admin.get(f"/dashboard/orders/{order['id']}/disputes/new")
    assert form.find(f"charge-{by_type['creditCard']['id']}").has_attr("disabled")
    assert "There is a dispute on this charge." in form.text
    assert form.fields()["charge"] == by_type["customerCredit"]["id"]
    assert open_one(admin, order).read("flash") == "Dispute opened."
    refused = open_one(admin, order, charge=by_type["creditCard"]["id"])
    assert refused.error == f"Order {order['id']} is in dispute."
    assert len(disputes_of(api, order)) == 2


def test_a_bad_dispute_is_refused_and_changes_nothing(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    assert open_one(admin, order, charge="").error == "Choose the charge that is disputed."
    assert open_one(admin, order, charge="4711").error == "'4711' is not a valid chargeId."
    for text in ("0", "-1", "1.001", "x", "NaN", "99999999999999"):
        assert "is not a valid amount." in open_one(admin, order, amount=text).error, text
    assert disputes_of(api, order) == []
    assert get_order(api, order)["state"] == "complete"


def test_won_leaves_what_is_available_as_it_is(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    reviewed = review(admin, dispute, outcome="won")
    assert reviewed.read("available-before") == reviewed.read("available-after") == "27.01 USD"
    assert reviewed.read("state-after") == "Complete"
    assert get_dispute(api, dispute)["state"] == "open"
    done = close(admin, dispute, reviewed)
    assert (done.read("flash"), done.read("state")) == ("Dispute closed.", "Won")
    assert get_order(api, order)["availableToRefundAmount"] == money("27.01")


def test_lost_shows_and_takes_what_the_bank_took(
    account: Account, api: Api, sign_in: SignIn
) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    finance = sign_in("finance_manager")
    assert finance.get(page_of(dispute)).fields()["amount"] == "27.01"
    reviewed = review(finance, dispute, outcome="lost", amount="10.00", fraud="yes")
    shown = [reviewed.read(f"available-{when}") for when in ("before", "after")]
    assert shown == ["27.01 USD", "17.01 USD"]
    assert reviewed.read("consequence").startswith(
        "What is available to refund falls by 10.00 USD."
    )
    for _ in range(2):
        done = close(finance, dispute, reviewed)
        assert (done.read("flash"), done.read("state")) == ("Dispute closed.", "Lost")
        assert done.read("chargeback-amount") == "10.00 USD"
        assert done.rows("transactions")[0][2] == "Fraud chargeback"
    closed = get_dispute(api, dispute)
    assert (closed["chargebackAmount"], closed["fraud"]) == (money("10.0"), True)
    assert get_order(api, order)["availableToRefundAmount"] == money("17.01")
    actions = [action for _, action, _ in account.audited()]
    assert actions.count("dispute.close") == 1


def test_what_pending_refunds_hold_is_told_of(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    refund(api, order, amount=20)
    dispute = given_dispute(api, order)
    reviewed = review(admin, dispute, outcome="lost", fraud="no", amount="27.01")
    assert reviewed.read("available-after") == "0.00 USD"
    assert "falls by 7.01 USD. 20.00 USD more is held" in reviewed.read("consequence")


def test_the_amount_that_was_shown_is_the_amount_that_is_taken(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order, amount=5)
    reviewed = review(admin, dispute, outcome="lost", fraud="no", amount="")
    assert reviewed.read("chargeback-amount") == "5.00 USD"
    assert reviewed.fields()["amount"] == "5.00"
    close(admin, dispute, reviewed)
    assert get_dispute(api, dispute)["chargebackAmount"] == money("5.0")


def test_a_bad_outcome_is_refused_and_changes_nothing(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    assert review(admin, dispute).error == "Say whether the dispute was won or lost."
    assert review(admin, dispute, outcome="lost").error == "Say whether it was fraud."
    for text in ("0", "27.02", "x", "1.001"):
        refused = review(admin, dispute, outcome="lost", fraud="no", amount=text)
        assert refused.error == f"'{text}' is not a valid amount."
    reviewed = review(admin, dispute, outcome="lost", fraud="no")
    win(api, dispute)
    refused = close(admin, dispute, reviewed)
    assert (refused.status, refused.error) == (400, f"Dispute {dispute['id']} is closed.")
    assert get_dispute(api, dispute)["state"] == "won"


def test_who_may_look_and_who_may_decide(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    for role in ("customer_service", "developer"):
        visitor = sign_in(role, in_refund_set=True)
        assert not visitor.get(f"/dashboard/orders/{order['id']}").has("open-dispute")
        screen = visitor.get(page_of(dispute))
        assert (screen.status, screen.has("close-dispute")) == (200, False)
        fields = {"csrf_token": visitor.csrf(), "outcome": "won"}
        assert visitor.post(f"{page_of(dispute)}/close", fields).status == 403
        assert visitor.post(f"/dashboard/orders/{order['id']}/disputes", fields).status == 403
    assert get_dispute(api, dispute)["state"] == "open"


def test_disputes_are_found_and_filtered(api: Api, admin: Visitor) -> None:
    first, second = given_captured(api, "A"), given_accepted(api, "A")
    lost = charge_back(api, first, 1)
    waiting = given_dispute(api, second)

    def found(query: str) -> list[str]:
        screen = admin.get(f"/dashboard/disputes?{query}")
        return [str(link["title"]) for link in screen.soup.select("#disputes a[title]")]

    assert found("") == [waiting["id"], lost["id"]]
    assert found(f"q={lost['id']}") == found(f"q={first['id']}") == [lost["id"]]
    assert found("state=open") == [waiting["id"]]
    assert found("to=2020-01-01") == []
    shown = admin.get(f"/dashboard/orders/{first['id']}").rows("disputes")
    assert shown[0][3] == "1.00 USD"


def test_another_accounts_dispute_is_not_found(service: Service, admin: Visitor) -> None:
    other = service.api(service.open_account().secret_test)
    dispute = given_dispute(other, given_captured(other, "A"))
    fields = {"csrf_token": admin.csrf(), "outcome": "won"}
    assert admin.get(page_of(dispute)).status == 404
    assert admin.post(f"{page_of(dispute)}/close", fields).status == 404
    assert get_dispute(other, dispute)["state"] == "open"
