"""Acceptance cases B-13 and B-14, and what else a refund's page shows."""

import json
import threading
import time

from tests.portal.conftest import SignIn
from tests.support.fixtures import (
    element,
    given_captured,
    order_body,
    paid_by,
    refund,
    settle,
    settled_refund,
    source,
)
from tests.support.http import Api, Doc, expect
from tests.support.portal import Visitor
from tests.support.returns import accepted_return
from tests.support.service import Account, Service


def page_of(made: Doc) -> str:
    return f"/dashboard/refunds/{made['id']}"


def test_b_13_a_failed_refund_says_why_and_what_to_do(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "R")
    made = settled_refund(api, order, amount=5, reason="late_delivery")
    screen = admin.get(page_of(made))
    assert screen.read("state") == "Failed"
    words = "The card is expired or cancelled. expired_or_canceled_card"
    assert screen.read("failure-reason") == words
    assert "What to do now" in screen.read("timeline")
    assert screen.rows("records")[0][2] == "Failed"
    again = admin.get(str(screen.find("retry")["href"]))
    fields = again.fields()
    assert (fields["kind"], fields["amount-of-order"]) == ("order", "5.00")
    assert fields["reason"] == "late_delivery"


def test_b_14_every_refund_is_found_whatever_made_it(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "B")
    by_api = refund(api, order, amount=1)
    form = admin.get(f"/dashboard/orders/{order['id']}/refunds/new").fields()
    fields = form | {"kind": "order", "amount-of-order": "2.00"}
    admin.post(f"/dashboard/orders/{order['id']}/refunds", fields)
    accepted_return(api, order, 1)
    other = refund(api, given_captured(api, "A"), amount=1)

    def found(q: str) -> int:
        screen = admin.get(f"/dashboard/refunds?q={q}")
        return len(screen.rows("refunds")) if screen.has("refunds") else 0

    assert found(order["id"]) == 3
    assert found(by_api["id"]) == 1
    assert found(other["id"]) == 1
    assert found(order["id"][:6]) == 0
    assert found("ana.lind@example.com") == 4


def test_the_story_is_told_step_by_step(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    made = refund(api, order, amount=5)
    screen = admin.get(page_of(made))
    assert screen.read("state") == "Pending"
    assert "5.00 USD requested through the API" in screen.read("timeline")
    assert "Waiting to be sent" in screen.read("timeline")
    settle(api)
    story = admin.get(page_of(made)).read("timeline")
    assert "sent to the payment provider" in story
    assert "5.00 USD of Visa •••• 1111 paid back" in story
    assert "Succeeded: 5.00 USD" in story


def test_who_asked_is_told(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "A")
    staff = sign_in("customer_service", in_refund_set=True)
    form = staff.get(f"/dashboard/orders/{order['id']}/refunds/new").fields()
    fields = form | {"kind": "order", "amount-of-order": "2.00"}
    screen = staff.post(f"/dashboard/orders/{order['id']}/refunds", fields)
    link = screen.find("refunds").select_one("tbody a")
    assert link is not None
    assert "requested by customer_service-" in staff.get(str(link["href"])).read("timeline")


def test_the_amount_is_explained_to_the_cent(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "B")
    made = refund(api, order, items=[element(order, "a", amount=10), element(order, "b", amount=5)])
    rows = admin.get(page_of(made)).rows("explained")
    assert [row[-1] for row in rows] == ["10.00", "5.00"]
    for row in rows:
        assert sum(round(float(cell) * 100) for cell in row[1:-1]) == round(float(row[-1]) * 100)


def test_the_calculation_is_shown_from_the_request_to_the_cent(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    screen = admin.get(page_of(refund(api, order, percent=50)))
    assert "13.51 USD of 27.01 USD available" in screen.text
    assert screen.rows("calculation-1") == [
        ["Product sku-tee", "20.00", "0.00", "20.00", "10.003702…", "", "10.00"],
        ["Product tax sku-tee", "1.61", "0.00", "1.61", "0.805298…", "+0.01", "0.81"],
        ["Shipping sku-tee", "5.00", "0.00", "5.00", "2.500925…", "", "2.50"],
        ["Shipping tax sku-tee", "0.40", "0.00", "0.40", "0.200074…", "", "0.20"],
    ]
    second = admin.get(page_of(refund(api, order, percent=50)))
    taken = [row[2] for row in second.rows("calculation-1")]
    assert taken == ["10.00", "0.81", "2.50", "0.20"]
    assert not second.has("explained-uncertain")


def test_metadata_can_be_changed_and_removed(api: Api, admin: Visitor) -> None:
    made = refund(api, given_captured(api, "A"), amount=5, metadata={"a": "1", "b": "2"})
    fields = {"csrf_token": admin.csrf(), "meta-key-0": "a", "meta-value-0": "x"}
    screen = admin.post(f"{page_of(made)}/metadata", fields)
    assert json.loads(screen.read("metadata")) == {"a": "x", "b": "2"}
    admin.post(f"{page_of(made)}/metadata", fields | {"meta-key-0": "b", "meta-value-0": ""})
    assert expect(api.get(f"/refunds/{made['id']}"))["metadata"] == {"a": "x"}


def test_a_page_that_is_open_is_told_of_every_change(
    service: Service, api: Api, admin: Visitor
) -> None:
    made = refund(api, given_captured(api, "A"), amount=5)
    parts: list[str] = []

    def listen() -> None:
        with admin.client.stream("GET", f"{page_of(made)}/news") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            parts.append("".join(answer.iter_text()))

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(1.5)
    settle(api)
    thread.join(20)
    assert not thread.is_alive()
    (text,) = parts
    assert text.count("event: part") >= 2
    assert "Waiting to be sent" in text
    assert "Succeeded" in text.rsplit("event: part", 1)[1]


def test_a_live_refund_is_marked_by_hand(
    service: Service, account: Account, admin: Visitor
) -> None:
    live = service.api(account.secret_live)
    body = order_body("A", payment=paid_by(source("payPal", 27.01)), state="complete")
    order = expect(live.post("/orders", body), 201)
    first, second = (refund(live, order, amount=amount) for amount in (5, 6))
    admin.post("/dashboard/mode", {"csrf_token": admin.csrf(), "live": "true"})
    settle(service.api(account.secret_test))  # the work of both modes
    fields = admin.get(page_of(first)).fields("form[action$=mark]")
    without = admin.post(f"{page_of(first)}/mark", fields | {"outcome": "failed"})
    assert without.error == "Write a note: how do you know?"
    done = admin.post(f"{page_of(first)}/mark", fields | {"outcome": "complete"})
    assert done.read("state") == "Succeeded"
    again = admin.post(f"{page_of(first)}/mark", fields | {"outcome": "complete"})
    assert again.status == 400
    fields = admin.get(page_of(second)).fields("form[action$=mark]")
    fields |= {"outcome": "failed", "reason": "account_closed", "note": "Bank letter of May 3"}
    failed = admin.post(f"{page_of(second)}/mark", fields)
    assert failed.read("failure-reason") == "The account is closed. account_closed"
    assert "Bank letter of May 3" in failed.read("timeline")
