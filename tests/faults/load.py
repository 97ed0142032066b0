"""Callers who ask for refunds while things break, and what they were told."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.http import Api, Doc, read
from tests.support.processes import eventually

CALLERS = 6
# Between two requests of a caller, so that the worker and the processor keep up on two cores.
PACE_SECONDS = 0.03
# After an error, as a client that means well.
PAUSE_SECONDS = 0.1
# Longer than anybody is to wait for an answer, whatever became of the database.
HANG_SECONDS = 45.0
# A key whose request was cut off is free again after a minute at the latest.
KEY_SECONDS = 75.0
FINAL = (201, 400, 404)


@dataclass(frozen=True)
class Accepted:
    """A refund that a caller was given. sent, answered: on the monotonic clock."""

    refund: Doc
    sent: float
    answered: float


@dataclass
class Load:
    """What was asked under which name (`metadata.ask`), and what was told.

    Every second caller sends an idempotency key, and again until it is told something final. keyed
    and unkeyed: names of what was asked. others: answers and errors that were not final.
    """

    url: str
    key: str
    orders: Sequence[str]
    accepted: dict[str, Accepted] = field(default_factory=dict[str, Accepted])
    refused: set[str] = field(default_factory=set[str])
    keyed: set[str] = field(default_factory=set[str])
    unkeyed: set[str] = field(default_factory=set[str])
    others: Counter[str] = field(default_factory=Counter[str])
    slowest: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def call(self, number: int) -> None:
        """One caller, until told to stop; what it began under a key it ends."""
        chance = random.Random(number)
        with httpx.Client(base_url=self.url, timeout=HANG_SECONDS, trust_env=False) as client:
            api = Api(client, self.key)
            while not self.stopped.is_set():
                name = str(uuid.uuid4())
                body = {"orderId": chance.choice(self.orders), "currency": "USD",
                        "amount": chance.choice((0.01, 0.02, 0.03)),
                        "metadata": {"ask": name}}  # fmt: skip
                if number % 2:
                    self.keyed.add(name)
                    self._ask_until_told(api, body, name)
                else:
                    self.unkeyed.add(name)
                    self._ask(api, body, name, {})
                self.stopped.wait(PACE_SECONDS)

    def _ask_until_told(self, api: Api, body: Doc, name: str) -> None:
        headers = {"Idempotency-Key": name}
        last = None
        while not self._ask(api, body, name, headers):
            if self.stopped.is_set():
                last = last or time.monotonic() + KEY_SECONDS
                if time.monotonic() > last:
                    return
            time.sleep(PAUSE_SECONDS)

    def _ask(self, api: Api, body: Doc, name: str, headers: dict[str, str]) -> bool:
        """Send one request; whether it was answered for good."""
        sent = time.monotonic()
        try:
            response = api.post("/refunds", body, headers)
        except httpx.TransportError as error:
            self.others[type(error).__name__] += 1
            time.sleep(PAUSE_SECONDS)
            return False
        answered = time.monotonic()
        self.slowest = max(self.slowest, answered - sent)
        told = read(response)
        if response.status_code == 201:
            self.accepted[name] = Accepted(told, sent, answered)
        elif response.status_code in FINAL:
            self.refused.add(name)
        else:
            self.others[f"{response.status_code} {told['errors'][0]['code']}"] += 1
            time.sleep(PAUSE_SECONDS)
            return False
        return True

    def more(self, count: int, seconds: float = 30.0) -> None:
        """Wait until `count` more refunds were accepted."""
        goal = len(self.accepted) + count
        assert eventually(lambda: len(self.accepted) >= goal, seconds), self.others

    def recovery_seconds(self, began: float, ended: float, patience: float = 60.0) -> float:
        """From the end of a fault to the first 201 to what was asked after its beginning."""

        def first() -> float | None:
            known = list(self.accepted.values())
            after = [a.answered for a in known if a.sent >= began and a.answered >= ended]
            return min(after, default=None)

        assert eventually(lambda: first() is not None, patience), self.others
        answered = first()
        assert answered is not None
        return answered - ended


@contextmanager
def load(url: str, key: str, orders: Sequence[str]) -> Generator[Load]:
    """Callers at work; they have stopped, and were told what they asked under keys, at its end."""
    load = Load(url, key, orders)
    threads = [threading.Thread(target=load.call, args=(n,)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopped.set()
        for thread in threads:
            thread.join()
