"""Deliveries that fail: the schedule, and webhooks that are given up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from aiohttp import web

from refundry.access.audit_log import COMMAND_LINE
from refundry.access.people import NewUser, add_user
from refundry.access.rights import Role
from refundry.clock import Clock
from refundry.db.database import Database
from refundry.settings import Settings
from refundry.webhooks.store import lock_webhook
from refundry.worker import open_worker
from tests.support.books import Shop, open_shop
from tests.support.endpoints import (
    Endpoint,
    attempts_of,
    clock,
    endpoint,
    given_events,
    given_webhook,
    states_of,
    status,
    stored,
)
from tests.support.http import Doc

FAILING = status(500)


def administrator(shop: Shop) -> str:
    return f"ana@{shop.tenant.account_id}.example"


@pytest.fixture
async def live_shop(settings: Settings, database: Database) -> AsyncIterator[Shop]:
    """A shop with a worker whose clock can be moved, and to which http is allowed."""
    own = msgspec.structs.replace(settings, webhook_allow_http=True)
    async with open_worker(own, database) as worker:
        shop = await open_shop(worker)
        async with database.transaction() as tx:
            now = worker.clock.now()
            new = NewUser(administrator(shop), Role.ADMINISTRATOR)
            await add_user(tx, COMMAND_LINE, shop.tenant.account_id, new, now)
        yield shop


def move(clock: Clock, by: timedelta) -> None:
    clock.shift += by


def offsets(attempts: list[Doc]) -> list[timedelta]:
    """How long after the first one each attempt came, to the second."""
    first = attempts[0]["started_at"]
    waits = [(each["started_at"] - first).total_seconds() for each in attempts]
    return [timedelta(seconds=round(wait)) for wait in waits]


async def mails_of(shop: Shop) -> list[Doc]:
    rows = await shop.database.fetch(
        "SELECT recipients, subject, body, sent_at FROM mails WHERE account_id = $1"
        " ORDER BY created_at",
        shop.tenant.account_id,
    )
    return [dict(row) for row in rows]


async def test_test_mode_tries_at_10_minutes_1_hour_and_3_hours(shop: Shop) -> None:
    async with endpoint(FAILING) as end:
        webhook = await given_webhook(shop, end.url)
        [event_id] = await given_events(shop)
        await shop.settle()
        for minutes in (9, 2, 48, 2, 118, 3, 600):
            await shop.advance(timedelta(minutes=minutes))
            await shop.settle()
        attempts = await attempts_of(shop, webhook)
        assert [each["attempt"] for each in attempts] == [1, 2, 3, 4]
        late = [timedelta(minutes=1), timedelta(minutes=1), timedelta(minutes=2)]
        due = [timedelta(minutes=10), timedelta(hours=1), timedelta(hours=3)]
        assert offsets(attempts) == [timedelta(), *(d + x for d, x in zip(due, late, strict=True))]
        assert end.ids == [event_id] * 4
        assert await states_of(shop, webhook) == {"exhausted": 1}
        first = attempts[0]
        assert (first["status"], first["error"], first["response"]) == (500, None, b"as you wish")


async def test_a_third_attempt_that_succeeds_is_the_last(shop: Shop) -> None:
    async def answer(end: Endpoint, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=500 if len(end.posts) < 3 else 204)

    async with endpoint(answer) as end:
        webhook = await given_webhook(shop, end.url)
        await given_events(shop)
        for hours in (0, 1, 1, 5):
            await shop.advance(timedelta(hours=hours))
            await shop.settle()
        statuses = [each["status"] for each in await attempts_of(shop, webhook)]
        assert statuses == [500, 500, 204]
        signatures = [post.headers["DigitalRiver-Signature"] for post in end.posts]
        assert all(", " in each for each in signatures)
        row = await stored(shop, webhook)
        assert (row["failing_since"], row["enabled"]) == (None, True)


async def test_live_mode_gives_a_webhook_up_after_72_hours(live_shop: Shop) -> None:
    shop, clock_of_live = live_shop, live_shop.worker.clock
    async with endpoint(FAILING) as end:
        webhook = await given_webhook(shop, end.url, live=True)
        began = await clock(shop, live=True)
        [first] = await given_events(shop, live=True)
        await shop.settle()
        due = [1, 6, 21, 51, *(60 * hours + 51 for hours in (1, 3, 7, 15, 27, 39, 51, 63)), 72 * 60]
        for minutes in due[:-1]:
            move(clock_of_live, began + timedelta(minutes=minutes) - clock_of_live.now())
            move(clock_of_live, timedelta(seconds=2))
            await shop.settle()
        assert [each["attempt"] for each in await attempts_of(shop, webhook)] == list(range(1, 14))
        row = await stored(shop, webhook)
        assert row["enabled"]
        assert row["warned_at"] is not None
        [later] = await given_events(shop, live=True)
        await shop.settle()
        move(clock_of_live, began + timedelta(hours=72, seconds=2) - clock_of_live.now())
        await shop.settle()
        attempts = [e for e in await attempts_of(shop, webhook) if e["event_id"] == first]
        assert [each // timedelta(minutes=1) for each in offsets(attempts)] == [0, *due]
        row = await stored(shop, webhook)
        assert not row["enabled"]
        assert row["disabled_reason"].endswith("The last attempt: the endpoint answered 500.")
        assert (await states_of(shop, webhook)) == {"exhausted": 1, "dropped": 1}
        calls = len(end.posts)
        await given_events(shop, live=True)
        await shop.settle()
        assert len(end.posts) == calls
        assert end.ids.count(later) >= 1
    warning, disabled = await mails_of(shop)
    assert warning["recipients"] == disabled["recipients"] == [administrator(live_shop)]
    assert "48 hours" in warning["body"]
    assert "switched off" in disabled["subject"]
    assert webhook.address in disabled["body"]
    assert warning["sent_at"] is not None


async def test_one_success_starts_the_72_hours_anew(live_shop: Shop) -> None:
    shop, clock_of_live = live_shop, live_shop.worker.clock
    async with endpoint(FAILING) as end:
        webhook = await given_webhook(shop, end.url, live=True)
        await given_events(shop, live=True)
        await shop.settle()
        assert (await stored(shop, webhook))["failing_since"] is not None
        move(clock_of_live, timedelta(hours=24))
        end.answer = status(200)
        await given_events(shop, live=True)
        await shop.settle()
        row = await stored(shop, webhook)
        assert (row["failing_since"], row["warned_at"]) == (None, None)
        assert row["last_success_at"] is not None
        end.answer = FAILING
        await given_events(shop, live=True)
        await shop.settle()
        move(clock_of_live, timedelta(hours=49))
        await shop.settle()
        row = await stored(shop, webhook)
        assert row["enabled"]
        assert row["warned_at"] is not None
        end.answer = status(204)
        await given_events(shop, live=True)
        await shop.settle()
        assert (await stored(shop, webhook))["warned_at"] is None


async def test_a_success_beside_failures_counts_in_the_order_they_came(shop: Shop) -> None:
    """All in one group or not: the last word decides."""

    async def odd(end: Endpoint, request: web.Request) -> web.StreamResponse:
        place = len(end.posts)
        await asyncio.sleep(0.02 * place)
        return web.Response(status=500 if place % 2 == 0 else 200)

    async with endpoint(odd) as end:
        webhook = await given_webhook(shop, end.url)
        await given_events(shop, 10)
        await shop.settle()
        assert await states_of(shop, webhook) == {"succeeded": 5, "pending": 5}
        row = await stored(shop, webhook)
        assert row["failing_since"] is not None
        attempts = await attempts_of(shop, webhook)
        assert row["failing_since"] in [each["started_at"] for each in attempts]


async def test_live_mode_takes_no_http_unless_it_is_allowed(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url, live=True)
        await given_events(shop, live=True)
        await shop.settle()
        [attempt] = await attempts_of(shop, webhook)
        assert attempt["error"] == "the address does not begin with https"
        assert end.posts == []


async def test_a_webhook_that_fails_fast_is_looked_after_by_one_connection(shop: Shop) -> None:
    """With one for each group of failures, the others would find none left."""
    now = await clock(shop, live=False)
    async with endpoint(FAILING) as end:
        webhook = await given_webhook(shop, end.url, failing_since=now - timedelta(hours=50))
        await given_events(shop, 300)
        async with shop.database.transaction() as tx:
            assert await lock_webhook(tx, webhook.tenant, webhook.id)
            await shop.worker.deliverer.scan(shop.tenant.account_id)
            async with asyncio.timeout(90):
                while len(await attempts_of(shop, webhook)) < 300:
                    await asyncio.sleep(0.02)
            waiting = await tx.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )
        assert waiting == 1
        async with asyncio.timeout(90):
            while (await stored(shop, webhook))["warned_at"] is None:
                await asyncio.sleep(0.02)
        await shop.settle()


async def test_a_webhook_whose_secrets_nobody_can_open_fails_like_any_other(shop: Shop) -> None:
    """It was sealed with a key that is gone; nobody may wait for it for ever."""
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url, sealed_token=b"sealed by another key")
        [event_id] = await given_events(shop)
        await shop.settle()
        assert end.posts == []
        (attempt,) = await attempts_of(shop, webhook)
        assert (attempt["event_id"], "cannot be opened" in attempt["error"]) == (event_id, True)
        assert await states_of(shop, webhook) == {"pending": 1}
