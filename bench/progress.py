"""Says on standard error what runs, which of how many steps it is and how long is left."""

import sys
from collections.abc import Sequence

from bench.plan import Step


class Progress:
    """Goes through the steps of a plan, in their order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._done = 0

    def begin(self, step: Step) -> None:
        """Say that `step` begins; it must be the next one."""
        assert self._steps[self._done] is step
        left = sum(each.seconds for each in self._steps[self._done :])
        self._done += 1
        place = f"[{self._done:2}/{len(self._steps)}]"
        self.say(f"{place} {step.title} ({minutes(left)} left)")

    def say(self, text: str) -> None:
        """A line of its own."""
        print(text, file=sys.stderr, flush=True)


def minutes(seconds: float) -> str:
    """`m:ss`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
