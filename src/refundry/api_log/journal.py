"""Notes calls and writes them to the log beside the requests: no request ever waits for it."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import structlog

from refundry.api_log.entry import Entry, Row, row_of
from refundry.api_log.store import write_rows
from refundry.db.database import Database, Unreachable
from refundry.metrics import API_LOG_DROPPED, API_LOG_WAITING, API_LOG_WRITTEN

PAUSE_SECONDS = 0.5
# What waits while the database is away: some seconds of full load, or minutes of a usual one.
MOST_ENTRIES = 10_000
MOST_BYTES = 16 * 1024 * 1024
# A COPY of so many takes some milliseconds.
_BATCH = 500
# Masking shares the event loop with requests: after so long they have their turn.
_SLICE_SECONDS = 0.001
# A database that is there takes what is left at the end far quicker than this.
_LAST_SECONDS = 5.0
log = structlog.get_logger("refundry.api_log")


class Journal:
    """The calls of one process that are not written yet, and the task that writes them."""

    def __init__(
        self, database: Database, *, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES
    ) -> None:
        """most_entries, most_bytes: beyond these, new calls are dropped until some are written."""
        self._database = database
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._dropped = 0
        self._behind = False
        # Of a batch that may be written already: it is tried again before anything else.
        self._rows: list[Row] = []

    def note(self, entry: Entry) -> None:
        """Take a call in; at once, and without fail."""
        size = entry.size
        if len(self._entries) >= self._most_entries or self._bytes + size > self._most_bytes:
            self._dropped += 1
            API_LOG_DROPPED.inc()
            return
        self._entries.append(entry)
        self._bytes += size

    async def run(self, stopping: asyncio.Event) -> None:
        """Write what was noted, every half second, and at the end what is left."""
        ending = False
        while not ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await stopping.wait()
            ending = stopping.is_set()
            await self._write_out()

    @property
    def waiting(self) -> int:
        """How many calls are not known to be written."""
        return len(self._entries) + len(self._rows)

    async def _write_out(self) -> None:
        """Write batches until none is left, or the database does not take them."""
        try:
            while self._rows or self._entries:
                await self._write_batch()
            self._caught_up()
        except (*Unreachable, TimeoutError, asyncpg.PostgresError) as error:
            if not self._behind:
                log.warning("api_log_waits", error=type(error).__name__)
            self._behind = True
        except Exception as error:  # the log outlives whatever one batch brings
            log.error("api_log_failed", calls=len(self._rows), exc_info=error)
            API_LOG_DROPPED.inc(len(self._rows))
            self._rows = []
        API_LOG_WAITING.set(self.waiting)

    async def _write_batch(self) -> None:
        if not self._rows:
            await self._take_batch()
        refused = await write_rows(self._database, self._rows)
        API_LOG_WRITTEN.inc(len(self._rows) - refused)
        if refused:
            API_LOG_DROPPED.inc(refused)
            log.error("api_log_refused", calls=refused)
        self._rows = []

    async def _take_batch(self) -> None:
        """Make rows of the oldest entries, in slices that delay no request."""
        begun = time.perf_counter()
        while self._entries and len(self._rows) < _BATCH:
            entry = self._entries.popleft()
            self._bytes -= entry.size
            try:
                self._rows.append(row_of(entry))
            except Exception as error:  # a fault of ours: the others are kept
                API_LOG_DROPPED.inc()
                log.error("api_log_unreadable", request_id=entry.request_id, exc_info=error)
            if time.perf_counter() - begun > _SLICE_SECONDS:
                await asyncio.sleep(0)
                begun = time.perf_counter()

    def _caught_up(self) -> None:
        """Say once how many were dropped, when there is room again."""
        if self._dropped:
            log.warning("api_log_dropped", calls=self._dropped)
        elif self._behind:
            log.info("api_log_caught_up")
        self._behind = False
        self._dropped = 0


@asynccontextmanager
async def open_journal(database: Database) -> AsyncGenerator[Journal]:
    """A journal that is written while the block runs, and emptied at its end."""
    journal, stopping = Journal(database), asyncio.Event()
    writing = asyncio.create_task(journal.run(stopping))
    try:
        yield journal
    finally:
        stopping.set()
        await asyncio.wait([writing], timeout=_LAST_SECONDS)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        if journal.waiting:
            log.error("api_log_lost", calls=journal.waiting)
