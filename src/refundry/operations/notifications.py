"""What processors tell us by themselves: signed, applied once, kept while it fits nothing yet.

Source: contract, disputes and chargebacks, section 5.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog

from refundry.access.store import clock_shift
from refundry.domain.charge import OperationKind
from refundry.operations.commands import Booking, Books, Word, book_outcome
from refundry.operations.disputes import hear_dispute
from refundry.operations.inbox import Notification
from refundry.operations.store import find_operation
from refundry.processors.contract import Declined, NeedsInformation, Settled
from refundry.processors.http_protocol import failure_of

_RETRY_EVERY = timedelta(seconds=30)
# A notification may overtake our own commit, but not by more than this.
_KEEP = timedelta(hours=24)
log = structlog.get_logger("refundry.notifications")


@dataclass(frozen=True, slots=True)
class Received:
    """A notification with its sender. live: the only mode whose operations it may touch."""

    connector: str
    live: bool
    notification: Notification
    body: str


def word_of(notification: Notification) -> Word | None:
    """The outcome that a notification tells of; None for types that tell of none."""
    kind, _, state = notification.type.partition(".")
    if kind not in ("capture", "cancel", "refund"):
        return None
    data = notification.data
    match state:
        case "complete":
            return Settled()
        case "failed":
            return Declined(failure_of(data.code, data.message, data.failure_reason))
        case "pending_information" if kind == "refund":
            return NeedsInformation()
        case _:
            return None


async def receive(books: Books, received: Received, now: datetime) -> bool:
    """Keep a notification and apply it; False if it came before and was applied.

    Kept first and marked last: a crash in between applies it again, which changes nothing.
    """
    row = await books.database.fetchrow(
        """
        INSERT INTO processor_notifications (connector, id, received_at, body, state, due_at)
        VALUES ($1, $2, $3, $4, 'waiting', $3::timestamptz + interval '30 seconds')
        ON CONFLICT (connector, id) DO NOTHING
        RETURNING 1
        """,
        received.connector, received.notification.id, now, received.body,
    )  # fmt: skip
    if row is None:
        return False
    await _apply(books, received, received_at=now, now=now)
    return True


async def _apply(books: Books, received: Received, *, received_at: datetime, now: datetime) -> None:
    notification = received.notification
    if notification.type.startswith("dispute."):
        applied = await hear_dispute(books.database, notification, live=received.live, now=now)
    else:
        applied = await _hear_outcome(books, received, now)
    if applied is None:
        state = "waiting" if now - received_at < _KEEP else "unmatched"
        log.warning("notification_unmatched", id=notification.id, type=notification.type,
                    operation_id=notification.data.operation_id,
                    reference=notification.data.processor_reference)  # fmt: skip
    else:
        state = "applied" if applied else "ignored"
    if state == "ignored":
        log.info("notification_ignored", id=notification.id, type=notification.type)
    await books.database.execute(
        "UPDATE processor_notifications SET state = $3, due_at = $4"
        " WHERE connector = $1 AND id = $2 AND state = 'waiting'",
        received.connector, received.notification.id, state,
        now + _RETRY_EVERY if state == "waiting" else None,
    )  # fmt: skip


async def _hear_outcome(books: Books, received: Received, now: datetime) -> bool | None:
    """Book an operation's outcome: whether that changed anything; None without the operation."""
    word = word_of(received.notification)
    operation_id = received.notification.data.operation_id
    if word is None or operation_id is None:
        return False
    found = await find_operation(books.database, operation_id, live=received.live)
    if found is None:
        return None
    tenant, order_id = found
    shift = await clock_shift(books.database, tenant)
    kind = OperationKind(received.notification.type.partition(".")[0])
    booking = Booking(tenant, order_id, operation_id, word, now + shift, report_of=kind)
    return await book_outcome(books, booking)


async def retry_due(books: Books, now: datetime) -> int:
    """Try kept notifications again; gives how many found their operation."""
    rows = await books.database.fetch(
        """
        SELECT connector, id, received_at, body FROM processor_notifications
         WHERE due_at <= $1 ORDER BY due_at LIMIT 100
        """,
        now,
    )
    for row in rows:
        received = Received(
            row["connector"],
            row["connector"] == "http",
            msgspec.json.decode(row["body"], type=Notification),
            row["body"],
        )
        # First put off, so that one that breaks does not stand before the others for ever.
        await books.database.execute(
            "UPDATE processor_notifications SET due_at = $3 WHERE connector = $1 AND id = $2",
            row["connector"], row["id"], now + _RETRY_EVERY,
        )  # fmt: skip
        try:
            await _apply(books, received, received_at=row["received_at"], now=now)
        except Exception as error:  # the loop of a worker outlives what a row brings
            log.error("notification_failed", id=row["id"], exc_info=error)
    return len(rows)
