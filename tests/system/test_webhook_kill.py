"""kill -9 of the worker in the midst of deliveries: every event arrives, and no number is missing.

REFUNDRY_KILL_ROUNDS says how often (8; `make soak`: 200).
"""

import asyncio
import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.support.answers import OK, slow
from tests.support.certificates import Authority
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import CAPTURE, SUCCESS, ask, event_log, given_captured
from tests.support.http import Api, Doc, expect
from tests.support.processes import eventually, kill
from tests.support.receiver import Answer, Arrival, Endpoint, Line, Receiver
from tests.support.service import Service, start_process, stop_process
from tests.support.webhooks import (
    ACCEPTED,
    is_signed,
    only_attempt,
    subscribe,
    token_of,
    webhook_environment,
)

ROUNDS = int(os.environ.get("REFUNDRY_KILL_ROUNDS", "8"))
CALLERS = 2
PACE_SECONDS = 0.05
# So many of the newest accounts have refunds made. A dead worker's lanes are leased for seconds,
# so each round has a webhook that nobody delivers for yet, and older ones are being taken over.
AT_ONCE = 4
TYPES = [ACCEPTED, *CAPTURE, *SUCCESS]
# A killed worker's leases on operations and lanes run out in six seconds each.
PATIENCE = 30.0
# From before the answer is under way to after the attempt is recorded.
MOST_MOMENT_SECONDS = 0.03
SEED = random.randrange(2**32)


@dataclass(frozen=True)
class Stand:
    """An account with a captured order, and a webhook to a receiver that takes its time."""

    api: Api
    order: Doc
    webhook: Doc
    endpoint: Endpoint


async def unsteady(arrival: Arrival, line: Line) -> bool:
    """204 after some milliseconds, so that a killer finds requests under way."""
    await asyncio.sleep(random.uniform(0, 0.02))
    return await OK(arrival, line)


@pytest.fixture(scope="module")
def service(authority: Authority) -> Iterator[Service]:
    env = webhook_environment(authority) | {"REFUNDRY_PROCESSOR_TIMEOUT": "1"}
    with Service("serve", env) as service:
        yield service


def open_stand(service: Service, receiver: Receiver, answer: Answer = unsteady) -> Stand:
    api = service.api(service.open_account().secret_test)
    order = given_captured(api, "M")
    endpoint = receiver.endpoint(answer)
    return Stand(api, order, subscribe(api, endpoint, *TYPES), endpoint)


@contextmanager
def refunds_all_the_while(service: Service, stands: list[Stand]) -> Generator[Counter[str]]:
    """Callers who ask the newest stands for refunds of a cent until the block ends.

    stands: may grow meanwhile. Gives the statuses of the answers, counted.
    """
    stopping = threading.Event()
    told: Counter[str] = Counter()

    def call(number: int) -> None:
        url = f"http://127.0.0.1:{service.port}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            while not stopping.is_set():
                newest = stands[-AT_ONCE:]
                stand = newest[number % len(newest)]
                response = ask(Api(client, stand.api.key), stand.order, amount="0.01")
                told[str(response.status_code)] += 1
                number += 1
                stopping.wait(PACE_SECONDS)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def kill_in_the_midst(service: Service, endpoint: Endpoint, chance: random.Random) -> None:
    """Wait for a request, and kill the worker some moment after; another one takes its place."""
    before = service.children("worker")
    assert endpoint.had(len(endpoint.arrivals) + chance.randint(1, 10))
    time.sleep(chance.uniform(0, MOST_MOMENT_SECONDS))
    for pid in before:
        kill(pid)
    assert eventually(lambda: service.children("worker") not in ([], before))


def arrived(stand: Stand) -> list[Doc]:
    return [json.loads(body) for body in list(stand.endpoint.bodies)]


def waiting(service: Service) -> Counter[str]:
    """The refunds without an end and the deliveries still to be made, counted by what is known."""
    statement = """
        SELECT 'refund' AS what FROM refunds WHERE state = 'pending'
        UNION ALL
        SELECT 'operation, attempts ' || attempts || coalesce(last_error, '')
          FROM charge_operations WHERE state = 'pending'
        UNION ALL
        SELECT 'delivery, attempts ' || d.attempts || coalesce(a.error, '')
          FROM deliveries d
          LEFT JOIN attempts a USING (account_id, live, webhook_id, event_id, number)
         WHERE d.due_at IS NOT NULL
        """
    return Counter(row["what"] for row in run_sql(service.data_dir, statement))


def assert_settles(service: Service) -> None:
    """Every refund comes to an end and every event is delivered, at whatever pace.

    Less must be waiting after the time in which leases run out, again and again.
    """
    while count := waiting(service).total():
        less = eventually(lambda count=count: waiting(service).total() < count, PATIENCE)
        assert less, f"seed {SEED}: {waiting(service)}"


def test_no_event_is_lost_by_the_death_of_its_worker(service: Service, receiver: Receiver) -> None:
    chance = random.Random(SEED)
    stands = [open_stand(service, receiver)]
    with refunds_all_the_while(service, stands) as told:
        for _ in range(ROUNDS):
            stands.append(open_stand(service, receiver))
            kill_in_the_midst(service, stands[-1].endpoint, chance)
    assert set(told) <= {"201", "409"}, told
    assert_settles(service)
    for stand in stands:
        assert_whole(service, stand)
        assert_every_number(stand)
    audited = said(refundry("audit", data_dir=service.data_dir))
    assert audited.endswith(" orders audited, 0 do not add up.")


def assert_whole(service: Service, stand: Stand) -> None:
    """Every event since the webhook was made arrived, each time signed and with the same body."""
    log = event_log(stand.api)
    wanted = {event["id"] for event in log if stand.webhook["id"] in event["webhookIds"]}
    assert wanted == {event["id"] for event in log if event["type"] in SUCCESS}
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for arrival in stand.endpoint.arrivals:
        bodies[json.loads(arrival.body)["id"]].add(arrival.body)
    assert set(bodies) == wanted, f"seed {SEED}"
    assert {len(versions) for versions in bodies.values()} == {1}
    token = token_of(service, stand.webhook)
    assert all(is_signed(arrival, token) for arrival in stand.endpoint.arrivals)


def assert_every_number(stand: Stand) -> None:
    """What arrived is numbered without a gap, from the first event after the capture on."""
    first = len(CAPTURE) + 2
    numbers = {event["sequence"] for event in arrived(stand)}
    assert numbers == set(range(first, first + len(numbers))), f"seed {SEED}"


def test_what_the_dead_worker_had_under_way_is_sent_again(
    service: Service, receiver: Receiver
) -> None:
    """It had sent it and not recorded it."""
    held = threading.Event()

    async def hold_the_first(arrival: Arrival, line: Line) -> bool:
        if not held.is_set():
            held.set()
            await line.closed()
            return False
        return await OK(arrival, line)

    stand = open_stand(service, receiver)
    endpoint = receiver.endpoint(hold_the_first)
    subscribe(stand.api, endpoint, "refund.created")
    expect(ask(stand.api, stand.order, amount="0.01"), 201)
    assert endpoint.had(1)
    for pid in service.children("worker"):
        kill(pid)
    assert endpoint.had(2, seconds=30)
    assert len(set(endpoint.bodies)) == 1


def test_an_orderly_stop_lets_what_is_under_way_finish(
    service: Service, receiver: Receiver
) -> None:
    stand = open_stand(service, receiver)
    endpoint = receiver.endpoint(slow(1.0))
    webhook = subscribe(stand.api, endpoint, "refund.created")
    expect(ask(stand.api, stand.order, amount="0.01"), 201)
    assert endpoint.had(1)
    service.stop()
    service.start()
    assert_settles(service)
    assert len(endpoint.arrivals) == 1
    assert only_attempt(service, webhook).status == 204


def test_two_workers_together_keep_to_ten_requests_and_send_nothing_twice(
    service: Service, receiver: Receiver
) -> None:
    stand = open_stand(service, receiver)
    endpoint = receiver.endpoint(slow(0.05))
    subscribe(stand.api, endpoint, "refund.created")
    second = ["refundry", "worker", "--data-dir", str(service.data_dir)]
    log = service.data_dir / "second-worker.log"
    process = start_process(second, service.environment, log, service.data_dir)
    try:
        assert eventually(lambda: log.exists() and "worker_started" in log.read_text())
        for _ in range(80):
            expect(ask(stand.api, stand.order, amount="0.01"), 201)
        assert endpoint.had(80)
    finally:
        stop_process(process, signal.SIGTERM)
    assert_settles(service)
    assert len(endpoint.arrivals) == 80
    assert endpoint.most_open <= 10
