"""What endpoints of every kind make of an attempt."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.support.books import Shop
from tests.support.endpoints import (
    Endpoint,
    attempts_of,
    endpoint,
    given_events,
    given_webhook,
    hang,
    states_of,
    status,
)
from tests.support.http import Doc

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw(talk: Talk) -> AsyncGenerator[str]:
    """A server that says what `talk` writes once a request is there; gives its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/hook"


async def request(reader: asyncio.StreamReader) -> None:
    """Read one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)


async def delivered(shop: Shop, url: str) -> Doc:
    """The attempt that one event makes."""
    webhook = await given_webhook(shop, url)
    await given_events(shop)
    await shop.settle()
    [attempt] = await attempts_of(shop, webhook)
    succeeded = await states_of(shop, webhook) == {"succeeded": 1}
    assert succeeded == (attempt["status"] is not None and 200 <= attempt["status"] < 300)
    return attempt


async def test_an_endpoint_that_hangs_has_three_seconds(shop: Shop) -> None:
    async with endpoint(hang) as end:
        attempt = await delivered(shop, end.url)
    assert (attempt["status"], attempt["error"]) == (None, "no answer within 3 seconds")
    assert 2900 <= attempt["duration_ms"] <= 3500


async def test_a_body_that_hangs_does_not_undo_a_success(shop: Shop) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        await reader.read()

    async with raw(talk) as url:
        attempt = await delivered(shop, url)
    assert (attempt["status"], attempt["error"], attempt["response"]) == (200, None, b"some")


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_redirects_are_failures_and_not_followed(shop: Shop, code: int) -> None:
    async with endpoint() as target:

        async def move(_end: Endpoint, _request: web.Request) -> web.StreamResponse:
            return web.Response(status=code, headers={"Location": target.url})

        async with endpoint(move) as end:
            attempt = await delivered(shop, end.url)
        assert (attempt["status"], attempt["error"]) == (code, None)
        assert target.posts == []


@pytest.mark.parametrize("code", [199 + 1, 204, 299, 304, 400, 410, 429, 500, 503])
async def test_statuses_from_200_to_299_are_successes(shop: Shop, code: int) -> None:
    async with endpoint(status(code)) as end:
        assert (await delivered(shop, end.url))["status"] == code


async def test_a_huge_answer_is_read_to_4_kib_and_no_further(shop: Shop) -> None:
    sent = 0
    cut = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        try:
            for _ in range(1024):
                writer.write(b"x" * (1 << 20))
                await writer.drain()
                sent += 1
        except ConnectionError:
            cut.set()
            raise

    async with raw(talk) as url:
        attempt = await delivered(shop, url)
        await asyncio.wait_for(cut.wait(), 5)
    assert attempt["response"] == b"x" * 4096
    assert attempt["duration_ms"] < 2000
    assert sent < 64


async def test_a_packed_answer_is_not_unpacked(shop: Shop) -> None:
    async def packed(_end: Endpoint, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"not gzip at all", headers={"Content-Encoding": "gzip"})

    async with endpoint(packed) as end:
        attempt = await delivered(shop, end.url)
    assert (attempt["status"], attempt["response"]) == (200, b"not gzip at all")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "the connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is not HTTP"),
        (b"\x00\xff" * 3000, "the answer is not HTTP"),
    ],
)
async def test_garbage_is_a_failure_with_a_reason(shop: Shop, said: bytes, error: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(said)
        await writer.drain()

    async with raw(talk) as url:
        attempt = await delivered(shop, url)
    assert (attempt["status"], attempt["error"]) == (None, error)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/x", "no connection: connection refused"),
        ("https://127.0.0.1:1/x", "no connection: connection refused"),
        ("http://10.0.0.1/x", "the address leads to a network that is not open to webhooks"),
        ("http://[::1]/x", "the address leads to a network that is not open to webhooks"),
        ("http://169.254.169.254/x", "the address leads to a network that is not open to webhooks"),
        ("http://2130706433/x", "the address leads to a network that is not open to webhooks"),
        ("http://0xa000001/x", "the address leads to a network that is not open to webhooks"),
        ("http://no-such-host.invalid/x", "the name of the host cannot be resolved"),
        ("ftp://127.0.0.1/x", "the address does not begin with https"),
    ],
)
async def test_what_cannot_or_must_not_be_reached_is_a_failure(
    shop: Shop, url: str, error: str
) -> None:
    assert (await delivered(shop, url))["error"] == error


async def test_plain_http_behind_https_is_told(shop: Shop) -> None:
    async with endpoint() as end:
        attempt = await delivered(shop, end.url.replace("http:", "https:"))
    assert attempt["error"].startswith("TLS failed: ")
    assert end.posts == []


async def test_a_kept_connection_that_was_closed_costs_no_attempt(shop: Shop) -> None:
    """The second request on a connection meets its end, as when a server times out just then."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await request(reader)

    async with raw(talk) as url:
        webhook = await given_webhook(shop, url)
        for _ in range(3):
            await given_events(shop)
            await shop.settle()
        assert [each["status"] for each in await attempts_of(shop, webhook)] == [200] * 3
        assert connections == 3


async def test_cookies_are_not_kept(shop: Shop) -> None:
    async def bake(_end: Endpoint, _request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Set-Cookie": "a=b; Path=/"})

    async with endpoint(bake) as end:
        await given_webhook(shop, end.url)
        for _ in range(2):
            await given_events(shop)
            await shop.settle()
        assert [post.headers.get("Cookie") for post in end.posts] == [None, None]
