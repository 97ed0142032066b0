"""When a delivery that failed is tried again, and when a failing webhook is given up."""

from datetime import datetime, timedelta
from enum import Enum

# After the first attempt, and not after the one before. Source: contract, webhooks, section 9.
_TEST_RETRIES = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=3))
_LIVE_RETRIES = (
    *(timedelta(minutes=minutes) for minutes in (1, 6, 21, 51)),
    *(timedelta(hours=hours, minutes=51) for hours in (1, 3, 7, 15, 27, 39, 51, 63)),
    timedelta(hours=72),
)
# Without a success for this long a webhook is switched off, and its owners hear of it a day before.
_GIVE_UP = timedelta(hours=72)
_WARN = timedelta(hours=48)


class Verdict(Enum):
    """What becomes of a webhook after a failed attempt."""

    KEEP = "keep"
    WARN = "warn"
    DISABLE = "disable"


def next_delivery(
    attempts: int, first_attempt_at: datetime, now: datetime, *, live: bool
) -> datetime | None:
    """When a delivery is tried again after `attempts` failed ones (>= 1); None: never.

    In live mode a minute from now at the earliest: where nobody delivered for days, all retries
    would else be used up within seconds.
    """
    assert attempts >= 1
    retries = _LIVE_RETRIES if live else _TEST_RETRIES
    if attempts > len(retries):
        return None
    due_at = first_attempt_at + retries[attempts - 1]
    return max(due_at, now + _LIVE_RETRIES[0]) if live else due_at


def judge(
    failing_since: datetime, now: datetime, *, warned: bool, gave_up_an_event: bool
) -> Verdict:
    """What becomes of a webhook that has failed at every attempt since `failing_since`.

    warned: its owners were told already. gave_up_an_event: a delivery of that time is exhausted.
    """
    failing = now - failing_since
    if failing >= _GIVE_UP and gave_up_an_event:
        return Verdict.DISABLE
    if failing >= _WARN and not warned:
        return Verdict.WARN
    return Verdict.KEEP


def may_need_action(failing_since: datetime, now: datetime, *, warned: bool) -> bool:
    """Whether a webhook has failed for so long that `judge` may say more than KEEP."""
    return now - failing_since >= (_GIVE_UP if warned else _WARN)
