"""Acceptance cases W-13, W-17, W-18 and W-19: days of live deliveries, on a clock that is moved.

The product's own worker delivers to a real receiver; only the signature keeps real time.
"""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from refundry.access.commands import open_account
from refundry.db.database import Database
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.operations.work import Worker, drain
from refundry.orders.commands import ingest_order
from refundry.orders.reading import read_order
from refundry.settings import Settings
from refundry.tenant import Tenant
from refundry.webhooks.commands import create_webhook, rotate_token
from refundry.webhooks.reading import WebhookAsk
from refundry.worker import open_worker
from tests.support.answers import OK, status
from tests.support.fixtures import credit, order_body, paid_by
from tests.support.mailbox import Mailbox
from tests.support.receiver import Arrival, Endpoint, Receiver
from tests.support.webhooks import LOOPBACK, event_ids, is_signed

HOUR = timedelta(hours=1)
# Minutes from the first attempt to each retry.
SCHEDULE = (1, 6, 21, 51, 111, 231, 471, 951, 1671, 2391, 3111, 3831, 4320)
# Real seconds go by while the clock is moved.
SLACK = timedelta(seconds=20)


@dataclass
class Stand:
    """A live account whose worker's clock the test moves, and an administrator."""

    worker: Worker
    tenant: Tenant
    administrator: str

    async def subscribe(self, endpoint: Endpoint) -> str:
        """A webhook on `order.accepted`; gives its id."""
        ask = WebhookAsk(
            types=("order.accepted",), address=endpoint.url, api_version=None, enabled=None,
            transport=None, authentication=None, oauth=None, expanded_types=None,
        )  # fmt: skip
        body = await create_webhook(
            self.worker.database, self.worker.vault, self.tenant, ask, self.worker.clock.now(), None
        )
        return json.loads(body)["id"]

    async def make_event(self) -> str:
        """Take in an order and deliver what is due; gives the order's id."""
        body = order_body("A", payment=paid_by(credit(27.01)))
        now = self.worker.clock.now()
        fields = Fields(read_object(json.dumps(body).encode()), [])
        read = read_order(fields, live=self.tenant.live, now=now)
        made = await ingest_order(self.worker.database, self.tenant, read, now, None)
        await self.deliver()
        return json.loads(made)["id"]

    async def deliver(self) -> None:
        await drain(self.worker, self.tenant.account_id)

    async def advance(self, by: timedelta) -> None:
        self.worker.clock.shift += by
        await self.deliver()

    async def webhook(self, webhook_id: str) -> dict[str, Any]:
        row = await self.worker.database.fetchrow(
            "SELECT enabled, disabled_reason, failing_since FROM webhooks WHERE id = $1", webhook_id
        )
        assert row is not None
        return dict(row)

    async def attempt_times(self, webhook_id: str) -> list[datetime]:
        rows = await self.worker.database.fetch(
            "SELECT started_at FROM attempts WHERE webhook_id = $1 ORDER BY started_at", webhook_id
        )
        return [row["started_at"] for row in rows]


async def given_stand(database: Database, worker: Worker) -> Stand:
    name = f"Live {uuid.uuid4()}"
    mail = f"{uuid.uuid4()}@shop.example"
    opened = await open_account(database, name, now=worker.clock.now(), administrator=mail)
    return Stand(worker, Tenant(opened.account_id, live=True), mail)


@pytest.fixture
async def stand(settings: Settings, database: Database, mailbox: Mailbox) -> AsyncIterator[Stand]:
    open_settings = msgspec.structs.replace(
        settings,
        webhook_allow_http=True,
        webhook_allow_networks=LOOPBACK,
        smtp_url=mailbox.url,
    )
    async with open_worker(open_settings, database) as worker:
        yield await given_stand(database, worker)


async def walk(stand: Stand, endpoint: Endpoint, until: int) -> list[int]:
    """Go through the retries up to minute `until`; gives how many there were just before each.

    Each is looked for too early and in time.
    """
    counts: list[int] = []
    passed = timedelta()
    for minutes in (m for m in SCHEDULE if m <= until):
        early = timedelta(minutes=minutes) - SLACK
        await stand.advance(early - passed)
        counts.append(len(endpoint.arrivals))
        await stand.advance(SLACK)
        passed = early + SLACK
        assert len(endpoint.arrivals) == counts[-1] + 1, f"minute {minutes}"
    return counts


async def test_w_13_live_mode_retries_thirteen_times_in_three_days(
    stand: Stand, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook_id = await stand.subscribe(endpoint)
    await stand.make_event()
    assert await walk(stand, endpoint, until=4320) == list(range(1, 14))
    await stand.advance(8 * HOUR)
    assert len(endpoint.arrivals) == 14
    times = await stand.attempt_times(webhook_id)
    for time, minutes in zip(times, (0, *SCHEDULE), strict=True):
        offset = time - times[0] - timedelta(minutes=minutes)
        assert timedelta() <= offset < SLACK


async def test_w_17_an_endpoint_that_fails_for_three_days_is_switched_off(
    stand: Stand, receiver: Receiver, mailbox: Mailbox
) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook_id = await stand.subscribe(endpoint)
    await stand.make_event()
    await walk(stand, endpoint, until=3831)
    assert (await stand.webhook(webhook_id))["enabled"]
    (warning,) = mailbox.to(stand.administrator)
    await stand.advance(72 * HOUR - timedelta(minutes=3831))
    webhook = await stand.webhook(webhook_id)
    assert not webhook["enabled"]
    assert "500" in webhook["disabled_reason"]
    (_, disabling) = mailbox.to(stand.administrator)
    assert disabling.subject != warning.subject
    assert endpoint.url in disabling.text
    await stand.make_event()
    await stand.advance(96 * HOUR)
    assert len(endpoint.arrivals) == 14


async def test_w_18_one_success_a_day_keeps_a_webhook_on(
    stand: Stand, receiver: Receiver, mailbox: Mailbox
) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook_id = await stand.subscribe(endpoint)
    await stand.make_event()
    await walk(stand, endpoint, until=951)
    await stand.advance(24 * HOUR - timedelta(minutes=951))
    endpoint.answer = OK
    await stand.make_event()
    endpoint.answer = status(500)
    for minutes in (1671, 2391, 3111, 3831, 4320):
        await stand.advance(timedelta(minutes=minutes) - stand.worker.clock.shift)
    await stand.advance(HOUR)
    assert (await stand.webhook(webhook_id))["enabled"]
    assert len(endpoint.arrivals) == 15
    # It failed for two days in a row at the end of neither stretch.
    assert mailbox.to(stand.administrator) == []


async def test_w_19_an_old_token_signs_along_for_its_time(stand: Stand, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook_id = await stand.subscribe(endpoint)
    worker = stand.worker

    async def rotate(overlap: timedelta) -> str:
        tokens = await rotate_token(
            worker.database, worker.vault, stand.tenant, webhook_id, overlap, worker.clock.now()
        )
        return tokens.current

    old = await rotate(timedelta())
    await stand.make_event()
    new = await rotate(12 * HOUR)
    await stand.advance(HOUR)
    await stand.make_event()
    await stand.advance(12 * HOUR)
    await stand.make_event()
    before, during, after = endpoint.arrivals
    assert is_signed(before, old)
    _, first, second = during.headers["digitalriver-signature"].split(", ")
    assert is_signed(during, old)
    assert is_signed(during, new)
    assert first != second
    assert is_signed(_with_signature(during, 1), new)
    assert is_signed(_with_signature(during, 2), old)
    assert len(after.headers["digitalriver-signature"].split(", ")) == 2
    assert is_signed(after, new)
    assert not is_signed(after, old)


def _with_signature(arrival: Arrival, place: int) -> Arrival:
    """The same request with only one of its signatures."""
    parts = arrival.headers["digitalriver-signature"].split(", ")
    headers = {**arrival.headers, "digitalriver-signature": f"{parts[0]}, {parts[place]}"}
    return Arrival(arrival.method, arrival.path, headers, arrival.body, arrival.at)


async def test_w_19_a_token_can_be_blocked_at_once(stand: Stand, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook_id = await stand.subscribe(endpoint)
    await stand.make_event()
    worker = stand.worker
    for overlap in (12 * HOUR, timedelta()):
        tokens = await rotate_token(
            worker.database, worker.vault, stand.tenant, webhook_id, overlap, worker.clock.now()
        )
    await stand.make_event()
    assert len(endpoint.heads[-1]["digitalriver-signature"].split(", ")) == 2
    assert is_signed(endpoint.arrivals[-1], tokens.current)


async def test_without_smtp_the_mail_is_in_the_log(
    settings: Settings, database: Database, receiver: Receiver
) -> None:
    plain = msgspec.structs.replace(
        settings, webhook_allow_http=True, webhook_allow_networks=LOOPBACK
    )
    endpoint = receiver.endpoint(status(500))
    async with open_worker(plain, database) as worker:
        stand = await given_stand(database, worker)
        await stand.subscribe(endpoint)
        with capture_logs() as logs:
            await stand.make_event()
            await walk(stand, endpoint, until=4320)
    mails = [entry for entry in logs if stand.administrator in str(entry)]
    assert len(mails) == 2
    assert all(endpoint.url in str(entry) for entry in mails)


async def test_live_events_are_delivered_at_once(stand: Stand, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    await stand.subscribe(endpoint)
    await stand.make_event()
    assert len(event_ids(endpoint)) == 1
    assert json.loads(endpoint.bodies[0])["liveMode"] is True
