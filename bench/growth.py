"""`python -m bench.growth`: the same loads and lists with few and with many rows, as ratios."""

import argparse
import asyncio
import contextlib
import http.client
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg

from bench.bulk import LAYING_SETTINGS, Connection
from bench.lists import list_requests
from bench.loads import run_client
from bench.measures import Measure, percentile, to_lines
from bench.order import REFUND
from bench.plan import Part
from bench.processes import processor_seconds
from bench.stage import BenchFailed, Service, Stage, ask, take_order
from bench.volume import Copy, lay, prepare_copies
from refundry.access.commands import open_account
from refundry.db.database import connect_arguments, open_database
from refundry.db.embedded import Server
from refundry.hosting import database_ready

T = TypeVar("T")

_CLIENTS = 32
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
    requests: int = 0
    postgres_seconds: float = 0.0
    lists: dict[str, float] = field(default_factory=dict[str, float])


def main() -> None:
    """Exit 0, however the ratios came out; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--small", type=int, default=5_000, help="orders of the one [5000]")
    parser.add_argument("--large", type=int, default=1_000_000, help="and the other [1000000]")
    parser.add_argument("--seconds", type=float, default=10, help="of each load [10]")
    parser.add_argument("--rounds", type=int, default=4, help="of loads, for both in turn [4]")
    parser.add_argument(
        "--folder", type=Path, help="keep the tables there, to measure again without laying them"
    )
    asked = parser.parse_args()
    if not 0 < asked.small < asked.large or asked.seconds < 2:
        parser.error("0 < --small < --large, and --seconds at least 2")
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="refundry-growth-"))
        )
        try:
            sizes = run(folder, (asked.small, asked.large), asked.seconds, asked.rounds)
        except BenchFailed as error:
            sys.exit(f"bench: {error}")
    print(to_lines(list(compare(*sizes))))


def run(folder: Path, orders: tuple[int, int], seconds: float, rounds: int) -> tuple[Size, Size]:
    """Measure with both numbers of orders, each refunded twice. Raises BenchFailed.

    Two data directories, each with a server of its own, so that loads can take turns: a machine
    that gets slower meanwhile does so for both.
    """
    small, large = (Tables(folder / str(count), count) for count in orders)
    for tables in (small, large):
        tables.lay()
    with small.served() as one, large.served() as other:
        for number in range(rounds):
            pair = (one, other) if number % 2 == 0 else (other, one)
            for served in pair:
                served.load(seconds, f"round {number + 1} of {rounds}")
        # After the loads, so that both sizes have refunds on top that nobody has settled yet.
        _time_lists(one, other)
        return one.size, other.size


class Tables:
    """A data directory with so many orders in it."""

    def __init__(self, folder: Path, orders: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stage = Stage(folder)
        self._orders = orders
        # Written when the orders are laid: the account's key.
        self._key_file = folder / "key"

    def lay(self) -> None:
        """Lay the orders, unless that was done before. Raises BenchFailed."""
        if self._key_file.exists():
            return
        _say(f"lay {self._orders:,} orders with {_REFUNDS_EACH * self._orders:,} refunds")
        with self._database():
            key, copies = self._prepare()
            self._run(lambda connection: _set(connection, LAYING_SETTINGS))
        with self._database():
            asyncio.run(lay(self._connect, copies, self._orders, _say))
            self._run(lambda connection: connection.execute("ALTER SYSTEM RESET ALL"))
        self._key_file.write_text(key)

    def _prepare(self) -> tuple[str, Sequence[Copy]]:
        """Take one order in and refund it; gives the account's key and what copies the order."""

        async def open_bench_account() -> tuple[str, str]:
            async with open_database(self._stage.settings) as database:
                account = await open_account(database, "Growth", now=datetime.now(UTC))
                return account.account_id, account.secret_test

        account_id, key = asyncio.run(open_bench_account())
        with self._stage.service("api") as service:
            order_id = take_order(self._stage, service.port, key)
            for _ in range(_REFUNDS_EACH):
                ask(service.port, key, "POST", "/refunds", {"orderId": order_id, **REFUND})
            self._stage.drain()
        return key, self._run(lambda connection: prepare_copies(connection, account_id, order_id))

    @contextlib.contextmanager
    def served(self) -> Generator["Served"]:
        """With the server and the service running. Raises BenchFailed."""
        with self._database() as server, self._stage.service("api") as service:
            assert server is not None
            key = self._key_file.read_text()
            yield Served(Size(self._orders), service, server.pid, key, self._checkpoint)

    def _checkpoint(self) -> None:
        self._run(lambda connection: connection.execute("CHECKPOINT", timeout=600))

    def _database(self) -> "contextlib.AbstractContextManager[Server | None]":
        return database_ready(self._stage.settings, "make bench-growth", _say, exclusive=True)

    async def _connect(self) -> Connection:
        return await asyncpg.connect(**connect_arguments(self._stage.settings))

    def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await self._connect()
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())


@dataclass(frozen=True, slots=True)
class Served:
    """A running service with its tables, and what was measured of it."""

    size: Size
    service: Service
    postgres: int
    key: str
    checkpoint: Callable[[], object]

    def load(self, seconds: float, title: str) -> None:
        """Refunds from many clients, after a checkpoint. Raises BenchFailed."""
        _say(f"    {self.size.orders:,} orders: refunds, {_CLIENTS} clients, {title}")
        self.checkpoint()
        before = processor_seconds(self.postgres)
        answers = run_client(
            Part.REFUNDS, port=self.service.port, key=self.key, orders=self.size.orders,
            clients=_CLIENTS, seconds=seconds,
        )  # fmt: skip
        self.size.postgres_seconds += processor_seconds(self.postgres) - before
        self.size.requests += answers.all
        self.size.rates.append(len(answers.micros) / seconds)
        self.size.micros += answers.micros


async def _set(connection: Connection, settings: Mapping[str, str]) -> None:
    """Settings of the server, from its next start on."""
    for name, value in settings.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")


def _time_lists(*all_served: Served) -> None:
    """Each list's time in milliseconds, one request at a time.

    All of them in turn, again and again, and of each the lower quartile: what else the machine does
    for a while then hits many lists a little and not a few of them by all their requests.
    """
    times: dict[tuple[int, str], list[float]] = {}
    for number in range(_TIMES_ASKED):
        _say(f"    lists, round {number + 1} of {_TIMES_ASKED}")
        for served in all_served:
            _ask_lists(served, times)
    for served in all_served:
        for name, _ in list_requests():
            served.size.lists[name] = percentile(times[served.size.orders, name], 25)


def _ask_lists(served: Served, times: dict[tuple[int, str], list[float]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.service.port, timeout=120)
    with contextlib.closing(connection):
        for name, path in list_requests():
            spent = _time_list(connection, path, served.key)
            times.setdefault((served.size.orders, name), []).append(spent)


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
    costs = [1e6 * size.postgres_seconds / size.requests for size in (small, large)]
    yield Measure("refunds_32_cpu_postgres", costs[1], "us/request", costs[0] / costs[1])
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


if __name__ == "__main__":
    main()
