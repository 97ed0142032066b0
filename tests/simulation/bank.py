"""The processor: pays once per operation id, answers badly, and keeps books of its own."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.contract import (
    Declined,
    InProgress,
    NeedsInformation,
    Outcome,
    Settled,
    Submission,
    Unknown,
)
from refundry.processors.registry import Registry
from tests.simulation.clock import moment
from tests.simulation.loop import OUTSIDE, Loop
from tests.simulation.trace import Trace

PATIENCE_SECONDS = 10.0
_DECLINED = Failure("do_not_honor", "Declined by the simulated bank", "declined")
Tell = Callable[[bytes], Coroutine[Any, Any, bool]]
"""Brings a notification to Refundry; whether it was taken."""


@dataclass(slots=True)
class Entry:
    """What the bank did for an operation id. amount: minor units.

    state: pending, complete, failed, waiting (for bank details). first: the answer that every
    repeat of the call gets. payouts: how often money moved; returned: whether it came back.
    """

    kind: str
    charge_id: str
    amount: int
    currency: str
    state: str
    first: Outcome
    payouts: int = 0
    returned: bool = False


@dataclass(slots=True)
class Bank:
    """The bank. tell: see `Tell`. untold: notifications on their way. calm: behaves well."""

    loop: Loop
    random: Random
    trace: Trace
    tell: Tell | None = None
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    untold: int = 0
    numbers: int = 0
    calm: bool = False

    async def submit(self, submission: Submission) -> Outcome:
        """A call over a line that may lose it, or its answer."""
        await self._pause(0.5)
        chance = 1.0 if self.calm else self.random.random()
        if chance < 0.08:
            await asyncio.sleep(PATIENCE_SECONDS)
            return Unknown("no answer in time, and nothing was done")
        if chance < 0.14:
            return Unknown("answered 500")
        answer = self._do(submission)
        if chance < 0.26:
            await asyncio.sleep(PATIENCE_SECONDS)
            return Unknown("no answer in time, although it was done")
        if chance < 0.32:
            await asyncio.sleep(self.random.uniform(1, PATIENCE_SECONDS))
        await self._pause(0.5)
        return answer

    async def _pause(self, longest: float) -> None:
        await asyncio.sleep(self.random.uniform(0.005, longest))

    def _do(self, submission: Submission) -> Outcome:
        known = self.entries.get(submission.key)
        if known is None:
            known = self.entries[submission.key] = self._enter(submission)
        self.trace.note(self.loop.time(), "bank", submission.key, submission.attempt, known.state)
        return known.first

    def _enter(self, submission: Submission) -> Entry:
        """Decide what becomes of an operation."""
        refund = submission.kind is OperationKind.REFUND
        entry = Entry(
            submission.kind.value, submission.charge_id, submission.amount,
            submission.currency.code, "pending", InProgress(),
        )  # fmt: skip
        chance = self.random.random()
        if chance < 0.60 or submission.kind is OperationKind.AUTHORIZE:
            entry.first = Settled()
            self._pay(submission.key, entry)
        elif chance < 0.72 and (refund or self.random.random() < 0.3):
            entry.state, entry.first = "failed", Declined(_DECLINED)
        elif chance < 0.80 and refund:
            entry.state, entry.first = "waiting", NeedsInformation()
        else:
            delay = self.random.uniform(0.0, 15.0)
            self.loop.outside(delay, self._settle_later, submission.key, entry)
        return entry

    def _settle_later(self, key: str, entry: Entry) -> None:
        if self.random.random() < 0.75:
            self._pay(key, entry)
            self._notify(f"{entry.kind}.complete", {"operationId": key})
        else:
            entry.state = "failed"
            self._notify(f"{entry.kind}.failed", {"operationId": key, **_REASON})

    def _pay(self, key: str, entry: Entry) -> None:
        entry.state = "complete"
        entry.payouts += 1
        if entry.kind == "refund" and self.random.random() < 0.2:
            self.loop.outside(self.random.uniform(0.0, 20.0), self._send_back, key, entry)

    def _send_back(self, key: str, entry: Entry) -> None:
        """The shopper's bank sends the money back, long after it was said to be paid."""
        entry.state, entry.returned = "failed", True
        self._notify("refund.failed", {"operationId": key, **_REASON})

    def left(self, charge_id: str) -> int:
        """What of a charge was captured and not paid back, in minor units."""
        entries = [each for each in self.entries.values() if each.charge_id == charge_id]
        captured = sum(each.amount for each in entries if each.kind == "capture" and each.payouts)
        paid = [e for e in entries if e.kind == "refund" and e.payouts and not e.returned]
        return captured - sum(each.amount for each in paid)

    def dispute(self, type: str, data: dict[str, Any]) -> None:
        """Tell of a shopper's dispute."""
        self._notify(f"dispute.{type}", data)

    def _notify(self, type: str, data: dict[str, Any]) -> None:
        """Tell of something until it is heard; late, out of order, and perhaps twice."""
        self.numbers += 1
        note = {"id": f"note-{self.numbers}", "type": type, "data": data}
        body = json.dumps(note).encode()
        for _ in range(2 if self.random.random() < 0.2 else 1):
            self.untold += 1
            self.loop.spawn(OUTSIDE, self._tell_until_heard(body))

    async def _tell_until_heard(self, body: bytes) -> None:
        assert self.tell
        await asyncio.sleep(moment(self.random, self.loop.time(), 4.0))
        while not await self.tell(body):
            await self._pause(6.0)
        self.untold -= 1


_REASON = {"code": "returned", "message": "It did not arrive", "failureReason": "account_closed"}


class SimulatedConnector:
    """The connector to the bank."""

    name = "simulated"

    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    async def submit(self, submission: Submission) -> Outcome:
        return await self.bank.submit(submission)


class SimulatedRegistry(Registry):
    """Every mode has the bank for its processor."""

    def __init__(self, connector: SimulatedConnector) -> None:
        self._connector = connector

    def connector(self, *, live: bool) -> SimulatedConnector:
        return self._connector


# The longest that a call takes, with its answer: what a worker's lease is reckoned by.
CALL = timedelta(seconds=PATIENCE_SECONDS)
