"""Notifications of processors as they are read and kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from refundry.db.database import Session

_RETRY_EVERY = timedelta(seconds=30)
_RETRY_AT_LEAST = timedelta(hours=1)
# A notification may overtake our own commit, but not by more than this.
_KEEP = timedelta(hours=24)


class Data(msgspec.Struct, rename="camel"):
    """What a notification is about: an operation, or a dispute. amount: major units, as sent."""

    operation_id: str | None = None
    processor_reference: str | None = None
    charge_id: str | None = None
    amount: str | None = None
    reason: str | None = None
    fraud: bool | None = None
    code: str | None = None
    message: str | None = None
    failure_reason: str | None = None


class Notification(msgspec.Struct, rename="camel"):
    """A processor's notification."""

    id: str
    type: str
    data: Data


def is_gateway(connector: str) -> bool:
    """Whether a kept notification came through a gateway."""
    return connector.startswith("gw_")


@dataclass(frozen=True, slots=True)
class Seen:
    """A kept notification. connector: who sent it, a gateway's id or the name of a connector."""

    connector: str
    id: str
    received_at: datetime


async def keep(session: Session, seen: Seen, body: str) -> bool:
    """Keep a notification; False if it was kept before."""
    row = await session.fetchrow(
        """
        INSERT INTO processor_notifications (connector, id, received_at, body, state, due_at)
        VALUES ($1, $2, $3, $4, 'waiting', $3::timestamptz + interval '30 seconds')
        ON CONFLICT (connector, id) DO NOTHING
        RETURNING 1
        """,
        seen.connector, seen.id, seen.received_at, body,
    )  # fmt: skip
    return row is not None


async def mark(session: Session, seen: Seen, applied: bool | None, now: datetime) -> None:
    """Note what became of a kept notification. applied: whether it changed anything; None: what it
    is about is not known yet, so that it is tried again for a day."""
    pause = _RETRY_EVERY
    if is_gateway(seen.connector):
        # Most that fits nothing is of payments that are not ours: it is asked about less and less.
        pause = max(pause, min(now - seen.received_at, _RETRY_AT_LEAST))
    if applied is None:
        state = "waiting" if now - seen.received_at < _KEEP else "unmatched"
    else:
        state = "applied" if applied else "ignored"
    await session.execute(
        """
        UPDATE processor_notifications SET state = $3, due_at = $4
         WHERE connector = $1 AND id = $2 AND state = 'waiting'
        """,
        seen.connector, seen.id, state, now + pause if state == "waiting" else None,
    )  # fmt: skip
