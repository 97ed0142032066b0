"""What the `http` protocol writes and reads; pure (docs/processors/http.md)."""

from datetime import datetime
from typing import TypeVar

import msgspec

from refundry.domain.charge import FAILURE_REASONS, Failure
from refundry.domain.money import find_currency, major_text, parse_numeral, to_minor
from refundry.processors.contract import (
    NO_RECEIPT,
    Declined,
    Found,
    InProgress,
    NeedsInformation,
    NotFound,
    Outcome,
    ProcessorRefund,
    Receipt,
    Settled,
    Submission,
    Unknown,
)

Shape = TypeVar("Shape")
NO_NUMBER = msgspec.Raw(b"null")


class Answer(msgspec.Struct, rename="camel"):
    """What the adapter answers with 200 or 202. amount: a JSON number of major units."""

    state: str
    code: str | None = None
    message: str | None = None
    failure_reason: str | None = None
    reference: str | None = None
    arn: str | None = None
    amount: msgspec.Raw = NO_NUMBER
    currency: str | None = None


class ListedRefund(Answer, rename="camel"):
    """A refund as the adapter lists it. payment: the processorReference of its payment."""

    payment: str = ""
    operation_id: str | None = None
    created_time: datetime | None = None


class RefundPage(msgspec.Struct):
    """Some refunds. next: what to send as `after` for those that follow; null: there are none."""

    refunds: list[ListedRefund]
    next: str | None = None


class Unreadable(Exception):
    """An answer that is not of the documented form; the message says why."""


def request_body(submission: Submission) -> bytes:
    """The operation as the protocol writes it; the amount is a JSON number of major units."""
    fields: dict[str, object] = {
        "operationId": submission.key,
        "kind": submission.kind.value,
        "chargeId": submission.charge_id,
        "processorReference": submission.processor_reference,
        "amount": msgspec.Raw(major_text(submission.amount, submission.currency.exponent).encode()),
        "currency": submission.currency.code,
    }
    if submission.bank_details is not None:
        fields["bankDetails"] = submission.bank_details
    return msgspec.json.encode(fields)


def read_answer(status: int, body: bytes) -> Outcome:
    """The outcome in an answer. Whatever is not clearly one of the four states is unknown."""
    try:
        return outcome_of(_decode(status, body, Answer))
    except Unreadable as error:
        return Unknown(str(error))


def read_found(status: int, body: bytes) -> Found:
    """What a look-up found. Only the word `not_found` says that there is nothing: a 404 may come
    from anybody on the way."""
    try:
        answer = _decode(status, body, Answer)
        return NotFound() if answer.state == "not_found" else outcome_of(answer)
    except Unreadable as error:
        return Unknown(str(error))


def read_listed(refund: ListedRefund) -> ProcessorRefund:
    """A refund of the adapter's list. Raises Unreadable."""
    receipt = receipt_of(refund)
    if not refund.reference or receipt.amount is None or receipt.currency is None:
        raise Unreadable("a listed refund lacks its reference, amount or currency")
    if refund.created_time is None or refund.created_time.tzinfo is None:
        raise Unreadable(f"refund {refund.reference} lacks its createdTime, or its time zone"[:500])
    return ProcessorRefund(
        reference=refund.reference,
        payment=refund.payment,
        key=refund.operation_id,
        amount=receipt.amount,
        currency=receipt.currency,
        created_at=refund.created_time,
        outcome=outcome_of(refund),
    )


def outcome_of(answer: Answer) -> Outcome:
    """The outcome that `state` names. Raises Unreadable."""
    receipt = receipt_of(answer)
    match answer.state:
        case "complete":
            return Settled(receipt)
        case "pending":
            return InProgress(receipt=receipt)
        case "pending_information":
            return NeedsInformation(receipt)
        case "failed":
            failure = failure_of(answer.code, answer.message, answer.failure_reason)
            return Declined(failure, receipt)
        case _:
            raise Unreadable(f"unknown state {answer.state!r}"[:500])


def receipt_of(answer: Answer) -> Receipt:
    """What else an answer says; the amount counts only with its currency. Raises Unreadable."""
    if answer.amount == NO_NUMBER and answer.currency is None:
        if answer.reference is None and answer.arn is None:
            return NO_RECEIPT
        return Receipt(reference=answer.reference, arn=answer.arn)
    currency = find_currency(answer.currency or "")
    number = parse_numeral(bytes(answer.amount).decode())
    amount = to_minor(number, currency) if currency and number is not None else None
    if currency is None or amount is None:
        raise Unreadable(f"no amount of a currency: {answer.amount!r} {answer.currency!r}"[:500])
    return Receipt(
        reference=answer.reference, arn=answer.arn, amount=amount, currency=currency.code
    )


def failure_of(code: str | None, message: str | None, reason: str | None) -> Failure:
    """A processor's failure with our defaults; no reason, or one not ours, is `unknown`."""
    default = Failure()
    known = reason if reason in FAILURE_REASONS else "unknown"
    return Failure(
        (code or default.code)[:200],
        (message or default.message)[:500],
        known,
    )


def read_page(status: int, body: bytes) -> RefundPage:
    """A page of the adapter's list. Raises Unreadable."""
    return _decode(status, body, RefundPage)


def problem_of(status: int, body: bytes) -> str:
    """What an answer to a check says is wrong, in words; empty: nothing."""
    if status in (401, 403):
        return (
            f"The adapter answered {status}: compare the secret on both sides, and the clocks, "
            "which may differ by 300 seconds"
        )
    try:
        answer = _decode(status, body, Answer)
    except Unreadable as error:
        return f"{error}; see whether the address is the adapter's, and whether it knows `check`"
    if answer.state == "complete":
        return ""
    return (answer.message or f"The adapter's state is {answer.state!r}")[:500]


def _decode(status: int, body: bytes, shape: type[Shape]) -> Shape:
    if status not in (200, 202):
        raise Unreadable(f"answered {status}")
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"unreadable answer: {error}"[:500]) from error
