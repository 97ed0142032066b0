"""Courses of events at random: faults, repeats, look-ups, ends, waits, notifications in any order.

Nothing is expected of a step but what the runner holds true after each: no operation is held twice,
never is more refunded than was paid, and no outcome says what is not so at the processor.
"""

import random
from typing import Literal

from tests.contract.connectors import scenario as steps
from tests.contract.connectors.runner import Course
from tests.contract.connectors.scenario import AnyStep, Scenario
from tests.contract.connectors.stand import Fault, Held, Stand

_STEPS = 12
_PAID = 1000
# Together more than was paid: one of them cannot be done.
_AMOUNTS = {"first": 400, "second": 600, "third": 500}
# Without the silences, which are like errors to the books, and take the time of a time-out each.
_FAULTS: tuple[Fault, ...] = (
    "none",
    "too_many",
    "error_before",
    "error_after",
    "malformed",
    "duplicate",
    "forbidden",
)
_ENDS: tuple[Literal["settled", "failed"], ...] = ("settled", "settled", "failed")


async def run_course(stand: Stand, seed: int) -> None:
    """One course; the seed decides all of it, and what fails names the steps it took."""
    chance = random.Random(seed)
    scenario = Scenario(f"course-{seed}", "Whatever happens is true and happens once", [])
    course = Course(stand, scenario, scenario.name)
    payment = course.payment
    taken: list[AnyStep] = []
    for _ in range(_STEPS):
        held = {one.key: one for one in stand.door.held(payment)}
        step = _step(chance, held, scenario.name, stand)
        if step is None:
            continue
        taken.append(step)
        try:
            await course.take(step)
        except AssertionError as error:
            error.add_note(f"seed {seed}: {taken}")
            raise


def _step(
    chance: random.Random, held: dict[str | None, Held], name: str, stand: Stand
) -> AnyStep | None:
    """Some step that makes sense now; None: none of the kind that was thought of."""
    op = chance.choice(list(_AMOUNTS))
    known = held.get(f"{op}-{name}")
    match chance.choice(("submit", "submit", "submit", "plan", "plan", "look", "finish", "wait")):
        case "submit":
            return steps.Submit("any", op, "refund", _AMOUNTS[op])
        case "plan":
            end = chance.choice(("settled", "pending"))
            return steps.Plan(end, chance.choice(_FAULTS))
        case "look" if known is not None:
            return steps.LookUp("any", op)
        case "finish" if known is not None and known.state == "pending":
            return steps.Finish(chance.choice(_ENDS), None, op)
        case "finish" if known is not None and stand.traits.late_failures:
            return steps.Finish("failed", None, op) if known.state == "settled" else None
        case "wait":
            return steps.Wait(forgotten=chance.random() < 0.5, hours=chance.choice((0, 1, 72)))
        case _:
            return None
