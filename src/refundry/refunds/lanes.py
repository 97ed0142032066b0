"""Grouped writes: requests that arrive while a statement is in flight share the next ones.

A lone request goes at once. Under load one read and one commit serve many requests, each of which
gets the answer that it would have had alone.
"""

import asyncio
from collections import deque
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
from refundry.refunds.store import NewRefund, with_refund
from refundry.tenant import Tenant

# How many groups are in flight at once: while one commits, the next is being planned.
_GROUPS = 2
# A group's statement should not keep its first member waiting for long.
_MOST = 64
# Far more than one process has in hand at once (max_requests). Who comes then is refused.
_LONGEST = 1024
log = structlog.get_logger("refundry.refunds")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request in the queue, and where its answer goes."""

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
    """The queue of one process and the groups that empty it.

    most_groups: at the same time. queue_seconds: how long a request waits for its group to begin.
    """

    def __init__(
        self, database: Database, *, most_groups: int = _GROUPS, queue_seconds: float = 10.0
    ) -> None:
        self._database = database
        self._most_groups = most_groups
        self._queue_seconds = queue_seconds
        self._queue: deque[_Waiting] = deque()
        self._groups: set[asyncio.Task[None]] = set()

    async def create(self, tenant: Tenant, request: RefundRequest) -> bytes:
        """As `create_refund`, in a group. A request with an idempotency key goes by itself, as
        its answer is stored in its own transaction. Raises NothingDone where the queue is full, or
        the groups before are stuck."""
        if request.receipt is not None:
            return await create_refund(self._database, tenant, request)
        order_id = await find_order_id(self._database, tenant, request.ask)
        if len(self._queue) >= _LONGEST:
            raise NothingDone("the queue of refunds is full")
        waiting = _Waiting(tenant, order_id, request)
        self._queue.append(waiting)
        if len(self._groups) < self._most_groups:
            group = asyncio.create_task(self._empty_queue())
            self._groups.add(group)
        loop = asyncio.get_running_loop()
        patience = loop.call_later(self._queue_seconds, self._give_up, waiting)
        try:
            return await waiting.answer
        finally:
            patience.cancel()

    def _give_up(self, waiting: _Waiting) -> None:
        """Refuse a request whose group has not begun; one that has is seen to its end."""
        if waiting in self._queue:
            self._queue.remove(waiting)
            waiting.fail(NothingDone("the queue of refunds does not move"))

    async def _empty_queue(self) -> None:
        """Serve groups until none waits; there is no await between the last look and the end."""
        try:
            while self._queue:
                count = min(_MOST, len(self._queue))
                await self._serve([self._queue.popleft() for _ in range(count)])
        finally:
            self._groups.discard(asyncio.current_task())  # type: ignore[arg-type]

    async def _serve(self, group: list[_Waiting]) -> None:
        """Answer every member of a group; never raises."""
        try:
            rest = await self._write(group)
        except (*Unreachable, TimeoutError) as error:
            # Whether the group was written is not known, so nothing of it may be tried again.
            for waiting in group:
                waiting.fail(error)
            return
        except (asyncpg.PostgresError, AssertionError) as error:
            # The database has undone the statement: one bad member must not fail the others.
            log.warning("group_split", members=len(group), error=type(error).__name__)
            rest = [waiting for waiting in group if not waiting.answer.done()]
        except Exception as error:  # a fault of ours: each member hears of it, none is lost
            for waiting in group:
                waiting.fail(error)
            return
        await asyncio.gather(*(self._serve_alone(waiting) for waiting in rest))

    async def _write(self, group: list[_Waiting]) -> list[_Waiting]:
        """Read, decide and write for a group; gives the members who lost a race."""
        keys = list(dict.fromkeys(waiting.key for waiting in group))
        with asking():
            orders = await store.find_refundables(self._database, keys)
        plans, doubtful = _plan(group, orders)
        if not plans:
            return []
        written = await store.insert_refunds(self._database, [new for _, new in plans])
        for waiting, new in plans:
            if new.key in written:
                waiting.succeed(accepted(new))
        for waiting, refused in doubtful:
            if waiting.key in written:
                waiting.fail(refused)
        members = [waiting for waiting, _ in plans] + [waiting for waiting, _ in doubtful]
        return [waiting for waiting in members if waiting.key not in written]

    async def _serve_alone(self, waiting: _Waiting) -> None:
        try:
            waiting.succeed(await create_refund(self._database, waiting.tenant, waiting.request))
        except Exception as error:  # it is the request's own answer
            waiting.fail(error)


def _plan(
    group: list[_Waiting], orders: dict[OrderKey, Order]
) -> tuple[list[tuple[_Waiting, NewRefund]], list[tuple[_Waiting, Refused]]]:
    """Plan the members one behind the other; also gives those whose refusal is in doubt.

    Who is refused by what the order really is has the answer at once. Who is refused because of
    members before him must wait for them to be written: if they are not, he was not refused.
    """
    plans: list[tuple[_Waiting, NewRefund]] = []
    doubtful: list[tuple[_Waiting, Refused]] = []
    changed: set[OrderKey] = set()
    for waiting in group:
        try:
            new = planned(waiting.tenant, orders.get(waiting.key), waiting.request)
        except Refused as refused:
            if waiting.key in changed:
                doubtful.append((waiting, refused))
            else:
                waiting.fail(refused)
            continue
        orders[waiting.key] = with_refund(new)
        changed.add(waiting.key)
        plans.append((waiting, new))
    return plans, doubtful
