"""Processes that import batches side by side: to judge an order takes longer than to write it."""

import asyncio
import gc
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import msgspec

from refundry.db.database import Database, Unreachable, open_database
from refundry.importing.batches import BatchResult, import_batch
from refundry.importing.exports import Entry
from refundry.settings import Settings
from refundry.tenant import Tenant

# Large enough that a commit costs little for each order, small enough that a batch is no memory.
BATCH = 250
# Batches that were handed out and not yet reported: what one slow batch holds back.
_MOST_WAITING = 16


@dataclass(frozen=True, slots=True)
class _Job:
    """What a process is told. analyses: whether it takes the statistics of the tables."""

    settings: Settings
    tenant: Tenant
    now: datetime
    analyses: bool


class CrewFailed(Exception):
    """A process of the crew ended early; what it had written is written."""


class Crew:
    """Some processes, each with a connection to the database of its own."""

    def __init__(self, settings: Settings, tenant: Tenant, now: datetime, size: int) -> None:
        """now: on the clock of the account. size: how many processes."""
        context = get_context("spawn")
        self._idle: deque[Connection] = deque()
        self._members: list[tuple[SpawnProcess, Connection]] = []
        for place in range(size):
            ours, theirs = context.Pipe()
            job = _Job(settings, tenant, now, analyses=place == 0)
            member = context.Process(target=_serve, args=(theirs, job))
            member.start()
            theirs.close()  # so that each side sees when the other one is gone
            self._members.append((member, ours))
            self._idle.append(ours)

    def run(
        self, entries: Iterable[Entry], *, stopping: Callable[[], bool]
    ) -> Iterator[BatchResult]:
        """Import all entries; gives the results in the order of the entries.

        stopping: asked before each batch; if so, those under way are ended and no other is begun.
        Raises CrewFailed.
        """
        batches = enumerate(_batches(entries))
        done: dict[int, BatchResult] = {}
        busy: dict[Connection, int] = {}
        following, exhausted = 0, False
        while True:
            while self._idle and not exhausted and not stopping():
                if len(done) + len(busy) >= _MOST_WAITING:
                    break
                batch = next(batches, None)
                if batch is None:
                    exhausted = True
                    break
                connection = self._idle.popleft()
                _send(connection, batch[1])
                busy[connection] = batch[0]
            if not busy:
                return
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                done[busy.pop(ready)] = _receive(ready)
                self._idle.append(ready)
            while following in done:
                yield done.pop(following)
                following += 1

    def close(self) -> None:
        """Let the processes end; each ends the batch that it has in hand."""
        for _, connection in self._members:
            connection.close()
        for member, _ in self._members:
            member.join()


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    iterator = iter(entries)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _send(connection: Connection, batch: Sequence[Entry]) -> None:
    try:
        connection.send(batch)
    except OSError as error:
        raise CrewFailed("a process of the import has ended") from error


def _receive(connection: Connection) -> BatchResult:
    try:
        answer = connection.recv()
    except (EOFError, OSError) as error:
        raise CrewFailed("a process of the import has ended") from error
    if isinstance(answer, str):
        raise CrewFailed(answer)
    assert isinstance(answer, BatchResult)
    return answer


def _serve(connection: Connection, job: _Job) -> None:
    """What a process of the crew does, until the other side is gone."""
    # Ctrl-C goes to all processes; the first one of them decides when the others end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A batch makes no cycles worth a search through all that is loaded, which its parent shares.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    with suppress(EOFError, OSError):
        asyncio.run(_work(connection, job))


async def _work(connection: Connection, job: _Job) -> None:
    settings = msgspec.structs.replace(job.settings, pool_size=1)
    written, analyse_at = 0, BATCH if job.analyses else sys.maxsize
    try:
        async with open_database(settings) as database:
            while True:
                # Nothing else is to be done here meanwhile.
                entries = connection.recv()
                result = await import_batch(database, job.tenant, entries, job.now)
                written += result.imported
                if written >= analyse_at:
                    await _analyse(database)
                    analyse_at = 4 * written
                connection.send(result)
    except EOFError:
        return
    except Unreachable as error:
        connection.send(f"the database cannot be reached: {error}")


async def _analyse(database: Database) -> None:
    """Take the statistics of what grows, which autovacuum does only a minute later.

    Of a table that was empty a moment ago the planner believes that any index will do, and keeps
    that plan for the checks of foreign keys, which then read all orders of the account.
    """
    await database.execute("ANALYZE orders, order_lines, charges, charge_operations")
