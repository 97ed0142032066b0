"""An open-loop client: `python -m bench.flood`, see wire.py.

Requests leave at a rate, whatever becomes of those before, each on a connection that is free. Where
none is free, a request is not sent and counted as such: a crowd that waits for its turn.
"""

import asyncio
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from typing import cast

import msgspec
import uvloop

from bench.client import answer_size
from bench.wire import ORDER_GAP, Flood, Flooded

_TICK_SECONDS = 0.001
# For the last answers, after the last request.
_PATIENCE_SECONDS = 15.0
_ACCEPTED = b"HTTP/1.1 201 "
_REFUSED = b"HTTP/1.1 503 "
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *[1-9]", re.IGNORECASE)


class Run:
    """What all connections share: who is free, and what came back."""

    def __init__(self, flood: Flood) -> None:
        self._before, self._after = flood.request.encode().split(ORDER_GAP.encode())
        self._flood = flood
        self.free: list[Caller] = []
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self.all_accepted = 0
        self.lost = 0
        self.unsent = 0
        self.sent = 0
        self.wrong: str | None = None
        self.counting = False

    def request(self) -> bytes:
        """One request on an order drawn by lot."""
        order = self._flood.first_order + int(random.random() * self._flood.orders)
        return b"%b%d%b" % (self._before, order, self._after)

    def send(self, due: float) -> None:
        """Send a request that was due at a time, if a connection is free."""
        if self.free:
            self.sent += self.counting
            self.free.pop().send(self.request(), due)
        else:
            self.unsent += self.counting

    def answered(self, answer: bytes, due: float) -> None:
        """Note an answer."""
        micros = round((time.perf_counter() - due) * 1e6)
        if answer.startswith(_ACCEPTED):
            self.all_accepted += 1
            if self.counting:
                self.accepted.append(micros)
        elif answer.startswith(_REFUSED) and _RETRY_AFTER.search(answer):
            if self.counting:
                self.refused.append(micros)
        else:
            self.wrong = answer.decode(errors="replace")


class Caller(asyncio.Protocol):
    """A connection: busy with one request, or free."""

    def __init__(self, run: Run, closed: Callable[[], None]) -> None:
        self._run = run
        self._closed = closed
        self._received = b""
        self._due = 0.0
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Free from now on."""
        self._transport = cast("asyncio.Transport", transport)
        self._run.free.append(self)

    def send(self, request: bytes, due: float) -> None:
        """Send a request; free again once it is answered."""
        self._due, self._busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer."""
        self._received += data
        size = answer_size(self._received)
        if size and len(self._received) >= size:
            answer, self._received, self._busy = self._received, b"", False
            self._run.answered(answer, self._due)
            self._run.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Idle ones are closed by the server after a while: another one takes its place."""
        if self._busy:
            self._run.lost += 1
        elif self in self._run.free:
            self._run.free.remove(self)
        self._closed()


async def call(flood: Flood) -> Flooded:
    """Do what `flood` says."""
    loop = asyncio.get_running_loop()
    run, opening, over = Run(flood), set[asyncio.Task[None]](), False

    async def connect() -> None:
        await loop.create_connection(lambda: Caller(run, reopen), "127.0.0.1", flood.port)

    def reopen() -> None:
        if not over:
            task = loop.create_task(connect())
            opening.add(task)
            task.add_done_callback(opening.discard)

    for _ in range(flood.clients):
        await connect()
    await _offer(run, flood)
    run.counting = False
    over = True
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while len(run.free) < flood.clients - run.lost and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Flooded(
        run.accepted, run.refused, run.all_accepted, run.sent, run.unsent, run.lost,
        usage.ru_utime + usage.ru_stime, run.wrong,
    )  # fmt: skip


async def _offer(run: Run, flood: Flood) -> None:
    """Send at the rate until the time is over; what is late by the clock follows at once."""
    begun = time.perf_counter()
    count = 0
    while (now := time.perf_counter() - begun) < flood.warm_seconds + flood.seconds:
        run.counting = now >= flood.warm_seconds
        due = int(now * flood.rate)
        while count < due:
            count += 1
            run.send(begun + count / flood.rate)
        await asyncio.sleep(_TICK_SECONDS)


if __name__ == "__main__":
    _flood = msgspec.json.decode(sys.stdin.buffer.read(), type=Flood)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(call(_flood))))
