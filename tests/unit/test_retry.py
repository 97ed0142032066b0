from datetime import timedelta

import pytest

from refundry.domain.retry import needs_attention, next_attempt
from tests.unit.given import NOW

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(hours=24)


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 512), (11, 600), (12, 600), (10**6, 600)],
)
def test_attempts_come_ever_later_up_to_ten_minutes(attempt: int, seconds: int) -> None:
    assert next_attempt(attempt, NOW, NOW + HOUR) == NOW + HOUR + seconds * SECOND


def test_after_a_day_attempts_come_every_hour_for_ever() -> None:
    just_before = NOW + DAY - SECOND
    assert next_attempt(150, NOW, just_before) == just_before + timedelta(minutes=10)
    assert next_attempt(150, NOW, NOW + DAY) == NOW + DAY + HOUR
    assert next_attempt(5000, NOW, NOW + 365 * DAY) == NOW + 365 * DAY + HOUR


def test_a_person_should_look_after_a_day() -> None:
    assert not needs_attention(NOW, NOW + DAY - timedelta(microseconds=1))
    assert needs_attention(NOW, NOW + DAY)


def test_the_first_day_takes_about_a_hundred_and_fifty_attempts() -> None:
    now, attempt = NOW, 1
    while not needs_attention(NOW, now):
        now = next_attempt(attempt, NOW, now)
        attempt += 1
    # Ten doublings take 17 minutes; the rest of the day has one attempt in ten minutes.
    assert attempt == 11 + -(-(86_400 - 1023) // 600)
