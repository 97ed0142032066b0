"""`python -m bench.bloat`: refunds, settled, at a steady rate; what becomes of the tables."""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import aiohttp

from bench.bulk import Connection
from bench.laying import FIRST_ORDER
from bench.measures import Measure, percentile, to_lines
from bench.order import REFUND
from bench.processes import processor_seconds
from bench.stage import BenchFailed, ask
from bench.tables import Tables, say

_TABLES = ("orders", "order_lines", "refunds", "refund_parts", "charge_operations", "events",
           "deliveries", "attempts", "idempotency_keys")  # fmt: skip
_DRAIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class State:
    """Of one table. bytes: of it with its indexes. updates, hot, vacuums: since the statistics
    began."""

    live: int
    dead: int
    bytes: int
    updates: int
    hot: int
    vacuums: int


@dataclass(frozen=True, slots=True)
class Sample:
    """How it stood after so many seconds. done: refunds answered. waiting: not settled yet.

    processor: seconds of PostgreSQL so far.
    """

    seconds: float
    done: int
    waiting: int
    processor: float
    tables: Mapping[str, State]


@dataclass(slots=True)
class Pace:
    """Asks for refunds at a steady rate, whatever the answers take. micros: of each answer."""

    port: int
    key: str
    orders: int
    rate: float
    micros: list[int]
    asked: int = 0

    async def run(self, seconds: float) -> None:
        """Each with an idempotency key of its own. Raises BenchFailed."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            asyncio.TaskGroup() as group,
        ):
            begun = time.perf_counter()
            for number in range(int(seconds * self.rate)):
                await asyncio.sleep(begun + number / self.rate - time.perf_counter())
                group.create_task(self._ask(session, number))

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        body = {"orderId": str(FIRST_ORDER + number % self.orders), **REFUND}
        begun = time.perf_counter()
        async with session.post(
            f"http://127.0.0.1:{self.port}/refunds",
            json=body,
            headers={"Idempotency-Key": f"bloat-{number}"},
        ) as answer:
            if answer.status != 201:
                raise BenchFailed(f"POST /refunds: {answer.status} {await answer.text()}")
        self.micros.append(int(1e6 * (time.perf_counter() - begun)))


def main() -> None:
    """Exit 0, however the figures came out; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench.bloat", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000, help="orders to refund [20000]")
    parser.add_argument("--seconds", type=float, default=600, help="of the load [600]")
    parser.add_argument("--rate", type=float, default=150, help="refunds a second [150]")
    parser.add_argument("--every", type=float, default=10, help="seconds between samples [10]")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="refundry-bloat-") as folder:
            tables = Tables(Path(folder), asked.orders)
            tables.lay()
            pace, samples = _measure(tables, asked.seconds, asked.rate, asked.every)
    except BenchFailed as error:
        sys.exit(f"bench: {error}")
    print(to_lines(list(summary(pace.micros, samples))))


def _measure(
    tables: Tables, seconds: float, rate: float, every: float
) -> tuple[Pace, Sequence[Sample]]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(tables.database())
        assert server is not None
        service = stack.enter_context(tables.stage.service("api"))
        stack.enter_context(tables.stage.worker())
        sink = stack.enter_context(Popen([sys.executable, "-m", "bench.echo"], stdout=PIPE))
        stack.callback(sink.kill)
        assert sink.stdout is not None
        address = f"http://127.0.0.1:{int(sink.stdout.readline())}/"
        # Two deliveries a refund, each with its attempt.
        types = ["refund.created", "refund.succeeded"]
        ask(service.port, tables.key, "POST", "/webhooks", {"types": types, "address": address})
        pace = Pace(service.port, tables.key, tables.orders, rate, [])
        samples = asyncio.run(_load(tables, pace, server.pid, seconds, every))
    return pace, samples


async def _load(
    tables: Tables, pace: Pace, postgres: int, seconds: float, every: float
) -> list[Sample]:
    """Load and look, and at the end wait until all is settled. Raises BenchFailed."""
    connection = await tables.connect()
    begun = time.monotonic()
    samples = [await _sample(connection, begun, pace, postgres)]
    running = asyncio.create_task(pace.run(seconds))
    while True:
        await asyncio.wait([running], timeout=every)
        samples.append(await _sample(connection, begun, pace, postgres))
        _tell(samples, seconds)
        if running.done():
            break
    await running
    deadline = time.monotonic() + _DRAIN_SECONDS
    while (await _sample(connection, begun, pace, postgres)).waiting:
        if time.monotonic() > deadline:
            raise BenchFailed("what was asked for was not settled")
        await asyncio.sleep(1)
    await connection.close()
    return samples


async def _sample(connection: Connection, begun: float, pace: Pace, postgres: int) -> Sample:
    rows = await connection.fetch(
        """
        SELECT relname, n_live_tup AS live, n_dead_tup AS dead,
               pg_total_relation_size(relid) AS bytes, n_tup_upd AS updates,
               n_tup_hot_upd AS hot, autovacuum_count AS vacuums
          FROM pg_stat_user_tables WHERE relname = ANY ($1::text[])
        """,
        _TABLES,
    )
    waiting = await connection.fetchval(
        "SELECT count(*) FROM refunds WHERE submit_due_at IS NOT NULL"
    ) + await connection.fetchval("SELECT count(*) FROM charge_operations WHERE due_at IS NOT NULL")
    tables = {row["relname"]: State(**{k: v for k, v in row.items() if k != "relname"})
              for row in rows}  # fmt: skip
    seconds = time.monotonic() - begun
    return Sample(seconds, len(pace.micros), waiting, processor_seconds(postgres), tables)


def _tell(samples: Sequence[Sample], seconds: float) -> None:
    before, now = samples[-2:]
    span = now.seconds - before.seconds
    rate = (now.done - before.done) / span
    cost = 1e6 * (now.processor - before.processor) / max(1, now.done - before.done)
    left = max(0.0, seconds - now.seconds)
    say(f"    {rate:.0f}/s, {now.waiting} waiting, {cost:.0f} us/refund, {left / 60:.1f} min left")
    for name, state in now.tables.items():
        say(f"        {name:18} {state.live:9,} live {state.dead:8,} dead"
            f" {state.bytes / max(1, state.live):7.0f} bytes each, {state.vacuums} vacuums,"
            f" HOT {_hot(before.tables[name], state):.0%}")  # fmt: skip


def _hot(before: State, now: State) -> float:
    return (now.hot - before.hot) / max(1, now.updates - before.updates)


def summary(micros: Sequence[int], samples: Sequence[Sample]) -> Iterator[Measure]:
    """The last third of the run, each with its ratio to the first."""
    third = max(1, len(samples) // 3)
    first, middle, last = samples[1], samples[third], samples[-1]
    late = samples[-1 - third]
    rates = [(b.done - a.done) / (b.seconds - a.seconds)
             for a, b in ((samples[0], middle), (late, last))]  # fmt: skip
    yield Measure("refunds", rates[1], "/s", rates[1] / rates[0])
    costs = [1e6 * (b.processor - a.processor) / max(1, b.done - a.done)
             for a, b in ((samples[0], middle), (late, last))]  # fmt: skip
    yield Measure("cpu_postgres", costs[1], "us/refund", costs[1] / costs[0])
    yield Measure("waiting_most", max(each.waiting for each in samples), "refunds")
    cut = len(micros) // 3
    slow = [percentile(part, 99) / 1000 for part in (micros[:cut], micros[-cut:])]
    yield Measure("p99", slow[1], "ms", slow[1] / slow[0])
    for name in _TABLES:
        each = [sample.tables[name].bytes / max(1, sample.tables[name].live)
                for sample in (middle, last)]  # fmt: skip
        yield Measure(f"{name}_row", each[1], "bytes", each[1] / each[0])
        hot = _hot(first.tables[name], last.tables[name])
        yield Measure(f"{name}_hot", 100 * hot, "percent")
        yield Measure(f"{name}_dead", last.tables[name].dead, "rows")
        yield Measure(f"{name}_vacuums", last.tables[name].vacuums, "runs")


if __name__ == "__main__":
    main()
