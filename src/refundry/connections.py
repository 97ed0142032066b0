"""Limits of connections: how long one may keep us waiting, what it may hold, how many there are."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refundry.http import problems
from refundry.http.admission import Admission
from refundry.http.answer import Answer
from refundry.http.document import bad_format
from refundry.ids import new_uuid
from refundry.metrics import SHED
from refundry.pipeline import request_id_of

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


@dataclass(frozen=True, slots=True)
class Limits:
    """What the clients of one process may do.

    connections: at once. head_seconds, head_bytes: of a request's line and headers. rest_seconds:
    for what is left of a body whose request was answered without it. answer_seconds: for an answer
    to be taken. pipelined: requests that wait behind the one under way on their connection.
    unfinished_bytes: of all bodies that have begun and not ended.
    """

    connections: int = 1000
    head_seconds: float = 15.0
    head_bytes: int = 32 * 1024
    rest_seconds: float = 5.0
    answer_seconds: float = 60.0
    pipelined: int = 16
    unfinished_bytes: int = 64 * 1024 * 1024


class Awaited(Enum):
    """What a connection's client is to do next."""

    REQUEST = "begin a request"
    HEAD = "finish a head"
    BODY = "send more of a body"
    REST = "send what is left of a body that nobody reads"
    READING = "take an answer"


class _Part(Enum):
    """Where in a message the parser is."""

    BETWEEN = 1
    HEAD = 2
    BODY = 3


class _Refused(Exception):
    """A head that is too large or says too little, or too many requests on one connection."""


class Crowd:
    """The connections of a process, and those among them whose client is to act.

    Where there is no room, the one that has kept us waiting the longest makes it: a client that
    sends its request at once is served however many others send nothing.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[GuardedProtocol] = set()
        # In the order in which the waiting began; the bytes that it has sent of a body.
        self._waiting: dict[GuardedProtocol, int] = {}
        self._unfinished_bytes = 0

    def enter(self, connection: "GuardedProtocol") -> bool:
        """Take a connection in; False if there is no room, and all others wait for us."""
        if len(self._open) >= self.limits.connections and not self._drop_oldest():
            return False
        self._open.add(connection)
        return True

    def leave(self, connection: "GuardedProtocol") -> None:
        """The connection is closed."""
        self.act(connection)
        self._open.discard(connection)

    def wait(self, connection: "GuardedProtocol") -> None:
        """It is the client's turn, from now on."""
        self.act(connection)
        self._waiting[connection] = 0

    def act(self, connection: "GuardedProtocol") -> None:
        """The client did what it was to do."""
        self._unfinished_bytes -= self._waiting.pop(connection, 0)

    def hold(self, connection: "GuardedProtocol", size: int) -> None:
        """Of a body that a waiting client sends, `size` bytes are here by now."""
        self._unfinished_bytes += size - self._waiting[connection]
        self._waiting[connection] = size
        while self._unfinished_bytes > self.limits.unfinished_bytes:
            self._drop(next(each for each, held in self._waiting.items() if held))

    def _drop_oldest(self) -> bool:
        for oldest in self._waiting:
            self._drop(oldest)
            return True
        return False

    def _drop(self, connection: "GuardedProtocol") -> None:
        self.leave(connection)
        connection.drop()


class JoiningTransport:
    """A transport that sends what is written within one turn of the loop in one go.

    uvicorn writes the head and the body of an answer apart, and each write is a system call that
    may wake the client: together they cost about a twentieth of a small request.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, linger_seconds: float
    ) -> None:
        """linger_seconds: how long what was sent may take to be read once it is closed."""
        self._transport = transport
        self._loop = loop
        self._linger_seconds = linger_seconds
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep `data` until the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send what is kept, then close; what nobody reads is given up in the end."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(self._linger_seconds, self._transport.abort)

    def abort(self) -> None:
        """Close at once, whatever was to be sent."""
        self._parts.clear()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))


class GuardedProtocol(HttpToolsProtocol):
    """A connection that is ended where it keeps us waiting for too long, or sends too much."""

    def __init__(self, crowd: Crowd, admission: Admission, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._crowd = crowd
        self._admission = admission
        self._shedding = False
        self._limits = crowd.limits
        self._part = _Part.BETWEEN
        self._awaited: Awaited | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Since the last message ended, and in the piece that is being read.
        self._head_bytes = self._chunk_bytes = 0
        self._body_bytes = 0
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, or say that there is no room."""
        super().connection_made(transport)
        joining = JoiningTransport(transport, self.loop, self._limits.answer_seconds)
        self.transport = cast(asyncio.Transport, joining)
        if self._crowd.enter(self):
            self._look()
        else:
            SHED.inc()
            self._part_with(problems.unavailable())

    def data_received(self, data: bytes) -> None:
        """Read on, and see whose turn it is then."""
        if self._deaf:
            return
        self._chunk_bytes = len(data)
        self._head_bytes += len(data)
        super().data_received(data)
        if self._part is _Part.HEAD and self._head_bytes > self._limits.head_bytes:
            self.send_400_response("The request's head is too large.")
        self._look()
        if self._awaited is Awaited.BODY:
            self._crowd.hold(self, self._body_bytes)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._part = _Part.HEAD

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those behind a body are not the request's (RFC 9110, 6.5.1)."""
        if self._part is _Part.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here. Raises _Refused, which the parser makes an answer of 400."""
        # What came in one piece with the head may be its body, or a further request.
        most = self._limits.head_bytes
        if self._chunk_bytes + self._head_bytes > most and self._head_size() > most:
            raise _Refused
        if len(self.pipeline) >= self._limits.pipelined or not self._is_plain():
            raise _Refused
        if self._is_too_much():
            self._part = _Part.BODY
            self._shed()
            return
        super().on_headers_complete()
        self._part = _Part.BODY
        if self._upgrades:
            # The parser takes what follows for another protocol, or for a new request.
            self.cycle.keep_alive = False
            self._deaf = True

    def on_body(self, body: bytes) -> None:
        """Count what is kept of a body; nobody wants that of a request that was shed."""
        if not self._shedding:
            super().on_body(body)
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        if self._shedding:
            self._shedding = False
            if not self._stays:
                self.transport.close()
        else:
            super().on_message_complete()
        self._part = _Part.BETWEEN
        self._head_bytes = self._body_bytes = 0

    def on_response_complete(self) -> None:
        """The answer is written; it is the client's turn."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """The client does not read what we send."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._look()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the same words for all
        """Answer what is not HTTP in the contract's envelope, behind the answers before it."""
        self._deaf = True
        in_body = self._part is _Part.BODY
        if self._answering and not in_body:
            self.cycle.keep_alive = False  # It is closed behind that answer, without a 400.
        elif self._answering == in_body and not self.pipeline:
            self._part_with(problems.bad_fields(bad_format()))
        else:
            self.drop()  # The body of a request that has its answer, or waits behind others.

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._stop_timer()
        self._crowd.leave(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close at once: the client is not worth waiting for."""
        self._deaf = True
        self._stop_timer()
        self.transport.abort()

    @property
    def _answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    @property
    def _upgrades(self) -> bool:
        return self.parser is not None and self.parser.should_upgrade()

    def _is_too_much(self) -> bool:
        """Whether the request is to be refused, as the process has enough in hand.

        Not behind a request that is under way, as that one's answer comes first; and to HEAD, which
        we do not serve, no body may be sent.
        """
        if not self._admission.full or self._answering or self._upgrades:
            return False
        assert self.parser is not None
        return self.parser.get_method() != b"HEAD" and not self.url.startswith(_PROBES)

    def _shed(self) -> None:
        """Answer 503 at once, and read the body away. Nothing was looked at but the head."""
        self._shedding = True
        SHED.inc()
        closing = b"" if self._stays else b"\r\nconnection: close"
        self.transport.write(_REFUSAL % (request_id_of(cast(Scope, self.scope)).encode(), closing))

    @property
    def _stays(self) -> bool:
        """Whether the connection goes on behind the request that is being read."""
        return self.parser is not None and self.parser.should_keep_alive()

    def _is_plain(self) -> bool:
        """Whether every reader of the head takes it alike: RFC 9112, 3.2 and 6.1.

        One host; no coding of the body but chunks, and none in HTTP/1.0; no other version; no body
        where another protocol is asked for, as the parser does not read that.
        """
        assert self.parser is not None
        version = self.parser.get_http_version()
        hosts = 0
        if self._upgrades and any(_is_of_body(name, value) for name, value in self.headers):
            return False
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and (version != "1.1" or value.lower() != b"chunked"):
                return False
        return hosts == 1 if version == "1.1" else version == "1.0" and hosts <= 1

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _look(self) -> None:
        """See whose turn it is, and wait for the client if it is the client's."""
        awaited = None if self.transport.is_closing() else self._next()
        if awaited is self._awaited:
            return
        self._stop_timer()
        self._awaited = awaited
        if awaited is None:
            self._crowd.act(self)
            return
        self._crowd.wait(self)
        # The time for a body is its reader's: refundry.pipeline.
        if awaited is not Awaited.BODY:
            self._timer = self.loop.call_later(self._seconds(awaited), self._give_up)

    def _next(self) -> Awaited | None:
        """What the client is to do; None while it waits for us."""
        if self.flow.write_paused:
            return Awaited.READING
        if self._part is _Part.BODY:
            return Awaited.BODY if self._answering else Awaited.REST
        if self._answering:
            return None
        return Awaited.HEAD if self._part is _Part.HEAD else Awaited.REQUEST

    def _seconds(self, awaited: Awaited) -> float:
        match awaited:
            case Awaited.READING:
                return self._limits.answer_seconds
            case Awaited.REST:
                return self._limits.rest_seconds
            case _:
                return self._limits.head_seconds

    def _give_up(self) -> None:
        if self._awaited is Awaited.READING:
            self.drop()
        elif not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _part_with(self, answer: Answer) -> None:
        """Give a last answer and close."""
        self._deaf = True
        headers = {
            "content-type": answer.content_type,
            "x-request-id": new_uuid(),
            "connection": "close",
            "content-length": str(len(answer.body)),
        } | {name.lower(): value for name, value in answer.headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        reason = {400: "Bad Request", 503: "Service Unavailable"}[answer.status]
        head = f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n"
        self.transport.write(head.encode() + answer.body)
        self.transport.close()


def _is_of_body(name: bytes, value: bytes) -> bool:
    """Whether a header says that a body follows."""
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
