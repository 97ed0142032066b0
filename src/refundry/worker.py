"""The worker: its loop, its sign of life, and the services that its steps need."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import structlog

from refundry.clock import Clock
from refundry.db.database import Database, Unreachable, open_database
from refundry.ids import new_uuid
from refundry.metrics import NEEDS_ATTENTION, OLDEST_DUE
from refundry.operations import store as operations_store
from refundry.operations.work import Worker, step, tidy
from refundry.processors.registry import Registry
from refundry.sealing import open_vault
from refundry.settings import Settings
from refundry.waking import Listener

_POLL_SECONDS = 0.5
_BEAT_SECONDS = 2.0
_TIDY_SECONDS = 300.0
# A worker that was not seen for this long is taken for gone.
SEEN_SECONDS = 15
log = structlog.get_logger("refundry.worker")


@asynccontextmanager
async def open_worker(settings: Settings, database: Database) -> AsyncGenerator[Worker]:
    """A worker's services on a database."""
    async with aiohttp.ClientSession() as session:
        registry = Registry(settings, session)
        yield Worker(database, settings, Clock(), open_vault(settings), registry)


async def run_worker(settings: Settings) -> None:
    """Do what is due until SIGTERM or SIGINT; the step under way is finished."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_database(settings) as database, open_worker(settings, database) as worker:
        listener = Listener(settings)
        helpers = [
            asyncio.create_task(_beat(worker)),
            asyncio.create_task(_tidy(worker)),
        ]
        log.info("worker_started")
        try:
            await _loop(worker, listener, stopping)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await listener.close()
            log.info("worker_stopped")


async def _loop(worker: Worker, listener: Listener, stopping: asyncio.Event) -> None:
    stop = asyncio.create_task(stopping.wait())
    while not stopping.is_set():
        try:
            if await step(worker):
                continue
        except Exception as error:
            log.error("worker_step_failed", exc_info=error)
        heard = asyncio.create_task(listener.wait(_POLL_SECONDS))
        await asyncio.wait({heard, stop}, return_when=asyncio.FIRST_COMPLETED)
        heard.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await heard
    stop.cancel()


async def _beat(worker: Worker) -> None:
    """Say that this worker lives, and measure how far it lags."""
    worker_id = new_uuid()
    while True:
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
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
