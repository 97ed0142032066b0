"""Grouped writes: requests that arrive while a statement is in flight share the next ones.

A lone request goes at once. Under load one read and one commit serve many requests, each of which
gets the answer that it would have had alone.
"""

import asyncio
from dataclasses import dataclass, field

import asyncpg
import structlog

from refundry.db.database import Database, NothingDone, Unreachable, asking
from refundry.domain.order import Order
from refundry.errors import Refused
from refundry.orders.store import OrderKey, order_key
from refundry.refunds import store
from refundry.refunds.commands import (
    RefundRequest,
    accepted,
    create_refund,
    find_order_id,
    planned,
)
from refundry.refunds.queueing import GroupQueue
from refundry.refunds.store import NewRefund, with_refund
from refundry.tenant import Tenant

# How many groups are in flight at once: while one commits, the next is being planned.
_LANES = 2
# Of what a small group costs PostgreSQL most is for its round trips and its commit: fewer than so
# many wait for the group in flight instead, but not for long, as that one may wait for a lock.
_WORTH = 8
_LONG_SECONDS = 0.005
# A group's statement should not keep its first member waiting for long.
_MOST = 64
# Far more than one process has in hand at once (max_requests). Who comes then is refused.
_LONGEST = 1024
# Of two groups that wait for each other the database ends one, after a second of waiting. After
# so many times its members go on one by one.
_GROUP_TRIES = 3
log = structlog.get_logger("refundry.refunds")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request in the queue or in a group, and where its answer goes."""

    tenant: Tenant
    order_id: str
    request: RefundRequest
    answer: "asyncio.Future[bytes]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def key(self) -> OrderKey:
        return order_key(self.tenant, self.order_id)

    def succeed(self, body: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(body)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class RefundLanes:
    """The lanes of one process.

    most_lanes: groups in flight at the same time. queue_seconds: how long a request waits to be
    taken into one.
    """

    def __init__(
        self, database: Database, *, most_lanes: int = _LANES, queue_seconds: float = 10.0
    ) -> None:
        self._database = database
        self._queue_seconds = queue_seconds
        self._queue = GroupQueue[_Waiting](most_lanes=most_lanes, most_members=_MOST, worth=_WORTH)
        self._lanes: set[asyncio.Task[None]] = set()
        self._hurrying: asyncio.TimerHandle | None = None

    async def create(self, tenant: Tenant, request: RefundRequest) -> bytes:
        """As `create_refund`, in a group. A request with an idempotency key or a limit goes by
        itself, as what it stores besides is in its own transaction.

        Who is cancelled before a lane has taken him is not served, as he would not be alone.
        Raises NothingDone where the queue is full, or does not move.
        """
        if request.receipt is not None or request.requester is not None:
            return await create_refund(self._database, tenant, request)
        order_id = await find_order_id(self._database, tenant, request.ask)
        if self._queue.waiting >= _LONGEST:
            raise NothingDone("the queue of refunds is full")
        waiting = _Waiting(tenant, order_id, request)
        loop = asyncio.get_running_loop()
        if self._queue.join(waiting):
            self._start_lane()
        elif self._hurrying is None:
            self._hurrying = loop.call_later(_LONG_SECONDS, self._hurry)
        patience = loop.call_later(self._queue_seconds, self._give_up, waiting)
        try:
            return await waiting.answer
        finally:
            patience.cancel()
            self._queue.leave(waiting)

    def _give_up(self, waiting: _Waiting) -> None:
        """Refuse a request that no lane has taken; one that is in a group is seen to its end."""
        if self._queue.leave(waiting):
            waiting.fail(NothingDone("the queue of refunds does not move"))

    def _hurry(self) -> None:
        """Go on beside a group that takes long."""
        self._hurrying = None
        if self._queue.hurry():
            self._start_lane()

    def _start_lane(self) -> None:
        lane = asyncio.create_task(self._serve_groups())
        self._lanes.add(lane)
        # No `finally` in the task: one that is cancelled before its first step never runs it.
        lane.add_done_callback(self._end_lane)

    def _end_lane(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        if self._queue.end():
            self._start_lane()

    async def _serve_groups(self) -> None:
        """Answer every member of every group that is taken, even if cancelled meanwhile."""
        while group := self._queue.take():
            try:
                await self._serve(group)
            finally:
                # Only a cancellation leaves anybody. What was written of the group is not known.
                for waiting in group:
                    waiting.fail(ConnectionAbortedError("the group was cancelled"))

    async def _serve(self, group: list[_Waiting]) -> None:
        """Answer the members of a group; raises nothing but a cancellation."""
        try:
            rest = await self._write_repeatedly(group)
        except (*Unreachable, TimeoutError) as error:
            # Whether the group was written is not known, so nothing of it may be tried again.
            for waiting in group:
                waiting.fail(error)
            return
        except (asyncpg.PostgresError, AssertionError) as error:
            # The database has undone the statement: one bad member must not fail the others.
            log.warning("group_split", members=len(group), error=type(error).__name__)
            rest = _unanswered(group)
        except Exception as error:  # a fault of ours: each member hears of it, none is lost
            for waiting in group:
                waiting.fail(error)
            return
        await asyncio.gather(*(self._serve_alone(waiting) for waiting in rest))

    async def _write_repeatedly(self, group: list[_Waiting]) -> list[_Waiting]:
        """As `_write`; again where the database undid it for another transaction's sake."""
        for _ in range(_GROUP_TRIES - 1):
            try:
                return await self._write(group)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
                log.info("group_repeated", members=len(group), error=type(error).__name__)
                group = _unanswered(group)
        return await self._write(group)

    async def _write(self, group: list[_Waiting]) -> list[_Waiting]:
        """Read, decide and write for a group; gives the members who lost a race."""
        if not group:  # all of it have been answered, or were cancelled, before a repetition
            return []
        keys = list(dict.fromkeys(waiting.key for waiting in group))
        # One connection for both: to take one and give it back costs us as much as a statement.
        async with self._database.connection() as session:
            with asking():
                orders = await store.find_refundables(session, keys)
            plan = _plan(group, orders)
            if not plan.written:
                return plan.alone
            written = await store.insert_refunds(session, [new for _, new in plan.written])
        for waiting, new in plan.written:
            if new.key in written:
                waiting.succeed(accepted(new))
        for waiting, refused in plan.doubtful:
            if waiting.key in written:
                waiting.fail(refused)
        members = [waiting for waiting, _ in (*plan.written, *plan.doubtful)]
        return plan.alone + [waiting for waiting in members if waiting.key not in written]

    async def _serve_alone(self, waiting: _Waiting) -> None:
        try:
            waiting.succeed(await create_refund(self._database, waiting.tenant, waiting.request))
        except Exception as error:  # it is the request's own answer
            waiting.fail(error)


def _unanswered(group: list[_Waiting]) -> list[_Waiting]:
    return [waiting for waiting in group if not waiting.answer.done()]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of a group; who is refused by what the order really is has his answer already.

    written: to be. doubtful: refused because of members before them; if those turn out not to be
    written, they were not refused. alone: planning failed, which is no matter of the others.
    """

    written: list[tuple[_Waiting, NewRefund]]
    doubtful: list[tuple[_Waiting, Refused]]
    alone: list[_Waiting]


def _plan(group: list[_Waiting], orders: dict[OrderKey, Order]) -> _Plan:
    """Plan the members one behind the other, each on the order that the one before leaves."""
    plan = _Plan([], [], [])
    changed: set[OrderKey] = set()
    for waiting in group:
        try:
            new = planned(waiting.tenant, orders.get(waiting.key), waiting.request)
        except Refused as refused:
            if waiting.key in changed:
                plan.doubtful.append((waiting, refused))
            else:
                waiting.fail(refused)
            continue
        except Exception:  # a fault of ours, or what he sent: he hears of it by himself
            plan.alone.append(waiting)
            continue
        orders[waiting.key] = with_refund(new)
        changed.add(waiting.key)
        plan.written.append((waiting, new))
    return plan
