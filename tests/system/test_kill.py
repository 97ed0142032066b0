"""kill -9 under load: what was answered stays, each operation is paid once, the books add up.

REFUNDRY_KILL_ROUNDS says how often each part is killed (2). The witness is a payment processor of
the tests' own, a process apart, which keeps its own ledger.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import asyncpg
import httpx
import pytest

from refundry.db.database import connect_arguments
from refundry.settings import Settings
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import (
    ask,
    card,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    line,
    paid_by,
)
from tests.support.http import Api, Doc, assert_conflict, expect, money, read
from tests.support.processes import eventually, kill
from tests.support.service import Processor, Service

ROUNDS = int(os.environ.get("REFUNDRY_KILL_ROUNDS", "2"))
CALLERS = 6
ORDERS = 8
# How long a worker waits for the processor. Its lease on an operation is five seconds more, which
# is what the others wait for when it is killed.
TIMEOUT_SECONDS = 1
SETTLED_SECONDS = 60.0
# Enough cents for many rounds.
LARGE: Doc = {
    "items": [line(90_000.00, 0, 2)],
    "shippingChoice": None,
    "totalAmount": 90_000.00,
    "payment": paid_by(card(90_000.00)),
}


@dataclass(frozen=True)
class Shop:
    """The service, its processor, and an account with captured orders."""

    service: Service
    processor: Processor
    api: Api
    orders: list[Doc]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Processor() as processor:
        timeout = {"REFUNDRY_PROCESSOR_TIMEOUT": str(TIMEOUT_SECONDS)}
        with Service("serve", processor.environment() | timeout) as service:
            api = service.api(service.open_account().secret_test)
            orders = [given_accepted(api, "A", **LARGE) for _ in range(ORDERS)]
            for order in orders:
                fulfil(api, order, 2)
            for order in orders:
                assert eventually(lambda o=order: get_order(api, o)["state"] == "complete")
            yield Shop(service, processor, api, orders)


@dataclass
class Load:
    """Callers who ask for refunds of a few cents, and what they were told.

    Every second caller sends an idempotency key, and sends it again until it is told something.
    """

    shop: Shop
    created: dict[str, Doc] = field(default_factory=dict[str, Doc])
    others: Counter[str] = field(default_factory=Counter[str])
    _stop: threading.Event = field(default_factory=threading.Event)

    def call(self, number: int) -> None:
        """One caller, until told to stop."""
        chance = random.Random(number)
        url = f"http://127.0.0.1:{self.shop.service.port}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            api = Api(client, self.shop.api.key)
            while not self._stop.is_set():
                order = chance.choice(self.shop.orders)
                body = {"orderId": order["id"], "currency": "USD",
                        "amount": chance.choice((0.01, 0.02, 0.03))}  # fmt: skip
                key = {"Idempotency-Key": str(uuid.uuid4())} if number % 2 else {}
                while not self._tell(api, body, key) and key and not self._stop.is_set():
                    pass

    def _tell(self, api: Api, body: Doc, headers: dict[str, str]) -> bool:
        """Send one request; whether it was answered for good."""
        try:
            response = api.post("/refunds", body, headers)
        except httpx.TransportError as error:
            self.others[type(error).__name__] += 1
            self._stop.wait(0.02)
            return False
        if response.status_code == 201:
            made = read(response)
            self.created[made["id"]] = made
            return True
        self.others[f"{response.status_code} {read(response)['type']}"] += 1
        self._stop.wait(0.02)
        # 409: the request before was cut off and holds the key for a minute.
        return response.status_code == 409

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def load(shop: Shop) -> Generator[Load]:
    """Callers at work; they have stopped when the block ends."""
    load = Load(shop)
    threads = [threading.Thread(target=load.call, args=(n,)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()


def more(load: Load, count: int) -> None:
    """Wait until `count` more refunds were accepted."""
    goal = len(load.created) + count
    assert eventually(lambda: len(load.created) >= goal), load.others


def kill_child(role: str) -> Callable[[Shop], None]:
    def kill_and_wait(shop: Shop) -> None:
        before = shop.service.children(role)
        for pid in before:
            kill(pid)
        assert eventually(lambda: shop.service.children(role) not in ([], before))
        assert eventually(shop.service.healthy)

    return kill_and_wait


def kill_all(shop: Shop) -> None:
    shop.service.kill()
    shop.service.start()


VICTIMS: dict[str, Callable[[Shop], None]] = {
    "supervisor": kill_all,
    "worker": kill_child("worker"),
    "api": kill_child("api"),
    "postgres": kill_child("postgres"),
}


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("victim", VICTIMS)
def test_nothing_is_lost_or_paid_twice_by_the_death_of(
    shop: Shop, victim: str, round_number: int
) -> None:
    with load(shop) as calling:
        more(calling, 10 + 7 * round_number)
        VICTIMS[victim](shop)
        more(calling, 10)
    assert_told_truly(shop, calling)
    assert_paid_once(shop)


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_a_payment_whose_worker_died_before_it_heard_is_not_repeated(
    shop: Shop, round_number: int
) -> None:
    """Killed between "attempt committed" and "outcome stored": the processor has paid by then."""
    shop.processor.answer("hang_after", "refund")
    try:
        before = set(shop.processor.ledger())
        count = 4 + round_number
        (worker,) = shop.service.children("worker")
        os.kill(worker, signal.SIGSTOP)  # so that it finds all of them at once
        made = [expect(ask(shop.api, shop.orders[0], amount="0.01"), 201) for _ in range(count)]
        os.kill(worker, signal.SIGCONT)
        assert eventually(lambda: len(shop.processor.ledger()) == len(before) + count)
        paid = set(shop.processor.ledger()) - before
        kill(worker)
    finally:
        shop.processor.answer("complete", "refund")
    calls = shop.processor.calls()
    rows = run_sql(
        shop.service.data_dir,
        "SELECT state, attempts, leased_until > now() AS leased FROM charge_operations"
        " WHERE id = ANY ($1::text[])",
        list(paid),
    )
    # The attempt was committed before the call, and nothing is known of what came of it.
    assert {(row["state"], row["attempts"], row["leased"]) for row in rows} == {
        ("pending", 1, True)
    }
    assert {get_refund(shop.api, each)["state"] for each in made} == {"pending"}
    assert_paid_once(shop)
    assert {get_refund(shop.api, each)["state"] for each in made} == {"succeeded"}
    assert shop.processor.calls() == calls + count  # asked again, under the same ids


def test_a_payment_is_not_repeated_after_the_death_of_everything(shop: Shop) -> None:
    """The processor pays and never answers, and then the machine goes down and up."""
    shop.processor.answer("hang_after", "refund")
    try:
        before = len(shop.processor.ledger())
        made = expect(ask(shop.api, shop.orders[1], amount="0.01"), 201)
        assert eventually(lambda: len(shop.processor.ledger()) == before + 1)
        shop.service.kill()
    finally:
        shop.processor.answer("complete", "refund")
    shop.service.start()
    assert_paid_once(shop)
    assert get_refund(shop.api, made)["state"] == "succeeded"


def assert_told_truly(shop: Shop, load: Load) -> None:
    """Every refund that a caller was given is there, and no answer was an accident."""
    assert set(load.others) <= {
        "503 service_unavailable",
        "504 gateway_timeout",
        "409 conflict",
        "ConnectError",
        "ReadError",
        "WriteError",
        "RemoteProtocolError",
    }
    for refund_id, told in load.created.items():
        kept = expect(shop.api.get(f"/refunds/{refund_id}"))
        for name in ("id", "orderId", "amount", "currency", "createdTime"):
            assert kept[name] == told[name]


def assert_paid_once(shop: Shop) -> None:
    """Once all is settled: the processor's ledger, the refunds and the orders say the same."""
    assert eventually(lambda: not waiting(shop), SETTLED_SECONDS)
    ledger = shop.processor.ledger()
    assert {entry["times"] for entry in ledger.values()} == {1}
    refunds = everything(shop.api, "/refunds")
    assert {refund["state"] for refund in refunds} == {"succeeded"}
    assert all(refund["refundedAmount"] == refund["amount"] for refund in refunds)
    assert len({refund["id"] for refund in refunds}) == len(refunds)
    paid = [entry for entry in ledger.values() if entry["kind"] == "refund"]
    assert len(paid) == len(refunds)
    total = total_of(money(str(entry["amount"])) for entry in paid)
    assert total_of(refund["refundedAmount"] for refund in refunds) == total
    orders = [get_order(shop.api, order) for order in shop.orders]
    assert total_of(order["refundedAmount"] for order in orders) == total
    audited = said(refundry("audit", data_dir=shop.service.data_dir))
    assert audited.endswith(" orders audited, 0 do not add up.")


def waiting(shop: Shop) -> bool:
    """Whether a refund is still without an end."""
    try:
        return bool(expect(shop.api.get("/refunds?state=pending&limit=1"))["data"])
    except httpx.TransportError:
        return True


def total_of(amounts: Iterator[Decimal] | Generator[Decimal]) -> Decimal:
    return sum(amounts, Decimal())


def everything(api: Api, path: str) -> list[Doc]:
    """Every object of a list, page by page."""
    page = expect(api.get(f"{path}?limit=100"))
    found: list[Doc] = page["data"]
    while page["hasMore"]:
        page = expect(api.get(f"{path}?limit=100&startingAfter={found[-1]['id']}"))
        found += page["data"]
    return found


async def test_the_key_of_a_request_that_died_is_free_after_a_minute(shop: Shop) -> None:
    """The API is killed while the request waits for its order, which this test has locked."""
    service, order = shop.service, shop.orders[2]
    body = {"orderId": order["id"], "currency": "USD", "amount": 0.05}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    before = len(everything(shop.api, "/refunds"))
    settings = Settings(data_dir=service.data_dir)
    connection = await asyncpg.connect(**connect_arguments(settings))
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order["id"])
            cut_off = asyncio.create_task(asyncio.to_thread(post, shop, body, headers))
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                assert not cut_off.done(), cut_off.result().text
                await asyncio.sleep(0.01)
            for pid in service.children("api"):
                kill(pid)
            with contextlib.suppress(httpx.TransportError):
                raise AssertionError((await cut_off).text)
    finally:
        await connection.close()
    assert await asyncio.to_thread(eventually, service.healthy)

    message = "A request with this idempotency key is in progress."
    in_use = ("idempotency_key_in_use", "Idempotency-Key", message)
    assert_conflict(post(shop, body, headers), *in_use)
    await age_keys(settings, seconds=58)
    assert_conflict(post(shop, body, headers), *in_use)
    await age_keys(settings, seconds=2)
    taken_over = post(shop, body, headers)
    assert "Idempotent-Replayed" not in taken_over.headers
    made = expect(taken_over, 201)
    replayed = post(shop, body, headers)
    assert (replayed.content, replayed.headers["Idempotent-Replayed"]) == (
        taken_over.content,
        "true",
    )
    assert len(everything(shop.api, "/refunds")) == before + 1
    assert await asyncio.to_thread(
        eventually, lambda: get_refund(shop.api, made)["state"] == "succeeded"
    )


def post(shop: Shop, body: Doc, headers: dict[str, str]) -> httpx.Response:
    return shop.api.post("/refunds", body, headers)


async def age_keys(settings: Settings, seconds: int) -> None:
    """Let time pass for those who look how long a request has been running."""
    connection = await asyncpg.connect(**connect_arguments(settings))
    await connection.execute(
        "UPDATE idempotency_keys SET started_at = started_at - make_interval(secs => $1)"
        " WHERE status IS NULL",
        seconds,
    )
    await connection.close()


def test_the_events_of_every_order_are_whole(shop: Shop) -> None:
    """After all the deaths above: no number is missing, and each refund has its five or six."""
    rows = run_sql(
        shop.service.data_dir,
        "SELECT order_id, array_agg(order_sequence ORDER BY order_sequence) AS numbers,"
        " array_agg(type) AS types FROM events GROUP BY order_id",
    )
    for row in rows:
        assert row["numbers"] == list(range(1, len(row["numbers"]) + 1))
    types = Counter(itertools.chain.from_iterable(row["types"] for row in rows))
    refunds = len(everything(shop.api, "/refunds"))
    for name in ("refund.created", "refund.pending", "refund.complete", "order.refunded"):
        assert types[name] == refunds
