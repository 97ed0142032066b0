"""Bulk refunds in the dashboard, without a script."""

import csv
import io
import uuid

from tests.portal.conftest import SignIn
from tests.support.command import run_sql
from tests.support.fixtures import given_captured, listed, settle
from tests.support.http import Api, Doc
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service

HEAD = "order_id,amount,currency,reason"


def lines(order: Doc, *amounts: str, reason: str = "") -> str:
    text = "".join(f"{order['id']},{amount},USD,{reason or uuid.uuid4()}\n" for amount in amounts)
    return f"{HEAD}\n{text}"


def upload(visitor: Visitor, content: str, name: str = "may.csv", **fields: str) -> Screen:
    """The form with a chosen file, as a browser sends it."""
    return Screen(
        visitor.client.post(
            "/dashboard/bulk",
            data={"csrf_token": visitor.csrf(), "pasted": "", **fields},
            files={"file": (name, content.encode(), "text/csv")},
        )
    )


def paste(visitor: Visitor, content: str) -> Screen:
    fields = visitor.get("/dashboard/bulk").fields("#bulk-form")
    return visitor.post("/dashboard/bulk", fields | {"pasted": content})


def act(visitor: Visitor, screen: Screen, what: str, **fields: str) -> Screen:
    return visitor.post(f"{screen.path}/{what}", {"csrf_token": visitor.csrf(), **fields})


def test_a_file_is_checked_confirmed_by_its_total_and_refunded(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    checked = upload(admin, lines(order, "5.00", "6.00", "99.00"))
    assert checked.path.startswith("/dashboard/bulk/bulk_")
    assert checked.read("bulk-total") == "11.00 USD"
    assert [checked.read(f"count-{each}") for each in ("ready", "duplicate", "refused")] == [
        "2", "0", "1",
    ]  # fmt: skip
    verdicts = [row[3] for row in checked.rows("lines")]
    assert verdicts == ["Ready", "Ready", "Refused"]
    assert "greater than the available amount" in checked.rows("lines")[2][4]
    refused = act(admin, checked, "start", total="10.00")
    assert (refused.status, refused.error) == (
        400, "Type the total, 11.00 USD, to confirm. Nothing was refunded.",
    )  # fmt: skip
    assert listed(api, "/refunds") == []
    started = act(admin, checked, "start", total="11.00 USD")
    assert started.read("flash") == "The run has started. You may leave this page."
    assert started.has("stop")
    settle(api)
    done = admin.get(checked.path)
    assert (done.read("state"), done.read("done")) == ("Finished", "2 of 2")
    assert done.read("refunded") == "11.00 USD"
    assert len(listed(api, "/refunds")) == 2
    again = act(admin, checked, "start", total="11.00 USD")
    assert again.read("state") == "Finished"
    settle(api)
    assert len(listed(api, "/refunds")) == 2


def test_pasted_lines_are_checked_as_a_file_is(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    screen = paste(admin, lines(order, "5.00"))
    assert screen.read("bulk-total") == "5.00 USD"
    listed_runs = admin.get("/dashboard/bulk").rows("runs")
    assert [row[0] for row in listed_runs] == ["pasted lines"]


def test_the_same_file_leads_to_what_became_of_it(api: Api, admin: Visitor) -> None:
    content = lines(given_captured(api, "A"), "5.00")
    first = upload(admin, content)
    act(admin, first, "start", total="5.00")
    settle(api)
    second = upload(admin, content, name="copy.csv")
    assert second.path == first.path
    assert "uploaded before" in second.read("flash")
    assert not second.has("start")


def test_a_file_whose_lines_are_deleted_says_so_and_is_not_paid_again(
    api: Api, admin: Visitor, service: Service, account: Account
) -> None:
    content = lines(given_captured(api, "A"), "5.00")
    first = upload(admin, content)
    act(admin, first, "start", total="5.00")
    settle(api)
    run_sql(service.data_dir, "DELETE FROM bulk_lines WHERE account_id = $1", account.account_id)
    shown = upload(admin, content)
    assert (shown.path, shown.read("state")) == (first.path, "Finished")
    assert shown.has("lines-deleted")
    assert not any(map(shown.has, ("start", "lines", "result", "done")))
    assert admin.get(f"{first.path}/result.csv").status == 404
    act(admin, first, "start", total="5.00")
    settle(api)
    assert len(listed(api, "/refunds")) == 1


def test_duplicates_are_left_out_until_they_are_asked_for(api: Api, admin: Visitor) -> None:
    screen = upload(admin, lines(given_captured(api, "A"), "5.00", "5.00"))
    assert screen.read("bulk-total") == "5.00 USD"
    assert screen.read("count-duplicate") == "1"
    included = act(admin, screen, "check", with_duplicates="true")
    assert included.read("bulk-total") == "10.00 USD"
    assert included.rows("lines")[1][4] == "Same order and amount as line 2."


def test_a_run_is_stopped_and_goes_on(api: Api, admin: Visitor) -> None:
    screen = upload(admin, lines(given_captured(api, "A"), "5.00", "6.00"))
    act(admin, screen, "start", total="11.00")
    stopped = act(admin, screen, "stop")
    settle(api)
    assert stopped.read("state") == "Stopped"
    assert listed(api, "/refunds") == []
    act(admin, screen, "resume")
    settle(api)
    assert len(listed(api, "/refunds")) == 2


def test_a_file_that_is_discarded_is_gone(api: Api, admin: Visitor) -> None:
    screen = upload(admin, lines(given_captured(api, "A"), "5.00"))
    assert act(admin, screen, "discard").read("flash") == "The file was discarded."
    assert admin.get(screen.path).status == 404


def test_the_result_is_a_file_without_formulas(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    screen = upload(admin, lines(order, "5.00", reason='"=1+1"'))
    act(admin, screen, "start", total="5.00")
    settle(api)
    response = admin.client.get(f"{screen.path}/result.csv")
    assert "attachment" in response.headers["content-disposition"]
    head, row = csv.reader(io.StringIO(response.text))
    found = dict(zip(head, row, strict=True))
    (refund_id,) = listed(api, "/refunds")
    assert (found["reason"], found["result"], found["refund_id"]) == (
        "'=1+1", "refunded", refund_id,
    )  # fmt: skip
    # The result sent again pays nothing: its lines say that they were made.
    again = upload(admin, response.text)
    assert again.read("count-refused") == "1"
    assert "refunded already" in again.rows("lines")[0][4]


def test_the_template_can_be_checked(admin: Visitor) -> None:
    template = admin.client.get("/dashboard/bulk/template.csv").text
    screen = upload(admin, template)
    assert screen.read("count-refused") == "3"
    assert screen.rows("lines")[0][4] == "Order '123456789012' not found."
    assert not screen.has("start")


def test_a_file_that_cannot_be_read_is_refused_in_words(admin: Visitor) -> None:
    for content, words in (("", "Choose a file"), ("hello\n", "'hello' is no column")):
        screen = upload(admin, content, name="x.csv" if content else "")
        assert screen.status == 400
        assert words in screen.error
    nothing = {"csrf_token": admin.csrf()}
    assert "Choose a file" in admin.post("/dashboard/bulk", nothing).error
    for body, kind in ((b"--x\r\nnonsense", "; boundary=x"), (b"", ""), (b"\xff", "; boundary=x")):
        headers = {"Content-Type": f"multipart/form-data{kind}"}
        broken = admin.client.post("/dashboard/bulk", content=body, headers=headers)
        assert broken.status_code in (400, 403)


def test_a_form_with_a_file_needs_its_token(api: Api, admin: Visitor) -> None:
    content = lines(given_captured(api, "A"), "5.00")
    assert upload(admin, content, csrf_token="wrong").status == 403
    assert not admin.get("/dashboard/bulk").has("runs")


def test_only_who_may_refund_sees_bulk_refunds(api: Api, admin: Visitor, sign_in: SignIn) -> None:
    screen = upload(admin, lines(given_captured(api, "A"), "5.00"))
    for role in ("customer_service", "finance_manager", "developer"):
        visitor = sign_in(role)
        assert visitor.get("/dashboard/bulk").status == 403
        assert visitor.get(screen.path).status == 403
        assert act(visitor, screen, "start", total="5.00").status == 403
    member = sign_in("customer_service", in_refund_set=True)
    assert member.get(screen.path).status == 200


def test_long_files_are_shown_in_parts(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    screen = upload(admin, lines(order, *["0.01"] * 120), with_duplicates="on")
    assert len(screen.rows("lines")) == 100
    more = admin.get(f"{screen.path}{screen.find('more')['href']}")
    assert [row[0] for row in more.rows("lines")] == [str(n) for n in range(102, 122)]
    assert len(admin.get(f"{screen.path}?state=refused").rows("lines")) == 1


def test_progress_is_told_until_the_end(api: Api, admin: Visitor) -> None:
    screen = upload(admin, lines(given_captured(api, "A"), "5.00"))
    act(admin, screen, "start", total="5.00")
    settle(api)
    news = admin.client.get(f"{screen.path}/news").text
    assert "1 of 1" in news
    assert news.endswith("event: end\ndata: end\n\n")
