"""The processes of Refundry as they are simulated: APIs and workers, made of the real parts."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.routing import Route, Router

from refundry.access.guards import KeyRing, RateLimit
from refundry.app import documented_operations
from refundry.clock import Clock
from refundry.db.database import Database
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import Setup
from refundry.http.call import Operation, Services
from refundry.idempotency import Releases
from refundry.operations.bookkeeping import Bookkeeper
from refundry.operations.commands import Books
from refundry.operations.work import Calls, Worker, step
from refundry.orders.bodies import OrderBodies
from refundry.pipeline import Gate, Resource
from refundry.refunds.lanes import RefundLanes
from refundry.sealing import Vault
from refundry.settings import Settings
from refundry.webhooks.addresses import Guard
from refundry.webhooks.delivery import Deliverer
from tests.simulation.bank import SimulatedConnector, SimulatedRegistry
from tests.simulation.loop import Loop, Process
from tests.simulation.pool import Wire, database_of
from tests.simulation.receivers import SimulatedCourier

_POLL_SECONDS = 0.5
_ATTEMPT_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plant:
    """What every process of Refundry is made of."""

    loop: Loop
    wire: Wire
    settings: Settings
    clock: Clock
    vault: Vault
    connector: SimulatedConnector
    courier: SimulatedCourier


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a client gets it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _NoNames(Guard):
    """Asks no name server: every host is open."""

    async def refuses(self, host: str) -> bool:
        return False


class ApiProcess:
    """One process of the API: the real pipeline, routes, lanes and commands, without a socket."""

    def __init__(self, plant: Plant, name: str) -> None:
        self.process = Process(name)
        self._loop = plant.loop
        self.open: list[asyncio.Future[Reply]] = []
        database = database_of(plant.wire, plant.settings.pool_size, self.process)
        end = self.process.at_death
        assert end

        def die(process: Process) -> None:
            end(process)
            self._hang_up()

        self.process.at_death = die
        services = _services(plant, database)
        gate = Gate(
            services,
            KeyRing(database, plant.clock, remember=True),
            RateLimit(plant.clock, 0),
            RateLimit(plant.clock, 0),
        )
        self._router = Router(_routes(gate, plant.settings))

    def serve(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> "asyncio.Future[Reply]":
        """Begin to answer a request; the future fails where the process dies first."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.open.append(future)
        self._loop.spawn(self.process, self._answer(method, path, headers, body, future))
        return future

    async def _answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        future: "asyncio.Future[Reply]",
    ) -> None:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._router(_scope(method, path, headers), receive, send)
        reply = _reply(sent)
        self.open.remove(future)
        if not future.done():
            future.set_result(reply)

    def _hang_up(self) -> None:
        for future in self.open:
            if not future.done():
                future.set_exception(ConnectionResetError("the server has gone"))
        self.open.clear()


def _services(plant: Plant, database: Database) -> Services:
    async def drain(_account_id: str) -> None:
        raise AssertionError("the simulation moves the one clock there is")

    parts: dict[type, object] = {
        OrderBodies: OrderBodies(database),
        RefundLanes: RefundLanes(database),
        Releases: Releases(database),
        Guard: _NoNames([]),
    }
    return Services(database, plant.settings, plant.clock, plant.vault, lambda: None, drain, parts)


def _routes(gate: Gate, settings: Settings) -> list[Route]:
    by_path: dict[str, list[Operation]] = {}
    for operation in documented_operations(settings):
        by_path.setdefault(operation.path, []).append(operation)
    return [Route(path, Resource(gate, operations)) for path, operations in by_path.items()]


def _scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http", "method": method, "path": path, "query_string": b"", "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "refundry.route": "simulated",
    }  # fmt: skip


def _reply(sent: list[dict[str, Any]]) -> Reply:
    start, *bodies = sent
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return Reply(start["status"], headers, b"".join(each.get("body", b"") for each in bodies))


class WorkerProcess:
    """One worker: the real steps and the real delivery, in loops as in `refundry.worker`."""

    def __init__(self, plant: Plant, name: str) -> None:
        self.process = Process(name)
        self._plant = plant
        self._database = database_of(plant.wire, plant.settings.pool_size, self.process)
        plant.loop.spawn(self.process, self._run())

    async def _run(self) -> None:
        plant = self._plant
        deliverer = Deliverer(self._database, plant.clock, plant.vault, plant.courier)
        # No gateway is ever opened in a world, so that none is looked for.
        nowhere = Connectors(self._database, plant.vault, Setup(cast(Any, None), 1))
        worker = Worker(
            self._database, plant.settings, plant.clock, plant.vault,
            SimulatedRegistry(plant.connector), deliverer,
            Bookkeeper(Books(self._database, plant.vault)), nowhere,
        )  # fmt: skip
        await asyncio.gather(self._operate(worker), deliverer.run(asyncio.Event()))

    async def _operate(self, worker: Worker) -> None:
        wake = asyncio.Event()

        def tell() -> None:
            wake.set()
            worker.deliverer.wake.set()

        calls = Calls(tell)
        while True:
            wake.clear()
            try:
                if await step(worker, None, calls):
                    tell()
                    continue
            except Exception:  # as in `refundry.worker`: what failed is due again
                await asyncio.sleep(_ATTEMPT_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await wake.wait()
