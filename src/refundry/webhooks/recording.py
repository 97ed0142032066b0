"""Writes what came of attempts, as many at a time as have come together."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from refundry.db.database import Database, Session, Unreachable
from refundry.tenant import Tenant

_MOST = 500
_PAUSE_SECONDS = 0.5
# Where results come fast, larger groups cost the database less than they wait.
_GATHER_SECONDS = 0.01
log = structlog.get_logger("refundry.webhooks")


@dataclass(slots=True)
class Result:
    """What came of an attempt, the attempt-th (from 1) of a delivery.

    state: of the delivery after it. due_at: when it is tried again. status: of the answer;
    error: why there was none, or why it does not count. response: its first bytes.
    """

    tenant: Tenant
    webhook_id: str
    event_id: str
    number: int
    attempt: int
    started_at: datetime
    duration_ms: int
    state: str
    due_at: datetime | None
    status: int | None
    error: str | None
    response: bytes | None

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint took the event."""
        return self.state == "succeeded"


@dataclass(frozen=True, slots=True)
class Failing:
    """A webhook that did not take an event, and failed already before. last: its last failure."""

    failing_since: datetime
    warned: bool
    last: Result


Told = Callable[[Sequence[Result], Sequence[Failing]], None]


class Recorder:
    """Collects results and writes those that wait in one statement, one statement at a time."""

    def __init__(self, database: Database, told: Told) -> None:
        self._database = database
        self._told = told
        self._waiting: list[Result] = []
        self._work: asyncio.Task[None] | None = None

    def note(self, result: Result) -> None:
        """Write a result soon; `told` hears when it is written."""
        self._waiting.append(result)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._write_all())

    async def flush(self) -> None:
        """Return when everything is written."""
        while self._work is not None and not self._work.done():
            await asyncio.wait([self._work])

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._waiting[:_MOST]
            del self._waiting[:_MOST]
            await self._write(group)
            if len(group) > 1:
                await asyncio.sleep(_GATHER_SECONDS)

    async def _write(self, group: Sequence[Result]) -> None:
        """Write a group, as often as it takes; one that cannot be written goes alone."""
        while True:
            try:
                failing = await record(self._database, group)
            except Exception as error:
                if _passes(error):
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if len(group) > 1:
                    for result in group:
                        await self._write([result])
                else:
                    log.error("delivery_not_recorded", event_id=group[0].event_id, exc_info=error)
                return
            else:
                self._told(group, failing)
                return


# SQLSTATE classes of what is wrong with the data or with the statement, and so will stay wrong.
_LASTING = ("22", "23", "42")


def _passes(error: Exception) -> bool:
    """Whether the database may take the same results later: full disks, fail-overs, locks."""
    if isinstance(error, asyncpg.PostgresError):
        return not (error.sqlstate or "").startswith(_LASTING)
    return isinstance(error, (*Unreachable, TimeoutError))


async def record(session: Session, results: Sequence[Result]) -> list[Failing]:
    """Write attempts, the states of their deliveries, and how their webhooks fare.

    A delivery that was dropped meanwhile stays so. Gives the webhooks that failed before and
    again, without a success in between.
    """
    health = _health(results)
    rows = await session.fetch(
        _RECORD,
        [r.tenant.account_id for r in results],
        [r.tenant.live for r in results],
        [r.webhook_id for r in results],
        [r.event_id for r in results],
        [r.number for r in results],
        [r.attempt for r in results],
        [r.started_at for r in results],
        [r.duration_ms for r in results],
        [r.state for r in results],
        [r.due_at for r in results],
        [r.status for r in results],
        [r.error for r in results],
        [r.response for r in results],
        [tenant.account_id for tenant, _ in health],
        [tenant.live for tenant, _ in health],
        [webhook_id for _, webhook_id in health],
        [each.success_at for each in health.values()],
        [each.failing_since for each in health.values()],
    )
    return [
        Failing(row["failing_since"], row["warned_at"] is not None, last)
        for row in rows
        if (last := health[Tenant(row["account_id"], row["live"]), row["webhook_id"]].last)
    ]


@dataclass(slots=True)
class _Health:
    """How a webhook fared in a group. failing_since: the first failure after the last success."""

    success_at: datetime | None = None
    failing_since: datetime | None = None
    last: Result | None = None


def _health(results: Sequence[Result]) -> dict[tuple[Tenant, str], _Health]:
    found: dict[tuple[Tenant, str], _Health] = {}
    for result in results:
        health = found.setdefault((result.tenant, result.webhook_id), _Health())
        if result.succeeded:
            health.success_at, health.failing_since = result.started_at, None
        else:
            health.failing_since = health.failing_since or result.started_at
            health.last = result
    return found


# The webhook's row is written only where that changes something, and once a second at most for
# the time of the last success: it would be the one row that every delivery waits for.
_RECORD = """
WITH told AS (
    SELECT account_id, live, webhook_id, event_id, number, attempt, started_at, duration_ms, state,
           due_at, status, error, response
      FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::smallint[],
                  $6::smallint[], $7::timestamptz[], $8::integer[], $9::text[],
                  $10::timestamptz[], $11::smallint[], $12::text[], (SELECT $13::bytea[]))
           AS t (account_id, live, webhook_id, event_id, number, attempt, started_at, duration_ms,
                 state, due_at, status, error, response)
), moved AS (
    UPDATE deliveries d
       SET state = t.state, due_at = t.due_at, attempts = greatest(d.attempts, t.attempt),
           first_attempt_at = coalesce(d.first_attempt_at, t.started_at)
      FROM told t
     WHERE d.account_id = t.account_id AND d.live = t.live AND d.webhook_id = t.webhook_id
       AND d.event_id = t.event_id AND d.number = t.number
       AND d.state = 'pending' AND (t.state = 'succeeded' OR d.attempts = t.attempt - 1)
), noted AS (
    INSERT INTO attempts (account_id, live, webhook_id, event_id, number, attempt, started_at,
                          duration_ms, status, error, response)
    SELECT account_id, live, webhook_id, event_id, number, attempt, started_at, duration_ms,
           status, error, response
      FROM told
    ON CONFLICT DO NOTHING
), health AS (
    SELECT account_id, live, webhook_id, success_at, failing_since
      FROM unnest($14::text[], $15::boolean[], $16::text[], $17::timestamptz[],
                  (SELECT $18::timestamptz[]))
           AS h (account_id, live, webhook_id, success_at, failing_since)
), fared AS (
    UPDATE webhooks w
       SET last_success_at = coalesce(h.success_at, w.last_success_at),
           failing_since = CASE WHEN h.success_at IS NULL
                                THEN coalesce(w.failing_since, h.failing_since)
                                ELSE h.failing_since END,
           warned_at = CASE WHEN h.success_at IS NULL THEN w.warned_at END
      FROM health h
     WHERE w.account_id = h.account_id AND w.live = h.live AND w.id = h.webhook_id AND w.enabled
       AND CASE WHEN h.success_at IS NULL
                THEN w.failing_since IS NULL
                ELSE w.failing_since IS NOT NULL OR h.failing_since IS NOT NULL
                     OR w.warned_at IS NOT NULL OR w.last_success_at IS NULL
                     OR w.last_success_at < h.success_at - interval '1 second' END
)
SELECT w.account_id, w.live, w.id AS webhook_id, w.failing_since, w.warned_at
  FROM health h
  JOIN webhooks w ON w.account_id = h.account_id AND w.live = h.live AND w.id = h.webhook_id
 WHERE h.success_at IS NULL AND w.failing_since IS NOT NULL AND w.enabled
"""
