"""Serves the application over HTTP with uvicorn, with the limits that it does not set itself."""

import asyncio
import gc
import os
import socket
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refundry.app import Service
from refundry.http import problems
from refundry.http.document import bad_format
from refundry.ids import new_uuid
from refundry.settings import Settings

_HEAD_SECONDS = 15.0
_MAX_HEAD_BYTES = 32 * 1024
_GRACE_SECONDS = 10


class JoiningTransport:
    """A transport that sends what is written within one turn of the loop in one go.

    uvicorn writes the head and the body of an answer apart, and each write is a system call that
    may wake the client: together they cost about a twentieth of a small request.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep `data` until the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))


class GuardedProtocol(HttpToolsProtocol):
    """Ends connections whose request head does not come in time, or has no end."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, JoiningTransport(transport, self.loop))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to an unfinished head."""
        if self._head_timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A further request on the connection has its own time for its head."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the same words for all
        """Answer what is not HTTP in the contract's envelope."""
        body = problems.bad_fields(bad_format()).body
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"x-request-id: %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            % (new_uuid().encode(), len(body))
        )
        self.transport.write(head + body)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._end)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        self._stop_waiting()
        if self.cycle and not self.cycle.response_complete:
            self._end()  # The answer to the request before is on its way: none may stand in it.
        else:
            self.send_400_response("The request's head is too large.")

    def _end(self) -> None:
        self._stop_waiting()
        if self.transport and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Takes what is there when requests begin out of the garbage collector's rounds: it stays."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then freeze."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()


def serve_api(settings: Settings, *, fd: int | None) -> None:
    """Serve until SIGTERM or SIGINT. fd: a listening socket shared with other processes."""
    share = 1 / settings.processes if fd is not None else 1
    several = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    config = uvicorn.Config(
        Service(settings, share=share, several=several),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Nothing here asks where a request comes from.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=1024,
    )
    sockets = [socket.socket(fileno=fd)] if fd is not None else None
    server = _Server(config)
    server.run(sockets=sockets)
    if not server.started:
        raise SystemExit(3)
