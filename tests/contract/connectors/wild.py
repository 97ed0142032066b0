"""Scenarios that nobody thought of: whatever goes wrong in whatever order, from a seed.

Two refunds of one payment are asked for, lost, refused, repeated, ended, looked up and told of.
What must hold is what the runner holds every outcome against; at last nothing goes wrong any more,
and every refund is asked for until its outcome is known, where the processor can still tell it.
`REFUNDRY_WILD_SEEDS=200` makes more of them.
"""

import random
from collections.abc import Mapping
from typing import get_args

from tests.contract.connectors.scenario import (
    AnyStep,
    Deliver,
    Finish,
    LookUp,
    Plan,
    Submit,
    Wait,
)
from tests.contract.connectors.stand import Fault, State, Traits

STEPS = 14
# Together what was paid, so that none is refused for its amount.
AMOUNTS = {"first": 400, "second": 600}
# Of these the runner knows beforehand what must come of them; here nothing is expected.
_FAULTS: list[Fault] = [fault for fault in get_args(Fault) if fault != "wrong_amount"]


def next_step(dice: random.Random, traits: Traits, held: Mapping[str, State | None]) -> AnyStep:
    """Any step that can be done. held: of each refund that was asked for, how the processor has
    it; None: it holds none."""
    op = dice.choice([*AMOUNTS])
    state = held.get(op)
    choice = dice.randrange(10)
    if choice < 3:
        return Plan(dice.choice(["settled", "pending"]), dice.choice(_FAULTS))
    if choice == 3 and state is not None:
        return _finish(dice, traits, op, state)
    if choice == 4 and traits.looks_up and op in held:
        return LookUp("anything", op)
    if choice == 5 and traits.tells:
        return Deliver("anything", op=op)
    if choice == 6:
        return Wait(hours=dice.choice([0.1, 30]), forgotten=dice.random() < 0.3)
    return Submit("anything", op, amount=AMOUNTS[op])


def _finish(dice: random.Random, traits: Traits, op: str, state: State) -> AnyStep:
    """What has failed stays so; what was settled may fail where the processor knows that."""
    if state == "failed" or (state == "settled" and not traits.late_failures):
        return Submit("anything", op, amount=AMOUNTS[op])
    if state == "settled" or dice.random() < 0.4:
        return Finish("failed", dice.choice([*traits.failures]), op)
    return Finish("settled", None, op)
