"""The one source of time. Test mode has a clock of its own, which tests may move."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class Clock:
    """Gives the time of live mode; `shift` moves it, for tests in the same process."""

    shift: timedelta = timedelta()

    def now(self) -> datetime:
        """The present instant, in UTC with microseconds."""
        return datetime.now(UTC) + self.shift

    def monotonic(self) -> float:
        """Seconds for measuring durations; unrelated to the time of day."""
        return time.monotonic()
