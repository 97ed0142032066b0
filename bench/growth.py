"""`python -m bench.growth`: the same loads and lists with few and with many rows, as ratios."""

import argparse
import contextlib
import http.client
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.lists import list_requests
from bench.loads import run_client
from bench.measures import Measure, percentile, to_lines
from bench.plan import Part
from bench.processes import processor_seconds
from bench.stage import BenchFailed, Service
from bench.tables import Tables, say

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
    with _served(small) as one, _served(large) as other:
        for number in range(rounds):
            pair = (one, other) if number % 2 == 0 else (other, one)
            for served in pair:
                served.load(seconds, f"round {number + 1} of {rounds}")
        # After the loads, so that both sizes have refunds on top that nobody has settled yet.
        _time_lists(one, other)
        return one.size, other.size


@contextlib.contextmanager
def _served(tables: Tables) -> Generator["Served"]:
    """With the server and the service running. Raises BenchFailed."""
    with tables.database() as server, tables.stage.service("api") as service:
        assert server is not None
        yield Served(Size(tables.orders), service, server.pid, tables.key, tables.checkpoint)


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
        say(f"    {self.size.orders:,} orders: refunds, {_CLIENTS} clients, {title}")
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


def _time_lists(*all_served: Served) -> None:
    """Each list's time in milliseconds, one request at a time.

    All of them in turn, again and again, and of each the lower quartile: what else the machine does
    for a while then hits many lists a little and not a few of them by all their requests.
    """
    times: dict[tuple[int, str], list[float]] = {}
    for number in range(_TIMES_ASKED):
        say(f"    lists, round {number + 1} of {_TIMES_ASKED}")
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


if __name__ == "__main__":
    main()
