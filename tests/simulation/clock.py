"""The clock of a run: as late as the loop says, whatever the machine's clock shows."""

from datetime import UTC, datetime, timedelta

from refundry.clock import Clock
from tests.simulation.loop import Loop

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
