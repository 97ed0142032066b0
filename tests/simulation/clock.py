"""The clock of a run: as late as the loop says, whatever the machine's clock shows."""

from datetime import UTC, datetime, timedelta
from random import Random

from refundry.clock import Clock
from tests.simulation.loop import Loop

# Most act at the same moments, a few milliseconds apart: that is where races are.
_CROWDED_SECONDS = 5.0
_CROWDED = 0.8
EPOCH = datetime(2030, 1, 1, 12, tzinfo=UTC)


class VirtualClock(Clock):
    """What commands and workers take for the time."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()


def moment(random: Random, now: float, longest: float) -> float:
    """After how many seconds somebody acts who may wait for `longest`, or a little longer."""
    alone = random.uniform(0.0, longest)
    if random.random() > _CROWDED:
        return alone
    return alone + _CROWDED_SECONDS - (now + alone) % _CROWDED_SECONDS + random.uniform(0.0, 0.005)
