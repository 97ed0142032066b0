"""Stripe: refunds, captures and cancels on the official SDK, each done once.

Stripe keeps an idempotency key for at least 24 hours and repeats the first answer to it, a 500
included. So a repeat looks our operation up first, by the id that we put into its metadata, and
asks again, under the same key, only where Stripe certainly holds none.

Sources: Stripe API reference, "Idempotent requests", "Create a refund", "List all refunds",
"Capture a PaymentIntent", "Cancel a PaymentIntent".
"""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import msgspec
import stripe

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.contract import (
    Abilities,
    Captures,
    Declined,
    Finding,
    Found,
    InProgress,
    NotFound,
    Notice,
    NoticeKind,
    Outcome,
    ProcessorRefund,
    Receipt,
    Settled,
    Submission,
    Unknown,
    is_operation_id,
)
from refundry.processors.stripe_calls import answer_of, words
from refundry.processors.stripe_check import check_connection
from refundry.processors.stripe_events import DISPUTE_EVENTS, REFUND_EVENTS, open_event
from refundry.processors.stripe_objects import (
    OPERATION,
    Dispute,
    Event,
    Payment,
    Refund,
    RefundPage,
)
from refundry.processors.stripe_outcomes import (
    EXPONENTS,
    Refusal,
    read_capture,
    read_dispute,
    read_listed,
    read_refund,
    stripe_units,
)

if TYPE_CHECKING:
    from stripe.params import RefundCreateParams, RefundListParams

Shape = TypeVar("Shape")

# Stripe promises 24 hours; an hour less, as clocks differ and requests take time.
_KEYS_KEPT = timedelta(hours=23)
_PAGE = 100  # The most that a list gives at once.
_NOT_A_PAYMENT = Failure(
    "unsupported_reference",
    "The charge's processorReference is no payment of Stripe (pi_..., ch_... or py_...)",
    "unknown",
)
_NO_INTENT = Failure(
    "unsupported_reference", "Only a PaymentIntent (pi_...) can be captured or cancelled", "unknown"
)
_ALL_OR_NOTHING = Failure(
    "all_or_nothing", "Stripe cancels all that is authorised, or nothing", "declined"
)


@dataclass(frozen=True, slots=True)
class StripeCredentials:
    """secret_key: sk_... or rk_...; webhook_secret: whsec_..., of the endpoint that notifies us."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


class _Unanswered(OSError):
    """Stripe could not be asked; the message says why."""


class StripeProcessor:
    """The connector to one Stripe account. session: whose connections it uses."""

    name = "stripe"
    abilities = Abilities(
        captures=Captures.PARTIAL,
        partial_refunds=True,
        refund_age=None,
        repeats_for=_KEYS_KEPT,
        arn=True,
        asynchronous=True,
        bank_detail_refunds=False,
        exponents=EXPONENTS,
    )

    def __init__(
        self,
        credentials: StripeCredentials,
        session: aiohttp.ClientSession,
        timeout_seconds: float,
        base_url: str | None = None,
    ) -> None:
        # What the SDK adds of its own accord: how long our last requests took.
        stripe.enable_telemetry = False
        self._credentials = credentials
        self._timeout = timeout_seconds
        client = stripe.StripeClient(
            credentials.secret_key,
            http_client=stripe.AIOHTTPClient(timeout=timeout_seconds, session=session),
            base_addresses={"api": base_url} if base_url else None,
            max_network_retries=0,  # Repeating is ours.
        )
        self._api = client.v1

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation under its key; where it may have been asked for, look first."""
        if submission.kind is OperationKind.AUTHORIZE:
            return await self._authorized(submission)
        reference = submission.processor_reference or ""
        if submission.kind is not OperationKind.REFUND and not reference.startswith("pi_"):
            return Declined(_NO_INTENT)
        if not reference.startswith(("pi_", "ch_", "py_")):
            return Declined(_NOT_A_PAYMENT)
        units = stripe_units(submission.amount, submission.currency)
        if isinstance(units, Refusal):
            return units.declined()
        if submission.attempt > 1 or _age(submission) >= _KEYS_KEPT:
            found = await self.look_up(submission)
            if not isinstance(found, NotFound):
                return found
        return await self._ask_for(submission, units)

    async def look_up(self, submission: Submission) -> Found:
        """What became of an operation, by Stripe's id of it or by ours in its metadata."""
        try:
            if submission.kind is OperationKind.REFUND:
                return await self._look_up_refund(submission)
            if submission.kind is OperationKind.AUTHORIZE:
                return await self._authorized(submission)
            return await self._look_up_intent(submission)
        except _Unanswered as error:
            return Unknown(str(error))

    async def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[Notice]:
        """What an event tells. Events come in any order, so Stripe is asked how it is now."""
        event = open_event(headers, body, self._credentials.webhook_secret, now)
        if event is None:
            return []
        try:
            if event.type in REFUND_EVENTS:
                return [await self._refund_notice(event)]
            if event.type in DISPUTE_EVENTS:
                return [await self._dispute_notice(event)]
        except msgspec.ValidationError:
            pass  # Stripe signed it, but it is not of the shape that is documented.
        return [Notice(event.id, NoticeKind.OTHER, event.type)]

    async def refunds_since(self, since: datetime) -> AsyncIterator[ProcessorRefund]:
        """The account's refunds from a time on, newest first; OSError where Stripe cannot say."""
        form: RefundListParams = {"created": {"gte": int(since.timestamp())}}
        async for refund in self._list(form):
            yield read_listed(refund)

    async def check(self) -> Sequence[Finding]:
        """Whether the key works and may refund, and whether events reach us; moves nothing."""
        return await check_connection(
            self._api,
            self._credentials.secret_key,
            self._credentials.webhook_secret,
            self._timeout,
        )

    async def _ask_for(self, submission: Submission, units: int) -> Outcome:
        if submission.kind is OperationKind.REFUND:
            answer = await self._refund(submission, units)
        elif submission.kind is OperationKind.CAPTURE:
            answer = await self._capture(submission, units)
        else:
            answer = await self._cancel(submission, units)
        if not isinstance(answer, Refusal):
            return answer
        # Refused now, it may have been done by an earlier request of ours that went unanswered.
        found = await self.look_up(submission)
        return answer.declined() if isinstance(found, NotFound) else found

    async def _refund(self, submission: Submission, units: int) -> Outcome | Refusal:
        form: RefundCreateParams = {"amount": units, "metadata": {OPERATION: submission.key}}
        reference = submission.processor_reference or ""
        if reference.startswith("pi_"):
            form["payment_intent"] = reference
        else:
            form["charge"] = reference
        options: stripe.RequestOptions = {"idempotency_key": submission.key}
        refund = await self._ask(self._api.refunds.create_async(form, options), Refund)
        if not isinstance(refund, Refund):
            return refund
        if refund.key != submission.key:
            return Unknown(f"{refund.id} was answered, which does not carry our reference")
        return read_refund(refund)

    async def _capture(self, submission: Submission, units: int) -> Outcome | Refusal:
        payment = await self._ask(
            self._api.payment_intents.capture_async(
                submission.processor_reference or "",
                {"amount_to_capture": units, "metadata": {OPERATION: submission.key}},
                {"idempotency_key": submission.key},
            ),
            Payment,
        )
        return read_capture(payment) if isinstance(payment, Payment) else payment

    async def _cancel(self, submission: Submission, units: int) -> Outcome | Refusal:
        """A part cannot be cancelled, so what is authorised is looked at first."""
        reference = submission.processor_reference or ""
        payment = await self._ask(self._api.payment_intents.retrieve_async(reference), Payment)
        if not isinstance(payment, Payment):
            return payment
        if payment.status == "requires_capture" and payment.amount_capturable != units:
            return Declined(_ALL_OR_NOTHING)
        cancelled = await self._ask(
            self._api.payment_intents.cancel_async(
                reference, {}, {"idempotency_key": submission.key}
            ),
            Payment,
        )
        if not isinstance(cancelled, Payment):
            return cancelled
        return _released(cancelled, units) or Unknown(
            f"{reference} is {cancelled.status!r} after its cancel"
        )

    async def _authorized(self, submission: Submission) -> Outcome:
        """The shop authorises at Stripe; we look how far that is."""
        reference = submission.processor_reference or ""
        if not reference.startswith("pi_"):
            return InProgress()
        payment = await self._ask(self._api.payment_intents.retrieve_async(reference), Payment)
        if not isinstance(payment, Payment):
            return Unknown(words(payment))
        if payment.status in ("requires_capture", "succeeded"):
            return Settled(Receipt(payment.id, payment.status))
        if payment.status == "canceled":
            return Declined(Failure("canceled", "The payment was cancelled at Stripe", "declined"))
        return InProgress(receipt=Receipt(payment.id, payment.status))

    async def _look_up_refund(self, submission: Submission) -> Found:
        reference = submission.processor_reference or ""
        form: RefundListParams = (
            {"payment_intent": reference} if reference.startswith("pi_") else {"charge": reference}
        )
        ours = [
            refund
            async for refund in self._list(form)
            # One that was made there and adopted carries no key of ours.
            if refund.key == submission.key
            or (refund.id == submission.reference and not is_operation_id(refund.key))
        ]
        if not ours:
            return NotFound()
        if len(ours) > 1:
            named = ", ".join(refund.id for refund in ours)
            return Unknown(f"Stripe holds several refunds under our reference: {named}"[:500])
        return read_refund(ours[0])

    async def _look_up_intent(self, submission: Submission) -> Found:
        """A capture carries our id; a cancel cannot, and is told by what is released."""
        units = stripe_units(submission.amount, submission.currency)
        reference = submission.processor_reference or ""
        payment = await self._ask(self._api.payment_intents.retrieve_async(reference), Payment)
        if not isinstance(payment, Payment):
            return Unknown(words(payment))
        if submission.kind is OperationKind.CANCEL:
            assert not isinstance(units, Refusal), "submit has told it"
            return _released(payment, units) or NotFound()
        if payment.key != submission.key or payment.status == "requires_capture":
            return NotFound()
        return read_capture(payment)

    async def _refund_notice(self, event: Event) -> Notice:
        told = msgspec.convert(event.data.object, Refund)
        now = await self._ask(self._api.refunds.retrieve_async(told.id), Refund)
        if isinstance(now, Refund):
            listed = read_listed(now)
        else:
            unclear = Unknown(f"told of {told.id}, which Stripe did not confirm: {words(now)}")
            listed = replace(read_listed(told), outcome=unclear)
        kind = NoticeKind.OUTCOME if listed.key else NoticeKind.REFUND
        return Notice(event.id, kind, event.type, listed.key, listed.outcome, listed)

    async def _dispute_notice(self, event: Event) -> Notice:
        told = msgspec.convert(event.data.object, Dispute)
        now = await self._ask(self._api.disputes.retrieve_async(told.id), Dispute)
        dispute = read_dispute(now if isinstance(now, Dispute) else told)
        kind = NoticeKind.DISPUTE if dispute else NoticeKind.OTHER
        return Notice(event.id, kind, event.type, dispute=dispute)

    async def _list(self, form: "RefundListParams") -> AsyncIterator[Refund]:
        """Every refund that `form` asks for, newest first. Raises _Unanswered."""
        asked: RefundListParams = {**form, "limit": _PAGE}
        while True:
            page = await self._ask(self._api.refunds.list_async(asked), RefundPage)
            if not isinstance(page, RefundPage):
                raise _Unanswered(words(page))
            for refund in page.data:
                yield refund
            if not page.has_more or not page.data:
                return
            asked = {**asked, "starting_after": page.data[-1].id}

    async def _ask(
        self, call: Awaitable[stripe.StripeObject], shape: type[Shape]
    ) -> Shape | Refusal | Unknown:
        """The answer to one call; whatever goes wrong on the way is unknown."""
        return await answer_of(call, shape, self._timeout)


def _released(payment: Payment, units: int) -> Settled | None:
    """Whether `units` of the authorisation were given back: all of it by a cancel, or what a
    capture of a part left."""
    left = payment.amount - payment.amount_received
    if payment.status == "canceled" or (payment.status == "succeeded" and left == units):
        return Settled(Receipt(payment.id, payment.status))
    return None


def _age(submission: Submission) -> timedelta:
    return submission.now - submission.first_attempt_at
