"""Makes the lines of confirmed runs, each once, wherever the process before stopped.

A line is its own idempotency key: that it made a refund is written in the refund's transaction, so
neither a crash nor a second runner can make another one. The lease only keeps runners from doing
the same work.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from refundry.access.audit_log import Change, audit
from refundry.access.store import clock_shift
from refundry.access.users import find_user
from refundry.bulk import store
from refundry.bulk.reading import read_request
from refundry.bulk.store import Line, Run
from refundry.bulk.verdicts import LineState
from refundry.clock import Clock
from refundry.db.database import Database, Tx
from refundry.domain.refund import RefundAsk
from refundry.domain.refusal import ConcurrentUpdate
from refundry.errors import Refused, required
from refundry.http.problems import message_of
from refundry.ids import new_uuid
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.limits import Requester, user_requester

# So many that the work between two looks at the lease is worth it, so few that a stop is soon seen.
_AT_ONCE = 24
# Orders side by side: a run is to leave most connections to whoever waits for an answer.
_SIDE_BY_SIDE = 3
# A step takes a second or so. Whoever was not heard of for this long has died.
_LEASE = timedelta(seconds=10)
_CHANGED = "The order's amounts changed after the check. Check the order and send the line again."
log = structlog.get_logger("refundry.bulk")


class _NotReady(Exception):
    """The line was made by another process, or its run was stopped."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A process that makes lines. batch_window: how long refunds wait for others of their order."""

    database: Database
    clock: Clock
    batch_window: timedelta
    name: str = field(default_factory=new_uuid)


@dataclass(frozen=True, slots=True)
class _LineReceipt:
    """Keeps under its line what a request came to."""

    run: Run
    number: int
    real_now: datetime

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Take the line and note in whose name the refund is made. Raises _NotReady."""
        assert status < 400
        assert not sealed
        run = self.run
        made: Mapping[str, Any] = msgspec.json.decode(body)
        if not await store.take_line(tx, run, self.number, made["id"]):
            raise _NotReady
        after = {**made, "bulkRun": run.id, "bulkLine": self.number}
        change = Change("refund.create", "refund", made["id"], None, after, run.tenant.live)
        await audit(tx, run.tenant.account_id, run.actor, change, self.real_now)


async def step(
    runner: Runner, *, account_id: str | None = None, run_id: str | None = None
) -> int:  # fmt: skip
    """Make the next lines of one run; gives how much was done, 0 if no run waits for this process.

    account_id, run_id: only of these.
    """
    real_now = runner.clock.now()
    run = await store.claim_run(
        runner.database, runner.name, now=real_now, until=real_now + _LEASE,
        account_id=account_id, run_id=run_id,
    )  # fmt: skip
    if run is None:
        return 0
    ready = [LineState.READY.value]
    lines = await store.lines_of(runner.database, run, states=ready, limit=_AT_ONCE)
    if lines:
        await _make_lines(runner, run, lines)
        return len(lines)
    return await runner.database.run(lambda tx: _finish(tx, runner, run))


async def drain(runner: Runner, account_id: str) -> None:
    """Make every line of an account that is confirmed, as far as no other process is at it."""
    while await step(runner, account_id=account_id):
        pass


async def _finish(tx: Tx, runner: Runner, run: Run) -> int:
    now = runner.clock.now()
    shift = await clock_shift(tx, run.tenant)
    if await store.finish_run(tx, run, now + shift):
        tallies = await store.tallies_of(tx, run)
        after = {state.value: tally.count for state, tally in tallies.items() if tally.count}
        change = Change("bulk.finish", "bulk", run.id, None, after, run.tenant.live)
        await audit(tx, run.tenant.account_id, run.actor, change, now)
        log.info("bulk_finished", run_id=run.id, **after)
    return 1


async def _make_lines(runner: Runner, run: Run, lines: list[Line]) -> None:
    """Make lines, of different orders side by side and of one order in the file's order."""
    by_order: dict[str, list[Line]] = {}
    for line in lines:
        by_order.setdefault(required(line.order_id), []).append(line)
    now = runner.clock.now() + await clock_shift(runner.database, run.tenant)
    requester = await _requester(runner, run)
    free = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def make(of_order: list[Line]) -> None:
        async with free:
            for line in of_order:
                await _make_line(runner, run, line, now, requester)

    async with asyncio.TaskGroup() as group:
        for of_order in by_order.values():
            group.create_task(make(of_order))


async def _requester(runner: Runner, run: Run) -> Requester | None:
    """Whose limits apply to the lines of a run; none to those of the command line."""
    if run.actor.kind != "user":
        return None
    account_id, user_id = run.tenant.account_id, required(run.actor.id)
    user = await find_user(runner.database, account_id, user_id, runner.clock.now())
    # People are kept when they are deleted, so that the history has names.
    return user_requester(required(user))


async def _make_line(
    runner: Runner, run: Run, line: Line, now: datetime, requester: Requester | None
) -> None:
    ask = read_request(required(line.body))
    assert isinstance(ask, RefundAsk)  # the check has read it before
    request = RefundRequest(
        ask=ask,
        now=now,
        batch_window=runner.batch_window,
        receipt=_LineReceipt(run, line.number, runner.clock.now()),
        expected=required(line.amount),
        requester=requester,
    )
    try:
        await create_refund(runner.database, run.tenant, request)
    except _NotReady:
        return
    except Refused as refused:
        changed = isinstance(refused.refusal, ConcurrentUpdate)
        remark = _CHANGED if changed else message_of(refused.refusal)
        await store.fail_line(runner.database, run, line.number, remark)
