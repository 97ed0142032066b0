"""Asks for refunds: checked against what is available, sent once, whatever the network does."""

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from refundry_sync.errors import (
    ApiError,
    BadAnswer,
    Conflict,
    RateLimited,
    ServerError,
    SyncError,
    Unreachable,
)
from refundry_sync.sync.booking import book_reading
from refundry_sync.sync.documents import (
    amount_of,
    objects_of,
    optional_amount,
    read_json,
    text_of,
    write_json,
)
from refundry_sync.sync.reading import Reading
from refundry_sync.sync.records import RefundRequest, RequestProblem
from refundry_sync.sync.remote import Remote
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.store import Store, backed_off
from refundry_sync.sync.views import Book, Document, RefundView

# The server knows a key for a day; a request that is sent again later might pay twice.
RESEND_WITHIN = timedelta(hours=23)
NOT_AVAILABLE = RequestProblem(
    "invalid_parameter",
    "amountRequested",
    "The requested refund amount is greater than the available amount.",
)
FOR_SHOPPERS = "We could not make this refund just now. Please contact us."


class RequestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request.

    state: accepted (then `refund`), refused (then `problems`, for staff), sending (no answer yet;
    it is sent again with the same key) or unknown (no answer in a day; look before you repeat it).
    """

    request_id: str
    order_id: str
    state: str
    refund: RefundView | None = None
    problems: tuple[RequestProblem, ...] = ()

    @property
    def shopper_text(self) -> str | None:
        """What a shopper may read of a refusal."""
        return FOR_SHOPPERS if self.state == "refused" else None


class Requester:
    """Sends the requests of a shop; those of one order one after the other."""

    def __init__(self, store: Store, remote: Remote, settings: Settings) -> None:
        self._store = store
        self._remote = remote
        self._settings = settings
        self._turns: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def request(
        self, request_id: str, order_id: str, asked: Mapping[str, Any], now: datetime
    ) -> RequestOutcome:
        """Ask for a refund. asked: fields of POST /refunds beyond the order and its currency.

        The same request_id gives the outcome of the first call; one without an answer is sent
        again. Whatever goes wrong is an outcome, not an exception.
        """
        with self._turn(order_id):
            with self._store.transaction() as tx:
                known = tx.find_request(request_id)
            if known is None:
                known = self._begin(request_id, order_id, asked, now)
            if known.state == "sending":
                known = self._send(known, now)
            return self._outcome(known)

    def resend_due(self, now: datetime) -> int:
        """Send what got no answer again; how many got one now."""
        with self._store.transaction() as tx:
            due = tx.due_requests(now, 100)
        answered = 0
        for request in due:
            with self._turn(request.order_id):
                answered += self._send(request, now).state != "sending"
        return answered

    def _begin(
        self, request_id: str, order_id: str, asked: Mapping[str, Any], now: datetime
    ) -> RefundRequest:
        """Write down what is to be sent, before anything is asked of the API."""
        request = RefundRequest(
            id=request_id,
            order_id=order_id,
            body=write_json({"orderId": order_id, **asked}),
            state="sending",
            requested_time=now,
            due_time=now + self._settings.lease,
        )
        with self._store.transaction() as tx:
            if tx.insert_request(request):
                return request
            return tx.find_request(request_id) or request

    def _send(self, request: RefundRequest, now: datetime) -> RefundRequest:
        """Send it once more with its key, and write down what came of it."""
        if now - request.requested_time > RESEND_WITHIN:
            return self._update(msgspec.structs.replace(request, state="unknown"))
        try:
            request = self._checked(request)
            if request.state == "refused":
                return request
            refund = self._remote.create_refund(read_json(request.body), request.id)
        except (Unreachable, ServerError, RateLimited, BadAnswer):
            return self._later(request, now)
        except ApiError as error:
            if isinstance(error, Conflict) and "idempotency_key_in_use" in error.codes:
                return self._later(request, now)
            return self._refuse(request, _problems(error))
        return self._accept(request, refund, now)

    def _checked(self, request: RefundRequest) -> RefundRequest:
        """The request after it was held against what is available, which is done once.

        One that was sent already may have taken effect, and would not find its own amount left.
        The currency, which only the order tells, is the mark that it was checked.
        """
        body = read_json(request.body)
        if "currency" in body:
            return request
        order = self._remote.order(request.order_id)
        if not _is_available(order, body):
            return self._refuse(request, (NOT_AVAILABLE,))
        body = {**body, "currency": text_of(order, "currency")}
        return self._update(msgspec.structs.replace(request, body=write_json(body)))

    def _refuse(
        self, request: RefundRequest, problems: tuple[RequestProblem, ...]
    ) -> RefundRequest:
        refused = msgspec.structs.replace(request, state="refused", problems=problems)
        return self._update(refused)

    def _accept(self, request: RefundRequest, refund: Document, now: datetime) -> RefundRequest:
        accepted = msgspec.structs.replace(
            request, state="accepted", refund_id=text_of(refund, "id")
        )
        with self._store.transaction() as tx:
            tx.lock_order(request.order_id)
            known = tx.find_book(request.order_id) or Book(order_id=request.order_id)
            reading = Reading(known, refunds=(refund,))
            book_reading(tx, reading, now - self._settings.announce_within, now)
            tx.update_request(accepted)
        return accepted

    def _later(self, request: RefundRequest, now: datetime) -> RefundRequest:
        attempts = request.attempts + 1
        due = backed_off(attempts, now)
        return self._update(msgspec.structs.replace(request, attempts=attempts, due_time=due))

    def _update(self, request: RefundRequest) -> RefundRequest:
        with self._store.transaction() as tx:
            tx.update_request(request)
        return request

    def _outcome(self, request: RefundRequest) -> RequestOutcome:
        refund = None
        if request.refund_id is not None:
            with self._store.transaction() as tx:
                book = tx.find_book(request.order_id)
            refund = book.refunds.get(request.refund_id) if book else None
        return RequestOutcome(
            request_id=request.id,
            order_id=request.order_id,
            state=request.state,
            refund=refund,
            problems=request.problems,
        )

    @contextmanager
    def _turn(self, order_id: str) -> Generator[None]:
        """One POST at a time for an order."""
        with self._guard:
            turn = self._turns.setdefault(order_id, threading.Lock())
        with turn:
            yield


def asked_fields(
    *,
    lines: Sequence[Mapping[str, Any]] | None,
    amount: Decimal | None,
    percent: Decimal | None,
    type: str | None,
    reason: str | None,
    metadata: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Fields of POST /refunds. Raises ValueError unless one of lines, amount, percent is given."""
    measures = {"items": lines, "amount": amount, "percent": percent}
    given = {name: value for name, value in measures.items() if value is not None}
    if len(given) != 1:
        raise ValueError("give one of lines, amount and percent")
    others = {"type": type, "reason": reason, "metadata": metadata}
    return given | {name: value for name, value in others.items() if value is not None}


def _is_available(order: Document, asked: Mapping[str, Any]) -> bool:
    """Whether what is asked for in money is not more than the order and its lines have left."""
    available = amount_of(order, "availableToRefundAmount")
    fields = dict(asked)
    parts = objects_of(fields, "items")
    amounts = [optional_amount(part, "amount") for part in parts]
    wanted = optional_amount(fields, "amount") or sum(
        (each for each in amounts if each is not None), Decimal(0)
    )
    if wanted > available or available == 0:
        return False
    of_line = {line.get("id"): line for line in objects_of(order, "items")}
    return all(
        amount is None
        or (line := of_line.get(part.get("itemId"))) is None
        or amount <= (optional_amount(line, "availableToRefundAmount") or Decimal(0))
        for part, amount in zip(parts, amounts, strict=True)
    )


def _problems(error: SyncError) -> tuple[RequestProblem, ...]:
    given = error.problems if isinstance(error, ApiError) else ()
    found = tuple(RequestProblem(each.code, each.parameter, each.message) for each in given)
    return found or (RequestProblem(None, None, str(error)),)
