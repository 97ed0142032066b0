"""kill -9 of the worker in the midst of deliveries: every event arrives, and no number is missing.

REFUNDRY_KILL_ROUNDS says how often (8; `make soak`: 200).
"""

import asyncio
import json
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.support.answers import OK, status
from tests.support.certificates import Authority
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import CAPTURE, SUCCESS, ask, event_log, given_captured
from tests.support.http import Api, Doc, expect
from tests.support.processes import eventually, kill
from tests.support.receiver import Arrival, Endpoint, Line, Receiver
from tests.support.service import Service
from tests.support.webhooks import ACCEPTED, is_signed, subscribe, token_of, webhook_environment

ROUNDS = int(os.environ.get("REFUNDRY_KILL_ROUNDS", "8"))
ORDERS = 4
CALLERS = 2
TYPES = [ACCEPTED, *CAPTURE, *SUCCESS]
# A killed worker's leases on operations and deliveries must run out.
SETTLED_SECONDS = 60.0
# From before the answer is under way to after the attempt is recorded.
MOST_MOMENT_SECONDS = 0.03
SEED = random.randrange(2**32)


@dataclass(frozen=True)
class Stand:
    """A service, an account with orders, and a webhook to a receiver that takes its time."""

    service: Service
    api: Api
    orders: list[Doc]
    webhook: Doc
    endpoint: Endpoint


async def unsteady(arrival: Arrival, line: Line) -> bool:
    """204 after some milliseconds, so that a killer finds requests under way."""
    await asyncio.sleep(random.uniform(0, 0.02))
    return await OK(arrival, line)


@pytest.fixture(scope="module")
def stand(authority: Authority, receiver: Receiver) -> Iterator[Stand]:
    env = webhook_environment(authority) | {"REFUNDRY_PROCESSOR_TIMEOUT": "1"}
    with Service("serve", env) as service:
        api = service.api(service.open_account().secret_test)
        endpoint = receiver.endpoint(unsteady)
        webhook = subscribe(api, endpoint, *TYPES)
        orders = [given_captured(api, "M") for _ in range(ORDERS)]
        yield Stand(service, api, orders, webhook, endpoint)


@contextmanager
def refunds_all_the_while(stand: Stand) -> Generator[Counter[str]]:
    """Callers who ask for refunds of a cent until the block ends; counts what they were told."""
    stopping = threading.Event()
    told: Counter[str] = Counter()

    def call(number: int) -> None:
        url = f"http://127.0.0.1:{stand.service.port}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            api = Api(client, stand.api.key)
            while not stopping.is_set():
                response = ask(api, stand.orders[number % ORDERS], amount="0.01")
                told[str(response.status_code)] += 1
                number += 1
                stopping.wait(0.04)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def kill_in_the_midst(stand: Stand, chance: random.Random) -> None:
    """Wait for a request, and kill the worker some moment after; another one takes its place."""
    before = stand.service.children("worker")
    assert stand.endpoint.had(len(stand.endpoint.arrivals) + chance.randint(1, 20))
    time.sleep(chance.uniform(0, MOST_MOMENT_SECONDS))
    for pid in before:
        kill(pid)
    assert eventually(lambda: stand.service.children("worker") not in ([], before))


def arrived(stand: Stand) -> list[Doc]:
    return [json.loads(body) for body in list(stand.endpoint.bodies)]


def settled(stand: Stand) -> bool:
    """Whether no refund is without an end and every event has arrived."""
    statement = "SELECT 1 FROM deliveries WHERE due_at IS NOT NULL LIMIT 1"
    if run_sql(stand.service.data_dir, statement):
        return False
    if expect(stand.api.get("/refunds?state=pending&limit=1"))["data"]:
        return False
    return {event["id"] for event in event_log(stand.api)} <= {e["id"] for e in arrived(stand)}


def test_no_event_is_lost_by_the_death_of_its_worker(stand: Stand) -> None:
    chance = random.Random(SEED)
    with refunds_all_the_while(stand) as told:
        for _ in range(ROUNDS):
            kill_in_the_midst(stand, chance)
    assert set(told) <= {"201", "409"}, told
    assert eventually(lambda: settled(stand), SETTLED_SECONDS), f"seed {SEED}"
    assert_whole(stand)
    assert_every_number(stand)
    audited = said(refundry("audit", data_dir=stand.service.data_dir))
    assert audited.endswith(" orders audited, 0 do not add up.")


def assert_whole(stand: Stand) -> None:
    """Every event of a subscribed type arrived as the API shows it, each time signed and equal."""
    log = {event["id"]: event for event in event_log(stand.api) if event["type"] in TYPES}
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for arrival in stand.endpoint.arrivals:
        bodies[json.loads(arrival.body)["id"]].add(arrival.body)
    assert set(bodies) == set(log), f"seed {SEED}"
    assert {len(versions) for versions in bodies.values()} == {1}
    token = token_of(stand.service, stand.webhook)
    assert all(is_signed(arrival, token) for arrival in stand.endpoint.arrivals)


def assert_every_number(stand: Stand) -> None:
    """What arrived for an order is numbered from 1 on without a gap."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for event in arrived(stand):
        about = event["data"]["object"]
        numbers[about.get("orderId", about["id"])].add(event["sequence"])
    assert set(numbers) == {order["id"] for order in stand.orders}
    for found in numbers.values():
        assert found == set(range(1, len(found) + 1)), f"seed {SEED}"


def test_what_the_dead_worker_had_under_way_is_not_waited_for_long(
    stand: Stand, receiver: Receiver
) -> None:
    """The new worker sends again what the dead one had sent and not recorded."""
    held = threading.Event()

    async def hold_the_first(arrival: Arrival, line: Line) -> bool:
        if not held.is_set():
            held.set()
            await line.closed()
            return False
        return await status(200)(arrival, line)

    endpoint = receiver.endpoint(hold_the_first)
    subscribe(stand.api, endpoint, "refund.created")
    expect(ask(stand.api, stand.orders[0], amount="0.01"), 201)
    assert endpoint.had(1)
    for pid in stand.service.children("worker"):
        kill(pid)
    assert endpoint.had(2, seconds=30)
    assert len(set(endpoint.bodies)) == 1
