"""PayPal's authorised payments: their captures and voids, and the capture that a refund is of.

Sources: PayPal developer docs, "Payments API v2" (authorizations, captures, their issues), "Orders
API v2".
"""

from datetime import timedelta

import msgspec

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.contract import (
    Declined,
    Found,
    NotFound,
    Outcome,
    Receipt,
    Settled,
    Submission,
    Unknown,
)
from refundry.processors.paypal_api import PayPalApi, Refusal
from refundry.processors.paypal_reading import (
    Authorization,
    Capture,
    Order,
    issue_of,
    minor_units,
    payable,
    read_capture,
    read_refusal,
    up_of,
)

UNPAYABLE = Failure(
    "DECIMALS_NOT_SUPPORTED", "PayPal takes whole amounts of this currency only", "declined"
)
_ALL_OR_NOTHING = Failure(
    "all_or_nothing", "PayPal cancels all that is authorised, or nothing", "declined"
)
_CAPTURED_BY_OTHERS = Failure(
    "AUTHORIZATION_ALREADY_CAPTURED", "The payment was captured before it was asked for", "declined"
)
_GONE = frozenset({"DENIED", "EXPIRED", "VOIDED"})
# What PayPal may answer when it has done the same already.
_DONE_ALREADY = frozenset(
    {
        "AUTHORIZATION_ALREADY_CAPTURED",
        "MAX_CAPTURE_AMOUNT_EXCEEDED",
        "PREVIOUSLY_CAPTURED",
        "PREVIOUSLY_VOIDED",
    }
)


async def capture_of(api: PayPalApi, payment: str) -> Capture | Unknown:
    """The capture that a payment's refunds are of: itself, or the one of an authorisation."""
    try:
        return msgspec.json.decode(await api.find_capture(payment), type=Capture)
    except Refusal as refusal:
        if refusal.status != 404:
            raise
    _, captures = await _authorized(api, payment)
    if len(captures) != 1:
        return Unknown(f"the authorisation has {len(captures)} captures; a refund is of one")
    return captures[0]


async def operate(api: PayPalApi, submission: Submission, payment: str, kept: timedelta) -> Outcome:
    """Capture or give up an authorisation. kept: how long PayPal keeps a key.

    Raises Refusal and OSError for the questions asked before, and msgspec.DecodeError.
    """
    forgotten = submission.now - submission.first_attempt_at >= kept
    if submission.kind is OperationKind.CANCEL or (submission.attempt > 1 and forgotten):
        found = await look_up(api, submission, payment)
        if not isinstance(found, NotFound):
            return found
    try:
        if submission.kind is OperationKind.CANCEL:
            return await _void(api, submission, payment)
        return await _capture(api, submission, payment)
    except Refusal as refusal:
        return await _refused(api, submission, payment, refusal)


async def look_up(api: PayPalApi, submission: Submission, payment: str) -> Found:
    """What became of a capture or a cancel, by the state of the authorisation and its order."""
    authorization, captures = await _authorized(api, payment)
    if submission.kind is OperationKind.CANCEL:
        return _read_cancel(submission, authorization, captures)
    if len(captures) > 1:
        return Unknown("the authorisation has several captures, and none names its operation")
    if captures:
        return read_capture(captures[0])
    if authorization.status in _GONE:
        words = f"the authorisation is {authorization.status}"
        return Declined(Failure(authorization.status, words, "declined"))
    if authorization.status == "CAPTURED":
        return Unknown("the authorisation is captured, but its order shows no capture")
    return NotFound()


async def _authorized(api: PayPalApi, payment: str) -> tuple[Authorization, list[Capture]]:
    """An authorisation, and its captures that did not fail."""
    text = await api.find_authorization(payment)
    authorization = msgspec.json.decode(text, type=Authorization)
    order_id = authorization.supplementary_data.related_ids.order_id
    if order_id is None:
        raise OSError("the authorisation belongs to no order, through which it is looked up")
    order = msgspec.json.decode(await api.find_order(order_id), type=Order)
    every = [one for unit in order.purchase_units for one in unit.payments.captures]
    return authorization, [
        one
        for one in every
        if up_of(one.links) == payment and one.status not in ("DECLINED", "FAILED")
    ]


async def _capture(api: PayPalApi, submission: Submission, payment: str) -> Outcome:
    value = payable(submission.amount, submission.currency)
    if value is None:
        return Declined(UNPAYABLE)
    currency = submission.currency.code
    text = await api.capture(payment, submission.key, value, currency)
    return read_capture(msgspec.json.decode(text, type=Capture))


async def _void(api: PayPalApi, submission: Submission, payment: str) -> Outcome:
    """Void all; what is authorised is looked at first, as a part cannot be given up alone."""
    text = await api.find_authorization(payment)
    known = msgspec.json.decode(text, type=Authorization)
    if minor_units(known.amount) != submission.amount:
        return Declined(_ALL_OR_NOTHING)
    text = await api.void(payment, submission.key)
    voided = msgspec.json.decode(text, type=Authorization)
    if voided.status != "VOIDED":
        return Unknown(f"the authorisation is {voided.status}")
    return Settled(Receipt(payment, voided.status))


async def _refused(
    api: PayPalApi, submission: Submission, payment: str, refusal: Refusal
) -> Outcome:
    """What a refusal means; one that may tell of our own operation is looked up.

    A capture carries nothing of ours: before we asked, it can only be someone else's.
    """
    if refusal.status == 404 and submission.kind is OperationKind.CAPTURE:
        await api.find_capture(payment)  # A payment that was captured at once has no authorisation.
        return Declined(_CAPTURED_BY_OTHERS)
    if issue_of(refusal)[0] not in _DONE_ALREADY or submission.attempt == 1:
        return read_refusal(refusal)
    found = await look_up(api, submission, payment)
    return read_refusal(refusal) if isinstance(found, NotFound) else found


def _read_cancel(
    submission: Submission, authorization: Authorization, captures: list[Capture]
) -> Found:
    receipt = Receipt(authorization.id, authorization.status)
    if authorization.status in _GONE:
        return Settled(receipt)
    if authorization.status != "CAPTURED":
        return NotFound()
    captured = [minor_units(one.amount) for one in captures if one.amount]
    whole = minor_units(authorization.amount)
    sums = [one for one in captured if one is not None]
    if whole is None or len(sums) != len(captures):
        return Unknown("what is captured of the authorisation is no amount of ours")
    # The last capture releases the rest.
    released = whole - sum(sums)
    return Settled(receipt) if released == submission.amount else Declined(_ALL_OR_NOTHING, receipt)
