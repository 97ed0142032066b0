"""The worker: its loop, its sign of life, and the services that its steps need."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import asyncpg
import structlog

from refundry.bulk import running as bulk
from refundry.clock import Clock
from refundry.db.database import Database, Unreachable, open_database
from refundry.garbage import collect_rarely
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import Setup
from refundry.ids import new_uuid
from refundry.metrics import APPROVALS_WAITING, NEEDS_ATTENTION, OLDEST_DELIVERY, OLDEST_DUE
from refundry.operations import store as operations_store
from refundry.operations.bookkeeping import Bookkeeper
from refundry.operations.commands import Books
from refundry.operations.work import Calls, Worker, check_due, list_due, retry_notices, step, tidy
from refundry.processors.registry import Registry
from refundry.reconciliation.commands import compare_open_lines
from refundry.refunds.drafts import count_all_waiting
from refundry.sealing import open_vault
from refundry.settings import Settings
from refundry.waking import Listener, Waker
from refundry.webhooks import deliveries
from refundry.webhooks.addresses import log_openings
from refundry.webhooks.delivery import Deliverer
from refundry.webhooks.mailing import send_due
from refundry.webhooks.sending import open_courier

_POLL_SECONDS = 0.5
_BEAT_SECONDS = 2.0
_TIDY_SECONDS = 300.0
_MAIL_SECONDS = 5.0
_CHECK_SECONDS = 1.0
_LIST_SECONDS = 15.0
# How often lines of settlement reports that do not agree are compared with what came since.
_COMPARE_SECONDS = 900.0
# So long, and no longer, a step waits for a database that fell silent.
_STATEMENT_SECONDS = 20.0
_BULK_SECONDS = 1.0
# A worker that was not seen for this long is taken for gone.
SEEN_SECONDS = 15
log = structlog.get_logger("refundry.worker")


@asynccontextmanager
async def open_worker(settings: Settings, database: Database) -> AsyncGenerator[Worker]:
    """A worker's services on a database."""
    clock, vault = Clock(), open_vault(settings)
    # The worker itself bounds its calls: one that waits for a connection would use up its time.
    pool = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=pool) as session, open_courier(settings) as courier:
        registry = Registry(settings, session)
        deliverer = Deliverer(database, clock, vault, courier)
        bookkeeper = Bookkeeper(Books(database, vault))
        connectors = Connectors(database, vault, Setup(session, settings.processor_timeout))
        try:
            yield Worker(
                database, settings, clock, vault, registry, deliverer, bookkeeper, connectors
            )
        finally:
            await deliverer.close()


def open_many_files() -> None:
    """Allow as many connections as the system lets this process have: of clients, and of webhooks,
    where each endpoint that hangs holds ten."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def run_worker(settings: Settings) -> None:
    """Do what is due until SIGTERM or SIGINT; the step under way is finished."""
    log_openings(settings)
    open_many_files()
    stopping, wake = asyncio.Event(), asyncio.Event()
    async with (
        open_database(settings, statement_seconds=_STATEMENT_SECONDS) as database,
        open_worker(settings, database) as worker,
    ):
        wakes = (wake, worker.deliverer.wake)
        _stop_on_signals(stopping, wakes)
        waker, peers = Waker(database), _Peers()
        helpers = [
            asyncio.create_task(each)
            for each in (
                Listener(settings, wakes).run(),
                waker.run(),
                _beat(worker, peers),
                _tidy(worker),
                _mail(worker),
                _look_up(worker, wakes),
                _list_refunds(worker, wakes),
                _compare_reports(worker),
                _make_bulk_refunds(worker, wake),
            )
        ]
        collect_rarely()
        log.info("worker_started")
        try:
            # Apart, so that a slow processor delays no webhook, nor the reverse.
            await asyncio.gather(
                _operate(worker, stopping, wake, waker, peers), worker.deliverer.run(stopping)
            )
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            log.info("worker_stopped")


def _stop_on_signals(stopping: asyncio.Event, wakes: Sequence[asyncio.Event]) -> None:
    def stop() -> None:
        for event in (stopping, *wakes):
            event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


@dataclass(slots=True)
class _Peers:
    """Whether other workers were seen lately: one that is alone wakes nobody."""

    seen: bool = False


async def _operate(
    worker: Worker, stopping: asyncio.Event, wake: asyncio.Event, waker: Waker, peers: _Peers
) -> None:
    """Run the steps of operations; what they did has made events, so deliveries follow."""

    def tell() -> None:
        wake.set()
        worker.deliverer.wake.set()
        if peers.seen:
            waker.wake()

    calls = Calls(tell)
    while not stopping.is_set():
        wake.clear()
        try:
            if await step(worker, None, calls):
                tell()
                continue
        except Exception as error:
            log.error("worker_step_failed", exc_info=error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await wake.wait()
    await calls.finish()


async def _mail(worker: Worker) -> None:
    while True:
        try:
            now = worker.clock.now()
            while await send_due(worker.database, worker.settings, now, None):
                await asyncio.sleep(0)
        except Exception as error:  # the loop outlives whatever one mail brings
            log.error("mail_failed", exc_info=error)
        await asyncio.sleep(_MAIL_SECONDS)


async def _look_up(worker: Worker, wakes: Sequence[asyncio.Event]) -> None:
    """Ask processors what became of operations without an outcome."""
    while True:
        try:
            while await check_due(worker, None):
                for event in wakes:
                    event.set()
        except Exception as error:  # the loop outlives whatever a processor says
            log.error("check_failed", exc_info=error)
        await asyncio.sleep(_CHECK_SECONDS)


async def _list_refunds(worker: Worker, wakes: Sequence[asyncio.Event]) -> None:
    """Find refunds that were made at processors, and outcomes that nobody told us."""
    while True:
        try:
            if await list_due(worker) + await retry_notices(worker):
                for event in wakes:
                    event.set()
        except Exception as error:  # the loop outlives whatever a processor says
            log.error("listing_failed", exc_info=error)
        await asyncio.sleep(_LIST_SECONDS)


async def _compare_reports(worker: Worker) -> None:
    while True:
        try:
            await compare_open_lines(worker.books, worker.clock.now())
        except Exception as error:  # the loop outlives whatever one line brings
            log.error("comparison_failed", exc_info=error)
        await asyncio.sleep(_COMPARE_SECONDS)


async def _make_bulk_refunds(worker: Worker, wake: asyncio.Event) -> None:
    runner = bulk_runner(worker)
    while True:
        try:
            while await bulk.step(runner):
                wake.set()
        except Exception as error:  # the run goes on where it stood
            log.error("bulk_step_failed", exc_info=error)
        await asyncio.sleep(_BULK_SECONDS)


def bulk_runner(worker: Worker) -> bulk.Runner:
    """A worker as one who makes the lines of bulk refunds."""
    window = timedelta(seconds=worker.settings.refund_batch_window)
    return bulk.Runner(worker.database, worker.clock, window)


async def _beat(worker: Worker, peers: _Peers) -> None:
    """Say that this worker lives, and measure how far it lags."""
    worker_id = new_uuid()
    while True:
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
            peers.seen = await worker.database.fetchval(
                """
                SELECT EXISTS (SELECT FROM workers
                                WHERE id <> $1 AND seen_at > $2::timestamptz
                                                             - make_interval(secs => $3))
                """,
                worker_id, worker.clock.now(), SEEN_SECONDS,
            )  # fmt: skip
            await worker.database.execute(
                """
                INSERT INTO workers (id, started_at, seen_at) VALUES ($1, $2, $2)
                ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
                """,
                worker_id, worker.clock.now(),
            )  # fmt: skip
            waited, attention = await operations_store.oldest_due(
                worker.database, worker.clock.now()
            )
            OLDEST_DUE.set(waited)
            NEEDS_ATTENTION.set(attention)
            APPROVALS_WAITING.set(await count_all_waiting(worker.database, worker.clock.now()))
            OLDEST_DELIVERY.set(await deliveries.oldest_due(worker.database, worker.clock.now()))
        await asyncio.sleep(_BEAT_SECONDS)


async def _tidy(worker: Worker) -> None:
    while True:
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
            await tidy(worker)
            await worker.database.execute(
                "DELETE FROM workers WHERE seen_at < $1::timestamptz - interval '1 day'",
                worker.clock.now(),
            )
        await asyncio.sleep(_TIDY_SECONDS)
