"""Deliveries on the real database, to endpoints in this process."""

import asyncio
import hmac
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from aiohttp import web

from refundry.db.database import Database
from refundry.operations.work import Worker, drain, tidy
from refundry.settings import Settings
from refundry.webhooks.lanes import MOST_TAKEN
from refundry.webhooks.store import drop_deliveries
from refundry.worker import open_worker
from tests.support.books import Shop
from tests.support.endpoints import (
    TOKEN,
    Endpoint,
    Post,
    attempts_of,
    clock,
    endpoint,
    given_events,
    given_webhook,
    hang,
    states_of,
    status,
    stored,
)
from tests.support.fixtures import order_body


@pytest.fixture
async def other(settings: Settings, database: Database) -> AsyncIterator[Worker]:
    """A second worker."""
    async with open_worker(settings, database) as worker:
        yield worker


def signature(post: Post, token: str) -> str:
    stamp = post.headers["DigitalRiver-Signature"].split(", ")[0]
    message = stamp.encode() + b"." + post.body
    return b64encode(hmac.digest(token.encode(), message, "sha256")).decode()


async def run_until(workers: Sequence[Worker], done: asyncio.Event) -> None:
    """Let workers deliver until `done`, then stop them as SIGTERM does."""
    stopping = asyncio.Event()
    runs = [asyncio.create_task(worker.deliverer.run(stopping)) for worker in workers]
    try:
        async with asyncio.timeout(30):
            await done.wait()
    finally:
        stopping.set()
        for worker in workers:
            worker.deliverer.wake.set()
        await asyncio.gather(*runs)


async def test_a_drain_delivers_what_is_due(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url)
        ids = await given_events(shop, 25)
        await shop.settle()
        assert sorted(end.ids) == sorted(ids)
        assert await states_of(shop, webhook) == {"succeeded": 25}
        attempts = await attempts_of(shop, webhook)
        assert {(each["attempt"], each["status"], each["error"]) for each in attempts} == {
            (1, 204, None)
        }
        assert (await stored(shop, webhook))["last_success_at"] is not None


async def test_a_request_is_signed_ascii_and_says_who_it_is_for(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url, api_version="2021-03-23")
        [event_id] = await given_events(shop)
        await shop.settle()
        [post] = end.posts
    assert post.headers["Content-Type"] == "application/json; charset=utf-8"
    assert post.headers["User-Agent"] == "Refundry-Webhooks/1"
    assert "Authorization" not in post.headers
    stamp, given = post.headers["DigitalRiver-Signature"].split(", ")
    assert abs(int(stamp) - time.time()) < 60
    assert given == signature(post, TOKEN)
    assert post.body.isascii()
    assert b": " not in post.body
    assert b'"name":"Zo\\u00eb"' in post.body
    event = post.event
    assert (event["id"], event["webhookIds"]) == (event_id, [webhook.id])
    assert event["digitalriverVersion"] == "2021-03-23"


@pytest.mark.parametrize("shift_hours", [1, 13])
async def test_an_old_token_signs_along_on_the_clock_of_the_mode(
    shop: Shop, shift_hours: int
) -> None:
    old = "c41be07f52d94a7c8e63f19a0d2b7c55"
    until = await clock(shop, live=False) + timedelta(hours=12)
    sealed = shop.worker.vault.seal(old)
    async with endpoint() as end:
        await given_webhook(shop, end.url, sealed_old_token=sealed, old_token_until=until)
        await shop.advance(timedelta(hours=shift_hours))
        await given_events(shop)
        await shop.settle()
        [post] = end.posts
    stamp, *given = post.headers["DigitalRiver-Signature"].split(", ")
    assert abs(int(stamp) - time.time()) < 60
    both = [signature(post, TOKEN), signature(post, old)]
    assert given == (both if shift_hours < 12 else both[:1])


async def test_a_new_token_signs_from_the_next_event_on(shop: Shop) -> None:
    new = "c41be07f52d94a7c8e63f19a0d2b7c55"
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url)
        for _ in range(2):
            await given_events(shop)
            await shop.settle()
            sealed = shop.worker.vault.seal(new)
            await shop.database.execute(
                "UPDATE webhooks SET sealed_token = $2 WHERE id = $1", webhook.id, sealed
            )
        first, second = end.posts
        assert first.headers["DigitalRiver-Signature"].endswith(signature(first, TOKEN))
        assert second.headers["DigitalRiver-Signature"].endswith(signature(second, new))


async def test_basic_credentials_are_sent(shop: Shop) -> None:
    sealed = shop.worker.vault.seal("p")
    async with endpoint() as end:
        await given_webhook(shop, end.url, user_name="u", sealed_password=sealed)
        await given_events(shop)
        await shop.settle()
        assert [post.headers["Authorization"] for post in end.posts] == ["Basic dTpw"]


async def test_two_workers_never_send_more_than_ten_at_once(shop: Shop, other: Worker) -> None:
    done = asyncio.Event()

    async def slow(end: Endpoint, _request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        if len(end.posts) >= 400:
            done.set()
        return web.Response(status=204)

    async with endpoint(slow) as end:
        webhook = await given_webhook(shop, end.url)
        ids = await given_events(shop, 400)
        await run_until([other, shop.worker], done)
        await shop.settle()
        assert end.most == 10
        assert sorted(end.ids) == sorted(ids)
        assert await states_of(shop, webhook) == {"succeeded": 400}


async def test_an_endpoint_that_hangs_delays_no_other(shop: Shop, other: Worker) -> None:
    done = asyncio.Event()
    arrived: dict[str, float] = {}

    async def note(end: Endpoint, _request: web.Request) -> web.StreamResponse:
        arrived[end.ids[-1]] = time.monotonic()
        if len(arrived) == 50:
            done.set()
        return web.Response(status=204)

    async with endpoint(hang) as stuck, endpoint(note) as good:
        await given_webhook(shop, stuck.url, types=("refund.failed",))
        await given_webhook(shop, good.url)
        await given_events(shop, 300, type="refund.failed")
        running = asyncio.create_task(run_until([other], done))
        made: dict[str, float] = {}
        while stuck.now < 10:
            await asyncio.sleep(0.01)
        for _ in range(50):
            [event_id] = await given_events(shop)
            made[event_id] = time.monotonic()
            other.deliverer.wake.set()
            await asyncio.sleep(0.01)
        await running
        waits = sorted(arrived[event_id] - made[event_id] for event_id in made)
        assert waits[len(waits) // 2] < 0.1
        assert waits[-1] < 1.0
        assert stuck.most == 10


async def test_the_lane_of_a_dead_worker_is_taken_when_its_lease_ends(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url)
        [event_id] = await given_events(shop)
        await shop.database.execute(
            """
            INSERT INTO webhook_lanes (account_id, live, webhook_id, owner, leased_until)
            VALUES ($1, false, $2, 'the dead', now() + interval '1 second')
            """,
            shop.tenant.account_id, webhook.id,
        )  # fmt: skip
        began = time.monotonic()
        await shop.settle()
        assert time.monotonic() - began > 0.9
        assert end.ids == [event_id]


async def test_what_a_dead_worker_did_not_record_is_sent_again(
    shop: Shop, settings: Settings, database: Database
) -> None:
    """Its tasks are cancelled between the request and the record, as a kill would end them."""
    async with endpoint(hang) as end:
        webhook = await given_webhook(shop, end.url)
        [event_id] = await given_events(shop)
        async with open_worker(settings, database) as doomed:
            life = asyncio.create_task(doomed.deliverer.scan(None))
            while not end.now:
                await asyncio.sleep(0.01)
            await life
            assert end.ids == [event_id]
            lane = await database.fetchrow(
                "SELECT owner FROM webhook_lanes WHERE webhook_id = $1", webhook.id
            )
            assert lane is not None
            # Nobody renews for the dead.
            await database.execute(
                "UPDATE webhook_lanes SET owner = 'the dead', leased_until = now()"
                " WHERE webhook_id = $1",
                webhook.id,
            )
            end.answer = status(200)
            await shop.settle()
            assert end.ids == [event_id] * 2
            assert await states_of(shop, webhook) == {"succeeded": 1}
            end.free.set()
        # What the first one has to say comes late and changes nothing.
        assert await states_of(shop, webhook) == {"succeeded": 1}
        assert [each["attempt"] for each in await attempts_of(shop, webhook)] == [1]


async def test_results_are_written_in_groups(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url)
        await given_events(shop, 200)
        await shop.settle()
        commits = await shop.database.fetchval(
            "SELECT count(DISTINCT xmin::text) FROM attempts WHERE webhook_id = $1", webhook.id
        )
        assert len(end.posts) == 200
        assert commits < 100


async def test_a_webhook_that_is_switched_off_gets_nothing_of_what_waits(
    shop: Shop, other: Worker
) -> None:
    done = asyncio.Event()
    async with endpoint(hang) as end:
        webhook = await given_webhook(shop, end.url)
        await given_events(shop, 100)
        running = asyncio.create_task(run_until([other], done))
        while end.now < 10:
            await asyncio.sleep(0.01)
        await shop.database.execute("UPDATE webhooks SET enabled = false WHERE id = $1", webhook.id)
        await drop_deliveries(shop.database, webhook.tenant, webhook.id)
        # A worker looks once a second; requests under way end by themselves.
        await asyncio.sleep(2.2)
        end.free.set()
        await asyncio.sleep(0.5)
        done.set()
        await running
        assert len(end.posts) == 10
        assert await states_of(shop, webhook) == {"dropped": 100}
        assert len(await attempts_of(shop, webhook)) == 10


async def test_a_new_address_counts_for_what_waits(shop: Shop, other: Worker) -> None:
    done = asyncio.Event()
    async with endpoint(hang) as old, endpoint() as new:
        webhook = await given_webhook(shop, old.url)
        await given_events(shop, 100)
        running = asyncio.create_task(run_until([other], done))
        while old.now < 10:
            await asyncio.sleep(0.01)
        await shop.database.execute(
            "UPDATE webhooks SET address = $2, updated_at = updated_at + interval '1 s'"
            " WHERE id = $1",
            webhook.id, new.url,
        )  # fmt: skip
        await asyncio.sleep(1.5)
        old.free.set()
        while (await states_of(shop, webhook)).get("pending"):
            await asyncio.sleep(0.05)
        done.set()
        await running
        assert len(old.posts) < 30
        assert len(old.posts) + len(new.posts) == 100


async def test_a_single_delivery_is_tried_once(shop: Shop) -> None:
    async with endpoint(status(500)) as end:
        webhook = await given_webhook(shop, end.url)
        [event_id] = await given_events(shop)
        await shop.settle()
        await shop.database.execute(
            """
            INSERT INTO deliveries (account_id, live, webhook_id, event_id, number, due_at, single)
            VALUES ($1, false, $2, $3, 1, $4, true)
            """,
            shop.tenant.account_id, webhook.id, event_id, await clock(shop, live=False),
        )  # fmt: skip
        await shop.settle()
        assert end.ids == [event_id] * 2
        assert await states_of(shop, webhook) == {"pending": 1, "exhausted": 1}
        numbers = {(each["number"], each["attempt"]) for each in await attempts_of(shop, webhook)}
        assert numbers == {(0, 1), (1, 1)}


async def test_a_drain_of_all_accounts_delivers_too(shop: Shop) -> None:
    async with endpoint() as end:
        await given_webhook(shop, end.url)
        ids = await given_events(shop, 3)
        assert await drain(shop.worker, None) >= 3
        assert sorted(end.ids) == sorted(ids)


async def test_a_drain_leaves_other_accounts_alone(shop: Shop, other: Worker) -> None:
    async with endpoint(hang) as stuck:
        await given_webhook(shop, stuck.url)
        await given_events(shop)
        async with asyncio.timeout(2):
            await drain(other, "of nobody")
        assert stuck.posts == []
        stuck.free.set()
        await shop.settle()


async def test_a_drain_waits_for_what_another_worker_delivers(shop: Shop, other: Worker) -> None:
    async with endpoint(hang) as end:
        webhook = await given_webhook(shop, end.url)
        await given_events(shop)
        await other.deliverer.scan(None)
        while not end.now:
            await asyncio.sleep(0.01)
        settling = asyncio.create_task(shop.settle())
        await asyncio.sleep(0.3)
        assert not settling.done()
        end.free.set()
        await settling
        assert await states_of(shop, webhook) == {"succeeded": 1}
        assert len(end.posts) == 1


async def test_old_attempts_go_and_their_deliveries_stay(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url)
        await given_events(shop, 2)
        await shop.settle()
        await shop.database.execute(
            "UPDATE attempts SET started_at = started_at - interval '31 days'"
            " WHERE (webhook_id, event_id) = ($1, $2)",
            webhook.id, end.ids[0],
        )  # fmt: skip
        await tidy(shop.worker)
        assert [each["event_id"] for each in await attempts_of(shop, webhook)] == [end.ids[1]]
        assert await states_of(shop, webhook) == {"succeeded": 2}


@pytest.mark.parametrize("account_may", [True, False])
async def test_expanded_events_show_whole_product_details(shop: Shop, account_may: bool) -> None:
    """Where the account may have them, and only for the types that the webhook names."""
    types = ("order.accepted", "order.refunded", "fulfillment.created")
    await shop.database.execute(
        "UPDATE accounts SET expanded_events = $2 WHERE id = $1",
        shop.tenant.account_id, account_may,
    )  # fmt: skip
    body = order_body("A")
    details = {"id": "p1", "name": "Tee", "physical": {"weight": 1}, "metadata": {"a": "1"}}
    body["items"][0]["productDetails"] = details
    async with endpoint() as end:
        await given_webhook(shop, end.url, types=types, expanded_types=types[1:])
        order = await shop.captured(body)
        await shop.ask(order, "1.00")
        await shop.advance(timedelta(minutes=2))
        await shop.settle()
        seen = {post.event["type"]: post.event["data"]["object"] for post in end.posts}
    assert set(seen) == set(types)
    short = {"id": "p1", "name": "Tee"}
    whole = details if account_may else short
    assert seen["order.accepted"]["items"][0]["productDetails"] == short
    assert seen["order.refunded"]["items"][0]["productDetails"] == whole
    inner = seen["fulfillment.created"]["orderDetails"]["items"][0]
    assert inner["productDetails"] == whole
    kept = await shop.database.fetchval(
        "SELECT object FROM events WHERE account_id = $1 AND type = 'order.refunded'",
        shop.tenant.account_id,
    )
    assert json.loads(kept)["items"][0]["productDetails"] == short


async def test_the_default_version_is_that_of_the_standing_key(shop: Shop) -> None:
    await shop.database.execute(
        "UPDATE api_keys SET api_version = '2021-03-23'"
        " WHERE account_id = $1 AND NOT live AND kind = 'secret'",
        shop.tenant.account_id,
    )
    async with endpoint() as default, endpoint() as latest:
        await given_webhook(shop, default.url)
        await given_webhook(shop, latest.url, api_version="latest")
        await given_events(shop)
        await shop.settle()
        versions = [end.posts[0].event["digitalriverVersion"] for end in (default, latest)]
        assert versions == ["2021-03-23", "2021-12-13"]


async def test_a_backlog_of_many_webhooks_is_taken_in_steps(shop: Shop) -> None:
    """All at once would be more than a worker has memory for."""

    async def lanes() -> int:
        return await shop.database.fetchval(
            "SELECT count(*) FROM webhook_lanes WHERE account_id = $1", shop.tenant.account_id
        )

    deliverer = shop.worker.deliverer
    async with endpoint(hang) as end:
        webhooks = [await given_webhook(shop, end.url) for _ in range(MOST_TAKEN + 10)]
        await given_events(shop, 2)
        deliverer.wake.clear()
        assert await deliverer.scan(shop.tenant.account_id) == 2 * MOST_TAKEN
        assert (await lanes(), deliverer.wake.is_set()) == (MOST_TAKEN, True)
        deliverer.wake.clear()
        assert await deliverer.scan(shop.tenant.account_id) == 20
        assert (await lanes(), deliverer.wake.is_set()) == (MOST_TAKEN + 10, False)
        end.free.set()
        await shop.settle()
        assert len(end.posts) == 2 * len(webhooks)
