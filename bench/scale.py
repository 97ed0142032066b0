"""`POST /refunds` by one and by two API processes, on databases in several places."""

import asyncio
import base64
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tests.support.postgres import Bouncer, External

from bench.laying import lay_orders
from bench.loads import run_client
from bench.measures import Measure, percentile
from bench.plan import CLIENTS, EMBEDDED, EXTERNAL, POOLED, PROCESSES, Part, scale_side
from bench.processes import command, descendants, processor_seconds
from bench.scene import Scene, count_refunds, on_connection, open_bench_account
from bench.sides import Side
from bench.stage import BenchFailed, Stage, take_order
from refundry.access.commands import OpenedAccount
from refundry.hosting import bring_up_to_date

# Refunds wait for others of their order, longer than any run: so the worker that `serve` brings
# along has nothing to do, and takes nothing from the two cores.
IDLE_WORKER = {"REFUNDRY_REFUND_BATCH_WINDOW": "86400"}
_IDLE_SECONDS = 0.4
_ONE_KEY = {"REFUNDRY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode()}
# As the embedded server has it.
_SETTINGS = ("max_connections=100", "shared_buffers=128MB", "max_wal_size=1GB", "jit=off")


@dataclass(frozen=True, slots=True)
class _Place:
    """A database that the service can run on, and a key of it."""

    stage: Stage
    key: str


def measure_scale(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    """The rate and p99 of each place with each number of processes; ratio: to one, embedded."""
    if Part.SCALE not in scene.options.parts:
        return
    steps = scene.begin(Part.SCALE)
    sides: dict[str, Side] = {}
    shares: dict[str, float] = {}
    with ExitStack() as stack:
        next(steps)
        places = _places(scene, account, stack)
        for step in steps:
            place, _, processes = step.side.partition("_")
            side = sides.setdefault(step.side, Side())
            shares[step.side] = _load(scene, places[place], int(processes), side)
    first = sides[scale_side(EMBEDDED, PROCESSES[0])]
    for name, side in sides.items():
        yield Measure(f"scale_{name}", side.rate, "refunds/s", side.rate / first.rate)
        p99 = percentile(side.micros, 99)
        yield Measure(f"scale_{name}_p99", p99 / 1000, "ms", p99 / percentile(first.micros, 99))
        cost = side.micros_each(side.service_seconds)
        yield Measure(f"scale_{name}_cpu_service", cost, "us/request")
        yield Measure(f"scale_{name}_busiest", shares[name], "of the work")


def _places(scene: Scene, account: OpenedAccount, stack: ExitStack) -> Mapping[str, _Place]:
    """The databases; those that are not embedded are made and laid for as long as the stack is."""
    folder = scene.folder
    places = {EMBEDDED: _Place(Stage(folder, IDLE_WORKER), account.secret_test)}
    server = stack.enter_context(External(*_SETTINGS))
    external = Stage(folder / EXTERNAL, _outside(server.url()))
    bring_up_to_date(external.settings, scene.progress.say)
    opened = asyncio.run(open_bench_account(external))
    with external.service("api") as service:
        order_id = take_order(external, service.port, opened.secret_test)
    on_connection(
        external,
        lambda found: lay_orders(found, order_id, scene.options.orders, scene.progress.say),
    )
    places[EXTERNAL] = _Place(external, opened.secret_test)
    if POOLED in scene.options.places:
        bouncer = stack.enter_context(Bouncer(server, connections=20))
        variables = _outside(bouncer.url()) | {"REFUNDRY_PGBOUNCER": "1"}
        places[POOLED] = _Place(Stage(folder / POOLED, variables), opened.secret_test)
    return places


def _outside(url: str) -> dict[str, str]:
    return {"REFUNDRY_DATABASE_URL": url, **IDLE_WORKER, **_ONE_KEY}


def _load(scene: Scene, place: _Place, processes: int, side: Side) -> float:
    """One load; gives how much of the processes' work the busiest one did."""
    with place.stage.service("serve", "--processes", str(processes)) as service:
        before = count_refunds(place.stage)
        apis = _when_idle(service.pid, processes)
        begun = [processor_seconds(pid) for pid in apis]
        answers = run_client(
            Part.REFUNDS,
            port=service.port,
            key=place.key,
            orders=scene.options.orders,
            clients=CLIENTS[-1],
            seconds=scene.options.seconds,
        )
        spent = [processor_seconds(pid) - b for pid, b in zip(apis, begun, strict=True)]
        written = count_refunds(place.stage) - before
    if written != answers.all:
        raise BenchFailed(f"{answers.all} refunds were answered with 201, {written} are there")
    side.micros += answers.micros
    side.rates.append(len(answers.micros) / scene.options.seconds)
    side.requests += answers.all
    side.service_seconds += sum(spent)
    return max(spent) / max(sum(spent), 0.01)


def _when_idle(root: int, processes: int) -> list[int]:
    """The API processes, once all of them have started: the first one answers before the others."""
    spent: list[float] = []
    while True:
        apis = [pid for pid in descendants(root) if _is_api(pid)]
        before, spent = spent, [processor_seconds(pid) for pid in apis]
        if len(apis) == processes and spent == before:
            return apis
        time.sleep(_IDLE_SECONDS)


def _is_api(pid: int) -> bool:
    try:
        words = command(pid)
    except OSError:  # ended meanwhile
        return False
    return "refundry" in words and "api" in words
