"""Grouped bookings: outcomes that come while a transaction is in flight share the next one."""

import asyncio
from collections import deque

import asyncpg
import structlog

from refundry.db.database import Unreachable
from refundry.operations.commands import Booking, Books, book_outcome, book_outcomes

# A group's transaction holds its orders; it should not do so for long.
_MOST = 200
log = structlog.get_logger("refundry.operations")

_Waiting = tuple[Booking, "asyncio.Future[bool]"]


class Bookkeeper:
    """The queue of one process and the task that empties it, group by group."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._queue: deque[_Waiting] = deque()
        self._work: asyncio.Task[None] | None = None

    async def book(self, booking: Booking) -> bool:
        """As `book_outcome`, in a group."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append((booking, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._empty_queue())
        return await answer

    async def _empty_queue(self) -> None:
        """Book groups until nothing waits; there is no await between the last look and the end."""
        while self._queue:
            count = min(_MOST, len(self._queue))
            await self._serve([self._queue.popleft() for _ in range(count)])

    async def _serve(self, group: list[_Waiting]) -> None:
        """Book a group and tell its members; never raises."""
        try:
            results = await book_outcomes(self._books, [booking for booking, _ in group])
        except (*Unreachable, TimeoutError) as error:
            for _, answer in group:
                _fail(answer, error)
            return
        except (asyncpg.PostgresError, AssertionError) as error:
            # Nothing of the group was booked: one bad member must not fail the others.
            log.warning("bookings_split", members=len(group), error=type(error).__name__)
            results = [None] * len(group)
        except Exception as error:  # a fault of ours: each member hears of it, none is lost
            for _, answer in group:
                _fail(answer, error)
            return
        for (booking, answer), result in zip(group, results, strict=True):
            if result is None:
                await self._serve_alone(booking, answer)
            elif not answer.done():
                answer.set_result(result)

    async def _serve_alone(self, booking: Booking, answer: "asyncio.Future[bool]") -> None:
        """Book one outcome, waiting for its order's turn."""
        try:
            result = await book_outcome(self._books, booking)
        except Exception as error:  # it is the booking's own answer
            _fail(answer, error)
            return
        if not answer.done():
            answer.set_result(result)


def _fail(answer: "asyncio.Future[bool]", error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
