"""A run: one seed, one world, from its first order until all is at rest."""

import asyncio
import base64
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from refundry.access.commands import open_account
from refundry.domain.event import EventType
from refundry.ids import drawn_from
from refundry.processors.signature import HEADER, sign
from refundry.sealing import open_vault
from refundry.settings import Settings
from refundry.tenant import Tenant
from tests.simulation.bank import PATIENCE_SECONDS, Bank, SimulatedConnector
from tests.simulation.clients import Clients
from tests.simulation.clock import EPOCH, VirtualClock
from tests.simulation.complaints import collected
from tests.simulation.faults import Fault
from tests.simulation.invariants import World, assert_end, assert_step
from tests.simulation.loop import Loop, Process
from tests.simulation.network import Lost, Network
from tests.simulation.pool import Wire, database_of
from tests.simulation.processes import ApiProcess, Plant, WorkerProcess
from tests.simulation.receivers import Receivers, SimulatedCourier
from tests.simulation.server import Server
from tests.simulation.trace import Show, Trace

_SECRET = "the bank's"
_APIS, _WORKERS = 2, 2
_POOL = 4
CONNECTIONS = (_APIS + _WORKERS) * _POOL + 1
# A process that lives on for this many turns and then dies.
_FUSE = 800
_ADDRESSES = ("https://one.example/hook", "https://two.example/hook")
# Bank details are waited for for 30 days, webhooks are tried for three: then nothing is left.
_LONGEST_REST_SECONDS = 40 * 86_400


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to. digest: equal for equal runs."""

    seed: int
    digest: str
    lines: int
    seconds: float
    deaths: int


def simulation_settings(settings: Settings) -> dict[str, Any]:
    """What is set in a simulated deployment, beyond where its database is."""
    return {
        "data_dir": settings.data_dir,
        "pool_size": _POOL,
        "encryption_key": base64.b64encode(bytes(32)).decode(),
        "processor": "http",
        "processor_url": "https://bank.example/",
        "processor_secret": _SECRET,
        "processor_timeout": PATIENCE_SECONDS,
    }


class Simulation:
    """One run on a server that holds nothing yet."""

    def __init__(
        self, server: Server, settings: Settings, seed: int, fault: Fault, show: Show | None
    ) -> None:
        self._seed = seed
        self._fault = fault
        self._random = Random(f"world {seed}")
        self._trace = Trace(show)
        self._loop = Loop(self._fork("turns"))
        self._server = server
        self._clock = VirtualClock(self._loop)
        self._wire = Wire(server, self._loop, self._fork("wire"), self._trace, EPOCH)
        self._wire.tell_time_by(self._clock.now)
        self._wire.rewrite = fault.rewrite
        self._bank = Bank(self._loop, self._fork("bank"), self._trace, self._tell)
        self._receivers = Receivers(self._loop, self._fork("receivers"), self._trace)
        self._network = Network(self._loop, self._fork("network"), self._trace)
        settings = Settings(**simulation_settings(settings))
        self._plant = Plant(
            self._loop, self._wire, settings, self._clock, open_vault(settings),
            fault.connector(SimulatedConnector(self._bank)),
            fault.courier(SimulatedCourier(self._receivers), self._receivers),
        )  # fmt: skip
        self._workers: list[WorkerProcess] = []
        self._deaths = 0
        self._clients: Clients | None = None
        self._world: World | None = None
        self._wrong: BaseException | None = None
        self._complaints: list[str] = []

    def _fork(self, name: str) -> Random:
        return Random(f"{name} {self._seed}")

    def run(self) -> Run:
        """Live through all of it. Raises whatever is found to be wrong."""
        self._server.empty()
        with drawn_from(self._fork("ids")), self._fault.code(), collected() as self._complaints:
            try:
                self._loop.run_until_complete(self._live())
            finally:
                self._wire.written = lambda: None
                self._bury()
        return Run(
            self._seed, self._trace.digest, self._trace.lines, self._loop.time(), self._deaths
        )

    def _bury(self) -> None:
        for process in [*self._network.apis, *self._workers]:
            process.process.die()
        self._wire.close()
        self._loop.bury()

    async def _live(self) -> None:
        await self._set_up()
        assert self._clients
        self._wire.written = self._check
        for _ in range(_APIS):
            self._start_api()
        for _ in range(_WORKERS):
            self._start_worker()
        self._clients.begin(self._random.randint(1, 2))
        await self._unless_wrong(self._clients.finish())
        await self._come_to_rest()
        self._wire.written = lambda: None
        assert self._world
        self._server.step(assert_end(self._world))
        self._raise_what_is_wrong()
        assert not self._loop.errors, self._loop.errors

    async def _set_up(self) -> None:
        """An account and its webhooks, made before anything goes wrong."""
        self._wire.calm = True
        process = Process("setup")
        database = database_of(self._wire, 1, process)
        opening = open_account(database, "Simulated", now=self._clock.now())
        opened = await self._loop.spawn(process, opening)
        self._clients = Clients(
            self._loop, Process("clients"), self._network, self._bank, self._fork("clients"),
            opened.secret_live,
        )  # fmt: skip
        process.die()
        self._network.calm = True
        api = ApiProcess(self._plant, "setup api")
        self._network.apis = [api]
        for address, types in zip(_ADDRESSES, self._types(), strict=True):
            assert await self._clients.send(
                "/webhooks", {"address": address, "types": types}, keyed=True
            )
        api.process.die()
        self._network.apis = []
        self._network.calm = self._wire.calm = False
        self._world = World(
            self._server.monitor, Tenant(opened.account_id, live=True), self._bank,
            self._receivers, self._clients.intentions,
        )  # fmt: skip

    def _types(self) -> tuple[list[str], list[str]]:
        every = [each.value for each in EventType]
        return every, self._random.sample(every, 10)

    def _start_api(self) -> None:
        api = ApiProcess(self._plant, f"api {self._deaths}")
        self._light(api.process)
        self._network.apis.append(api)
        self._after_death(api.process, lambda: self._network.apis.remove(api), self._start_api)

    def _start_worker(self) -> None:
        worker = WorkerProcess(self._plant, f"worker {self._deaths}")
        self._light(worker.process)
        self._workers.append(worker)
        self._after_death(worker.process, lambda: self._workers.remove(worker), self._start_worker)

    def _light(self, process: Process) -> None:
        """Let a process die one day, between any two awaits of its tasks."""
        if not self._wire.calm:
            process.fuse = self._random.randrange(1, _FUSE)

    def _after_death(self, process: Process, forget: Any, again: Any) -> None:
        before = process.at_death
        assert before

        def die(dead: Process) -> None:
            before(dead)
            forget()
            if not self._wire.calm:
                self._deaths += 1
                self._trace.note(self._loop.time(), "died", dead.name)
                self._loop.outside(self._random.uniform(0.1, 4.0), again)

        process.at_death = die

    async def _tell(self, body: bytes) -> bool:
        """Bring a notification of the bank to an API."""
        stamp = int(self._clock.now().timestamp())
        headers: Mapping[str, str] = {
            "Content-Type": "application/json", HEADER: sign(_SECRET, stamp, body),
            "X-Request-Id": "bank",
        }  # fmt: skip
        try:
            reply = await self._network.request(
                "POST", "/refundry/v1/processor-notifications", body, headers
            )
        except Lost:
            return False
        return reply.status == 200

    def _check(self) -> None:
        """After a transaction: do the books still add up?"""
        if self._wrong is None and self._world:
            try:
                self._server.step(assert_step(self._world))
            except BaseException as error:
                self._wrong = error

    async def _unless_wrong(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work, but not once something is wrong."""
        task = asyncio.get_running_loop().create_task(work)
        while not task.done():
            await asyncio.wait([task], timeout=0.5)
            self._raise_what_is_wrong()
        task.result()

    def _raise_what_is_wrong(self) -> None:
        if self._wrong:
            raise self._wrong
        assert not self._complaints, self._complaints

    async def _come_to_rest(self) -> None:
        """Let nothing more go wrong, and time pass, until nobody has anything to do."""
        while len(self._workers) > 1:
            self._workers[-1].process.die()
        self._wire.calm = self._network.calm = True
        self._bank.calm = self._receivers.calm = True
        for each in [*self._network.apis, *self._workers]:
            each.process.fuse = None
        end = self._loop.time() + _LONGEST_REST_SECONDS
        while self._loop.time() < end:
            await self._unless_wrong(asyncio.sleep(2.0))
            wait = self._server.step(self._next_due())
            if wait is None and not self._bank.untold:
                return
            if wait and wait > 0:
                self._loop.leap(wait)
        raise AssertionError("it does not come to rest")

    async def _next_due(self) -> float | None:
        """In how many seconds something is due, negative where it is; None: nothing ever."""
        due = await self._server.monitor.fetchval(
            """
            SELECT min(due_at) FROM (
                SELECT due_at FROM charge_operations UNION ALL
                SELECT least(submit_due_at, token_expires_at) FROM refunds UNION ALL
                SELECT due_at FROM deliveries UNION ALL
                -- What fits nothing is tried again for a day, every half minute.
                SELECT received_at + interval '1 day' FROM processor_notifications
                 WHERE state = 'waiting') AS everything (due_at)
            """
        )
        return None if due is None else (due - self._clock.now()).total_seconds()
