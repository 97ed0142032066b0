"""Scenario files: what is done, in steps, and what must come of each.

A file of `tests/contract/scenarios/` holds a list of scenarios. `needs` and `lacks` name traits of
`stand.Traits` that a processor must have, or not have. A scenario with `each` runs once for each
code of `declines` or `failures`; `"*"` stands for the code in its steps.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from tests.contract.connectors.stand import Fault, Forgery, Traits

# Scenarios that nobody wrote (`wild.py`): so many for each processor.
WILD = int(os.environ.get("REFUNDRY_WILD_SEEDS", "8"))
FOLDER = Path(__file__).parent.parent / "scenarios"

Expected = Literal[
    "accepted",
    "settled",
    "in_progress",
    "needs_information",
    "declined",
    "unknown",
    "not_found",
    "anything",
]
"""An outcome. anything: any that is true. accepted: settled where the processor answers at once,
else in progress, or settled already."""


class Step(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, frozen=True):
    """One thing that is done."""


class Plan(Step, tag="plan", frozen=True):
    """Tells the server what becomes of the next operations; as `stand.Plan`."""

    end: Literal["settled", "pending", "declined"] = "settled"
    fault: Fault = "none"
    code: str | None = None
    times: int = 1


class Submit(Step, tag="submit", frozen=True):
    """The connector is asked for an operation, again if it was already. amount: minor units, all
    of the payment if left out. asks: how many requests for an operation it must take, if said."""

    expect: Expected
    op: str = "refund"
    kind: Literal["refund", "capture", "cancel"] = "refund"
    amount: int | None = None
    asks: int | None = None


class LookUp(Step, tag="look_up", frozen=True):
    """The connector looks the operation up."""

    expect: Expected
    op: str = "refund"


class Learn(Step, tag="learn", frozen=True):
    """We learn what became of the operation: by look-up where there is one, else by the last
    notification."""

    expect: Expected
    op: str = "refund"


class Finish(Step, tag="finish", frozen=True):
    """A refund ends at the processor."""

    end: Literal["settled", "failed"]
    code: str | None = None
    op: str = "refund"


class Wait(Step, tag="wait", frozen=True):
    """Time passes, for us and for the processor. `forgotten`: as long as keys are kept."""

    hours: float = 0
    forgotten: bool = False


class Deliver(Step, tag="deliver", frozen=True):
    """What the processor sent since the last delivery reaches us. expect: of the last notice on
    our operation; None: none is on one of ours. others: the amounts of refunds that it tells of
    and are none of ours, in minor units, if said."""

    expect: Expected | None
    others: list[int] | None = None
    order: Literal["sent", "reversed"] = "sent"
    times: int = 1
    op: str = "refund"


class Forge(Step, tag="forge", frozen=True):
    """The last notification comes forged, and is refused."""

    how: Forgery


class Elsewhere(Step, tag="elsewhere", frozen=True):
    """Someone refunds at the processor. amount: minor units; all if left out."""

    amount: int | None = None


class Listed(Step, tag="listed", frozen=True):
    """The processor's refunds of the last hour: amounts of ours, and of others."""

    ours: list[int]
    others: list[int]


class Dispute(Step, tag="dispute", frozen=True):
    """A dispute becomes so, and the notification of it says so."""

    state: Literal["opened", "won", "lost"]


class Check(Step, tag="check", frozen=True):
    """The connection is checked, with right or wrong credentials."""

    credentials: Literal["right", "wrong"]


class Stranger(Step, tag="stranger", frozen=True):
    """The connector is asked for the operation with wrong credentials."""

    expect: Expected
    op: str = "refund"


class Holds(Step, tag="holds", frozen=True):
    """What the processor holds on the payment that moved or may move money: how many refunds,
    and their sum in minor units."""

    refunds: int
    sum: int


AnyStep = (
    Plan
    | Submit
    | LookUp
    | Learn
    | Finish
    | Wait
    | Deliver
    | Forge
    | Elsewhere
    | Listed
    | Dispute
    | Check
    | Stranger
    | Holds
)


class Scenario(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One course of events. captured: whether the payment is captured when it begins. wild: the
    seed of one that nobody wrote."""

    name: str
    claim: str
    steps: list[AnyStep]
    needs: list[str] = []
    lacks: list[str] = []
    each: Literal["declines", "failures"] | None = None
    captured: bool = True
    amount: int = 1000
    currency: str = "EUR"
    wild: int | None = None


def time_out(scenario: Scenario) -> float:
    """How long a connector waits, in seconds: short only where an answer never comes, so that a
    busy machine fails no scenario."""
    faults = {step.fault for step in scenario.steps if isinstance(step, Plan)}
    silent = scenario.wild is not None or faults & {"silence_before", "silence_after"}
    return 0.6 if silent else 10


def read_scenarios() -> list[Scenario]:
    """Every scenario of every file, by file and then in its order."""
    return [
        scenario
        for path in sorted(FOLDER.glob("*.json"))
        for scenario in msgspec.json.decode(path.read_bytes(), type=list[Scenario])
    ]


def cases(traits: Traits) -> list[Scenario]:
    """The scenarios that a processor must pass, one for each code where it says `each`; and some
    that nobody wrote."""
    written = [
        case
        for scenario in read_scenarios()
        if all(getattr(traits, need) for need in scenario.needs)
        and not any(getattr(traits, lack) for lack in scenario.lacks)
        for case in _each_code(scenario, traits)
    ]
    return written + [
        Scenario(name=f"wild-{seed}", claim="Whatever goes wrong", steps=[], wild=seed)
        for seed in range(WILD)
    ]


def _each_code(scenario: Scenario, traits: Traits) -> list[Scenario]:
    if scenario.each is None:
        return [scenario]
    codes: Mapping[str, str] = getattr(traits, scenario.each)
    return [_with_code(scenario, code) for code in codes]


def _with_code(scenario: Scenario, code: str) -> Scenario:
    steps = [
        msgspec.structs.replace(step, code=code)
        if isinstance(step, Plan | Finish) and step.code == "*"
        else step
        for step in scenario.steps
    ]
    return msgspec.structs.replace(scenario, name=f"{scenario.name}-{code}", steps=steps)
