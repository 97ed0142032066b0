"""What `Database` takes for its pool: statements are steps of the simulation.

A statement reaches the server and its answer comes back after a while each; on the way the line
may be cut, and then nobody knows whether it was carried out.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, cast

import asyncpg

from refundry.db.database import Database
from tests.simulation.loop import OUTSIDE, Loop, Process
from tests.simulation.server import Connection, Running, Server
from tests.simulation.trace import Trace, shown

_COMMAND_SECONDS = 60.0
# Of a thousand statements: how many find the line cut, how many take long.
_CUT, _SLOW = 3, 8
# What the books are kept in.
_WRITES = re.compile(
    r"(INSERT INTO|UPDATE|DELETE FROM) (orders|order_lines|charges|charge_operations|refunds"
    r"|refund_parts|returns|return_items|disputes|sales_transactions|events)\b"
)
Written = Callable[[], None]
Rewrite = Callable[[str], str]


@dataclass(eq=False, slots=True)
class Link:
    """A pool's line to the server. waiting: for the answer of what `running` does.

    wrote: how many statements that write, since the transaction began.
    """

    connection: Connection
    running: Running | None = None
    waiting: "asyncio.Future[Any] | None" = None
    unsent: tuple[str, str, Sequence[Any]] | None = None
    broken: bool = False
    wrote: int = 0


class Wire:
    """Carries statements between the processes and the server.

    written: called after each transaction that wrote to the books. rewrite:
    changes statements on their way, to see whether a fault would be found. calm: no line is cut.
    """

    def __init__(
        self, server: Server, loop: Loop, random: Random, trace: Trace, epoch: datetime
    ) -> None:
        self.server = server
        self.loop = loop
        self._random = random
        self._trace = trace
        self._now: Callable[[], datetime] = lambda: epoch
        self._links: list[Link] = []
        self.written: Written = lambda: None
        self.rewrite: Rewrite = lambda query: query
        self.calm = False
        self._closed = False

    def tell_time_by(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def open(self) -> Link:
        if self._closed:
            raise asyncpg.InterfaceError("the run is over")
        link = Link(self.server.free.pop())
        self._links.append(link)
        return link

    def drop(self, link: Link) -> None:
        """The client of a line is gone: what it sent may arrive, what it began is undone."""
        link.waiting = None
        if link.unsent and self._random.random() < 0.5:
            self._send(link)
            self._deliver_ended()
        link.unsent, link.running, link.broken = None, None, True
        self.server.cancel(link.connection)
        self._links.remove(link)
        self.server.free.append(link.connection)
        self._deliver_ended()

    def close(self) -> None:
        """The end of a run: every line is dropped, and nothing can be asked any more."""
        for link in list(self._links):
            link.unsent = None
            self.drop(link)
        self._closed = True

    async def ask(self, link: Link, kind: str, query: str, args: Sequence[Any]) -> Any:
        """One statement: raises what asyncpg raises."""
        if link.broken:
            raise asyncpg.InterfaceError("the connection is closed")
        cut = not self.calm and self._random.randrange(1000) < _CUT
        waiting = link.waiting = self.loop.create_future()
        link.unsent = (kind, self.rewrite(query), args)
        if cut and self._random.random() < 0.5:
            link.unsent = None
            self._break(link)
        else:
            self.loop.outside(self._delay(), self._arrive, link, waiting, cut)
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                return await waiting
        except (asyncio.CancelledError, TimeoutError):
            self._give_up(link)
            raise

    def _delay(self) -> float:
        if not self.calm and self._random.randrange(1000) < _SLOW:
            return self._random.choice((0.3, 1.0, 2.5, 7.0))
        return self._random.uniform(0.0002, 0.004)

    def _arrive(self, link: Link, waiting: "asyncio.Future[Any]", cut: bool) -> None:
        if link.waiting is not waiting or link.unsent is None:
            return
        self._send(link)
        if cut:
            self._break(link)
        self._deliver_ended()

    def _send(self, link: Link) -> None:
        assert link.unsent is not None
        kind, query, args = link.unsent
        link.unsent = None
        if _WRITES.search(query):
            link.wrote += 1
        short = " ".join(query.split())[:90]
        self._trace.note(self.loop.time(), "sql", self._links.index(link), short, shown(args))
        link.running = self.server.begin(link.connection, kind, query, args, self._now())

    def _deliver_ended(self) -> None:
        """Send back the answers of all statements that have ended."""
        for running in self.server.ended():
            link = next((each for each in self._links if each.running is running), None)
            error = running.task.exception()
            self._note_written(running, link)
            if link is None:
                continue
            link.running = None
            if running.deadlocked:
                error = asyncpg.DeadlockDetectedError("deadlock detected")
            answer = None if error else running.task.result()
            told = repr(error) if error else shown(answer)
            self._trace.note(self.loop.time(), "answer", self._links.index(link), told)
            if link.waiting:
                self.loop.outside(self._delay(), _answer, link.waiting, answer, error)

    def _note_written(self, running: Running, link: Link | None) -> None:
        if link is None or running.connection.is_in_transaction():
            return
        wrote, link.wrote = link.wrote, 0
        if wrote and not running.task.exception() and running.task.result() != []:
            self.written()

    def _break(self, link: Link) -> None:
        """Cut a line: what was carried out stays, its answer is lost."""
        self._trace.note(self.loop.time(), "cut", self._links.index(link))
        waiting, link.waiting = link.waiting, None
        self._deliver_ended()
        self.drop(link)
        error = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle")
        self.loop.outside(self._delay(), _answer, waiting, None, error)

    def _give_up(self, link: Link) -> None:
        """Nobody waits for the answer any more: the statement is cancelled, or was too quick."""
        if link.broken:
            return
        link.waiting = None
        if link.unsent and self._random.random() < 0.5:
            self._send(link)
            self._deliver_ended()
        link.unsent = None
        if link.running:
            self.server.stop(link.running)
            link.running = None
            self._deliver_ended()


def _answer(waiting: "asyncio.Future[Any]", answer: Any, error: BaseException | None) -> None:
    if waiting.done():
        return
    if error:
        waiting.set_exception(error)
    else:
        waiting.set_result(answer)


class Pool:
    """The pool of one process. size: how many lines it may have."""

    def __init__(self, wire: Wire, size: int) -> None:
        self._wire = wire
        self._all: list[Link] = []
        self._idle: asyncio.LifoQueue[Link | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._idle.put_nowait(None)

    def abandon(self) -> None:
        """The process has died."""
        for link in self._all:
            if not link.broken:
                self._wire.drop(link)

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncGenerator["_Session"]:
        """A line of one's own. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            link = await self._idle.get()
        if link is None or link.broken:
            link = self._wire.open()
            self._all.append(link)
        try:
            yield _Session(self._wire, link)
        finally:
            self._idle.put_nowait(link)


@dataclass(slots=True)
class _Session:
    """What stands for a connection."""

    _wire: Wire
    _link: Link

    async def fetch(self, query: str, *args: Any) -> Any:
        return await self._wire.ask(self._link, "fetch", query, args)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        return await self._wire.ask(self._link, "fetchrow", query, args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        return await self._wire.ask(self._link, "fetchval", query, args)

    async def execute(self, query: str, *args: Any) -> Any:
        return await self._wire.ask(self._link, "execute", query, args)

    def transaction(self) -> "_Transaction":
        return _Transaction(self)

    def terminate(self) -> None:
        if not self._link.broken:
            self._wire.drop(self._link)


@dataclass(slots=True)
class _Transaction:
    """What stands for a transaction of a session."""

    _session: _Session

    async def start(self) -> None:
        await self._session.execute("BEGIN")

    async def commit(self) -> None:
        await self._session.execute("COMMIT")

    async def rollback(self) -> None:
        await self._session.execute("ROLLBACK")


def database_of(wire: Wire, size: int, process: Process) -> Database:
    """A database for a process, whose lines end when it dies."""
    assert process is not OUTSIDE
    pool = Pool(wire, size)
    process.at_death = lambda _: pool.abandon()
    return Database(cast("asyncpg.Pool[asyncpg.Record]", pool))
