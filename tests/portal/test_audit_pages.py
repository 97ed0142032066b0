"""Settings > Audit log: who, when, what, before and after, and the same as a file."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

from refundry.access.audit_log import Change
from refundry.portal.audit import Difference, differences
from tests.portal.test_user_pages import page_of, press
from tests.support.fixtures import given_captured
from tests.support.http import Api
from tests.support.portal import Visitor
from tests.support.service import Account

LOG = "/dashboard/audit"


def rows(visitor: Visitor, query: str = "") -> list[list[str]]:
    screen = visitor.get(f"{LOG}?{query}")
    return screen.rows("audit") if screen.has("audit") else []


def test_a_change_is_told_with_what_was_before_and_after(account: Account, admin: Visitor) -> None:
    page = page_of(admin, account.create_user("developer"))
    press(admin, page, "edit-user", name="Dora <i>Ek</i>", role="customer_service")
    when, who, what, what_object, changes = rows(admin, "action=user.edited")[0]
    assert re.fullmatch(r"\d+ \w{3} \d{4} \d\d:\d\d:\d\d UTC", when)
    assert who.startswith("administrator-")
    assert what == "User edited Account"
    assert what_object == f"User {page.rpartition('/')[2]}"
    assert re.fullmatch(
        r"name developer-\S+ → Dora <i>Ek</i> role Developer → Customer service", changes
    )
    link = admin.get(f"{LOG}?action=user.edited").find("audit").select_one("td:nth-child(4) a")
    assert link is not None
    assert link["href"] == page


def test_differences_are_field_by_field() -> None:
    edited = Change("x", "x", "x", {"a": 1, "same": "s", "gone": "g"}, {"a": 2, "same": "s"})
    assert differences(edited) == [Difference("a", "1", "2"), Difference("gone", "g", None)]
    made = Change("x", "x", "x", None, {"userId": "u", "metadata": {"myKey": "v"}, "none": None})
    assert differences(made) == [
        Difference("user id", None, "u"),
        Difference("metadata.myKey", None, "v"),
    ]
    removed = Change("x", "x", "x", {"totp": False, "status": "locked_out"}, None)
    assert differences(removed) == [
        Difference("totp", "no", None),
        Difference("status", "Locked out", None),
    ]
    assert differences(Change("x", "x", "x")) == []


def test_the_log_is_filtered(account: Account, admin: Visitor) -> None:
    page = page_of(admin, account.create_user("developer"))
    press(admin, page, "suspend-user")
    user_id = page.rpartition("/")[2]
    today = datetime.now(UTC).date()
    assert [row[2] for row in rows(admin, f"id={user_id}")] == [
        "User suspended Account",
        "User created Account",
    ]
    assert len(rows(admin, f"id={user_id}&who=COMMAND")) == 1
    assert len(rows(admin, f"id={user_id}&action=user.suspended&object=user")) == 1
    assert rows(admin, f"id={user_id}&object=refund") == []
    assert len(rows(admin, f"id={user_id}&from={today}&to={today}")) == 2
    assert rows(admin, f"from={today + timedelta(days=1)}") == []
    assert rows(admin, f"to={today - timedelta(days=1)}") == []
    assert "Filters (2)" in admin.get(f"{LOG}?object=user&id={user_id}").text


def test_a_filter_that_is_no_day_or_place_is_refused(admin: Visitor) -> None:
    for query in ("from=yesterday", "to=2024-02-30", "to=9999-12-31", "from=0000-01-01",
                  "below=x", "below=-1", "below=99999999999999999999", "who=a%00"):  # fmt: skip
        assert admin.get(f"{LOG}?{query}").status == 400, query


def test_each_mode_shows_its_own_and_what_is_of_the_account(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    page = f"/dashboard/orders/{order['id']}/refunds"
    form = admin.get(f"{page}/new").fields() | {"kind": "order", "amount-of-order": "2.00"}
    admin.post(page, form)
    assert rows(admin, "object=refund")[0][2] == "Refund create Test"
    admin.post("/dashboard/mode", {"csrf_token": admin.csrf(), "live": "true"})
    assert rows(admin, "object=refund") == []
    assert rows(admin, "action=user.created")


def test_a_long_log_has_pages(account: Account, admin: Visitor) -> None:
    for _ in range(52):
        account.create_user("developer")
    first = admin.get(f"{LOG}?action=user.created")
    assert len(first.rows("audit")) == 50
    assert not first.has("newer")
    second = admin.get(LOG + str(first.find("older")["href"]))
    assert len(second.rows("audit")) == 3, "and the administrator"
    assert not second.has("older")
    assert str(second.find("newer")["href"]) == "?action=user.created"


def test_the_file_holds_what_the_filters_leave_and_no_formula(
    account: Account, admin: Visitor
) -> None:
    email = account.create_user("developer")
    page = page_of(admin, email)
    press(admin, page, "edit-user", name='=HYPERLINK("http://evil.example","x")')
    own = page_of(admin, "administrator-")
    press(admin, own, "edit-user", name="@SUM(1)")
    press(admin, page, "suspend-user")
    export = str(
        admin.get(f"{LOG}?object=user&id={page.rpartition('/')[2]}").find("export")["href"]
    )
    answer = admin.client.get(export)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "audit-log.csv" in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["Action"] for line in lines] == ["user.suspended", "user.edited", "user.created"]
    assert (lines[0]["Who"], lines[0]["Kind"], lines[0]["Mode"]) == ("'@SUM(1)", "user", "Account")
    assert lines[2]["Who"] == "command line"
    assert email in lines[2]["After"]
    cells = [cell for line in lines for cell in line.values()]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_no_secret_is_in_the_log(account: Account, admin: Visitor) -> None:
    page = page_of(admin, account.create_user("developer"))
    link = str(press(admin, page, "make-link").find("password-link")["value"])
    text = admin.client.get(f"{LOG}.csv").text
    assert "user.link_made" in text
    assert link.rpartition("/")[2] not in text
    assert "argon2" not in text
