"""The rule, the requests and the decisions in the dashboard; keys under the rule."""

from collections.abc import Mapping

from tests.portal.conftest import SignIn
from tests.portal.test_create_refund import review, submit
from tests.support.fixtures import ask, given_captured, listed
from tests.support.http import Api, expect, money, read
from tests.support.portal import Screen, Visitor
from tests.support.service import Account

RULE = "/dashboard/approval-rule"


def set_rule(admin: Visitor, role: str, refund: str, day: str = "", **more: str) -> Screen:
    fields = {
        "csrf_token": admin.csrf(), "role-1": role, "currency-1": "usd", "refund-1": refund,
        "day-1": day, **more,
    }  # fmt: skip
    return admin.post(RULE, fields)


def decide(visitor: Visitor, path: str, what: str, **fields: str) -> Screen:
    return visitor.post(f"{path}/{what}", {"csrf_token": visitor.csrf(), **fields})


def test_a_refund_above_the_limit_waits_and_somebody_else_approves(
    api: Api, admin: Visitor, sign_in: SignIn
) -> None:
    order = given_captured(api, "A")
    assert admin.get(RULE).read("rule") == "Off"
    saved = set_rule(admin, "customer_service", "5")
    assert (saved.read("rule"), saved.read("flash")) == ("On", "Saved.")
    staff = sign_in("customer_service", in_refund_set=True)
    fields = {"amount-of-order": "5.01"}
    reviewed = review(staff, order, kind="order", **fields)
    assert reviewed.read("submit") == "Ask for approval of 5.01 USD to Visa •••• 1111"
    assert "5.00 USD per refund" in reviewed.read("needs-approval")
    waiting = submit(staff, order, reviewed)
    assert waiting.path.startswith("/dashboard/approvals/draft_")
    assert waiting.read("flash").startswith("The refund is above your limit.")
    assert submit(staff, order, reviewed).path == waiting.path
    assert not waiting.has("approve")
    assert "Somebody else" in waiting.read("why-not")
    assert decide(staff, waiting.path, "approve").status == 403
    assert listed(api, "/refunds") == []
    finance = sign_in("finance_manager")
    assert finance.get("/dashboard/approvals").read("waiting") == "1 waiting"
    assert finance.get("/dashboard").read("task-approvals").endswith(" 1")
    assert not staff.get("/dashboard").has("task-approvals")
    assert finance.get(waiting.path).read("approve") == "Approve 5.01 USD"
    done = decide(finance, waiting.path, "approve")
    assert done.read("flash") == "Approved. The refund is on its way."
    assert len(listed(api, "/refunds")) == 1
    again = decide(finance, waiting.path, "approve")
    assert (again.status, len(listed(api, "/refunds"))) == (400, 1)


def test_a_limit_that_is_gone_sends_nothing_by_surprise(admin: Visitor, api: Api) -> None:
    order = given_captured(api, "A")
    set_rule(admin, "administrator", "5")
    fields = {"amount-of-order": "6.00"}
    reviewed = review(admin, order, kind="order", **fields)
    set_rule(admin, "administrator", "6")
    shown = submit(admin, order, reviewed)
    assert (shown.status, "needs no approval any more" in shown.error) == (400, True)
    assert listed(api, "/refunds") == []
    assert not shown.has("needs-approval")
    assert shown.read("submit") == "Refund 6.00 USD to Visa •••• 1111"
    assert submit(admin, order, shown).path.endswith(order["id"])


def test_declining_says_why(api: Api, admin: Visitor, sign_in: SignIn) -> None:
    order = given_captured(api, "A")
    set_rule(admin, "administrator", "5")
    mine = submit(admin, order, review(admin, order, kind="tax"))
    assert mine.path.endswith(order["id"]), "below the limit"
    fields = {"amount-of-order": "6.00"}
    mine = submit(admin, order, review(admin, order, kind="order", **fields))
    assert "own" in decide(admin, mine.path, "approve").error
    other = sign_in()
    assert decide(other, mine.path, "decline").error == "Say why."
    shown = decide(other, mine.path, "decline", reason="not ours")
    assert (shown.read("state"), shown.read("note")) == ("Declined", "not ours")
    assert len(listed(api, "/refunds")) == 1


def test_a_balance_that_changed_stops_an_approval(
    api: Api, admin: Visitor, sign_in: SignIn
) -> None:
    order = given_captured(api, "A")
    set_rule(admin, "administrator", "5")
    fields = {"amount-of-order": "20.00"}
    mine = submit(admin, order, review(admin, order, kind="order", **fields))
    expect(ask(api, order, amount="10.00"), 201)
    other = sign_in()
    shown = other.get(mine.path)
    assert not shown.has("approve")
    assert "greater than the available amount" in shown.read("problem")
    assert "greater than the available amount" in decide(other, mine.path, "approve").error
    assert len(listed(api, "/refunds")) == 1


def test_a_marked_key_is_under_the_limits_for_keys(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    key = str(admin.get(RULE).find("key-1")["value"])
    set_rule(admin, "key", "5", "8", key=key)
    expect(ask(api, order, amount="5.00"), 201)
    path = "/refundry/v1/refund-previews"
    body = {"orderId": order["id"], "currency": "USD"}
    told = [expect(api.post(path, body | {"amount": n}))["approval"] for n in ("5.01", "3.01")]
    assert told == [
        {
            "rule": "per_refund", "limit": money("5.0"),
            "message": "It is above the limit of 5.00 USD per refund.",
        },
        {
            "rule": "per_day", "limit": money("8.0"), "spent": money("5.0"),
            "message": "It goes above the limit of 8.00 USD per day; 5.00 USD were refunded today.",
        },
    ]  # fmt: skip
    for amount in ("3.00", "27.02"):
        assert "approval" not in expect(api.post(path, body | {"amount": amount}))
    headers = {"Idempotency-Key": "once"}
    body = {"orderId": order["id"], "currency": "USD", "amount": "5.01"}
    answers = [api.post("/refunds", body, headers=headers) for _ in range(2)]
    answers.append(api.post("/refunds", body))
    for answer in answers:
        assert answer.status_code == 409
        (error,) = read(answer)["errors"]
        assert error["code"] == "approval_required"
    assert len({str(read(answer)["errors"]) for answer in answers}) == 1
    assert len(listed(api, "/refunds")) == 1
    (row,) = admin.get("/dashboard/approvals").rows("approvals")
    assert row[3:] == ["5.01 USD", "Waiting"]


def test_a_key_is_marked_on_its_own_page_by_those_who_set_limits(
    api: Api, account: Account, admin: Visitor, sign_in: SignIn
) -> None:
    order = given_captured(api, "A")
    key = str(admin.get(RULE).find("key-1")["value"])
    page = f"/dashboard/api-keys/{key}"
    set_rule(admin, "key", "5")
    developer = sign_in("developer")
    assert developer.get(page).read("needs-approval").startswith("No limits apply")
    sent = {"csrf_token": developer.csrf(), "needs_approval": "on"}
    assert developer.post(f"{page}/approval", sent).status == 403
    saved = admin.post(f"{page}/approval", sent | {"csrf_token": admin.csrf()})
    assert (saved.path, saved.read("flash")) == (page, "Saved.")
    assert saved.find("needs-approval").has_attr("checked")
    assert admin.get(RULE).find("key-1").has_attr("checked")
    assert ask(api, order, amount="6.00").status_code == 409
    assert developer.get(page).read("needs-approval").startswith("Refunds above the limits")
    gone = {"csrf_token": developer.csrf()}
    assert developer.post(f"{page}/approval", gone).status == 403
    admin.post(f"{page}/approval", {"csrf_token": admin.csrf()})
    expect(ask(api, order, amount="6.00"), 201)
    noted = [each for each in account.audited() if each[1] == "key.approval"]
    assert [object_id for _, _, object_id in noted] == [key] * 2


def test_a_key_that_is_not_marked_is_not(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    set_rule(admin, "key", "5")
    expect(ask(api, order, amount="6.00"), 201)


def test_limits_that_make_no_sense_are_refused_in_words(admin: Visitor) -> None:
    rows: Mapping[str, tuple[str, str, str]] = {
        "is no currency": ("key", "5", "XX"),
        "is not an amount": ("key", "5.001", "USD"),
        "needs an amount": ("key", "", "USD"),
        "Choose whom": ("developer", "5", "USD"),
    }
    for words, (role, amount, currency) in rows.items():
        shown = set_rule(admin, role, amount, **{"currency-1": currency})
        assert (shown.status, words in shown.error) == (400, True), words
    twice = {"role-2": "key", "currency-2": "USD", "refund-2": "6"}
    assert "two limits" in set_rule(admin, "key", "5", **twice).error
    assert admin.get(RULE).read("rule") == "Off"


def test_only_administrators_set_the_rule(sign_in: SignIn) -> None:
    for role in ("user_manager", "finance_manager", "customer_service", "developer"):
        visitor = sign_in(role)
        assert visitor.get(RULE).status == 403
        assert set_rule(visitor, "key", "5").status == 403
