"""What processors tell us by themselves: signed, applied once, kept while it fits nothing yet.

Source: contract, disputes and chargebacks, section 5.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from refundry.access.store import clock_shift
from refundry.domain.charge import OperationKind
from refundry.operations import gateway_notices
from refundry.operations.commands import Booking, Books, Word, book_outcome
from refundry.operations.disputes import hear_dispute
from refundry.operations.gateway_notices import Inbox
from refundry.operations.inbox import Notification, Seen, is_gateway, keep, mark
from refundry.operations.store import find_operation
from refundry.processors.contract import Declined, NeedsInformation, Settled
from refundry.processors.http_protocol import failure_of

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
    seen = Seen(received.connector, received.notification.id, now)
    if not await keep(books.database, seen, received.body):
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
        log.warning("notification_unmatched", id=notification.id, type=notification.type,
                    operation_id=notification.data.operation_id,
                    reference=notification.data.processor_reference)  # fmt: skip
    if applied is False:
        log.info("notification_ignored", id=notification.id, type=notification.type)
    seen = Seen(received.connector, notification.id, received_at)
    await mark(books.database, seen, applied, now)


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


async def retry_due(inbox: Inbox, now: datetime, *, gateways: bool) -> int:
    """Try kept notifications again; gives how many there were.

    gateways: those that came through gateways, whose processors are asked again; or all others.
    """
    rows = await inbox.database.fetch(
        """
        SELECT connector, id, received_at, body FROM processor_notifications
         WHERE due_at <= $1 AND starts_with(connector, 'gw_') = $2 ORDER BY due_at LIMIT 100
        """,
        now,
        gateways,
    )
    for row in rows:
        seen = Seen(row["connector"], row["id"], row["received_at"])
        # First put off, so that one that breaks does not stand before the others for ever.
        await mark(inbox.database, seen, None, now)
        try:
            await _try_again(inbox, seen, row["body"], now)
        except Exception as error:  # the loop of a worker outlives what a row brings
            log.error("notification_failed", id=seen.id, exc_info=error)
    return len(rows)


async def _try_again(inbox: Inbox, seen: Seen, body: str, now: datetime) -> None:
    if is_gateway(seen.connector):
        await gateway_notices.try_again(inbox, seen, body, now)
        return
    notification = msgspec.json.decode(body, type=Notification)
    received = Received(seen.connector, seen.connector == "http", notification, body)
    await _apply(inbox.books, received, received_at=seen.received_at, now=now)
