"""PayPal: captures, voids and refunds, and the webhooks on them, each confirmed at the API.

Sources: PayPal developer docs, "Payments API v2", "Idempotency", "Webhooks API", "Verify webhook
signature", "Transaction Search API v1".
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from refundry.clock import Clock
from refundry.domain.charge import OperationKind
from refundry.processors.contract import (
    Abilities,
    Captures,
    Declined,
    Finding,
    Found,
    InProgress,
    NotFound,
    Notice,
    Outcome,
    ProcessorRefund,
    Submission,
    Unknown,
    is_operation_id,
)
from refundry.processors.paypal_api import PayPalApi, PayPalCredentials, Refusal
from refundry.processors.paypal_authorizations import UNPAYABLE, capture_of, look_up, operate
from refundry.processors.paypal_notices import read_notices
from refundry.processors.paypal_reading import (
    DONE_ALREADY,
    EXPONENTS,
    Capture,
    Order,
    Refund,
    Transactions,
    issue_of,
    payable,
    read_refund,
    read_refusal,
    searched_refund,
)

# "Idempotency": the server keeps the keys of refunds for 45 days. A day less, as clocks differ.
_KEYS_KEPT = timedelta(days=44)
# "Issue a refund": within 180 days of the capture.
_REFUND_AGE = timedelta(days=180)
# "Transaction Search API v1": a search spans at most 31 days, a page at most 500.
_SEARCH_SPAN = timedelta(days=31)
_PAGE_SIZE = 500
# "Transaction event codes": a refund of a payment, by the merchant.
_REFUND_EVENT = "T1107"

_SCOPES = {
    "https://uri.paypal.com/services/payments/refund": "refund payments",
    "https://uri.paypal.com/services/payments/payment/authcapture": "capture payments",
    "https://uri.paypal.com/services/reporting/search/read": "search transactions",
    "https://uri.paypal.com/services/disputes/read-seller": "read disputes",
}


class PayPalProcessor:
    """The connector to one PayPal app."""

    name = "paypal"
    abilities = Abilities(
        captures=Captures.PARTIAL,
        partial_refunds=True,
        refund_age=_REFUND_AGE,
        repeats_for=_KEYS_KEPT,
        arn=True,
        asynchronous=True,
        bank_detail_refunds=False,
        exponents=EXPONENTS,
    )

    def __init__(
        self,
        credentials: PayPalCredentials,
        timeout_seconds: float,
        base_url: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._webhook_id = credentials.webhook_id
        self._api = PayPalApi(credentials, timeout_seconds, base_url)
        self._clock = clock or Clock()

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation, under our id as PayPal-Request-Id; a refund has it as its
        custom_id and invoice_id too."""
        if submission.kind is OperationKind.AUTHORIZE:
            return InProgress()  # The shop authorises; we are told.
        payment = submission.processor_reference
        if not payment:
            return Unknown("the payment has no id of PayPal")
        try:
            if submission.kind is OperationKind.REFUND:
                return await self._refund(submission, payment)
            return await operate(self._api, submission, payment, _KEYS_KEPT)
        except _FAULTS as error:
            return Unknown(_words(error))

    async def look_up(self, submission: Submission) -> Found:
        """By PayPal's id of the refund, or by our id among the refunds of the capture's order; a
        capture or cancel by the state of the authorisation."""
        payment = submission.processor_reference
        if not payment:
            return Unknown("the payment has no id of PayPal")
        try:
            if submission.kind is not OperationKind.REFUND:
                return await look_up(self._api, submission, payment)
            if submission.reference:
                text = await self._api.find_refund(submission.reference)
                return _read_ours(submission, text)
            capture = await capture_of(self._api, payment)
            if isinstance(capture, Unknown):
                return capture
            return await self._look_through_order(submission, capture)
        except _FAULTS as error:
            return Unknown(f"looked up in vain: {_words(error)}"[:500])

    async def read_notification(
        self,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,  # noqa: ARG002 - what it tells is asked anew, however old it is
    ) -> Sequence[Notice]:
        """PayPal is asked whether it sent it, and what is so now. Raises OSError where PayPal
        cannot be asked: it sends again."""
        return await read_notices(self._api, self._webhook_id, headers, body)

    async def refunds_since(self, since: datetime) -> AsyncIterator[ProcessorRefund]:
        """By search, which finds a refund up to three hours late; oldest spans first."""
        now = self._clock.now()
        while since < now:
            until = min(since + _SEARCH_SPAN, now)
            async for refund in self._search(since, until):
                yield refund
            since = until

    async def check(self) -> Sequence[Finding]:
        """Whether PayPal knows the app, the app may do what we need, and the webhook is its."""
        try:
            scopes = await self._api.scopes()
        except (Refusal, OSError) as error:
            return [Finding("client id and secret", f"PayPal gives no access token: {error}"[:300])]
        missing = [words for scope, words in _SCOPES.items() if scope not in scopes]
        problem = f"the app may not {', '.join(missing)}" if missing else ""
        return [
            Finding("client id and secret"),
            Finding("permissions of the app", problem),
            await self._check_webhook(),
        ]

    def close(self) -> None:
        """Take no more calls."""
        self._api.close()

    async def _refund(self, submission: Submission, payment: str) -> Outcome:
        value = payable(submission.amount, submission.currency)
        if value is None:
            return Declined(UNPAYABLE)
        capture = await capture_of(self._api, payment)
        if isinstance(capture, Unknown):
            return capture
        age = submission.now - submission.first_attempt_at
        if submission.attempt > 1 and age >= _KEYS_KEPT:
            found = await self._look_through_order(submission, capture)
            if not isinstance(found, NotFound):
                return found
        currency = submission.currency.code
        try:
            text = await self._api.refund(capture.id, submission.key, value, currency)
        except Refusal as refusal:
            return await self._refused(submission, capture, refusal)
        return _read_ours(submission, text)

    async def _refused(self, submission: Submission, capture: Capture, refusal: Refusal) -> Outcome:
        """What a refusal means; one that may tell of our own refund is looked up."""
        if issue_of(refusal)[0] not in DONE_ALREADY:
            return read_refusal(refusal)
        found = await self._look_through_order(submission, capture)
        return read_refusal(refusal) if isinstance(found, NotFound) else found

    async def _look_through_order(self, submission: Submission, capture: Capture) -> Found:
        order_id = capture.supplementary_data.related_ids.order_id
        if order_id is None:
            return Unknown("the capture belongs to no order, through which its refunds are found")
        order = msgspec.json.decode(await self._api.find_order(order_id), type=Order)
        refunds = order.refunds_of(capture.id)
        ours = [refund for refund in refunds if refund.custom_id == submission.key]
        if len(ours) > 1:
            return Unknown("PayPal has two refunds with our id")
        if ours:
            return read_refund(ours[0])
        if not refunds and capture.status not in ("COMPLETED", "PENDING"):
            return Unknown(f"the capture is {capture.status}, but its order shows no refund")
        return NotFound()

    async def _search(self, since: datetime, until: datetime) -> AsyncIterator[ProcessorRefund]:
        page, pages = 1, 1
        while page <= pages:
            options = {
                "start_date": since.isoformat(timespec="seconds"),
                "end_date": until.isoformat(timespec="seconds"),
                "transaction_type": _REFUND_EVENT,
                "fields": "transaction_info",
                "page_size": _PAGE_SIZE,
                "page": page,
            }
            found = await self._found(options)
            for detail in found.transaction_details:
                refund = searched_refund(detail.transaction_info)
                if refund is not None:
                    yield refund
            page, pages = page + 1, found.total_pages

    async def _found(self, options: Mapping[str, object]) -> Transactions:
        try:
            return msgspec.json.decode(await self._api.search(options), type=Transactions)
        except (Refusal, msgspec.DecodeError) as error:
            raise OSError(f"PayPal cannot be searched: {error}"[:300]) from error

    async def _check_webhook(self) -> Finding:
        what = "webhook"
        try:
            await self._api.find_webhook(self._webhook_id)
        except Refusal as refusal:
            if refusal.status == 404:
                return Finding(what, f"the app has no webhook {self._webhook_id}")
            return Finding(what, str(refusal)[:300])
        except OSError as error:
            return Finding(what, f"no answer to a trial: {error}"[:300])
        return Finding(what)


def _read_ours(submission: Submission, text: str) -> Outcome:
    """The outcome in a refund that must be ours; raises msgspec.DecodeError."""
    refund = msgspec.json.decode(text, type=Refund)
    # One that was made there and adopted carries no id of ours.
    adopted = refund.id == submission.reference and not is_operation_id(refund.custom_id)
    if refund.custom_id != submission.key and not adopted:
        return Unknown("the answer is about another refund")
    return read_refund(refund)


# Whatever is no answer of PayPal's that can be read, or is a refusal of a question.
_FAULTS = (Refusal, OSError, msgspec.DecodeError)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, msgspec.DecodeError):
        return f"unreadable answer: {error}"[:500]
    if isinstance(error, Refusal):
        told = read_refusal(error)
        return told.error if isinstance(told, Unknown) else str(error)
    return f"{type(error).__name__}: {error}"[:500]
