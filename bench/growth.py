"""`python -m bench.growth`: the same loads and lists with few and with many rows, as ratios."""

import argparse
import asyncio
import contextlib
import http.client
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg

from bench.lists import list_requests
from bench.loads import run_client
from bench.measures import Measure, percentile, to_lines
from bench.order import REFUND
from bench.plan import Part
from bench.stage import BenchFailed, Stage, ask, take_order
from bench.volume import Copier, lay, prepare_copies
from refundry.access.commands import open_account
from refundry.db.database import connect_arguments, open_database
from refundry.hosting import database_ready

T = TypeVar("T")

_CLIENTS = 32
_ROUNDS = 2
_TIMES_ASKED = 15
_REFUNDS_EACH = 2

# What was promised of the large tables, measured against the small ones.
RATE_RATIO = 0.9
LIST_RATIO = 1.5


@dataclass(slots=True)
class Size:
    """What was measured with so many orders. lists: of each, its time in milliseconds."""

    orders: int
    rates: list[float] = field(default_factory=list[float])
    micros: list[int] = field(default_factory=list[int])
    lists: dict[str, float] = field(default_factory=dict[str, float])


def main() -> None:
    """Exit 0, however the ratios came out; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--small", type=int, default=5_000, help="orders at first [5000]")
    parser.add_argument("--large", type=int, default=1_000_000, help="orders then [1000000]")
    parser.add_argument("--seconds", type=float, default=10, help="of each load [10]")
    asked = parser.parse_args()
    if not 0 < asked.small < asked.large or asked.seconds < 2:
        parser.error("0 < --small < --large, and --seconds at least 2")
    try:
        with tempfile.TemporaryDirectory(prefix="refundry-growth-") as folder:
            sizes = run(Path(folder), (asked.small, asked.large), asked.seconds)
    except BenchFailed as error:
        sys.exit(f"bench: {error}")
    print(to_lines(list(compare(*sizes))))


def run(folder: Path, orders: tuple[int, int], seconds: float) -> tuple[Size, Size]:
    """Measure with both numbers of orders, each refunded twice. Raises BenchFailed."""
    stage = Stage(folder)
    sizes = Size(orders[0]), Size(orders[1])
    with database_ready(stage.settings, "make bench-growth", _say, exclusive=True):
        key, copier = _prepare(stage)
        laid = 0
        for size in sizes:
            _say(f"lay {size.orders:,} orders with {_REFUNDS_EACH * size.orders:,} refunds")
            _lay(stage, copier, laid, size.orders)
            laid = size.orders
            with stage.service("api") as service:
                _measure(size, service.port, key, seconds)
    return sizes


def _prepare(stage: Stage) -> tuple[str, Copier]:
    """Take one order in and refund it; gives the account's key and what copies the order."""

    async def open_bench_account() -> tuple[str, str]:
        async with open_database(stage.settings) as database:
            account = await open_account(database, "Growth", now=datetime.now(UTC))
            return account.account_id, account.secret_test

    account_id, key = asyncio.run(open_bench_account())
    with stage.service("api") as service:
        order_id = take_order(stage, service.port, key)
        for _ in range(_REFUNDS_EACH):
            ask(service.port, key, "POST", "/refunds", {"orderId": order_id, **REFUND})
        stage.drain()
    copier = _on_connection(
        stage, lambda connection: prepare_copies(connection, account_id, order_id)
    )
    return key, copier


def _lay(stage: Stage, copier: Copier, first: int, count: int) -> None:
    _on_connection(stage, lambda connection: lay(connection, copier, first, count, _say))


def _measure(size: Size, port: int, key: str, seconds: float) -> None:
    for number in range(_ROUNDS):
        _say(f"    refunds, {_CLIENTS} clients, round {number + 1} of {_ROUNDS}")
        answers = run_client(
            Part.REFUNDS, port=port, key=key, orders=size.orders, clients=_CLIENTS, seconds=seconds
        )
        size.rates.append(len(answers.micros) / seconds)
        size.micros += answers.micros
    # After the load, so that both sizes have refunds on top that nobody has settled yet.
    _say(f"    lists, {size.orders:,} orders")
    size.lists = dict(_time_lists(port, key))


def _time_lists(port: int, key: str) -> Iterator[tuple[str, float]]:
    """Each list's name and its time in milliseconds, one request at a time.

    All of them in turn, again and again, and of each the lower quartile: what else the machine does
    for a while then hits many lists a little and not a few of them by all their requests.
    """
    times: dict[str, list[float]] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        for _ in range(_TIMES_ASKED):
            for name, path in list_requests():
                times.setdefault(name, []).append(_time_list(connection, path, key))
    for name, each in times.items():
        yield name, percentile(each, 25)


def _time_list(connection: http.client.HTTPConnection, path: str, key: str) -> float:
    begun = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise BenchFailed(f"GET {path}: {response.status} {text.decode()[:500]}")
    return 1000 * (time.perf_counter() - begun)


def compare(small: Size, large: Size) -> Iterator[Measure]:
    """The large tables' figures, each with its ratio to the small ones'."""
    rates = [sum(size.rates) / len(size.rates) for size in (small, large)]
    yield Measure("refunds_32", rates[1], "refunds/s", rates[1] / rates[0])
    slow = [percentile(size.micros, 99) / 1000 for size in (small, large)]
    # The other way round, so that less is worse for both.
    yield Measure("refunds_32_p99", slow[1], "ms", slow[0] / slow[1])
    yield from _compare_lists(small.lists, large.lists)


def _compare_lists(small: Mapping[str, float], large: Mapping[str, float]) -> Iterator[Measure]:
    slower = 0
    for name, millis in large.items():
        ratio = millis / small[name]
        slower += ratio > LIST_RATIO
        yield Measure(f"list_{name}", millis, "ms", ratio)
    yield Measure("lists", len(large), "lists")
    yield Measure(f"lists_over_{LIST_RATIO}", slower, "lists")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _on_connection(
    stage: Stage, work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[T]]"
) -> T:
    async def run() -> T:
        connection = await asyncpg.connect(**connect_arguments(stage.settings))
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


if __name__ == "__main__":
    main()
