"""Permuted, repeated and lost: the events of real lives of orders always end in the same views."""

import random
from collections.abc import Iterator, Sequence

import pytest

from refundry_sync.client import Client
from refundry_sync.sync.documents import read_event
from refundry_sync.sync.merging import CHARGE_TYPES, apply_event
from refundry_sync.sync.reading import Reading, add_reading
from refundry_sync.sync.status import order_view
from refundry_sync.sync.views import Book
from tests.support.http import Doc
from tests.support.lives import Life, live, status_of
from tests.support.service import Account, Service
from tests.support.shop import Shop, a_shop
from tests.sync.test_commerce_sync import LONG_AGO

ORDERS = 8
SEED = 6


@pytest.fixture(scope="module")
def lived(service: Service) -> tuple[Account, list[Life]]:
    account = service.open_account()
    return account, live(service, service.api(account.secret_test), ORDERS, SEED)


@pytest.fixture
def lives(lived: tuple[Account, list[Life]]) -> list[Life]:
    return lived[1]


@pytest.fixture
def shop_client(lived: tuple[Account, list[Life]], url: str) -> Iterator[Client]:
    with Client(url, lived[0].secret_test) as client:
        yield client


def test_the_lives_are_worth_it(lives: list[Life]) -> None:
    """What the tests below are about does happen in them."""
    states = {refund["state"] for life in lives for refund in life.refunds}
    assert {"succeeded", "failed"} <= states
    types = {event["type"] for life in lives for event in life.events}
    assert {"order.chargeback", "order.charge.refund.failed", "return.accepted"} <= types
    assert len({status_of(life) for life in lives}) >= 4


def test_any_order_and_repetition_of_events_gives_the_same_book(lives: list[Life]) -> None:
    """Pure: the events of one order in some order, then the order read once, as after any event."""
    straight = [folded(life, life.events) for life in lives]
    for seed in range(200):
        choice = random.Random(seed)
        number = choice.randrange(len(lives))
        life = lives[number]
        events = [*life.events, *choice.choices(life.events, k=5)]
        choice.shuffle(events)
        assert folded(life, events) == straight[number], seed
    for life, book in zip(lives, straight, strict=True):
        assert_as_reported(book, life)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_lost_is_found_by_reconciliation(
    lives: list[Life], shop_client: Client, seed: int
) -> None:
    deliver_and_reconcile(random.Random(seed), lives, shop_client)


@pytest.mark.check
@pytest.mark.parametrize("seed", range(10, 60))
def test_what_was_lost_is_found_by_reconciliation_many_times(
    lives: list[Life], shop_client: Client, seed: int
) -> None:
    deliver_and_reconcile(random.Random(seed), lives, shop_client)


@pytest.mark.check
@pytest.mark.parametrize("seed", range(100, 110))
def test_other_lives_end_as_reported(service: Service, url: str, seed: int) -> None:
    account = service.open_account()
    lives = live(service, service.api(account.secret_test), ORDERS, seed)
    straight = [folded(life, life.events) for life in lives]
    for life, book in zip(lives, straight, strict=True):
        assert_as_reported(book, life)
    with Client(url, account.secret_test) as client:
        deliver_and_reconcile(random.Random(seed), lives, client)


def deliver_and_reconcile(choice: random.Random, lives: list[Life], client: Client) -> None:
    """Some events of all lives in some order, some of them twice; then all is read again."""
    events = [event for life in lives for event in life.events]
    arrived = choice.choices(events, k=choice.randrange(len(events)))
    at_once = choice.randrange(1, 20)
    with a_shop(client) as shop:
        for first in range(0, len(arrived), at_once):
            for event in arrived[first : first + at_once]:
                assert shop.deliver(event) in (200, 202)
            shop.synchroniser.process_due()
        shop.synchroniser.reconcile(LONG_AGO)
        assert shop.synchroniser.drift(LONG_AGO) == []
        assert shop.synchroniser.reconcile(LONG_AGO) == []
        for life in lives:
            assert_as_reported(shop.synchroniser.book(life.order["id"]), life)
        assert_told_once(shop, lives)


def assert_told_once(shop: Shop, lives: Sequence[Life]) -> None:
    """Each change and mail once; and the mail that matters for every refund."""
    ids = [change.id for change in shop.calls.changes]
    assert len(ids) == len(set(ids))
    mails = [mail.id for mail in shop.calls.mails]
    assert len(mails) == len(set(mails))
    last = {
        "succeeded": "refund_confirmation",
        "failed": "refund_failed",
        "expired": "refund_failed",
    }
    for life in lives:
        for refund in life.refunds:
            if refund["state"] in last:
                assert f"{refund['id']}:{last[refund['state']]}" in mails


def folded(life: Life, events: Sequence[Doc]) -> Book:
    book = Book(order_id=life.order["id"])
    for event in events:
        book = apply_event(book, read_event(event))
    known = Book(order_id=book.order_id)
    return add_reading(book, Reading(known, life.order))


def assert_as_reported(book: Book, life: Life) -> None:
    """The views say what the API says: of the order, its refunds, its charges' refunds."""
    view = order_view(book)
    for field, ours in {
        "refundedAmount": view.refunded_amount,
        "availableToRefundAmount": view.available_to_refund_amount,
        "capturedAmount": view.captured_amount,
        "state": view.state,
        "version": view.version,
    }.items():
        assert ours == life.order[field], field
    assert view.refund_status == status_of(life)
    assert view.chargeback_amount == -sum(sale["amount"] for sale in life.sales)
    assert set(book.refunds) == {refund["id"] for refund in life.refunds}
    for refund in life.refunds:
        seen = book.refunds[refund["id"]]
        assert (seen.state, seen.refunded_amount, seen.amount, seen.failure_reason) == (
            refund["state"],
            refund["refundedAmount"],
            refund.get("amount", sum(item["amount"] for item in refund["items"])),
            refund.get("failureReason"),
        )
    assert_charges_as_reported(book, life)


def assert_charges_as_reported(book: Book, life: Life) -> None:
    """Each charge-level refund that an event on a charge has shown, its final state exactly.

    That a record waits for bank details, and that a chargeback came last, no such event shows.
    """
    reported = {
        record["id"]: (record["amount"], record["state"])
        for charge in life.charges
        for record in charge.get("refunds", [])
    }
    shown = {
        record["id"]
        for event in life.events
        if event["type"] in CHARGE_TYPES
        for record in event["data"]["object"]["refunds"]
    }
    assert book.charge_refunds.keys() >= shown
    for each in book.charge_refunds.values():
        amount, state = reported[each.id]
        assert each.amount == amount
        assert each.state == state or {each.state, state} <= {"pending", "pending_information"}
