"""An endpoint for any ASGI server or framework: mount it at the path of the webhook."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from refundry_sync.receiving.reception import (
    CUT_SHORT,
    LARGEST_BODY_BYTES,
    ONLY_POST,
    TOO_LARGE,
    Receive,
    Reception,
    headers_of,
)

Message = MutableMapping[str, Any]
Incoming = Callable[[], Awaitable[Message]]
Outgoing = Callable[[Message], Awaitable[None]]
Endpoint = Callable[[Message, Incoming, Outgoing], Awaitable[None]]


def endpoint(receive: Receive) -> Endpoint:
    """An ASGI application that gives each POST to `receive`, in a thread as that may block."""

    async def application(scope: Message, incoming: Incoming, outgoing: Outgoing) -> None:
        if scope["type"] == "lifespan":
            await _live(incoming, outgoing)
        elif scope["type"] == "http":
            await _send(await _reception(receive, scope, incoming), outgoing)

    return application


async def _reception(receive: Receive, scope: Message, incoming: Incoming) -> Reception:
    if scope["method"] != "POST":
        return ONLY_POST
    body = bytearray()
    more = True
    while more:
        message = await incoming()
        if message["type"] != "http.request":
            return CUT_SHORT
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST_BODY_BYTES:
            return TOO_LARGE
    return await asyncio.to_thread(receive, _headers(scope["headers"]), bytes(body))


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """By lower-case name; what comes twice is joined."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def _send(reception: Reception, outgoing: Outgoing) -> None:
    headers = [(name.encode(), value.encode()) for name, value in headers_of(reception)]
    start = {"type": "http.response.start", "status": reception.status, "headers": headers}
    await outgoing(start)
    await outgoing({"type": "http.response.body", "body": reception.body})


async def _live(incoming: Incoming, outgoing: Outgoing) -> None:
    """There is nothing to start or to end, but a server may want to hear so."""
    while True:
        message = await incoming()
        await outgoing({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
