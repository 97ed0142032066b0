"""Far more requests than can be served: what becomes of those that are accepted."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from bench.laying import FIRST_ORDER
from bench.loads import request_of, run_client
from bench.measures import Measure, percentile
from bench.plan import (
    AFTERWARDS,
    CLIENTS,
    CROWD,
    FLOODED,
    SUSTAINED,
    TIMES_TOO_MUCH,
    WARM_SECONDS,
    Part,
)
from bench.scene import Scene, count_refunds
from bench.stage import BenchFailed
from bench.wire import Answers, Flood, Flooded
from refundry.access.commands import OpenedAccount

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Overload:
    """What came of the three loads. seconds: of each. offered: requests a second."""

    seconds: float
    sustained: Answers
    offered: float
    flooded: Flooded
    afterwards: Answers


def measure_overload(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    """One API process: its peak, five times as much, and its peak again."""
    if Part.OVERLOAD not in scene.options.parts:
        return
    with scene.server(), scene.stage.service("api") as service:
        done: dict[str, Answers] = {}
        flooded, offered = None, 0.0
        for step in scene.begin(Part.OVERLOAD):
            before = count_refunds(scene.stage)
            if step.side == FLOODED:
                offered = TIMES_TOO_MUCH * len(done[SUSTAINED].micros) / scene.options.seconds
                flooded = _flood(scene, account.secret_test, service.port, offered)
                accepted = flooded.all_accepted
            else:
                done[step.side] = run_client(
                    Part.REFUNDS, port=service.port, key=account.secret_test,
                    orders=scene.options.orders, clients=CLIENTS[-1],
                    seconds=scene.options.seconds,
                )  # fmt: skip
                accepted = done[step.side].all
            written = count_refunds(scene.stage) - before
            if written != accepted:
                raise BenchFailed(f"{accepted} refunds were accepted, {written} are there")
    assert flooded is not None
    yield from overload_measures(
        Overload(scene.options.seconds, done[SUSTAINED], offered, flooded, done[AFTERWARDS])
    )


def overload_measures(found: Overload) -> Iterator[Measure]:
    """Ratios are to what is sustained: for the p99 three is the most that is wanted."""
    seconds, flooded = found.seconds, found.flooded
    peak = len(found.sustained.micros) / seconds
    p99 = percentile(found.sustained.micros, 99)
    accepted = len(flooded.accepted) / seconds
    after = len(found.afterwards.micros) / seconds
    late = percentile(flooded.accepted, 99)
    yield Measure("overload_sustained", peak, "refunds/s")
    yield Measure("overload_sustained_p99", p99 / 1000, "ms")
    yield Measure("overload_offered", found.offered, "requests/s", found.offered / peak)
    sent = flooded.sent / seconds
    yield Measure("overload_sent", sent, "requests/s", sent / peak)
    yield Measure("overload_accepted", accepted, "refunds/s", accepted / peak)
    yield Measure("overload_accepted_p50", percentile(flooded.accepted, 50) / 1000, "ms")
    yield Measure("overload_accepted_p99", late / 1000, "ms", late / p99)
    if flooded.refused:
        refused = percentile(flooded.refused, 99)
        yield Measure("overload_refused_p99", refused / 1000, "ms", refused / p99)
    yield Measure("overload_cpu_client", flooded.processor_seconds, "s")
    yield Measure("overload_afterwards", after, "refunds/s", after / peak)


def _flood(scene: Scene, key: str, port: int, rate: float) -> Flooded:
    """Offer too much. Raises BenchFailed where an answer is neither 201 nor a proper 503."""
    flood = Flood(
        port=port,
        request=request_of(Part.REFUNDS, key),
        clients=CROWD,
        rate=rate,
        seconds=scene.options.seconds,
        warm_seconds=WARM_SECONDS,
        first_order=FIRST_ORDER,
        orders=scene.options.orders,
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.flood"],
        input=msgspec.json.encode(flood),
        stdout=subprocess.PIPE,
        check=False,
        timeout=WARM_SECONDS + scene.options.seconds + _PATIENCE_SECONDS,
    )
    if done.returncode != 0:
        raise BenchFailed(f"the flooding client failed ({done.returncode})")
    flooded = msgspec.json.decode(done.stdout, type=Flooded)
    if flooded.wrong is not None or flooded.lost:
        raise BenchFailed(f"{flooded.lost} connections lost; {(flooded.wrong or '')[:2000]}")
    return flooded
