"""When deliveries are tried again, and when a webhook is given up."""

from datetime import UTC, datetime, timedelta

import pytest

from refundry.domain.delivery import Verdict, judge, may_need_action, next_delivery

FIRST = datetime(2024, 5, 1, 10, 0, tzinfo=UTC)


def offsets(*, live: bool) -> list[timedelta]:
    """How long after the first attempt each retry comes."""
    found: list[timedelta] = []
    while (due := next_delivery(len(found) + 1, FIRST, FIRST, live=live)) is not None:
        found.append(due - FIRST)
    return found


def hours(*values: float) -> list[timedelta]:
    return [timedelta(hours=value) for value in values]


def test_test_mode_tries_three_times_more() -> None:
    assert offsets(live=False) == [timedelta(minutes=10), *hours(1, 3)]


def test_live_mode_tries_thirteen_times_more_over_three_days() -> None:
    minutes = [timedelta(minutes=value) for value in (1, 6, 21, 51)]
    rest = [
        each + timedelta(minutes=51) for each in hours(1, 3, 7, 15, 27, 39, 51, 63)
    ]  # fmt: skip
    assert offsets(live=True) == [*minutes, *rest, *hours(72)]


@pytest.mark.parametrize(
    ("failing_hours", "warned", "gave_up", "verdict"),
    [
        (47.99, False, True, Verdict.KEEP),
        (48, False, False, Verdict.WARN),
        (48, True, True, Verdict.KEEP),
        (71.99, True, True, Verdict.KEEP),
        (72, True, False, Verdict.KEEP),
        (72, True, True, Verdict.DISABLE),
        (72, False, True, Verdict.DISABLE),
        (90, False, False, Verdict.WARN),
    ],
)
def test_a_webhook_is_warned_of_and_then_switched_off(
    failing_hours: float, warned: bool, gave_up: bool, verdict: Verdict
) -> None:
    now = FIRST + timedelta(hours=failing_hours)
    assert judge(FIRST, now, warned=warned, gave_up_an_event=gave_up) is verdict


@pytest.mark.parametrize("warned", [False, True])
@pytest.mark.parametrize("gave_up", [False, True])
def test_nothing_happens_to_a_webhook_that_needs_no_action(warned: bool, gave_up: bool) -> None:
    now = FIRST + timedelta(hours=48) - timedelta(microseconds=1)
    assert not may_need_action(FIRST, now, warned=warned)
    assert judge(FIRST, now, warned=warned, gave_up_an_event=gave_up) is Verdict.KEEP


@pytest.mark.parametrize("failing_hours", [0, 47.99, 48, 71.99, 72, 90])
@pytest.mark.parametrize("warned", [False, True])
def test_what_judge_says_is_asked_for(failing_hours: float, warned: bool) -> None:
    now = FIRST + timedelta(hours=failing_hours)
    verdict = judge(FIRST, now, warned=warned, gave_up_an_event=True)
    assert may_need_action(FIRST, now, warned=warned) == (verdict is not Verdict.KEEP)


def test_retries_that_nobody_made_in_time_are_not_made_all_at_once() -> None:
    back = FIRST + timedelta(days=4)
    assert next_delivery(2, FIRST, back, live=True) == back + timedelta(minutes=1)
    assert next_delivery(13, FIRST, back, live=True) == back + timedelta(minutes=1)
    assert next_delivery(14, FIRST, back, live=True) is None
