"""The HTTP clients, all in one process of their own: `python -m bench.client`, see wire.py.

As cheap as Python allows, as it shares the cores with what it measures: no streams, no coroutines
per request; a connection sends its next request from the callback that saw the last answer's end.
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

from bench.wire import ORDER_GAP, Answers, Load

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Run:
    """What all connections of a run share: what to send, until when, and what came back."""

    def __init__(self, load: Load, done: Callable[[], None]) -> None:
        self._before, self._after = load.request.encode().split(ORDER_GAP.encode())
        self._first = load.first_order
        self._orders = load.orders
        self._status = f"HTTP/1.1 {load.status} ".encode()
        self._open = load.clients
        self._done = done
        self._step = 1 / load.per_second if load.per_second else 0.0
        now = self._slot = time.perf_counter()
        self._counts_from = now + load.warm_seconds
        self._counts_until = self._counts_from + load.seconds
        self.micros: list[int] = []
        self.all = 0
        self.wrong: str | None = None

    def request(self) -> bytes:
        """One request on an order drawn by lot."""
        order = self._first + int(random.random() * self._orders)
        return b"%b%d%b" % (self._before, order, self._after)

    def pause(self) -> float:
        """How many seconds the next request has to wait for its turn."""
        self._slot += self._step
        return max(0.0, self._slot - time.perf_counter()) if self._step else 0.0

    def answered(self, answer: bytes, sent_at: float) -> bool:
        """Note a whole answer; False where the connection is to send no more."""
        now = time.perf_counter()
        self.all += 1
        if not answer.startswith(self._status):
            self.wrong = answer.decode(errors="replace")
        elif self._counts_from <= now < self._counts_until:
            self.micros.append(round((now - sent_at) * 1e6))
        return self.wrong is None and now < self._counts_until

    def closed(self, early: bool) -> None:
        """A connection has ended. early: the server did that."""
        if early and self.wrong is None:
            self.wrong = "the server closed a connection"
        self._open -= 1
        if self._open == 0:
            self._done()


class Caller(asyncio.Protocol):
    """One client: a connection that sends a request as soon as the one before is answered."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._received = b""
        self._expected = 0  # bytes of the whole answer; 0: its head is not complete
        self._sent_at = 0.0
        self._finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer, then go on."""
        self._received = self._received + data if self._received else data
        if not self._expected:
            self._expected = answer_size(self._received)
        if not self._expected or len(self._received) < self._expected:
            return
        answer, self._received, self._expected = self._received, b"", 0
        if self._run.answered(answer, self._sent_at):
            self._go_on()
        else:
            self._finished = True
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Tell the run."""
        self._run.closed(early=not self._finished)

    def _go_on(self) -> None:
        if pause := self._run.pause():
            asyncio.get_running_loop().call_later(pause, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.request())


def answer_size(received: bytes) -> int:
    """The bytes of the answer that begins with `received`; 0 while its head is not complete."""
    end = received.find(_HEAD_END)
    if end < 0:
        return 0
    length = _LENGTH.search(received, 0, end)
    return end + len(_HEAD_END) + (int(length[1]) if length else 0)


async def call(load: Load) -> Answers:
    """Do what `load` says."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    run = Run(load, done.set)
    for _ in range(load.clients):
        await loop.create_connection(lambda: Caller(run), "127.0.0.1", load.port)
    await done.wait()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Answers(run.micros, run.all, usage.ru_utime + usage.ru_stime, run.wrong)


if __name__ == "__main__":
    _load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(call(_load))))
