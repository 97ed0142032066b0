"""Webhook endpoints in the test's own process, and webhooks and events made without the API."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from refundry.outbox.store import NewEvent, append_events, event_times
from refundry.tenant import Tenant
from refundry.webhooks.store import Webhook, insert_webhook
from tests.support.books import Shop
from tests.support.http import Doc

TOKEN = "6d0f3c2a9b7e4e15a1c84f20d7b35e98"
Answer = Callable[["Endpoint", web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Post:
    """A request as it arrived."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Doc:
        return json.loads(self.body)


async def ok(_endpoint: "Endpoint", _request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


@dataclass(slots=True)
class Endpoint:
    """An endpoint. url: where it listens. most: how many requests it served at once at most."""

    answer: Answer = ok
    url: str = ""
    posts: list[Post] = field(default_factory=list[Post])
    now: int = 0
    most: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ids(self) -> list[str]:
        return [post.event["id"] for post in self.posts]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.posts.append(Post(dict(request.headers), await request.read()))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.answer(self, request)
        finally:
            self.now -= 1


async def hang(endpoint: Endpoint, _request: web.Request) -> web.StreamResponse:
    await endpoint.free.wait()
    return web.Response(status=204)


def status(code: int) -> Answer:
    async def answer(_endpoint: Endpoint, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text="as you wish")

    return answer


@asynccontextmanager
async def endpoint(answer: Answer = ok) -> AsyncGenerator[Endpoint]:
    """An endpoint on loopback, for as long as the block runs."""
    served = Endpoint(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        served.url = f"{site.name}/hook"
        yield served
    finally:
        served.free.set()
        await runner.cleanup()


async def given_webhook(shop: Shop, url: str, *, live: bool = False, **fields: Any) -> Webhook:
    """A webhook of the shop, subscribed to refund.complete."""
    now = await clock(shop, live=live)
    vault = shop.worker.vault
    known: dict[str, Any] = {
        "types": ("refund.complete",),
        "expanded_types": (),
        "address": url,
        "api_version": "default",
        "enabled": True,
        "transport_type": "HTTP",
        "user_name": None,
        "sealed_password": None,
        "token_end_point": None,
        "client_id": None,
        "sealed_client_secret": None,
        "grant_type": None,
        "sealed_token": vault.seal(TOKEN),
    }
    tenant = Tenant(shop.tenant.account_id, live)
    webhook = Webhook(tenant, str(uuid.uuid4()), now, now, **(known | fields))
    await insert_webhook(shop.database, webhook)
    return webhook


async def given_events(
    shop: Shop, count: int = 1, *, live: bool = False, type: str = "refund.complete"
) -> list[str]:
    """Events of an order that need not exist; gives their ids."""
    times = event_times(await clock(shop, live=live), None, count)
    tenant, order_id = Tenant(shop.tenant.account_id, live), str(uuid.uuid4())
    payload = '{"id":"re_1","amount":13.51,"name":"Zoë"}'
    events = [
        NewEvent(tenant, order_id, number, time, str(uuid.uuid4()), type, payload)
        for number, time in enumerate(times, start=1)
    ]
    async with shop.database.transaction() as tx:
        await append_events(tx, events)
    return [event.id for event in events]


async def clock(shop: Shop, *, live: bool) -> datetime:
    """The time on the clock of a mode."""
    shift = timedelta()
    if not live:
        shift = await shop.database.fetchval(
            "SELECT test_clock_shift FROM accounts WHERE id = $1", shop.tenant.account_id
        )
    return shop.worker.clock.now() + shift


async def attempts_of(shop: Shop, webhook: Webhook) -> list[Doc]:
    """The attempts that were recorded for a webhook, in their order."""
    rows = await shop.database.fetch(
        "SELECT event_id, number, attempt, started_at, duration_ms, status, error, response"
        "  FROM attempts WHERE webhook_id = $1 ORDER BY started_at, attempt",
        webhook.id,
    )
    return [dict(row) for row in rows]


async def states_of(shop: Shop, webhook: Webhook) -> dict[str, int]:
    """How many deliveries of a webhook are in which state."""
    rows = await shop.database.fetch(
        "SELECT state, count(*) AS count FROM deliveries WHERE webhook_id = $1 GROUP BY state",
        webhook.id,
    )
    return {row["state"]: row["count"] for row in rows}


async def stored(shop: Shop, webhook: Webhook) -> Doc:
    """The row of a webhook."""
    row = await shop.database.fetchrow(
        "SELECT enabled, last_success_at, failing_since, warned_at, disabled_at, disabled_reason"
        "  FROM webhooks WHERE id = $1",
        webhook.id,
    )
    assert row is not None
    return dict(row)
