"""What the cases of the contract leave open: refusals of the receiver, ties, loops, other mails."""

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from refundry_sync.client import Client
from refundry_sync.signature import sign
from refundry_sync.sync.merging import apply_event, merge_refunds
from refundry_sync.sync.views import Book, Document, Event, RefundView, Stamp
from tests.support.disputes import given_dispute
from tests.support.fixtures import events_since, given_captured, mark, settled_refund
from tests.support.http import Api, Doc, money
from tests.support.processes import eventually
from tests.support.returns import accept_return, given_return
from tests.support.service import Account
from tests.support.shop import TOKEN, Shop, a_shop
from tests.sync.test_commerce_sync import LONG_AGO, given_refunded, of_type

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def shop(client: Client) -> Iterator[Shop]:
    with a_shop(client) as shop:
        yield shop


def event(**changes: object) -> Doc:
    made: Doc = {
        "id": "e1",
        "type": "a.type.of.tomorrow",
        "data": {"object": {"id": "x"}},
        "liveMode": False,
        "createdTime": "2026-05-01T12:00:00Z",
    }
    return made | changes


@pytest.mark.parametrize("field", ["id", "type", "data", "createdTime"])
def test_an_event_without_what_it_needs_is_refused_by_name(shop: Shop, field: str) -> None:
    document = event()
    del document[field]
    body = json.dumps(document).encode()
    header = sign(body, (TOKEN,), now=datetime.now(UTC))
    reception = shop.receive({"digitalriver-signature": header}, body)
    assert reception.status == 400
    assert f"'{field}" in json.loads(reception.body)["message"]
    assert shop.inbox() == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 10_000])
def test_what_is_no_event_is_refused(shop: Shop, body: bytes) -> None:
    header = sign(body, (TOKEN,), now=datetime.now(UTC))
    assert shop.receive({"digitalriver-signature": header}, body).status == 400


def test_too_much_is_not_even_verified(shop: Shop) -> None:
    assert shop.receive({}, b" " * (2**20 + 1)).status == 413


def test_an_unknown_type_is_stored_and_ignored(shop: Shop) -> None:
    assert [shop.deliver(event()), shop.deliver(event())] == [202, 200]
    assert shop.synchroniser.process_due() == 0
    assert shop.inbox() == 1


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ({"basic_auth": ("shop", "secret")}, "Basic c2hvcDpzZWNyZXQ="),
        ({"bearer_token": "t0"}, "Bearer t0"),
    ],
)
def test_the_webhooks_own_credentials_are_asked_for_first(
    client: Client, settings: dict[str, Any], right: str
) -> None:
    body = json.dumps(event()).encode()
    signed = {"DigitalRiver-Signature": sign(body, (TOKEN,), now=datetime.now(UTC))}
    with a_shop(client, **settings) as shop:
        for wrong in ({}, {"Authorization": "Basic x"}, {"Authorization": right + "x"}):
            assert shop.receive(signed | wrong, body).status == 401
        assert shop.receive(signed | {"Authorization": right}, body).status == 202


def test_without_the_api_what_events_say_is_taken_in_and_the_rest_later(
    api: Api, account: Account, client: Client
) -> None:
    order, made, events = given_refunded(api, amount=13.51)
    with Client(NOBODY, account.secret_test, attempts=1) as nobody, a_shop(nobody) as shop:
        shop.take(of_type(events, "refund.complete"))
        (change,) = shop.calls.changes
        assert change.refund is not None
        assert (change.refund.id, change.refund.state) == (made["id"], "succeeded")
        with a_shop(client, store=shop.store, calls=shop.calls) as again:
            again.synchroniser.process_due(datetime.now(UTC) + timedelta(seconds=2))
            view = again.synchroniser.order_view(order["id"])
            assert view.refunded_amount == money("13.51")
            assert again.synchroniser.process_due() == 0


def test_an_event_that_cannot_be_worked_off_is_a_dead_letter_after_a_day(account: Account) -> None:
    refund = {
        "id": "r1", "orderId": "o1", "state": "pending", "currency": "USD", "amount": 1,
        "createdTime": "2026-05-01T12:00:00Z",
    }  # fmt: skip
    told = event(type="refund.pending", data={"object": refund})
    with Client(NOBODY, account.secret_test, attempts=1) as nobody, a_shop(nobody) as shop:
        shop.take(told)
        start = datetime.now(UTC)
        for hours in (1, 12, 25):
            assert shop.synchroniser.dead_letters() == []
            shop.synchroniser.process_due(start + timedelta(hours=hours))
        (letter,) = shop.synchroniser.dead_letters()
        assert (letter.kind, letter.order_id, letter.attempts) == ("event", "o1", 4)
        assert letter.error.startswith("Unreachable")


def test_loops_find_what_no_webhook_told_and_say_so(
    api: Api, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    order, made, _ = given_refunded(api, amount=13.51)
    stopping = threading.Event()
    with caplog.at_level(logging.WARNING, "refundry_sync"):
        thread = threading.Thread(target=shop.synchroniser.run_loops, args=(stopping,))
        thread.start()
        try:
            assert eventually(lambda: shop.calls.kinds() == ["refund_confirmation"], 20)
        finally:
            stopping.set()
            thread.join()
    assert shop.synchroniser.refund_view(made["id"]).state == "succeeded"
    assert f"mended: order {order['id']} refundedAmount was None, is 13.51" in caplog.messages
    assert shop.synchroniser.drift(LONG_AGO) == []


def test_bank_details_that_came_are_thanked_for(api: Api, client: Client, shop: Shop) -> None:
    order = given_captured(api, "Q")
    start = mark(api)
    made = settled_refund(api, order, amount=1.0)
    values = {"accountHolderName": "Ana Lind", "iban": "DE89370400440532013000"}
    token = made["tokenInformation"]["token"]
    form = client.refund_tokens.get(token)
    fields = {each.name: values.get(each.name, "x") for each in form.fields if each.required}
    client.refund_tokens.submit(token, {"fields": fields})
    client.test_clock.advance(86_400)
    shop.take(*events_since(api, start))
    kinds = shop.calls.kinds()
    assert kinds.count("bank_details_needed") == kinds.count("details_received") == 1
    assert kinds.index("bank_details_needed") < kinds.index("details_received")
    assert kinds[-1] == "refund_confirmation"


def test_returns_and_disputes_are_told_to_whom_they_concern(api: Api, shop: Shop) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    goods = given_return(api, order, 1)
    accept_return(api, goods)
    shop.take(*events_since(api, start))
    assert shop.synchroniser.book(order["id"]).returns[goods["id"]].state == "accepted"
    mail = shop.calls.mail("return_authorised")
    assert (mail.refund, mail.lines[0]["quantity"]) == (None, 1)
    other = given_captured(api, "A")
    start = mark(api)
    given_dispute(api, other)
    shop.take(*events_since(api, start))
    assert shop.synchroniser.order_view(other["id"]).disputed
    assert shop.calls.mail("dispute_alert").order.order_id == other["id"]


def test_old_stories_are_taken_in_without_mails(api: Api, client: Client) -> None:
    order, _, _ = given_refunded(api, amount=13.51)
    with a_shop(client, announce_within=timedelta(0)) as shop:
        shop.synchroniser.reconcile(LONG_AGO)
        assert shop.synchroniser.order_view(order["id"]).refund_status == "partially_refunded"
        assert (len(shop.calls.changes) > 0, shop.calls.mails) == (True, [])


def test_drift_compares_the_shops_own_books_as_well(api: Api, shop: Shop) -> None:
    order, _, events = given_refunded(api, amount=13.51)
    shop.take(*events)
    ours = {order["id"]: Decimal(13)}
    (found,) = shop.synchroniser.drift(LONG_AGO, shop_total=ours.get)
    assert (found.ours, found.theirs) == ({"shop": "13"}, {"shop": "13.51"})
    assert shop.synchroniser.drift(LONG_AGO, shop_total=lambda _: Decimal("13.51")) == []


def refund_at(second: int, **fields: object) -> RefundView:
    """A refund as an event of that second shows it."""
    document: Document = {
        "id": "r1", "orderId": "o1", "state": "pending", "currency": "USD", "amount": Decimal(5),
        "refundedAmount": Decimal(0), "createdTime": "2026-05-01T12:00:00Z", **fields,
    }  # fmt: skip
    seen = Event(
        id=str(uuid.uuid4()),
        type="refund.updated",
        created_time=NOW + timedelta(seconds=second),
        order_id="o1",
        object=document,
    )
    return apply_event(Book(order_id="o1"), seen).refunds["r1"]


@pytest.mark.parametrize(
    ("older", "newer", "state"),
    [
        ("pending", "pending_information", "pending_information"),
        ("pending_information", "pending", "pending"),
        ("succeeded", "pending", "succeeded"),
        ("succeeded", "failed", "failed"),
        ("failed", "pending", "failed"),
        ("expired", "pending", "expired"),
    ],
)
def test_which_state_stays(older: str, newer: str, state: str) -> None:
    one, other = refund_at(1, state=older), refund_at(2, state=newer)
    assert merge_refunds(one, other).state == merge_refunds(other, one).state == state


def test_metadata_follow_the_newer_event_whatever_the_state() -> None:
    paid = refund_at(1, state="succeeded", metadata={"note": "old"})
    later = refund_at(2, state="pending", metadata={"note": "new"})
    for merged in (merge_refunds(paid, later), merge_refunds(later, paid)):
        assert (merged.state, merged.document["metadata"]) == ("succeeded", {"note": "new"})
        assert merged.last_event_time == NOW + timedelta(seconds=2)


def test_a_part_that_failed_late_lowers_what_was_paid() -> None:
    whole = refund_at(1, state="succeeded", refundedAmount=Decimal(5))
    part = refund_at(2, state="succeeded", refundedAmount=Decimal(3))
    assert merge_refunds(whole, part).refunded_amount == 3
    assert merge_refunds(part, whole).refunded_amount == 3


def test_without_versions_the_newer_order_counts() -> None:
    def shown(book: Book, updated: str, amount: int, name: str) -> Book:
        document: Document = {
            "id": "o1", "state": "complete", "refundedAmount": Decimal(amount),
            "availableToRefundAmount": Decimal(9), "updatedTime": updated,
        }  # fmt: skip
        told = Event(
            id=name, type="order.updated", created_time=NOW, order_id="o1", object=document
        )
        return apply_event(book, told)

    empty = Book(order_id="o1")
    early, late = ("2026-05-01T12:00:00Z", 1, "a"), ("2026-05-01T12:00:01Z", 2, "b")
    for first, second in ((early, late), (late, early)):
        book = shown(shown(empty, *first), *second)
        assert book.order is not None
        assert book.order.document["refundedAmount"] == 2
    assert Stamp(NOW, 1) > Stamp(NOW, 0, "z"), "what was read is newer than the event before"
