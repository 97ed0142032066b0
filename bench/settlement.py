"""Whether the worker keeps up: refunds at half of the peak rate, and what waits to be settled."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import asyncpg

from bench.loads import run_client
from bench.measures import Measure
from bench.plan import CLIENTS, SETTLED_SECONDS, Options, Part
from bench.processes import command, descendants, processor_seconds_alone
from bench.stage import Stage
from bench.wire import Answers
from refundry.db.database import connect_arguments

_SHARE_OF_PEAK = 0.5
# Who is not submitted yet, and whose record has no outcome yet; both have an index of their own.
_BACKLOG = """
SELECT (SELECT count(*) FROM refunds WHERE submit_due_at IS NOT NULL)
     + (SELECT count(*) FROM charge_operations WHERE due_at IS NOT NULL)
"""


@dataclass(slots=True)
class Backlog:
    """Refunds that wait to be settled, once a second. times: seconds from the first sample."""

    times: list[float] = field(default_factory=list[float])
    counts: list[int] = field(default_factory=list[int])

    def slope(self) -> float:
        """By how many it grows a second in its last half (least squares)."""
        half = len(self.times) // 2
        return slope(self.times[half:], self.counts[half:])


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of the line with the least squares; two points at least, not all at one x."""
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    pairs = zip(xs, ys, strict=True)
    return sum((x - middle_x) * (y - middle_y) for x, y in pairs) / spread


@dataclass(slots=True)
class SettlementBench:
    """Measures in two steps: the peak of creation by the API alone, then half of it with a
    worker beside it."""

    stage: Stage
    options: Options
    key: str
    say: Callable[[str], None]
    _peak: float = 0.0

    def peak(self, api_port: int) -> Iterator[Measure]:
        """How many refunds a second the API takes alone; the worker then settles them."""
        answers = self._create(api_port, self.options.seconds)
        self._peak = len(answers.micros) / self.options.seconds
        yield Measure("settlement_peak", self._peak, "refunds/s")
        self.stage.drain()

    def keep_up(self, serve_pid: int, api_port: int) -> Iterator[Measure]:
        """Half of the peak under `refundry serve`, the backlog looked at each second."""
        before = _processor_seconds(serve_pid)
        answers, backlog = asyncio.run(self._watched(api_port))
        after = _processor_seconds(serve_pid)
        for name in sorted(after):
            used = after[name] - before.get(name, 0.0)
            micros = used * 1e6 / answers.all
            yield Measure(f"settlement_cpu_{name}", micros, "us/refund")
        seconds = self.options.seconds * SETTLED_SECONDS
        yield from to_measures(backlog, len(answers.micros) / seconds, self._peak)

    async def _watched(self, api_port: int) -> tuple[Answers, Backlog]:
        backlog = Backlog()
        connection = await asyncpg.connect(**connect_arguments(self.stage.settings))
        try:
            seconds = self.options.seconds * SETTLED_SECONDS
            rate = self._peak * _SHARE_OF_PEAK
            load = asyncio.create_task(asyncio.to_thread(self._create, api_port, seconds, rate))
            begun = time.perf_counter()
            while not load.done():
                backlog.times.append(time.perf_counter() - begun)
                backlog.counts.append(await connection.fetchval(_BACKLOG))
                if len(backlog.times) % 10 == 0:
                    self.say(f"        {backlog.counts[-1]} wait after {backlog.times[-1]:.0f} s")
                await asyncio.wait([load], timeout=1.0)
            return await load, backlog
        finally:
            await connection.close()

    def _create(self, api_port: int, seconds: float, per_second: float = 0.0) -> Answers:
        return run_client(
            Part.REFUNDS,
            port=api_port,
            key=self.key,
            orders=self.options.orders,
            clients=CLIENTS[-1],
            seconds=seconds,
            per_second=per_second,
        )


def to_measures(backlog: Backlog, created: float, peak: float) -> Iterator[Measure]:
    """What came of the samples. created: refunds a second."""
    times, counts = backlog.times, backlog.counts
    growth = (counts[-1] - counts[0]) / (times[-1] - times[0])
    settled = created - growth
    yield Measure("settlement_created", created, "refunds/s", created / (peak * _SHARE_OF_PEAK))
    yield Measure("settlement_settled", settled, "refunds/s", settled / created)
    yield Measure("settlement_backlog_start", counts[0], "refunds")
    yield Measure("settlement_backlog_end", counts[-1], "refunds")
    yield Measure("settlement_backlog_max", max(counts), "refunds")
    yield Measure("settlement_backlog_growth", backlog.slope(), "/s", backlog.slope() / created)


def _processor_seconds(root: int) -> dict[str, float]:
    """Of the API, the worker, and PostgreSQL as a whole."""
    seconds: dict[str, float] = {}
    for pid in descendants(root):
        words = command(pid)
        name = words[words.index("refundry") + 1] if "refundry" in words else "postgres"
        seconds[name] = seconds.get(name, 0.0) + processor_seconds_alone(pid)
    return seconds
