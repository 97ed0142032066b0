"""Runs a scenario against a connector and its server, and holds every outcome against the truth.

Besides what a step expects, after each of them: the processor holds each operation at most once,
never more than was paid, and no outcome says what is not so there.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never, get_args

import pytest

from refundry.domain.charge import FAILURE_REASONS, OperationKind
from refundry.domain.money import Currency, find_currency
from refundry.processors.contract import (
    Declined,
    Forged,
    Found,
    InProgress,
    NeedsInformation,
    NotFound,
    Notice,
    NoticeKind,
    Processor,
    Receipt,
    Settled,
    Submission,
    Unknown,
)
from refundry.tenant import Tenant
from tests.contract.connectors import scenario as steps
from tests.contract.connectors import stand as stands
from tests.contract.connectors import wild
from tests.contract.connectors.scenario import Expected, Scenario
from tests.contract.connectors.stand import Held, Sent, Stand

TENANT = Tenant("contract", live=True)

# A busy machine may lose an answer or two.
_TRIES = 4
# Longer than any processor says it keeps a key beyond `repeats_for`.
_FORGOTTEN = timedelta(hours=1)


@dataclass(slots=True)
class Asked:
    """An operation as we know it. wrong: the processor was told to do one unit less."""

    key: str
    kind: OperationKind
    amount: int
    first_at: datetime
    attempt: int = 0
    reference: str | None = None
    wrong: bool = False


class Course:
    """A scenario on its way."""

    def __init__(self, stand: Stand, scenario: Scenario, name: str) -> None:
        currency = find_currency(scenario.currency)
        assert currency is not None
        self._stand = stand
        self._currency: Currency = currency
        self._amount = scenario.amount
        self._name = name
        self._now = datetime.now(UTC)
        self._began = self._now
        self._asked: dict[str, Asked] = {}
        self._sent: list[Sent] = []
        self._codes: set[str] = set()
        self._heard: dict[str, Expected] = {}
        self._wrong = False
        self._payment = stand.door.pay(
            scenario.amount, scenario.currency, captured=scenario.captured
        )

    async def take(self, step: steps.AnyStep) -> None:
        """Does one step, and sees that what came of it is expected and true."""
        door = self._stand.door
        match step:
            case steps.Plan():
                self._plan(step)
            case steps.Submit():
                await self._submit(step)
            case steps.LookUp():
                await self._look_up(step.op, step.expect)
            case steps.Learn():
                await self._learn(step)
            case steps.Finish():
                self._note_code(step.code)
                door.finish(self._asked[step.op].key, step.end, step.code)
            case steps.Wait():
                self._wait(step)
            case steps.Deliver():
                await self._deliver(step)
            case steps.Forge():
                await self._forge(step)
            case steps.Elsewhere():
                door.refund_elsewhere(self._payment, step.amount or self._amount)
            case steps.Listed():
                await self._listed(step)
            case steps.Dispute():
                await self._dispute(step)
            case steps.Check():
                await self._check(step)
            case steps.Stranger():
                await self._stranger(step)
            case steps.Holds():
                held = self._moving()
                assert (len(held), sum(one.amount for one in held)) == (step.refunds, step.sum)
            case _:
                assert_never(step)
        self._assert_never_twice()

    def states(self) -> dict[str, stands.State | None]:
        """How the processor has each operation that it was asked for; None: it has none."""
        return {
            op: next((one.state for one in self._held_of(asked)), None)
            for op, asked in self._asked.items()
        }

    def is_known(self, op: str) -> bool:
        """Whether the last that we heard of an operation is an outcome."""
        return self._heard[op] not in ("unknown", "not_found")

    def _plan(self, step: steps.Plan) -> None:
        self._note_code(step.code)
        self._wrong = step.fault == "wrong_amount"
        self._stand.door.plan(stands.Plan(step.end, step.fault, step.code, step.times))

    def _note_code(self, code: str | None) -> None:
        if code is not None:
            self._codes.add(code)

    def _wait(self, step: steps.Wait) -> None:
        time = timedelta(hours=step.hours)
        if step.forgotten:
            time += self._stand.processor.abilities.repeats_for + _FORGOTTEN
        self._now += time
        self._stand.door.advance(time.total_seconds())

    async def _submit(self, step: steps.Submit) -> None:
        kind = OperationKind(step.kind)
        amount = self._amount if step.amount is None else step.amount
        asked = self._asked.setdefault(
            step.op, Asked(f"{step.op}-{self._name}", kind, amount, self._now)
        )
        asked.attempt += 1
        asked.wrong = asked.wrong or self._wrong
        before = self._stand.door.asked()
        outcome = await self._stand.processor.submit(self._submission(asked))
        if step.asks is not None:
            assert self._stand.door.asked() - before == step.asks, "requests for the operation"
        self._judge(step.op, outcome, step.expect)

    def _submission(self, asked: Asked) -> Submission:
        return Submission(
            key=asked.key,
            tenant=TENANT,
            kind=asked.kind,
            charge_id="charge",
            amount=asked.amount,
            currency=self._currency,
            processor_reference=self._payment,
            source_type=self._stand.traits.source_type,
            trigger=None,
            first_attempt_at=asked.first_at,
            now=self._now,
            attempt=asked.attempt,
            reference=asked.reference,
        )

    async def _look_up(self, op: str, expect: Expected) -> None:
        found = await self._stand.processor.look_up(self._submission(self._asked[op]))
        self._judge(op, found, expect)

    async def _learn(self, step: steps.Learn) -> None:
        if self._stand.traits.looks_up:
            await self._look_up(step.op, step.expect)
        else:
            await self._deliver(steps.Deliver(step.expect, op=step.op))

    async def _stranger(self, step: steps.Stranger) -> None:
        asked = Asked(f"{step.op}-{self._name}", OperationKind.REFUND, self._amount, self._now, 1)
        self._asked.setdefault(step.op, asked)
        outcome = await self._stand.stranger.submit(self._submission(asked))
        self._judge(step.op, outcome, step.expect)

    async def _deliver(self, step: steps.Deliver) -> None:
        sent = self._stand.door.sent()
        assert sent or step.expect == "anything", "the processor sent nothing"
        self._sent += sent
        ordered = sent if step.order == "sent" else sent[::-1]
        seen: list[Notice] = []
        for _ in range(step.times):
            again = [notice for one in ordered for notice in await self._read(one)]
            assert not seen or {notice.id for notice in seen} == {notice.id for notice in again}
            seen = again
        if step.others is not None:
            assert sorted(self._others(seen)) == step.others
        asked = self._asked.get(step.op)
        ours = [one for one in seen if asked and one.key == asked.key and one.outcome is not None]
        if step.expect is None:
            assert not ours
            return
        if step.expect == "anything" and not ours:
            return
        assert ours, f"no notice on our operation among {seen}"
        outcome = ours[-1].outcome
        assert outcome is not None
        self._judge(step.op, outcome, step.expect)
        if self._stand.traits.confirms:
            for notice in ours:
                self._judge(step.op, notice.outcome or outcome, step.expect)

    def _others(self, notices: Sequence[Notice]) -> list[int]:
        """The amounts of the refunds on our payment that are none of ours."""
        keys = {asked.key for asked in self._asked.values()}
        return [
            notice.refund.amount
            for notice in notices
            if notice.kind is NoticeKind.REFUND
            and notice.refund is not None
            and notice.refund.payment == self._payment
            and notice.key not in keys
        ]

    async def _read(self, sent: Sent) -> Sequence[Notice]:
        processor = self._stand.processor
        return await processor.read_notification(sent.headers, sent.body, self._now)

    async def _forge(self, step: steps.Forge) -> None:
        self._sent += self._stand.door.sent()
        if step.how == "old" and not self._stand.traits.replay_window:
            return
        forged = self._stand.door.forge(self._sent[-1], step.how)
        with pytest.raises(Forged) as refused:
            await self._read(forged)
        assert str(refused.value), "a forgery is told in words"

    async def _listed(self, step: steps.Listed) -> None:
        since = self._began - timedelta(hours=1)
        keys = {asked.key for asked in self._asked.values()}
        ours: list[int] = []
        others: list[int] = []
        async for refund in self._stand.processor.refunds_since(since):
            if refund.payment == self._payment:
                (ours if refund.key in keys else others).append(refund.amount)
                assert refund.currency == self._currency.code
                assert refund.reference in {one.reference for one in self._held()}
        assert (sorted(ours), sorted(others)) == (step.ours, step.others)

    async def _dispute(self, step: steps.Dispute) -> None:
        self._stand.door.dispute(self._payment, self._amount, step.state)
        sent = self._stand.door.sent()
        self._sent += sent
        notices = [notice for one in sent for notice in await self._read(one)]
        told = [notice for notice in notices if notice.kind is NoticeKind.DISPUTE]
        assert told, f"no dispute among {notices}"
        dispute = told[-1].dispute
        assert dispute is not None
        assert (dispute.payment, dispute.state, dispute.amount, dispute.currency) == (
            self._payment,
            step.state,
            self._amount,
            self._currency.code,
        )

    async def _check(self, step: steps.Check) -> None:
        right = step.credentials == "right"
        processor: Processor = self._stand.processor if right else self._stand.stranger
        findings = await processor.check()
        assert findings
        assert any(finding.problem for finding in findings) is not right, findings

    def _judge(self, op: str, outcome: Found, expect: Expected) -> None:
        self._heard[op] = _word(outcome)
        assert self._heard[op] in self._words(expect), outcome
        asked = self._asked[op]
        held = self._held_of(asked)
        match outcome:
            case Settled(receipt):
                assert [one.state for one in held] == ["settled"]
                self._judge_receipt(asked, receipt, held[0])
            case InProgress(receipt=receipt) | NeedsInformation(receipt):
                # An acceptance that was answered may have ended since; it has not failed to exist.
                assert len(held) == 1
                self._judge_receipt(asked, receipt, held[0])
            case Declined():
                assert all(one.state == "failed" for one in held)
                self._judge_failure(outcome)
            case NotFound():
                assert not held
            case Unknown(error):
                assert error

    def _words(self, expect: Expected) -> set[Expected]:
        if expect == "anything":
            return set(get_args(Expected))
        if expect != "accepted":
            return {expect}
        return {"settled"} if self._stand.traits.at_once else {"in_progress", "settled"}

    def _judge_receipt(self, asked: Asked, receipt: Receipt, held: Held) -> None:
        if receipt.reference is not None:
            asked.reference = receipt.reference
            assert receipt.reference == held.reference
        if held.arn is not None and held.state == "settled":
            assert receipt.arn == held.arn
        if receipt.amount is not None:
            assert (receipt.amount, receipt.currency) == (held.amount, self._currency.code)
        if asked.wrong:
            assert receipt.amount == asked.amount - 1, "the difference must be told"

    def _judge_failure(self, declined: Declined) -> None:
        failure = declined.failure
        assert failure.message
        assert failure.reason in FAILURE_REASONS
        if self._codes:
            known = {**self._stand.traits.declines, **self._stand.traits.failures}
            assert failure.code in self._codes, "the processor's own code is kept"
            assert failure.reason == known.get(failure.code, "unknown")

    def _held(self) -> list[Held]:
        return self._stand.door.held(self._payment)

    def _held_of(self, asked: Asked) -> list[Held]:
        return [
            one
            for one in self._held()
            if one.key == asked.key
            or (one.key is None and one.kind == asked.kind.value != "refund")
        ]

    def _moving(self) -> list[Held]:
        """The refunds that moved money or still may."""
        return [one for one in self._held() if one.kind == "refund" and one.state != "failed"]

    def _assert_never_twice(self) -> None:
        for asked in self._asked.values():
            held = self._held_of(asked)
            assert len(held) <= 1, f"{asked.key} is held {len(held)} times"
        assert sum(one.amount for one in self._moving()) <= self._amount


def _word(outcome: Found) -> Expected:
    match outcome:
        case Settled():
            return "settled"
        case InProgress():
            return "in_progress"
        case NeedsInformation():
            return "needs_information"
        case Declined():
            return "declined"
        case Unknown():
            return "unknown"
        case NotFound():
            return "not_found"


async def run(stand: Stand, scenario: Scenario) -> None:
    """Runs a scenario; what fails names its step."""
    course = Course(stand, scenario, scenario.name)
    if scenario.wild is not None:
        await _run_wild(course, stand, scenario.wild)
    for number, step in enumerate(scenario.steps, 1):
        try:
            await course.take(step)
        except AssertionError as error:
            error.add_note(f"step {number} of {scenario.name!r}: {step}")
            raise


async def _run_wild(course: Course, stand: Stand, seed: int) -> None:
    """Whatever comes, and then an end to it; what fails tells all that was done."""
    dice = random.Random(seed)
    taken: list[steps.AnyStep] = []
    try:
        for _ in range(wild.STEPS):
            taken.append(wild.next_step(dice, stand.traits, course.states()))
            await course.take(taken[-1])
        # Stripe repeats even its own fault for as long as it keeps the key.
        for step in (steps.Plan(), steps.Wait(forgotten=stand.traits.looks_up)):
            taken.append(step)
            await course.take(step)
        for op, amount in wild.AMOUNTS.items():
            for _ in range(_TRIES):
                taken.append(steps.Submit("anything", op, amount=amount))
                await course.take(taken[-1])
                if course.is_known(op):
                    break
            else:
                assert not stand.traits.looks_up, "what becomes of it can be known, and is not"
    except AssertionError as error:
        error.add_note("\n".join(map(str, taken)))
        raise
