"""What a shop's admin portal shows: refunds, and the requests that were refused, in one list."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from refundry_sync.sync.documents import objects_of, optional_amount, optional_text, read_json
from refundry_sync.sync.records import RefundRequest, RequestProblem
from refundry_sync.sync.store import Tx
from refundry_sync.sync.views import ZERO, Book, RefundView

MOST = 200


class FoundRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund, or a request that led to none: then without `refund_id`.

    state: of the refund, or refused, sending or unknown. amount: asked for; None: a share of it.
    problems: why it was refused, for staff. made_time: when it was asked for.
    """

    order_id: str
    state: str
    made_time: datetime
    refund_id: str | None = None
    request_id: str | None = None
    currency: str | None = None
    amount: Decimal | None = None
    refunded_amount: Decimal = ZERO
    reason: str | None = None
    failure_reason: str | None = None
    problems: tuple[RequestProblem, ...] = ()
    refund: RefundView | None = None


def refunds_of_book(book: Book, requests: Sequence[RefundRequest]) -> list[FoundRefund]:
    """The refunds of an order and its requests without one, newest first."""
    by_refund = {request.refund_id: request for request in requests if request.refund_id}
    found = [_of_refund(each, by_refund.get(each.id)) for each in book.refunds.values()]
    found += [of_request(each) for each in requests if each.refund_id is None]
    return sorted(found, key=lambda each: each.made_time, reverse=True)


def find_in_store(tx: Tx, state: str | None) -> list[FoundRefund]:
    """The newest refunds of all orders, perhaps in one state; at most MOST orders' worth."""
    found: list[FoundRefund] = []
    for order_id in tx.orders_with_refunds(state or "", MOST):
        book = tx.find_book(order_id)
        if book is not None:
            found += refunds_of_book(book, tx.requests_of(order_id))
    listed = {each.request_id for each in found}
    refused = [of_request(each) for each in tx.refused_requests(MOST)]
    found += [each for each in refused if each.request_id not in listed]
    chosen = [each for each in found if state is None or each.state == state]
    return sorted(chosen, key=lambda each: each.made_time, reverse=True)[:MOST]


def of_request(request: RefundRequest) -> FoundRefund:
    body = read_json(request.body)
    amounts = [optional_amount(item, "amount") for item in objects_of(body, "items")]
    known = [amount for amount in amounts if amount is not None]
    whole = len(known) == len(amounts) > 0
    return FoundRefund(
        order_id=request.order_id,
        state=request.state,
        made_time=request.requested_time,
        request_id=request.id,
        currency=optional_text(body, "currency"),
        amount=sum(known, ZERO) if whole else optional_amount(body, "amount"),
        reason=optional_text(body, "reason"),
        problems=request.problems,
    )


def _of_refund(refund: RefundView, request: RefundRequest | None) -> FoundRefund:
    made = refund.first_event_time or refund.created_time
    return FoundRefund(
        order_id=refund.order_id,
        state=refund.state,
        made_time=request.requested_time if request else made,
        refund_id=refund.id,
        request_id=request.id if request else None,
        currency=refund.currency,
        amount=refund.amount,
        refunded_amount=refund.refunded_amount,
        reason=refund.reason,
        failure_reason=refund.failure_reason,
        refund=refund,
    )
