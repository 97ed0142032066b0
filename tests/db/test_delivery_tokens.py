"""Webhooks that want an access token, with a token endpoint in this process."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from refundry.webhooks.store import Webhook
from tests.support.books import Shop
from tests.support.endpoints import (
    Answer,
    Endpoint,
    attempts_of,
    endpoint,
    given_events,
    given_webhook,
    hang,
    states_of,
    status,
)


def tokens(**extra: Any) -> Answer:
    """Gives t1, t2, ... one per request."""

    async def answer(end: Endpoint, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"access_token": f"t{len(end.posts)}", **extra})

    return answer


async def oauth_webhook(shop: Shop, url: str, token_url: str, **fields: Any) -> Webhook:
    vault = shop.worker.vault
    known: dict[str, Any] = {
        "transport_type": "OAUTH",
        "token_end_point": token_url,
        "client_id": "shop",
        "sealed_client_secret": vault.seal("s3cret"),
        "grant_type": "password",
        "user_name": "ana",
        "sealed_password": vault.seal("pä ss"),
    }
    return await given_webhook(shop, url, **(known | fields))


def asked(end: Endpoint) -> list[dict[str, str]]:
    """The forms that the token endpoint got."""
    return [
        {key: values[0] for key, values in parse_qs(post.body.decode()).items()}
        for post in end.posts
    ]


def bearers(end: Endpoint) -> list[str | None]:
    return [post.headers.get("Authorization") for post in end.posts]


async def test_one_token_serves_many_deliveries(shop: Shop) -> None:
    async with endpoint() as end, endpoint(tokens(expires_in=3600)) as issuer:
        await oauth_webhook(shop, end.url, issuer.url)
        await given_events(shop, 20)
        await shop.settle()
        await given_events(shop)
        await shop.settle()
        assert bearers(end) == ["Bearer t1"] * 21
        assert asked(issuer) == [
            {
                "grant_type": "password",
                "client_id": "shop",
                "client_secret": "s3cret",
                "username": "ana",
                "password": "pä ss",
            }
        ]
        [post] = issuer.posts
        assert post.headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "fields",
    [
        {"user_name": None, "sealed_password": None},
        {"grant_type": "client_credentials"},
    ],
)
async def test_without_a_user_the_client_asks_for_itself(
    shop: Shop, fields: dict[str, Any]
) -> None:
    async with endpoint() as end, endpoint(tokens()) as issuer:
        await oauth_webhook(shop, end.url, issuer.url, **fields)
        await given_events(shop)
        await shop.settle()
        assert bearers(end) == ["Bearer t1"]
        assert asked(issuer) == [
            {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "s3cret"}
        ]


async def test_a_token_about_to_run_out_is_not_kept(shop: Shop) -> None:
    async with endpoint() as end, endpoint(tokens(expires_in="60")) as issuer:
        await oauth_webhook(shop, end.url, issuer.url)
        for _ in range(2):
            await given_events(shop)
            await shop.settle()
        assert bearers(end) == ["Bearer t1", "Bearer t2"]


async def test_a_refused_token_is_replaced_within_the_attempt(shop: Shop) -> None:
    async def picky(end: Endpoint, request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"] == "Bearer t2"
        return web.Response(status=200 if good else 401)

    async with endpoint(picky) as end, endpoint(tokens(expires_in=3600)) as issuer:
        webhook = await oauth_webhook(shop, end.url, issuer.url)
        await given_events(shop, 10)
        await shop.settle()
        assert await states_of(shop, webhook) == {"succeeded": 10}
        assert len(await attempts_of(shop, webhook)) == 10
        assert len(issuer.posts) == 2
        await given_events(shop)
        await shop.settle()
        assert len(issuer.posts) == 2


async def test_a_token_is_replaced_once_per_attempt(shop: Shop) -> None:
    async with endpoint(status(401)) as end, endpoint(tokens(expires_in=3600)) as issuer:
        webhook = await oauth_webhook(shop, end.url, issuer.url)
        await given_events(shop)
        await shop.settle()
        [attempt] = await attempts_of(shop, webhook)
        assert (attempt["status"], attempt["error"]) == (401, None)
        assert bearers(end) == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": "invalid_client"}, "the answer of the token endpoint holds no access token"),
        ({"access_token": 7.5}, "the answer of the token endpoint holds no access token"),
        ({"access_token": "a\r\nX-Evil: 1"}, "the access token cannot be sent in a header"),
        ({"access_token": ""}, "the access token cannot be sent in a header"),
        ({"access_token": "x" * 70_000}, "the answer of the token endpoint is too long"),
    ],
)
async def test_without_a_token_the_attempt_fails(
    shop: Shop, answer: dict[str, Any], error: str
) -> None:
    async def issue(_end: Endpoint, _request: web.Request) -> web.StreamResponse:
        return web.Response(text=json.dumps(answer))

    async with endpoint() as end, endpoint(issue) as issuer:
        webhook = await oauth_webhook(shop, end.url, issuer.url)
        await given_events(shop)
        await shop.settle()
        [attempt] = await attempts_of(shop, webhook)
        assert attempt["error"] == f"no access token: {error}"
        assert end.posts == []


async def test_a_token_endpoint_that_refuses_or_hangs_fails_the_attempt(shop: Shop) -> None:
    async with endpoint() as end, endpoint(status(400)) as issuer:
        webhook = await oauth_webhook(shop, end.url, issuer.url)
        await given_events(shop)
        await shop.settle()
        issuer.answer = hang
        await given_events(shop)
        await shop.settle()
        first, second = await attempts_of(shop, webhook)
        assert first["error"] == "no access token: the token endpoint answered 400"
        assert second["error"] == "no answer within 3 seconds"
        assert "s3cret" not in str((first, second))
        assert end.posts == []


async def test_a_token_endpoint_in_a_closed_network_is_not_asked(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await oauth_webhook(shop, end.url, "http://10.1.2.3/token")
        await given_events(shop)
        async with asyncio.timeout(2):
            await shop.settle()
        [attempt] = await attempts_of(shop, webhook)
        assert attempt["error"] == "the address leads to a network that is not open to webhooks"
