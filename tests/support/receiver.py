"""A real webhook receiver on loopback, http or https, that records all that reaches it.

It speaks HTTP/1.1 over plain streams, as many of its answers (tests/support/answers.py) are such as
no HTTP library would give.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Self

from tests.support.certificates import Authority
from tests.support.processes import eventually

_START_SECONDS = 10.0
# For the loop to take note of connections that were cut.
_CLOSING_SECONDS = 0.05
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
# Far over any body or head that the service sends.
_READ_LIMIT = 2**24
# Little, so that what a caller does not read soon stops what is sent to it.
_SEND_BUFFER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it came. headers: by lower-case name. at: Unix time of its last byte."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(slots=True)
class Line:
    """The connection a request came on. sent: how many bytes of answers were taken from us."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = 0

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def closed(self) -> None:
        """Wait until the caller has hung up."""
        while await self.reader.read(65536):
            pass


# Answers a request; whether the connection is good for another one.
Answer = Callable[[Arrival, Line], Awaitable[bool]]


@dataclass(slots=True)
class Endpoint:
    """One path of a receiver. answer: may be changed at any time, for the requests after it.

    most_open: how many requests were under way at once at most. sent: bytes of its answers.
    """

    url: str
    answer: Answer
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    open: int = 0
    most_open: int = 0
    sent: int = 0

    @property
    def bodies(self) -> list[bytes]:
        return [arrival.body for arrival in self.arrivals]

    @property
    def heads(self) -> list[dict[str, str]]:
        return [arrival.headers for arrival in self.arrivals]

    def had(self, count: int, seconds: float = 15.0) -> bool:
        """Whether `count` requests have arrived before long."""
        return eventually(lambda: len(self.arrivals) >= count, seconds)

    async def serve(self, arrival: Arrival, line: Line) -> bool:
        """Answer one request and count it."""
        self.arrivals.append(arrival)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        before = line.sent
        try:
            return await self.answer(arrival, line)
        finally:
            self.sent += line.sent - before
            self.open -= 1


class Receiver:
    """A server of endpoints in a thread of its own; authority: whose certificate makes it https."""

    def __init__(self, authority: Authority | None = None) -> None:
        self._tls = authority.server_context() if authority else None
        self._endpoints: dict[str, Endpoint] = {}
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        # Requests to paths that no test has made; they are answered with 404.
        self.strays: list[Arrival] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(_START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        loop, done, _port = self._ready.result(_START_SECONDS)
        loop.call_soon_threadsafe(done.set)
        self._thread.join(_START_SECONDS)

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        port = self._ready.result(_START_SECONDS)[2]
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    def endpoint(self, answer: Answer, below: str = "") -> Endpoint:
        """A new path that answers so, whatever the query; below: what its end is to be."""
        path = f"/{uuid.uuid4()}{below}"
        self._endpoints[path] = Endpoint(self.address + path, answer)
        return self._endpoints[path]

    async def _run(self) -> None:
        try:
            server = await asyncio.start_server(
                self._converse, "127.0.0.1", 0, ssl=self._tls, limit=_READ_LIMIT, backlog=512
            )
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        done = asyncio.Event()
        port = server.sockets[0].getsockname()[1]
        self._ready.set_result((asyncio.get_running_loop(), done, port))
        await done.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(_CLOSING_SECONDS)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        self._writers.add(writer)
        line = Line(reader, writer)
        try:
            while arrival := await _read_request(reader):
                endpoint = self._endpoints.get(arrival.path.partition("?")[0])
                if endpoint is None:
                    self.strays.append(arrival)
                    await line.send(_NOT_FOUND)
                elif not await endpoint.serve(arrival, line):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The caller has gone, as it may, or the receiver ends.
        finally:
            self._writers.discard(writer)
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Arrival | None:
    """The next request of a connection; None: the caller has hung up before one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _version = first.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    assert "transfer-encoding" not in headers, "a delivery says how long it is"
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Arrival(method, path, headers, body, time.time())
