"""Goes through the steps of a run and collects what they measure."""

import asyncio
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.api_log import ApiLogBench, compare_logs
from bench.importing import measure_import
from bench.laying import lay_orders
from bench.loads import client_limit, run_client
from bench.measures import Measure
from bench.overload import measure_overload
from bench.plan import (
    CLIENTS,
    HTTP,
    LOADS,
    LOGGED,
    PEAK,
    UNLOGGED,
    Options,
    Part,
    Step,
    plan_steps,
)
from bench.processes import command, descendants, memory, processor_seconds
from bench.progress import Progress
from bench.reference import run_pgbench
from bench.scale import measure_scale
from bench.scene import COUNT, Scene, on_connection, open_bench_account
from bench.settlement import SettlementBench
from bench.sides import Side, compare
from bench.stage import BenchFailed, Service, Stage, take_order
from bench.statements import Scripts, take_scripts
from bench.webhooks import WebhookBench
from refundry.access.commands import OpenedAccount
from refundry.db.embedded import Server
from refundry.tenant import Tenant

_MIB = 1024 * 1024


def run(options: Options, folder: Path) -> list[Measure]:
    """Take all steps in `folder`. Raises BenchFailed where there is nothing to measure."""
    steps = plan_steps(options)
    scene = Scene(options, folder, Stage(folder), Progress(steps), steps)
    with scene.server():
        account, order_id = _prepare(scene)
    return [
        *_client_limit(scene, account),
        *_cold_start(scene),
        # Before the loads: these leave refunds behind that a worker would settle meanwhile.
        *_webhooks(scene, account),
        *_settlement(scene, account),
        *_api_log(scene, account),
        *_loads(scene, account, order_id),
        *measure_scale(scene, account),
        *measure_overload(scene, account),
        *measure_import(scene),
        *_memory(scene, account),
    ]


def _prepare(scene: Scene) -> tuple[OpenedAccount, str]:
    """Lay the orders; gives the account that they belong to and the one they are copies of."""
    preparations = scene.begin(None)
    next(preparations)
    account = asyncio.run(open_bench_account(scene.stage))
    with scene.stage.service("api") as service:
        order_id = take_order(scene.stage, service.port, account.secret_test)
    next(preparations)
    on_connection(
        scene.stage,
        lambda connection: lay_orders(
            connection, order_id, scene.options.orders, scene.progress.say
        ),
    )
    return account, order_id


def _client_limit(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    for step in scene.begin(Part.CLIENT):
        limit = client_limit(account.secret_test, step.clients, scene.options.seconds)
        yield Measure(f"client_limit_{step.clients}", limit, "requests/s")


def _cold_start(scene: Scene) -> Iterator[Measure]:
    """From the exec of `refundry serve` on the directory as it is until it answers."""
    seconds: list[float] = []
    for _ in scene.begin(Part.START):
        with scene.stage.service("serve") as service:
            seconds.append(service.start_seconds)
    if seconds:
        yield Measure("cold_start", statistics.median(seconds), "s")


def _loads(scene: Scene, account: OpenedAccount, order_id: str) -> Iterator[Measure]:
    """Every load on both sides, against the API alone: no worker takes from the two cores."""
    parts = [part for part in LOADS if part in scene.options.parts]
    if not parts:
        return
    sides: dict[tuple[Part | None, int], dict[str, Side]] = {}
    tenant = Tenant(account.account_id, live=False)
    with scene.server() as server, scene.stage.service("api") as service:
        assert server is not None
        scripts = asyncio.run(
            take_scripts(scene.stage.settings, tenant, order_id, scene.options.orders)
        )
        ground = _Ground(scene, server, service, account.secret_test, scripts)
        for step in scene.begin(*parts):
            load = sides.setdefault((step.part, step.clients), {})
            ground.load(step, load.setdefault(step.side, Side()))
    for part in parts:
        for clients in CLIENTS:
            yield from compare(part, clients, sides[part, clients])


@dataclass(frozen=True, slots=True)
class _Ground:
    """A running server with the service on it, to be loaded from both sides."""

    scene: Scene
    server: Server
    service: Service
    key: str
    scripts: Scripts

    def load(self, step: Step, side: Side) -> None:
        """Take one step and add what came of it to `side`."""
        # So that all loads begin alike: the first change of a page after a checkpoint costs more.
        self._run("CHECKPOINT")
        refunds = self._run(COUNT)
        postgres = processor_seconds(self.server.pid)
        service = processor_seconds(self.service.pid)
        sent = self._over_http(step, side) if step.side == HTTP else self._alone(step, side)
        side.postgres_seconds += processor_seconds(self.server.pid) - postgres
        side.service_seconds += processor_seconds(self.service.pid) - service
        side.requests += sent
        if step.part is Part.REFUNDS:
            self._check_written(step, side, sent, self._run(COUNT) - refunds)

    def _over_http(self, step: Step, side: Side) -> int:
        assert step.part is not None
        options = self.scene.options
        answers = run_client(
            step.part,
            port=self.service.port,
            key=self.key,
            orders=options.orders,
            clients=step.clients,
            seconds=options.seconds,
        )
        side.micros += answers.micros
        side.rates.append(len(answers.micros) / options.seconds)
        side.client_seconds += answers.processor_seconds
        return answers.all

    def _alone(self, step: Step, side: Side) -> int:
        scripts = self.scripts.refunds if step.part is Part.REFUNDS else self.scripts.orders
        done = run_pgbench(
            scripts[step.side],
            folder=self.scene.folder,
            data_dir=self.scene.stage.settings.data_dir,
            clients=step.clients,
            seconds=self.scene.options.seconds,
        )
        side.rates.append(done.rate)
        return done.all

    def _check_written(self, step: Step, side: Side, sent: int, written: int) -> None:
        """Every 201 is a row. pgbench does not look whether its guarded write found its version,
        as the service does, so what was not written does not count for it either."""
        if step.side == HTTP and written != sent:
            raise BenchFailed(f"{sent} refunds were answered with 201, {written} are there")
        side.rates[-1] *= written / sent

    def _run(self, statement: str) -> int:
        """The one number that a statement gives."""

        return _count(self.scene.stage, statement)


def _memory(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    """Of every process of `refundry serve`, its worker included, after both loads."""
    for _ in scene.begin(Part.MEMORY):
        with scene.stage.service("serve") as service:
            for part in LOADS:
                run_client(
                    part,
                    port=service.port,
                    key=account.secret_test,
                    orders=scene.options.orders,
                    clients=CLIENTS[-1],
                    seconds=scene.options.seconds,
                )
            yield from memory_measures(service.pid)


def _webhooks(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    bench = WebhookBench(scene.stage, scene.options, account.account_id, account.secret_test)

    def compare_sides(part: Part, load: Callable[[Step, int], None]) -> Iterator[Measure]:
        if part in scene.options.parts:
            with scene.server(), scene.stage.service("api") as service:
                for step in scene.begin(part):
                    load(step, service.port)
            yield from bench.compared(part)

    yield from compare_sides(Part.DELIVERIES, bench.deliver)
    for _ in scene.begin(Part.ARRIVAL):
        with scene.stage.service("serve") as service:
            yield from bench.arrive(service.port)
    yield from compare_sides(Part.SUBSCRIPTION, bench.cost)


def _settlement(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    bench = SettlementBench(scene.stage, scene.options, account.secret_test, scene.progress.say)
    for step in scene.begin(Part.SETTLEMENT):
        if step.side == PEAK:
            with scene.server(), scene.stage.service("api") as service:
                yield from bench.peak(service.port)
        else:
            with scene.stage.service("serve") as service:
                yield from bench.keep_up(service.pid, service.port)


def _api_log(scene: Scene, account: OpenedAccount) -> Iterator[Measure]:
    if Part.API_LOG not in scene.options.parts:
        return
    stage = scene.stage
    with (
        scene.server() as server,
        stage.service("api") as logged,
        stage.service("api", own={"REFUNDRY_API_LOG": "0"}) as unlogged,
    ):
        assert server is not None
        services = {LOGGED: logged, UNLOGGED: unlogged}
        bench = ApiLogBench(scene.options, account.secret_test, services, server.pid)
        before = _count(stage, "SELECT count(*) FROM api_log")
        for step in scene.begin(Part.API_LOG):
            # So that all loads begin alike, as above.
            _count(stage, "CHECKPOINT")
            bench.load(step)
        bench.check(_count(stage, "SELECT count(*) FROM api_log") - before)
    yield from compare_logs(bench.sides)


def memory_measures(root: int) -> Iterator[Measure]:
    """Ours by process; PostgreSQL's as one sum, in which what they share counts once."""
    database = 0
    for pid in descendants(root):
        words = command(pid)
        if "refundry" in words:
            name = words[words.index("refundry") + 1]
            yield Measure(f"memory_{name}", memory(pid).rss / _MIB, "MiB")
        else:
            database += memory(pid).pss
    yield Measure("memory_postgres", database / _MIB, "MiB")


def _count(stage: Stage, statement: str) -> int:
    """The one number that a statement gives."""

    async def run(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        return await connection.fetchval(statement)

    return on_connection(stage, run)
