"""The rows of the store beside books: the inbox, calls owed to the shop, and refund requests."""

from datetime import datetime
from typing import Literal

import msgspec

Status = Literal["waiting", "done", "dead", "ignored"]
RequestState = Literal["sending", "accepted", "refused", "unknown"]


class InboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it arrived. payload: its JSON. due_time: when it is to be tried next."""

    event_id: str
    type: str
    order_id: str
    created_time: datetime
    received_time: datetime
    due_time: datetime
    status: Status
    attempts: int = 0
    error: str | None = None
    payload: str


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An announcement that waits for the shop. line: those of one line go one after the other."""

    id: str
    order_id: str
    line: str
    number: int
    kind: str
    created_time: datetime
    due_time: datetime
    status: Status
    attempts: int = 0
    error: str | None = None
    payload: str


class RequestProblem(msgspec.Struct, frozen=True):
    """Why a request was refused; message: for staff."""

    code: str | None
    parameter: str | None
    message: str


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A refund that the shop asked for, and what came of it; body: JSON as it is sent.

    state: sending until an answer came, unknown if none did in time.
    """

    id: str
    order_id: str
    body: str
    state: RequestState
    requested_time: datetime
    due_time: datetime
    attempts: int = 0
    refund_id: str | None = None
    problems: tuple[RequestProblem, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was tried for a day in vain. kind: event, change, a notification, request."""

    kind: str
    id: str
    order_id: str
    attempts: int
    error: str
    time: datetime
