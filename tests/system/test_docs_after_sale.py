"""The figures of the pages on returns, disputes and webhooks, computed again by the service."""

import re
from datetime import timedelta
from decimal import Decimal

from refundry.domain.delivery import next_delivery
from refundry.domain.event import EventType
from refundry.domain.event_catalogue import FLOWS
from refundry.webhooks.commands import OVERLAPS
from tests.support.fixtures import (
    advance,
    ask,
    ask_to_fulfil,
    card,
    fulfil,
    get_order,
    get_refund,
    given_captured,
    line,
    mark,
    money,
    only_charge,
    order_body,
    paid_by,
    refund,
    refund_line,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import Api, Doc, expect, read
from tests.support.service import Service
from tests.system.test_docs import codes, page, table
from tests.unit.given import NOW

# The orders of the page on disputes, by their totals.
BY_TOTAL = {"27.01": "A", "44.09": "E"}
SENT_AND_SLOW = "4556 6025 6424 0839"


def amounts_in(cell: str) -> list[Decimal]:
    return [money(part.strip()) for part in cell.split(";")]


def order_of(api: Api, lines: str) -> Doc:
    """An order of lines written as price + tax × units, fulfilled and captured."""
    parts = [re.split(r" \+ | × ", text.strip()) for text in lines.split(";")]
    items = [
        line(float(price), float(tax), int(units), f"sku-{place}")
        for place, (price, tax, units) in enumerate(parts)
    ]
    total = sum(Decimal(price) + Decimal(tax) for price, tax, _ in parts)
    body = {"currency": "USD", "items": items, "payment": paid_by(card(float(total)))}
    order = expect(api.post("/orders", body), 201)
    fulfil(api, order, *(item["quantity"] for item in order["items"]))
    settle(api)
    return get_order(api, order)


def accept(api: Api, goods: Doc, how: str) -> Doc:
    path = f"/returns/{goods['id']}"
    if how == "at once":
        return expect(api.post(path, {"state": "accepted"}))
    assert how == "line by line"
    for item in goods["items"]:
        part = {"itemId": item["itemId"], "quantity": item["quantity"], "state": "accepted"}
        goods = expect(api.post(path, {"items": [part]}))
    return goods


def test_what_a_return_pays(api: Api) -> None:
    for row in table("returns.md", "Lines", "Refunded before", "Comes back"):
        order = order_of(api, row["Lines"])
        if row["Refunded before"] != "nothing":
            refund_line(api, order, amount=float(row["Refunded before"]))
            settle(api)
        units = [int(part) for part in row["Comes back"].split(";")]
        named = zip(order["items"], units, strict=True)
        items = [{"itemId": item["id"], "quantity": count} for item, count in named]
        goods = expect(api.post("/returns", {"orderId": order["id"], "items": items}), 201)
        shown = amounts_in(row["Amounts of the items"])
        assert [item["amount"] for item in goods["items"]] == shown
        accepted = accept(api, goods, row["Accepted"])
        assert accepted["state"] == "accepted"
        assert [item["amount"] for item in accepted["items"]] == shown
        settle(api)
        refunds = [get_refund(api, {"id": each}) for each in accepted["refundIds"]]
        paid = [sum(item["refundedAmount"] for item in each["items"]) for each in refunds]
        assert paid == amounts_in(row["Refunds"])
        assert {each["state"] for each in refunds} == {"succeeded"}


def open_dispute(api: Api, order: Doc) -> Doc:
    return expect(api.post(f"/refundry/v1/orders/{order['id']}/disputes", {}), 201)


def lose(api: Api, order: Doc, amount: str) -> None:
    dispute = open_dispute(api, order)
    body = {"outcome": "lost", "amount": float(amount), "fraud": False}
    expect(api.post(f"/refundry/v1/disputes/{dispute['id']}", body))


def types_of(flow: str) -> list[str]:
    (found,) = [each.types for each in FLOWS if each.name == flow]
    return [kind.value for kind in found]


def test_events_follow_each_other_as_the_reference_says(api: Api) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    lose(api, order, "10.00")
    assert types_since(api, start) == types_of("a dispute is lost")
    start = mark(api)
    dispute = open_dispute(api, order)
    expect(api.post(f"/refundry/v1/disputes/{dispute['id']}", {"outcome": "won"}))
    assert types_since(api, start) == types_of("a dispute is won")
    items = [{"itemId": order["items"][0]["id"], "quantity": 2}]
    goods = expect(api.post("/returns", {"orderId": order["id"], "items": items}), 201)
    start = mark(api)
    accept(api, goods, "at once")
    settle(api)
    accepted, paid = types_of("a return is accepted"), types_of("a refund is paid")
    assert types_since(api, start) == [*accepted, *paid]


def test_bank_details_that_do_not_come_end_as_the_reference_says(api: Api) -> None:
    order = given_captured(api, "J")
    start = mark(api)
    refund(api, order, amount=1000)
    settle(api)
    advance(api, 31 * 24 * 3600)
    assert types_since(api, start) == types_of("a refund needs bank details, which do not come")


def test_what_the_bank_takes(api: Api) -> None:
    for row in table("disputes.md", "Order", "Refunded before", "The bank takes"):
        total = row["Order"].partition(",")[0]
        order = given_captured(api, BY_TOTAL[total])
        fees = re.findall(r"of which fees (\S+)", row["Order"])
        cells = order["items"][0]["fees"]
        assert [cells["amount"] + cells["taxAmount"]] == (amounts_in(fees[0]) if fees else [0])
        if row["Refunded before"] != "nothing":
            settled_refund(api, order, amount=float(row["Refunded before"]))
        lose(api, order, row["The bank takes"])
        now = get_order(api, order)
        assert now["refundedAmount"] == money(row["`refundedAmount`"])
        assert now["availableToRefundAmount"] == money(row["`availableToRefundAmount`"])
        assert now["items"][0]["availableToRefundAmount"] == money(row["of the line"])
        sold = expect(api.get(f"/sales-transactions?orderId={order['id']}"))["data"]
        assert sum(each["amount"] for each in sold) == -money(row["The bank takes"])


def test_what_is_owed(service: Service, api: Api) -> None:
    """The rows of the table, one after the other; the last one instead of the one before it."""
    rows = table("disputes.md", "Then", "`refundedAmount`")
    for outcome, shown in (("failed", rows[:3]), ("complete", [*rows[:2], rows[3]])):
        order = given_captured(api, "A", payment=paid_by(card(27.01, SENT_AND_SLOW)))
        held = refund(api, order, amount=20)
        settle(api)
        found = [figures(api, order)]
        lose(api, order, "27.01")
        found.append(figures(api, order))
        (record,) = [r for r in only_charge(api, order)["refunds"] if r["state"] == "pending"]
        told = service.notify(f"refund.{outcome}", {"operationId": record["id"]}, record["id"])
        assert read(told) == {"received": True, "duplicate": False}
        found.append(figures(api, order))
        assert get_refund(api, held)["state"] == {"failed": "failed"}.get(outcome, "succeeded")
        assert found == [
            (
                money(row["`refundedAmount`"]),
                money(row["`availableToRefundAmount`"]),
                row["`overRefunded`"] == "yes",
            )
            for row in shown
        ]


def figures(api: Api, order: Doc) -> tuple[Decimal, Decimal, bool]:
    now = get_order(api, order)
    over = now.get("overRefunded", False)
    return now["refundedAmount"], now["availableToRefundAmount"], over


def test_what_is_not_sent_fails(api: Api) -> None:
    """Accepted, but no processor was asked before the bank took everything."""
    order = given_captured(api, "A")
    late = refund(api, order, amount=20)
    lose(api, order, "27.01")
    advance(api, 0)
    assert get_refund(api, late)["state"] == "failed"
    assert get_refund(api, late)["failureReason"] == "declined"
    assert get_order(api, order)["availableToRefundAmount"] == 0


def test_the_interlock_says_what_the_page_says(api: Api) -> None:
    order = given_captured(api, "A")
    waiting = expect(api.post("/orders", order_body("A")), 201)
    item = {"itemId": order["items"][0]["id"], "quantity": 1}
    open_dispute(api, order)
    open_dispute(api, waiting)
    answers = {
        "POST /refunds": ask(api, order, amount=1),
        "POST /returns": api.post("/returns", {"orderId": order["id"], "items": [item]}),
        "POST /fulfillments": ask_to_fulfil(api, waiting, "quantity", 1),
    }
    rows = table("disputes.md", "While the order is in dispute")
    head = "While the order is in dispute"
    said = {codes(row[head])[0]: row[""] for row in rows if codes(row[head])}
    for name, answer in answers.items():
        (error,) = read(answer)["errors"]
        message = error["message"].replace(waiting["id"], "…")
        assert said[name] == f"{answer.status_code} `{message}`"


def test_the_retries_of_a_delivery_are_those_of_the_page() -> None:
    for row in table("webhooks.md", "Mode", "Retries after"):
        live = row["Mode"] == "live"
        waits: list[timedelta] = []
        while (due := next_delivery(len(waits) + 1, NOW, NOW, live=live)) is not None:
            waits.append(due - NOW)
        assert [written(wait) for wait in waits] == row["Retries after"].split(", ")
        assert int(row["Attempts"]) == len(waits) + 1


def written(wait: timedelta) -> str:
    hours, minutes = divmod(int(wait.total_seconds()) // 60, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes}" if minutes else f"{hours} h"


def test_the_overlaps_of_a_token_are_those_of_the_page() -> None:
    (listed,) = re.findall(r"`--overlap` says \((.+?), the default\)", page("webhooks.md"))
    assert codes(listed) == list(OVERLAPS)


def test_the_pages_name_events_that_there_are() -> None:
    known = {kind.value for kind in EventType} | {"dispute.opened", "dispute.won", "dispute.lost"}
    for name in ("returns.md", "disputes.md"):
        named = re.findall(
            r"`((?:refund|order|return|dispute|sales_transaction)\.[a-z_.]+)`", page(name)
        )
        assert set(named) <= known
