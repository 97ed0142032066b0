"""Attempt number and answer -> when to ask again, and when a person should look."""

from datetime import datetime, timedelta

_LONGEST = timedelta(minutes=10)
_GIVE_UP_HOPE = timedelta(hours=24)
_AFTERWARDS = timedelta(hours=1)


def next_attempt(attempt: int, first_attempt_at: datetime, now: datetime) -> datetime:
    """When to repeat an operation whose outcome is unknown; it is never given up.

    attempt: how many there were, >= 1. 1, 2, 4, ... seconds, at most 10 minutes apart, for 24
    hours; then once an hour. Source: contract, refunds, section 11.
    """
    assert attempt >= 1
    if needs_attention(first_attempt_at, now):
        return now + _AFTERWARDS
    # Beyond the tenth doubling the limit counts; a larger exponent would only overflow.
    return now + min(timedelta(seconds=2 ** min(attempt - 1, 10)), _LONGEST)


def needs_attention(first_attempt_at: datetime, now: datetime) -> bool:
    """Whether an outcome has been unknown for so long that a person should look."""
    return now - first_attempt_at >= _GIVE_UP_HOPE
