"""Rows of the store's tables, and the records that they are of."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from refundry_sync.sync.documents import read_view
from refundry_sync.sync.records import InboxEntry, Outgoing, RefundRequest, RequestProblem

# The columns that the functions below read, in their order.
ENTRY = (
    "event_id, type, order_id, created_time, received_time, due_time, status, attempts, error,"
    " payload"
)
CALL = (
    "o.id, o.order_id, o.line, o.number, o.kind, o.created_time, o.due_time, o.status, o.attempts,"
    " o.error, o.payload"
)
REQUEST = "id, order_id, body, state, requested_time, due_time, attempts, refund_id, problems"


def to_text(time: datetime) -> str:
    """All of one length, so that they sort as text."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def entry_of(row: Sequence[Any]) -> InboxEntry:
    event_id, kind, order_id, created, received, due, status, attempts, error, payload = row
    return InboxEntry(
        event_id=event_id, type=kind, order_id=order_id, created_time=to_time(created),
        received_time=to_time(received), due_time=to_time(due), status=status, attempts=attempts,
        error=error, payload=payload,
    )  # fmt: skip


def call_of(row: Sequence[Any]) -> Outgoing:
    id, order_id, line, number, kind, created, due, status, attempts, error, payload = row
    return Outgoing(
        id=id, order_id=order_id, line=line, number=number, kind=kind,
        created_time=to_time(created), due_time=to_time(due), status=status, attempts=attempts,
        error=error, payload=payload,
    )  # fmt: skip


def request_of(row: Sequence[Any]) -> RefundRequest:
    id, order_id, body, state, requested, due, attempts, refund_id, problems = row
    return RefundRequest(
        id=id, order_id=order_id, body=body, state=state, requested_time=to_time(requested),
        due_time=to_time(due), attempts=attempts, refund_id=refund_id,
        problems=read_view(problems, tuple[RequestProblem, ...]),
    )  # fmt: skip
