"""The delivery engine: finds due deliveries, sends them lane by lane, has the results recorded.

A lane is a webhook that this worker holds; nobody else sends to it meanwhile. Lanes share
nothing, so an endpoint that hangs costs the others nothing.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg
import structlog

from refundry.clock import Clock
from refundry.db.database import Database, Unreachable
from refundry.domain.delivery import Verdict, next_delivery
from refundry.ids import new_uuid
from refundry.metrics import observe_delivery, observe_delivery_lag
from refundry.sealing import Vault
from refundry.tenant import Tenant
from refundry.webhooks import deliveries
from refundry.webhooks.deliveries import Batch, Due, Ours
from refundry.webhooks.disabling import look_after
from refundry.webhooks.lanes import MOST_AT_ONCE, MOST_TAKEN, Lane, share
from refundry.webhooks.recording import Failing, Recorder, Result
from refundry.webhooks.rendering import expand, render
from refundry.webhooks.sending import ATTEMPT_SECONDS, Courier, Outcome
from refundry.webhooks.store import find_webhook
from refundry.webhooks.targets import Opened, open_webhook

_POLL_SECONDS = 0.5
# A third of the lease would do; a webhook that was switched off is noticed here, too.
_RENEW_SECONDS = 1.0
_MOST_OPENED = 10_000
CLOSED = "its secrets cannot be opened with the encryption keys of this service"
log = structlog.get_logger("refundry.webhooks")


class Deliverer:
    """Delivers for webhooks, as one of any number of workers. `wake` makes `run` look at once."""

    def __init__(self, database: Database, clock: Clock, vault: Vault, courier: Courier) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._clock = clock
        self._vault = vault
        self._courier = courier
        self._owner = new_uuid()
        self._lanes: dict[str, Lane] = {}
        self._opened: dict[str, Opened] = {}
        self._recorder = Recorder(database, self._told)
        self._scanning = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._senders: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._failing: dict[str, Failing] = {}
        self._stopping = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver what is due until `stopping` is set; a step that fails is logged."""
        while not stopping.is_set():
            self.wake.clear()
            try:
                await self.scan(None)
            except Exception as error:
                log.error("delivery_scan_failed", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self.wake.wait()

    async def drain(self, account_id: str | None) -> int:
        """Deliver all that is due, of an account or of all; gives how much. Leaves no lane held.

        What other workers hold is left to them.
        """
        count = 0
        while found := await self.scan(account_id):
            count += found
            await self._quiet(account_id)
        async with self._scanning:
            await self._release([e for e in self._of(account_id) if not e.held])
        return count

    async def close(self) -> None:
        """Let requests under way finish, record them, give the lanes back."""
        self._stopping = True
        async with self._scanning:
            for lane in self._lanes.values():
                lane.drop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * ATTEMPT_SECONDS):
                await self._quiet(None)
        tasks = {*self._senders, *self._chores, *([self._keeper] if self._keeper else [])}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
            await self._release(list(self._lanes.values()))

    async def scan(self, account_id: str | None) -> int:
        """Take free lanes with due deliveries, and feed the lanes; gives how many were new."""
        async with self._scanning:
            if self._stopping:
                return 0
            lanes = self._lanes.values()
            known, each = len(lanes), share(len(lanes) + MOST_TAKEN)
            for lane in lanes:
                lane.share = each
            ours = Ours(
                self._owner,
                [lane.webhook_id for lane in lanes],
                [lane.webhook_id for lane in lanes if lane.busy],
                [key for lane in lanes if not lane.busy for key in sorted(lane.held)],
            )
            asked_at = self._clock.monotonic()
            batches = await deliveries.take_due(
                self._database, now=self._clock.now(), account_id=account_id, ours=ours,
                limit=each, most_lanes=MOST_TAKEN,
            )  # fmt: skip
            count = sum([await self._feed(batch, asked_at, each) for batch in batches])
            if len(self._lanes) >= known + MOST_TAKEN:
                self.wake.set()  # There may be more.
            return count

    async def _feed(self, batch: Batch, asked_at: float, most: int) -> int:
        opened = await self._open(batch)
        if opened is None:
            return 0
        lane = self._lanes.get(batch.webhook_id)
        if lane is None:
            lane = Lane(
                batch.tenant, batch.webhook_id, opened, 0.0, batch.version, batch.shift,
                batch.expanded, share=most,
            )  # fmt: skip
            lane.renew(asked_at)
            self._lanes[batch.webhook_id] = lane
        lane.opened, lane.version = opened, batch.version
        lane.shift, lane.expanded = batch.shift, batch.expanded
        count = lane.feed(batch.due)
        self._start(lane)
        return count

    async def _give_up(self, batch: Batch) -> None:
        """Record that what is due cannot be sent as its webhook is, so that nobody waits for it."""
        now = self._clock.now() + batch.shift
        for due in batch.due:
            outcome = Outcome(error=CLOSED)
            self._recorder.note(_result(batch.tenant, batch.webhook_id, due, now, outcome, 0.0))
        await self._recorder.flush()

    async def _open(self, batch: Batch) -> Opened | None:
        """The webhook as it now is; None if it cannot be sent to."""
        known = self._opened.get(batch.webhook_id)
        if known is not None and known.mark == batch.mark:
            return known
        webhook = await find_webhook(self._database, batch.tenant, batch.webhook_id)
        if webhook is None or not webhook.enabled:
            return None  # A moment ago it still was.
        if len(self._opened) >= _MOST_OPENED:
            self._opened.pop(next(iter(self._opened)))
        try:
            opened = open_webhook(webhook, self._vault, self._courier)
        except Exception as error:
            log.error("webhook_not_opened", webhook_id=webhook.id, exc_info=error)
            await self._give_up(batch)
            return None
        self._opened[batch.webhook_id] = opened
        return opened

    def _start(self, lane: Lane) -> None:
        """Let as many senders work as there is work for."""
        for _ in range(min(MOST_AT_ONCE - lane.senders, len(lane.waiting))):
            lane.senders += 1
            _spawn(self._senders, self._send_all(lane))
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())

    async def _send_all(self, lane: Lane) -> None:
        """Be one of a lane's senders until nothing waits."""
        try:
            while due := lane.take(self._clock.monotonic()):
                if lane.hungry:
                    lane.more = False
                    self.wake.set()
                await self._deliver(lane, due)
        finally:
            lane.senders -= 1

    async def _deliver(self, lane: Lane, due: Due) -> None:
        """Make an attempt and have it recorded."""
        now = self._clock.now() + lane.shift
        began = self._clock.monotonic()
        if due.attempts == 0 and due.number == 0 and not due.single:
            observe_delivery_lag((now - due.event.created_at).total_seconds())
        try:
            body = await self._render(lane, due)
            opened = lane.opened
            outcome = await self._courier.send(opened.target, opened.tokens(now), body)
        except Exception as error:
            # Nothing that a retry could make worse; without a record it would be tried for ever.
            log.error("delivery_failed", event_id=due.event.id, exc_info=error)
            outcome = Outcome(error=f"Refundry could not send it: {type(error).__name__}")
        seconds = self._clock.monotonic() - began
        result = _result(lane.tenant, lane.webhook_id, due, now, outcome, seconds)
        observe_delivery("failed" if result.state == "pending" else result.state, seconds)
        self._recorder.note(result)

    async def _render(self, lane: Lane, due: Due) -> bytes:
        event = due.event
        if lane.expanded and event.type in lane.opened.webhook.expanded_types:
            details = await deliveries.line_details(self._database, lane.tenant, due.order_id)
            event = replace(event, object=expand(event.object, details))
        return render(event, live=lane.tenant.live, version=lane.version, vault=self._vault)

    def _told(self, results: Sequence[Result], failing: Sequence[Failing]) -> None:
        """Hear what is recorded."""
        for result in results:
            lane = self._lanes.get(result.webhook_id)
            if lane is not None:
                lane.let_go(f"{result.webhook_id}{result.event_id}{result.number}")
        for each in failing:
            webhook_id = each.last.webhook_id
            if webhook_id not in self._failing:
                _spawn(self._chores, self._look_after_all(webhook_id))
            self._failing[webhook_id] = each

    async def _look_after_all(self, webhook_id: str) -> None:
        """Look after a webhook until it failed no further meanwhile.

        One at a time: an endpoint that fails fast would take every connection to the database.
        """
        looked_after = None
        while (failing := self._failing[webhook_id]) is not looked_after:
            await self._look_after(failing)
            looked_after = failing
        del self._failing[webhook_id]

    async def _look_after(self, failing: Failing) -> None:
        try:
            verdict = await look_after(self._database, failing, self._clock.now())
        except Exception as error:
            log.error("webhook_not_looked_after", exc_info=error)
            return
        lane = self._lanes.get(failing.last.webhook_id)
        if verdict is Verdict.DISABLE and lane is not None:
            lane.drop()

    async def _keep(self) -> None:
        """Renew the leases of the lanes that are used, and give back the others."""
        while self._lanes:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                async with self._scanning:
                    await self._renew()
            except Exception as error:
                # The leases run on for a while; the next round may fare better.
                log.error("lanes_not_renewed", exc_info=error)

    async def _renew(self) -> None:
        await self._release([e for e in self._lanes.values() if not e.held and not e.used])
        asked_at = self._clock.monotonic()
        ours = await deliveries.renew_lanes(self._database, self._owner)
        for lane in list(self._lanes.values()):
            lane.used = False
            mark = ours.get(lane.webhook_id)
            lane.lost = mark is None
            if lane.lost:
                lane.drop()
                if not lane.held:
                    del self._lanes[lane.webhook_id]
                continue
            lane.renew(asked_at)
            if mark != lane.opened.mark:
                lane.drop()  # The next scan brings it back with the webhook as it now is.
                self.wake.set()
            self._start(lane)

    async def _release(self, lanes: Sequence[Lane]) -> None:
        if lanes:
            ids = [lane.webhook_id for lane in lanes]
            for webhook_id in ids:
                del self._lanes[webhook_id]
            await deliveries.release_lanes(self._database, self._owner, ids)

    def _of(self, account_id: str | None) -> list[Lane]:
        return [e for e in self._lanes.values() if account_id in (None, e.tenant.account_id)]

    async def _quiet(self, account_id: str | None) -> None:
        """Return when nothing is in hands, of an account or of all."""
        for lane in self._of(account_id):
            await lane.quiet.wait()
        while self._chores:
            await asyncio.wait(self._chores)


def _spawn(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Begin some work and keep it among `tasks` until it is done."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _result(
    tenant: Tenant, webhook_id: str, due: Due, now: datetime, outcome: Outcome, seconds: float
) -> Result:
    """What an attempt that began at `now` means for its delivery."""
    attempt = due.attempts + 1
    state, due_at = "succeeded", None
    if not outcome.succeeded:
        if not due.single:
            first = due.first_attempt_at or now
            due_at = next_delivery(attempt, first, now, live=tenant.live)
        state = "pending" if due_at else "exhausted"
    return Result(
        tenant=tenant,
        webhook_id=webhook_id,
        event_id=due.event.id,
        number=due.number,
        attempt=attempt,
        started_at=now,
        duration_ms=round(seconds * 1000),
        state=state,
        due_at=due_at,
        status=outcome.status,
        error=outcome.error,
        response=outcome.response,
    )
