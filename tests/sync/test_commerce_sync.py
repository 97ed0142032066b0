"""Cases S-01 to S-21 of the contract, against a real Refundry; webhooks reach a real endpoint."""

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import httpx
import pytest

from refundry_sync.client import Client
from refundry_sync.sync import OrderRefundView
from tests.support.disputes import charge_back
from tests.support.fixtures import (
    charges,
    events_since,
    given_captured,
    mark,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.service import Account, Service
from tests.support.shop import Shop, a_shop, connected_shop

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def shop(client: Client) -> Iterator[Shop]:
    """Events are given to it, so that a test chooses their order."""
    with a_shop(client) as shop:
        yield shop


@pytest.fixture
def connected(service: Service, account: Account, client: Client) -> Iterator[Shop]:
    """Refundry delivers to it."""
    with connected_shop(service, account, client) as shop:
        yield shop


def given_refunded(api: Api, name: str = "A", **fields: object) -> tuple[Doc, Doc, list[Doc]]:
    """A captured order, a settled refund of it, and the events of that refund."""
    order = given_captured(api, name)
    start = mark(api)
    made = settled_refund(api, order, **fields)
    return order, made, events_since(api, start)


def assert_half_refunded(view: OrderRefundView) -> None:
    """A, of which 13.51 was paid back."""
    assert view.refunded_amount == money("13.51")
    assert view.available_to_refund_amount == money("13.5")
    assert (view.refund_status, view.has_pending_refunds) == ("partially_refunded", False)


def of_type(events: list[Doc], type: str) -> Doc:
    (found,) = [event for event in events if event["type"] == type]
    return found


def test_s_01_a_webhook_brings_the_views_up_to_date(api: Api, connected: Shop) -> None:
    order = given_captured(api, "A")
    before = len(connected.statuses)
    made = settled_refund(api, order, amount=13.51)
    connected.had(before + 6)
    assert set(connected.statuses) == {202}
    view = connected.synchroniser.order_view(order["id"])
    assert (view.refunded_amount, view.available_to_refund_amount) == (
        money("13.51"),
        money("13.5"),
    )
    assert connected.synchroniser.refund_view(made["id"]).state == "succeeded"


def test_s_01_complete_alone_is_enough(api: Api, shop: Shop) -> None:
    order, made, events = given_refunded(api, amount=13.51)
    assert shop.deliver(of_type(events, "refund.complete")) == 202
    assert shop.synchroniser.process_due() > 0
    view = shop.synchroniser.order_view(order["id"])
    assert (view.refunded_amount, view.available_to_refund_amount) == (
        money("13.51"),
        money("13.5"),
    )
    assert shop.synchroniser.refund_view(made["id"]).state == "succeeded"


def test_s_02_without_a_right_signature_nothing_is_stored(api: Api, shop: Shop) -> None:
    _, _, events = given_refunded(api, amount=13.51)
    body = json.dumps(events[-1], default=float).encode()
    assert shop.receive({}, body).status == 401
    assert shop.receive({"DigitalRiver-Signature": "1714557600"}, body).status == 401
    assert shop.deliver(events[-1], tokens=("another",)) == 401
    assert shop.inbox() == 0


def test_s_03_a_signature_is_fresh_for_five_minutes(api: Api, shop: Shop) -> None:
    _, _, events = given_refunded(api, amount=13.51)
    now = datetime.now(UTC)
    assert shop.deliver(events[0], signed_at=now - timedelta(seconds=302)) == 401
    assert shop.deliver(events[0], signed_at=now - timedelta(seconds=298)) == 202


def test_s_04_a_header_of_two_signatures_needs_one_known_token(api: Api, client: Client) -> None:
    _, _, events = given_refunded(api, amount=13.51)
    with a_shop(client, tokens=("old",)) as shop:
        assert shop.deliver(events[0], tokens=("new", "old")) == 202
    with a_shop(client, tokens=("new", "old")) as shop:
        assert shop.deliver(events[0], tokens=("old",)) == 202


def test_s_05_a_repeat_changes_nothing(api: Api, shop: Shop) -> None:
    _, _, events = given_refunded(api, amount=13.51)
    complete = of_type(events, "refund.complete")
    shop.take(complete)
    assert shop.deliver(complete) == 200
    assert shop.synchroniser.process_due() == 0
    assert (len(shop.calls.changes), shop.calls.kinds()) == (1, ["refund_confirmation"])
    (change,) = shop.calls.changes
    assert change.refund is not None
    assert (change.refund.state, change.order.refunded_amount) == ("succeeded", money("13.51"))


def test_s_06_an_older_event_does_not_undo_a_newer_one(api: Api, shop: Shop) -> None:
    _, made, events = given_refunded(api, amount=13.51)
    shop.take(of_type(events, "refund.complete"), of_type(events, "refund.pending"))
    assert shop.synchroniser.refund_view(made["id"]).state == "succeeded"
    assert shop.calls.kinds() == ["refund_confirmation"], "news that is no longer true is no news"


def test_s_07_any_order_of_two_charges_ends_in_the_same_views(api: Api, client: Client) -> None:
    order, _, events = given_refunded(api, "G", percent=50)
    told = [each for each in events if each["type"] != "refund.created"]
    for permuted in itertools.islice(itertools.permutations([*told, told[-1]]), 0, 5040, 211):
        with a_shop(client) as shop:
            for event in permuted:
                assert shop.deliver(event) in (200, 202)
            shop.synchroniser.process_due()
            book = shop.synchroniser.book(order["id"])
            found = {each.amount: each.state for each in book.charge_refunds.values()}
            assert found == {money("6.89"): "complete", money("6.56"): "complete"}
            view = shop.synchroniser.order_view(order["id"])
            assert (view.refund_status, view.refunded_amount) == (
                "partially_refunded",
                money("13.45"),
            )


def test_s_08_only_the_refund_that_is_new_is_added(api: Api, shop: Shop) -> None:
    order, _, first = given_refunded(api, amount=13.51)
    shop.take(of_type(first, "order.charge.refund.complete"))
    known = dict(shop.synchroniser.book(order["id"]).charge_refunds)
    start = mark(api)
    settled_refund(api, order, amount=1.00)
    second = of_type(events_since(api, start), "order.charge.refund.complete")
    assert len(second["data"]["object"]["refunds"]) == 2
    shop.take(second)
    records = shop.synchroniser.book(order["id"]).charge_refunds
    (added,) = [each for each in records.values() if each.id not in known]
    assert (len(records), added.amount, added.state) == (2, money("1.0"), "complete")


def test_s_09_all_of_an_order_is_refunded(api: Api, shop: Shop) -> None:
    order, _, events = given_refunded(api, percent=100)
    shop.take(*events)
    view = shop.synchroniser.order_view(order["id"])
    assert (view.refund_status, view.available_to_refund_amount) == ("refunded", money("0.0"))


def test_s_10_a_chargeback_of_a_part(api: Api, shop: Shop) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    charge_back(api, order, 10.00)
    shop.take(of_type(events_since(api, start), "order.chargeback"))
    view = shop.synchroniser.order_view(order["id"])
    assert view.refund_status == "partially_charged_back"
    assert (view.chargeback_amount, view.available_to_refund_amount) == (
        money("10.0"),
        money("17.01"),
    )
    assert view.disputed, "the event's order is still in dispute"
    assert shop.calls.kinds() == ["chargeback_alert"], "which is for staff"


def test_s_11_a_chargeback_of_everything(api: Api, shop: Shop) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    charge_back(api, order, fraud=False)
    shop.take(*events_since(api, start))
    view = shop.synchroniser.order_view(order["id"])
    assert (view.refund_status, view.chargeback_amount) == ("charged_back", money("27.01"))


def test_s_12_a_failure_and_its_reason_are_kept(api: Api, shop: Shop) -> None:
    order, made, events = given_refunded(api, "R", percent=100)
    shop.take(*events)
    view = shop.synchroniser.order_view(order["id"])
    assert (view.refund_status, view.refunded_amount) == ("refund_failed", money("0.0"))
    seen = shop.synchroniser.refund_view(made["id"])
    assert (seen.state, seen.failure_reason) == ("failed", "expired_or_canceled_card")
    assert shop.calls.kinds() == ["refund_processing", "refund_failed"]


def test_s_13_bank_details_are_asked_for_with_token_and_deadline(api: Api, shop: Shop) -> None:
    order, made, events = given_refunded(api, "J", percent=100)
    shop.take(of_type(events, "refund.pending_information"))
    assert shop.synchroniser.order_view(order["id"]).refund_status == "pending_information"
    mail = shop.calls.mail("bank_details_needed")
    information = made["tokenInformation"]
    assert (mail.token, mail.expires_time) == (information["token"], information["expiresTime"])


def test_s_14_reconciliation_finds_what_no_webhook_told(api: Api, shop: Shop) -> None:
    order, made, _ = given_refunded(api, amount=13.51)
    differences = shop.synchroniser.reconcile(LONG_AGO)
    assert {each.order_id for each in differences} == {order["id"]}
    assert shop.synchroniser.refund_view(made["id"]).state == "succeeded"
    view = shop.synchroniser.order_view(order["id"])
    assert (view.refund_status, view.refunded_amount) == ("partially_refunded", money("13.51"))
    assert shop.calls.kinds() == ["refund_confirmation"]
    assert shop.synchroniser.reconcile(LONG_AGO) == []
    assert shop.calls.kinds() == ["refund_confirmation"]


def test_a_dry_run_tells_the_same_and_changes_nothing(api: Api, shop: Shop) -> None:
    given_refunded(api, amount=13.51)
    would = shop.synchroniser.reconcile(LONG_AGO, dry_run=True)
    assert (shop.inbox(), shop.calls.changes) == (0, [])
    assert would == shop.synchroniser.reconcile(LONG_AGO)


def test_s_15_a_limit_is_waited_for(account: Account, api: Api, url: str) -> None:
    order, _, events = given_refunded(api, amount=13.51)
    limited = Limited(limits=1, seconds=2)
    with Client(url, account.secret_test, transport=limited) as client, a_shop(client) as shop:
        began = time.monotonic()
        shop.take(of_type(events, "refund.complete"))
        assert time.monotonic() - began >= 2
        assert limited.answered == 1
        assert shop.synchroniser.order_view(order["id"]).refunded_amount == money("13.51")


def test_s_16_too_much_is_refused_here(api: Api, shop: Shop) -> None:
    order = given_captured(api, "A")
    outcome = shop.synchroniser.request_refund(
        order["id"], request_id="r-1", amount=Decimal("27.02"), reason="requested_by_customer"
    )
    assert (outcome.state, outcome.refund) == ("refused", None)
    message = "The requested refund amount is greater than the available amount."
    assert [each.message for each in outcome.problems] == [message]
    assert outcome.shopper_text is not None
    assert "invalid" not in outcome.shopper_text
    assert expect(api.get(f"/refunds?orderId={order['id']}"))["data"] == []


def test_s_16_a_timeout_does_not_refund_twice(account: Account, api: Api, url: str) -> None:
    order = given_captured(api, "A")
    losing = Losing(losses=2)
    client = Client(url, account.secret_test, transport=losing, first_wait=0.01)
    with client, a_shop(client) as shop:
        ask = partial(shop.synchroniser.request_refund, order["id"], request_id="r-1")
        outcome = ask(amount=Decimal("13.51"))
        again = ask(amount=Decimal("13.51"))
    assert (outcome.state, losing.lost) == ("accepted", 2)
    assert again == outcome
    assert len(expect(api.get(f"/refunds?orderId={order['id']}"))["data"]) == 1


def test_a_request_without_any_answer_is_sent_again_later(
    account: Account, api: Api, url: str
) -> None:
    order = given_captured(api, "A")
    losing = Losing(losses=1)
    client = Client(url, account.secret_test, transport=losing, attempts=1)
    with client, a_shop(client) as shop:
        outcome = shop.synchroniser.request_refund(
            order["id"], request_id="r-1", percent=Decimal(100)
        )
        assert outcome.state == "sending"
        shop.synchroniser.process_due(datetime.now(UTC) + timedelta(seconds=5))
        (found,) = shop.synchroniser.find_refunds(order["id"])
        assert (found.request_id, found.state) == ("r-1", "pending")
    assert len(expect(api.get(f"/refunds?orderId={order['id']}"))["data"]) == 1


@pytest.mark.parametrize("first", ["refund.complete", "order.refunded"])
def test_s_17_two_events_are_one_confirmation(api: Api, shop: Shop, first: str) -> None:
    order, made, events = given_refunded(api, "H", percent=50)
    told = [of_type(events, "refund.complete"), of_type(events, "order.refunded")]
    shop.take(*sorted(told, key=lambda event: event["type"] != first))
    mail = shop.calls.mail("refund_confirmation")
    assert mail.amount == made["refundedAmount"]
    paid = {(each.type, each.amount, each.brand, each.last_four) for each in mail.paid_back}
    records = [record for each in made["charges"] for record in each["refunds"]]
    assert sum(each.amount for each in mail.paid_back) == made["refundedAmount"]
    assert len(paid) == len(records)
    assert {each[2:] for each in paid if each[0] == "creditCard"} <= {("Visa", "1111")}
    assert mail.order.order_id == order["id"]


def test_s_18_events_of_the_other_mode_are_ignored(api: Api, shop: Shop) -> None:
    _, _, events = given_refunded(api, amount=13.51)
    assert shop.deliver({**events[-1], "liveMode": True}) == 200
    assert shop.inbox() == 0


def test_s_19_a_late_failure_replaces_a_success(service: Service, api: Api, shop: Shop) -> None:
    order, made, events = given_refunded(api, amount=13.51)
    complete = of_type(events, "refund.complete")
    shop.take(complete)
    start = mark(api)
    fail_late(service, api, order)
    failed = of_type(events_since(api, start), "refund.failed")
    shop.take(failed)
    for _ in range(2):
        assert shop.synchroniser.refund_view(made["id"]).state == "failed"
        assert shop.synchroniser.order_view(order["id"]).refund_status == "refund_failed"
        shop.take({**complete, "id": "another-delivery-of-old-news"})
    assert shop.calls.kinds() == ["refund_confirmation", "refund_failed"]


def test_s_20_refunds_and_refused_requests_are_found_together(api: Api, shop: Shop) -> None:
    order, made, events = given_refunded(api, "R", percent=100)
    shop.take(*events)
    shop.synchroniser.request_refund(order["id"], request_id="r-2", amount=Decimal(100))
    refused, failed = shop.synchroniser.find_refunds(order["id"])
    assert (refused.state, refused.refund_id, refused.amount) == ("refused", None, Decimal(100))
    assert [each.message for each in refused.problems] == [
        "The requested refund amount is greater than the available amount."
    ]
    assert (failed.refund_id, failed.failure_reason) == (made["id"], "expired_or_canceled_card")
    assert shop.synchroniser.find_refunds(state="refused") == [refused]
    assert shop.synchroniser.find_refunds(refund_id=made["id"]) == [failed]


def test_s_21_a_lost_dispute_in_every_order(api: Api, client: Client) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    charge_back(api, order, 10.00)
    events = events_since(api, start)
    resolved = of_type(events, "order.dispute.resolved")
    assert len(events) == 4
    for permuted in itertools.permutations(events):
        with a_shop(client) as shop:
            for event in permuted:
                shop.deliver(event)
            shop.synchroniser.process_due()
            view = shop.synchroniser.order_view(order["id"])
            assert (view.refund_status, view.disputed) == ("partially_charged_back", False)
            assert view.version == resolved["data"]["object"]["version"]
            assert view.chargeback_amount == money("10.0")


def fail_late(service: Service, api: Api, order: Doc) -> None:
    """The bank sends the money of the only refund back."""
    (charge,) = charges(api, order).values()
    (record,) = charge["refunds"]
    data = {"operationId": record["id"], "failureReason": "account_closed"}
    expect(service.notify("refund.failed", data, f"late-{record['id']}"))
    settle(api)


class Limited(httpx.BaseTransport):
    """Answers the first requests with 429 and a time to wait; then lets them through."""

    def __init__(self, limits: int, seconds: int) -> None:
        self._left, self._seconds, self.answered = limits, seconds, 0
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._left:
            self._left -= 1
            self.answered += 1
            return httpx.Response(429, headers={"Retry-After": str(self._seconds)}, json={})
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class Losing(httpx.BaseTransport):
    """Carries POSTs out, and loses the answers to the first of them."""

    def __init__(self, losses: int) -> None:
        self._left, self.lost = losses, 0
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        if request.method == "POST" and self._left:
            self._left -= 1
            self.lost += 1
            answer.read()
            raise httpx.ReadTimeout("lost", request=request)
        return answer

    def close(self) -> None:
        self._inner.close()
