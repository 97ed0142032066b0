from dataclasses import dataclass

import pytest

from refundry.access.guards import RateLimit
from refundry.clock import Clock
from refundry.tenant import RESOURCES, ApiKey, Tenant


@dataclass(slots=True)
class StoppedClock(Clock):
    """A clock that stands until a test moves it."""

    seconds: float = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize("rate", [25, 250, 1])
def test_the_burst_is_one_seconds_allowance(rate: int) -> None:
    limit = RateLimit(StoppedClock(), rate)
    assert [limit.wait_seconds("k") for _ in range(rate)] == [0] * rate
    assert limit.wait_seconds("k") == 1


def test_tokens_come_back_continuously_and_never_more_than_the_burst() -> None:
    clock = StoppedClock()
    limit = RateLimit(clock, 4)
    assert [limit.wait_seconds("k") for _ in range(5)] == [0, 0, 0, 0, 1]
    clock.seconds += 0.25
    assert [limit.wait_seconds("k") for _ in range(2)] == [0, 1]
    clock.seconds += 0.125
    assert limit.wait_seconds("k") == 1
    clock.seconds += 0.125
    assert limit.wait_seconds("k") == 0
    clock.seconds += 3600
    assert [limit.wait_seconds("k") for _ in range(5)] == [0, 0, 0, 0, 1]


def test_the_wait_is_rounded_up_to_whole_seconds() -> None:
    clock = StoppedClock()
    limit = RateLimit(clock, 0.4)
    assert limit.wait_seconds("k") == 0
    assert limit.wait_seconds("k") == 3
    clock.seconds += 1
    assert limit.wait_seconds("k") == 2
    clock.seconds += 1.5
    assert limit.wait_seconds("k") == 0


def test_being_refused_costs_nothing() -> None:
    clock = StoppedClock()
    limit = RateLimit(clock, 1)
    assert limit.wait_seconds("k") == 0
    assert {limit.wait_seconds("k") for _ in range(100)} == {1}
    clock.seconds += 1
    assert limit.wait_seconds("k") == 0


def test_each_key_has_a_bucket_of_its_own() -> None:
    limit = RateLimit(StoppedClock(), 1)
    assert [limit.wait_seconds(key) for key in ("a", "b", "a", "b")] == [0, 0, 1, 1]


def test_a_rate_of_nothing_means_no_limit() -> None:
    limit = RateLimit(StoppedClock(), 0)
    assert {limit.wait_seconds("k") for _ in range(1000)} == {0}


def test_forgetting_keys_gives_nobody_a_second_burst() -> None:
    limit = RateLimit(StoppedClock(), 1)
    limit.wait_seconds("k")
    for number in range(10_010):
        limit.wait_seconds(f"other{number}")
    assert limit.wait_seconds("k") == 1


def key(kind: str, **permissions: str) -> ApiKey:
    tenant = Tenant("a1", live=False)
    return ApiKey("k1", "name", tenant, kind, permissions, "2021-12-13", "line", Clock().shift)


def test_a_secret_key_may_do_everything_and_a_public_one_nothing() -> None:
    for resource in (*RESOURCES, None):
        for write in (False, True):
            assert key("secret").may(resource, write=write)
            assert not key("public").may(resource, write=write)


@pytest.mark.parametrize(
    ("permission", "reads", "writes"),
    [
        ("none", False, False),
        ("read", True, False),
        ("write", False, True),
        ("read_write", True, True),
    ],
)
def test_a_restricted_key_may_do_what_it_was_given(
    permission: str, reads: bool, writes: bool
) -> None:
    restricted = key("restricted", refunds=permission)
    assert restricted.may("refunds", write=False) is reads
    assert restricted.may("refunds", write=True) is writes
    assert not restricted.may("orders", write=False)
    assert not restricted.may(None, write=False)
