"""An event loop without a clock: virtual time, and one callback of one process at a time.

Every simulated process has a queue of its own, served in order as asyncio serves it. Whose turn
is next is drawn from the seed. Time moves only when nobody has anything to do.
"""

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
# A run that takes more turns than this goes round in circles.
_MOST_TURNS = 2_000_000


@dataclass(eq=False, slots=True)
class Callback:
    """Something to be run in its context, unless its handle is cancelled."""

    handle: asyncio.Handle
    run: Callable[..., object]
    args: tuple[Any, ...]
    context: contextvars.Context


@dataclass(eq=False, slots=True)
class Process:
    """A simulated process. ready: what it would do next. alive: a dead one does nothing more.

    fuse: after how many turns it dies. at_death: what follows from that.
    """

    name: str
    alive: bool = True
    ready: deque[Callback] = field(default_factory=deque[Callback])
    fuse: int | None = None
    at_death: Callable[["Process"], None] | None = None

    def die(self) -> None:
        """Stop for ever, wherever it is; its tasks neither end nor clean up."""
        if self.alive:
            self.alive = False
            if self.at_death:
                self.at_death(self)


OUTSIDE = Process("world")
"""What is in no process: the network, the bank, the database server."""

_process: ContextVar[Process] = ContextVar("process", default=OUTSIDE)


class Stuck(AssertionError):
    """The simulation cannot go on: nobody will ever do anything, or somebody never stops."""


class Loop(asyncio.AbstractEventLoop):
    """The loop. random: draws whose turn is next. errors: what callbacks raised."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0
        self._timers: list[tuple[float, int, Callback, Process]] = []
        self._numbers = 0
        self._processes: list[Process] = []
        self.turns = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.errors: list[str] = []

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        """Let time pass at once, as on a machine that was asleep: every timer fires late."""
        self._now += seconds

    def spawn(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task in a process, from outside of it."""
        context = contextvars.copy_context()
        context.run(_process.set, process)
        return self.create_task(work, context=context)

    def outside(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call something that belongs to no process, after a delay in seconds."""
        context = contextvars.copy_context()
        context.run(_process.set, OUTSIDE)
        self.call_later(delay, callback, *args, context=context)

    @staticmethod
    def current_process() -> Process:
        """The process in which the caller runs."""
        return _process.get()

    def run_until_complete(self, future: Any) -> Any:
        task: asyncio.Task[Any] = self.spawn(OUTSIDE, future)
        while not task.done():
            self._turn()
        return task.result()

    def bury(self) -> None:
        """Let every task that is left end, the dead ones' too; for after the run."""
        for process in self._processes:
            process.alive, process.fuse = True, None
        left = [task for task in self.tasks if not task.done()]
        for _ in range(50):
            for task in left:
                task.cancel()
            while any(process.ready for process in self._processes):
                self._turn()
            left = [task for task in self.tasks if not task.done()]
            if not left:
                return
        raise Stuck(f"cannot be ended: {left}")

    def _turn(self) -> None:
        """Let one process do one thing; else let time pass until somebody has something to do."""
        self.turns += 1
        if self.turns > _MOST_TURNS:
            raise Stuck(f"no end after {self.turns} turns")
        able = [process for process in self._processes if process.alive and process.ready]
        if not able:
            self._wake_next()
            return
        process = able[0] if len(able) == 1 else self._random.choice(able)
        callback = process.ready.popleft()
        if not callback.handle.cancelled():
            self._run(callback)
        if process.fuse is not None:
            process.fuse -= 1
            if process.fuse <= 0:
                process.die()

    def _run(self, callback: Callback) -> None:
        events._set_running_loop(self)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            callback.context.run(callback.run, *callback.args)
        except Exception as error:
            self.errors.append(f"a callback raised {error!r}")
        finally:
            events._set_running_loop(None)  # pyright: ignore[reportAttributeAccessIssue]

    def _wake_next(self) -> None:
        while self._timers:
            when, _, callback, process = heapq.heappop(self._timers)
            if not callback.handle.cancelled():
                self._now = max(self._now, when)
                process.ready.append(callback)
                return
        raise Stuck("nobody will ever do anything")

    def _note(self, process: Process) -> Process:
        if process not in self._processes:
            self._processes.append(process)
        return process

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        context = context or contextvars.copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        process = self._note(context.get(_process, OUTSIDE))
        process.ready.append(Callback(handle, callback, args, context))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        context = context or contextvars.copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        process = self._note(context.get(_process, OUTSIDE))
        self._numbers += 1
        entry = Callback(handle, callback, args, context)
        heapq.heappush(self._timers, (when, self._numbers, entry, process))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: a cancelled timer is passed over when its time has come."""
