"""An endpoint that takes everything: `python -m bench.sink COUNT` prints its port, and after COUNT
requests what came as JSON (wire.Arrivals)."""

import asyncio
import re
import sys
import time
from datetime import UTC, datetime
from typing import cast

import msgspec
import uvloop

from bench.client import answer_size
from bench.wire import Arrivals

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
# The event's own time, which stands behind its data: of the resource there may be others before.
_CREATED = re.compile(rb'"createdTime":"([^"]+)","webhookIds"')


class Sink(asyncio.Protocol):
    """Answers each request with 200 and notes when it had come as a whole."""

    def __init__(
        self, arrivals: list[tuple[float, bytes]], count: int, done: asyncio.Event
    ) -> None:
        self._arrivals = arrivals
        self._count = count
        self._done = done
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what has come as a whole."""
        self._received += data
        while (size := answer_size(self._received)) and len(self._received) >= size:
            self._arrivals.append((time.time(), self._received[:size]))
            self._received = self._received[size:]
            self._transport.write(_ANSWER)
        if len(self._arrivals) >= self._count:
            self._done.set()


def lags(arrivals: list[tuple[float, bytes]]) -> list[int]:
    """How long each event took from its creation until it was here, in microseconds."""
    found: list[int] = []
    for at, request in arrivals:
        match = _CREATED.search(request)
        if match:
            text = match[1].decode().removesuffix("Z")
            created = datetime.fromisoformat(text.ljust(26, "0") if "." in text else text)
            found.append(round((at - created.replace(tzinfo=UTC).timestamp()) * 1e6))
    return found


async def _serve(count: int) -> None:
    arrivals: list[tuple[float, bytes]] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(arrivals, count, done), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await done.wait()
    times = [at for at, _ in arrivals]
    sys.stdout.buffer.write(msgspec.json.encode(Arrivals(times, lags(arrivals))) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
