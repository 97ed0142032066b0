"""Clients over raw sockets: each sends its next request as soon as the one before is answered.

Some hang up before the answer. What has an idempotency key is sent again until it is answered, and
sometimes twice at once. Now and then all of them wait until everything is answered: who was
forgotten would else be woken by those who come after him.
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import cast

import msgspec
from bench.client import answer_size

from tests.stress.requests import Request, Requests

# How long after sending a client hangs up, at most: some before the request is read, some after
# its refund is written.
_HANGS_UP_SECONDS = 0.03
# Requests from one lull to the next, at most. Short bursts meet the end of a lane more often.
_BURST = 400
# The answer to a key whose first request is still being served.
_IN_USE = 409
_IN_USE_CODE = "idempotency_key_in_use"


class _Error(msgspec.Struct):
    code: str = ""


class _Body(msgspec.Struct):
    """As much of any answer as is looked at."""

    id: str | None = None
    errors: list[_Error] = []


@dataclass(slots=True)
class Told:
    """What the clients were told. created: the ids of refunds by mark, one for each 201. refused
    and vanished: marks."""

    sent: set[str] = field(default_factory=set[str])
    created: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    refused: set[str] = field(default_factory=set[str])
    vanished: set[str] = field(default_factory=set[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    slowest_seconds: float = 0.0


class Callers:
    """A number of connections that make `count` requests together.

    wrong: what went wrong first; then nothing more is sent.
    """

    def __init__(self, requests: Requests, port: int, seed: int, count: int) -> None:
        self.told = Told()
        self.wrong: str | None = None
        self.done = 0
        self._count = count
        self._drawn = 0
        self._requests = requests
        self._port = port
        self._chance = Random(f"callers {seed}")
        self._again: deque[Request] = deque()
        self._callers: set[_Caller] = set()
        self._parked: list[_Caller] = []
        self._left = 0  # requests until the next lull
        self._tasks: set[asyncio.Task[object]] = set()
        self._finished = asyncio.Event()

    async def run(self, clients: int, patience_seconds: float) -> Told:
        """Make all requests. Raises AssertionError if an answer is wrong or does not come."""
        for _ in range(clients):
            self.connect()
        while not self._finished.is_set():
            self._watch(patience_seconds)
            if self.wrong:
                raise AssertionError(self.wrong)
            await asyncio.sleep(0.1)
        if self.wrong:
            raise AssertionError(self.wrong)
        return self.told

    def connect(self) -> None:
        """Open one more connection; it sends as soon as it is there."""
        loop = asyncio.get_running_loop()
        work = loop.create_connection(lambda: _Caller(self, self._chance), "127.0.0.1", self._port)
        task: asyncio.Task[object] = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if error := task.exception():
            self.wrong = f"cannot connect: {error!r}"
        self._end_lull()

    def begin(self, caller: "_Caller") -> None:
        """Have a caller send its next request, wait for the end of a lull, or stop."""
        if self.wrong is None and (self._again or self._drawn < self._count):
            if self._left > 0:
                self._send(caller)
            else:
                self._callers.discard(caller)
                self._parked.append(caller)
        else:
            self._callers.discard(caller)
            caller.close()
        self._end_lull()

    def _end_lull(self) -> None:
        """Go on, or finish, where everything is answered."""
        if self._callers or self._tasks:
            return
        if self._parked:
            self._left = self._chance.choice((2, 8, self._chance.randint(1, _BURST)))
            parked, self._parked = self._parked, []
            for each in parked:
                self.begin(each)
        else:
            self._finished.set()

    def _send(self, caller: "_Caller") -> None:
        self._left -= 1
        if self._again:
            request = self._again.popleft()
        else:
            self._drawn += 1
            request = self._requests.next()
            if request.keyed and self._chance.random() < 0.2:
                self._again.append(request)
                self.told.counts["sent twice at once"] += 1
        self.told.sent.add(request.mark)
        self._callers.add(caller)
        caller.send(request)

    def answered(self, request: Request, answer: bytes, seconds: float) -> None:
        """Note a whole answer."""
        self.done += 1
        told = self.told
        told.slowest_seconds = max(told.slowest_seconds, seconds)
        status = int(answer[9:12])
        told.counts[f"answered {status}"] += 1
        body = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=_Body)
        if status == 201 and body.id and not request.doomed:
            told.created.setdefault(request.mark, []).append(body.id)
        elif status == _IN_USE and request.keyed and body.errors[0].code == _IN_USE_CODE:
            self._again.append(request)
        elif status in (400, 404, 409):
            told.refused.add(request.mark)
        else:
            self.wrong = f"{request.mark}: {answer.decode(errors='replace')}"

    def hung_up(self, caller: "_Caller", request: Request) -> None:
        """Note that nobody waits for the answer; another client takes the place."""
        self.done += 1
        self.told.vanished.add(request.mark)
        self.told.counts["hung up"] += 1
        if request.keyed:
            self._again.append(request)
        self._callers.discard(caller)
        self.connect()

    def cut_off(self, request: Request) -> None:
        """The server closed a connection with a request on it."""
        self.wrong = self.wrong or f"{request.mark}: the server closed the connection"

    def _watch(self, patience_seconds: float) -> None:
        """The watchdog: every request that is on its way is looked at."""
        now = time.monotonic()
        for caller in self._callers:
            if caller.request and now - caller.sent_at > patience_seconds:
                self.wrong = f"{caller.request.mark} has no answer after {patience_seconds} s"


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, callers: Callers, chance: Random) -> None:
        self.request: Request | None = None
        self.sent_at = 0.0
        self._callers = callers
        self._chance = chance
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        size = answer_size(self._received)
        if self.request is None or not size or len(self._received) < size:
            return
        request, answer = self.request, self._received
        self._received = b""
        self._callers.answered(request, answer, time.monotonic() - self.sent_at)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        request, self.request = self.request, None
        if request is not None:
            self._callers.cut_off(request)

    def _next(self) -> None:
        self.request = None
        self._callers.begin(self)

    def send(self, request: Request) -> None:
        self.request = request
        self.sent_at = time.monotonic()
        self._transport.write(request.data)
        # Hanging up is for the first time that it is sent, else what has a key had no answer ever.
        if request.vanishes and request.mark not in self._callers.told.vanished:
            delay = self._chance.uniform(0, _HANGS_UP_SECONDS)
            asyncio.get_running_loop().call_later(delay, self._hang_up, request)

    def close(self) -> None:
        self._transport.close()

    def _hang_up(self, request: Request) -> None:
        if self.request is request:
            self.request = None
            self._transport.abort()
            self._callers.hung_up(self, request)
