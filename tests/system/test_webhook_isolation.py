"""One endpoint hangs with a backlog; the other one of the account does not notice.

Times are from the event's `createdTime` to the arrival of its last byte, on one machine's clock.
"""

import json
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.support.answers import OK, hang
from tests.support.certificates import Authority
from tests.support.fixtures import given_accepted
from tests.support.http import Api
from tests.support.receiver import Arrival, Endpoint, Receiver
from tests.support.service import Service
from tests.support.webhooks import subscribe, webhook_environment

EVENTS = 300
PACE_SECONDS = 0.01
# More than ten times what may be under way at once, and each takes three seconds.
BACKLOG = 120
# Whoever waits for one that hangs waits three seconds; less than this is the scheduling of two busy
# cores. How quick deliveries are is for `make bench`.
FLOOR_SECONDS = 0.5


@pytest.fixture(scope="module")
def service(authority: Authority) -> Iterator[Service]:
    with Service("serve", webhook_environment(authority)) as service:
        yield service


def make_events(api: Api, count: int, pace: float = 0) -> None:
    """pace: seconds from one to the next, at least."""
    for _ in range(count):
        due = time.monotonic() + pace
        given_accepted(api, "A")
        time.sleep(max(0.0, due - time.monotonic()))


def delay(arrival: Arrival) -> float:
    """Seconds from the event to its arrival."""
    made = json.loads(arrival.body)["createdTime"]
    return arrival.at - datetime.fromisoformat(made).timestamp()


def p99_of_new(api: Api, endpoint: Endpoint) -> float:
    """Make events at a steady pace; the 99th percentile of their delays in seconds."""
    before = len(endpoint.arrivals)
    make_events(api, EVENTS, PACE_SECONDS)
    assert endpoint.had(before + EVENTS)
    delays = sorted(map(delay, endpoint.arrivals[before:]))
    return delays[int(len(delays) * 0.99)]


def test_a_hanging_endpoint_does_not_delay_another(api: Api, receiver: Receiver) -> None:
    quick, dead = receiver.endpoint(OK), receiver.endpoint(hang)
    subscribe(api, quick)
    make_events(api, 20)
    assert quick.had(20)
    alone = p99_of_new(api, quick)
    subscribe(api, dead)
    make_events(api, BACKLOG)
    assert dead.had(10)
    assert quick.had(20 + EVENTS + BACKLOG)
    beside = p99_of_new(api, quick)
    assert beside <= 2 * max(alone, FLOOR_SECONDS), f"{beside:.4f} s, alone {alone:.4f} s"
    assert dead.most_open == 10
    assert len(quick.arrivals) == 20 + BACKLOG + 2 * EVENTS


def test_a_hanging_endpoint_does_not_delay_another_account(
    service: Service, api: Api, receiver: Receiver
) -> None:
    dead, quick = receiver.endpoint(hang), receiver.endpoint(OK)
    subscribe(api, dead)
    make_events(api, BACKLOG)
    assert dead.had(10)
    other = service.api(service.open_account().secret_test)
    subscribe(other, quick)
    assert p99_of_new(other, quick) <= 2 * FLOOR_SECONDS
