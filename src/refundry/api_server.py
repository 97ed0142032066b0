"""Serves the application over HTTP with uvicorn, with the limits that it does not set itself."""

import asyncio
import gc
import os
import socket
from typing import Any, cast

import uvicorn
from httptools import HttpRequestParser
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refundry.app import Service
from refundry.errors import required
from refundry.http import problems
from refundry.http.document import bad_format
from refundry.ids import new_uuid
from refundry.metrics import SHED
from refundry.pipeline import request_id_of
from refundry.settings import Settings
from refundry.worker import open_many_files

_HEAD_SECONDS = 15.0
_MAX_HEAD_BYTES = 32 * 1024
_GRACE_SECONDS = 10
# A refused request's body is read away for this long, so that its connection may go on.
_BODY_SECONDS = 30.0
# They tell whether the service lives: the less it has room for, the more they are needed.
_PROBES = (b"/healthz", b"/readyz", b"/metrics")


def _refusal() -> bytes:
    """The answer to what is too much, as bytes: it must cost next to nothing. %b: the id."""
    answer = problems.unavailable()
    lines = [b"HTTP/1.1 503 Service Unavailable", b"content-type: application/json"]
    lines += [f"{name.lower()}: {value}".encode() for name, value in answer.headers.items()]
    lines += [b"content-length: %d" % len(answer.body), b"x-request-id: %b"]
    return b"\r\n".join(lines) + b"%b\r\n\r\n" + answer.body


_REFUSAL = _refusal()


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
    """Ends connections whose request head does not come in time, or has no end; refuses requests
    and connections that are too many.

    A refusal happens before the request becomes a task: under five times the load that can be
    served, most of what the process does is to refuse.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _surplus = False
    _refused = False
    _refused_timer: asyncio.TimerHandle | None = None

    def __init__(self, config: uvicorn.Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._service = cast(Service, config.app)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        most = self._service.max_clients
        self._surplus = len(self.connections) > most
        if len(self.connections) > 2 * most:
            SHED.inc()
            transport.abort()
            return
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
        self._refused = False
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is here: the request becomes a task, or is refused."""
        self._stop_waiting()
        if self._too_much():
            self._refuse()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body; nobody wants that of a refused request."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        if self._refused:
            self._after_refused()
        else:
            super().on_message_complete()

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
        self._stop_refusing()
        super().connection_lost(exc)

    def _too_much(self) -> bool:
        """Whether to refuse. Not behind a request that is under way: that one's answer is first."""
        if not (self._surplus or self._service.admission.full):
            return False
        idle = not self.cycle or self.cycle.response_complete
        # To HEAD, which we do not serve, no body may be sent.
        answerable = self._parser.get_method() != b"HEAD"
        return idle and answerable and not self.url.startswith(_PROBES)

    @property
    def _parser(self) -> HttpRequestParser:
        """The parser, which is there for as long as the connection is."""
        return required(self.parser)

    def _refuse(self) -> None:
        """Answer 503 at once, and read the body away. Nothing was looked at but the head."""
        self._refused = True
        SHED.inc()
        closing = b"\r\nconnection: close" if self._closes() else b""
        self.transport.write(_REFUSAL % (request_id_of(cast(Scope, self.scope)).encode(), closing))
        self._refused_timer = self.loop.call_later(_BODY_SECONDS, self._end)

    def _after_refused(self) -> None:
        self._stop_refusing()
        if self._closes():
            self.transport.close()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _closes(self) -> bool:
        """Whether the connection ends with this request."""
        return self._surplus or not self._parser.should_keep_alive()

    def _stop_refusing(self) -> None:
        if self._refused_timer is not None:
            self._refused_timer.cancel()
            self._refused_timer = None

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
    open_many_files()
    service = Service(settings, share=share, several=several)
    config = uvicorn.Config(
        service,
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
    service.admission.running = server.server_state.tasks
    server.run(sockets=sockets)
    if not server.started:
        raise SystemExit(3)
