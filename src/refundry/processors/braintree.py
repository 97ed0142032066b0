"""Braintree: captures, voids and refunds of sales that the shop made.

Sources: Braintree docs, "Transaction: Refund", "Transaction: Submit For Settlement",
"Transaction: Void", "Transaction: Find", "Transaction: Search", "At-Most-Once Processing".
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.braintree_api import (
    BraintreeApi,
    BraintreeCredentials,
    Missing,
    NotAllowed,
    Refused,
    Transaction,
    batches,
)
from refundry.processors.braintree_notices import read_notices
from refundry.processors.braintree_reading import (
    ALL_OR_NOTHING,
    CAPTURED,
    CAPTURED_BY_OTHERS,
    DONE_ALREADY,
    listed_refund,
    minor_units,
    payable,
    read_cancel,
    read_capture,
    read_refund,
    read_refused,
)
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

# No transaction has it: ids of Braintree's have no such characters.
_NOBODYS_ORDER = "refundry-check-of-the-connection"

_OTHER_CURRENCY = Failure(
    "currency_mismatch", "the sale at Braintree is in another currency", "declined"
)


class BraintreeProcessor:
    """The connector to one Braintree gateway.

    Its API keeps no idempotency key for refunds: our id goes along as the order id, and is looked
    for before every repeat. Sales and voids happen once by their nature.
    """

    name = "braintree"
    abilities = Abilities(
        captures=Captures.PARTIAL,
        partial_refunds=True,
        # Of cards there is none; of PayPal and Venmo it is 180 days, and Braintree says so.
        refund_age=None,
        repeats_for=timedelta(),
        arn=True,
        asynchronous=True,
        bank_detail_refunds=False,
    )

    def __init__(
        self,
        credentials: BraintreeCredentials,
        timeout_seconds: float,
        base_url: str | None = None,
    ) -> None:
        self._api = BraintreeApi(credentials, timeout_seconds, base_url)

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation; the sale is read first, for its currency and its state."""
        if submission.kind is OperationKind.AUTHORIZE:
            return InProgress()  # The shop authorises; we are told.
        payment = submission.processor_reference
        if not payment:
            return Unknown("the payment has no transaction id of Braintree")
        try:
            sale = await self._api.find(payment)
            if sale.currency != submission.currency.code:
                # A refund is asked for without a currency: it would be paid in that of the sale.
                return Declined(_OTHER_CURRENCY)
            if submission.kind is OperationKind.REFUND:
                return await self._refund(submission, sale)
            if submission.kind is OperationKind.CAPTURE:
                return await self._capture(submission, sale)
            return await self._cancel(submission, sale)
        except (Missing, NotAllowed, OSError) as error:
            return Unknown(_words(error))

    async def look_up(self, submission: Submission) -> Found:
        """By the state of the sale, or by our id among its refunds."""
        payment = submission.processor_reference
        if not payment:
            return Unknown("the payment has no transaction id of Braintree")
        try:
            if submission.kind is OperationKind.REFUND:
                return await self._find_refund(submission, payment)
            return _read_sale(submission, await self._api.find(payment))
        except (Missing, NotAllowed, OSError) as error:
            return Unknown(f"looked up in vain: {_words(error)}"[:500])

    async def read_notification(
        self,
        headers: Mapping[str, str],  # noqa: ARG002 - the signature stands in the body
        body: bytes,
        now: datetime,  # noqa: ARG002 - what it tells is asked anew, however old it is
    ) -> Sequence[Notice]:
        """Verified by its signature, then asked anew. Raises OSError where Braintree cannot be
        asked: it sends again."""
        return await read_notices(self._api, body)

    async def refunds_since(self, since: datetime) -> AsyncIterator[ProcessorRefund]:
        """By search, newest first as Braintree lists them."""
        try:
            for ids in batches(await self._api.refund_ids_since(since)):
                for found in await self._api.find_all(ids):
                    refund = listed_refund(found)
                    if refund is not None:
                        yield refund
        except (Missing, NotAllowed) as error:
            raise OSError(f"Braintree cannot be searched: {error}"[:300]) from error

    async def check(self) -> Sequence[Finding]:
        """Whether the keys work, and may search: the look-ups before repeats need it."""
        what = "keys, and the right to search transactions"
        try:
            await self._api.refunds_with(_NOBODYS_ORDER)
        except (Missing, NotAllowed, OSError) as error:
            return [Finding(what, f"a trial failed: {_words(error)}"[:300])]
        return [Finding(what)]

    def close(self) -> None:
        """Take no more calls."""
        self._api.close()

    async def _refund(self, submission: Submission, sale: Transaction) -> Outcome:
        if submission.attempt > 1:
            found = await self._among_refunds(submission, sale)
            if not isinstance(found, NotFound):
                return found
        value = payable(submission.amount, submission.currency)
        answer = await self._api.refund(sale.id, submission.key, value)
        if isinstance(answer, Refused):
            return await self._refused(submission, answer)
        return _read_ours(submission, answer)

    async def _capture(self, submission: Submission, sale: Transaction) -> Outcome:
        known = read_capture(sale)
        if not isinstance(known, NotFound):
            # A capture carries nothing of ours: before we asked, it can only be someone else's.
            first = submission.attempt == 1 and sale.status in CAPTURED
            return Declined(CAPTURED_BY_OTHERS) if first else known
        value = payable(submission.amount, submission.currency)
        answer = await self._api.settle(sale.id, submission.key, value)
        return await self._of_sale(submission, answer)

    async def _cancel(self, submission: Submission, sale: Transaction) -> Outcome:
        known = read_cancel(sale, submission.amount)
        if not isinstance(known, NotFound):
            return known
        if minor_units(sale.amount, sale.currency) != submission.amount:
            return Declined(ALL_OR_NOTHING)
        return await self._of_sale(submission, await self._api.void(sale.id, submission.key))

    async def _of_sale(self, submission: Submission, answer: Transaction | Refused) -> Outcome:
        if isinstance(answer, Refused):
            return await self._refused(submission, answer)
        done = _read_sale(submission, answer)
        return Unknown(f"the sale is {answer.status}") if isinstance(done, NotFound) else done

    async def _refused(self, submission: Submission, refused: Refused) -> Outcome:
        """What a refusal means; one that may tell of our own operation is looked up."""
        if DONE_ALREADY.isdisjoint(refused.codes):
            return read_refused(refused)
        found = await self.look_up(submission)
        return read_refused(refused) if isinstance(found, NotFound) else found

    async def _find_refund(self, submission: Submission, payment: str) -> Found:
        if submission.reference:
            return _read_ours(submission, await self._api.find(submission.reference))
        return await self._among_refunds(submission, await self._api.find(payment))

    async def _among_refunds(self, submission: Submission, sale: Transaction) -> Found:
        """Our refund among those of the sale, which is certain, and by search, which finds those
        that were declined at once too."""
        listed = [await self._api.find(one) for one in sale.refund_ids]
        searched = await self._api.refunds_with(submission.key)
        every = {one.id: one for one in [*searched, *listed] if one.refunded_id == sale.id}
        ours = [one for one in every.values() if one.order_id == submission.key]
        outcomes = [read_refund(one) for one in ours]
        alive = [one for one in outcomes if not isinstance(one, Declined)]
        if len(alive) > 1:
            return Unknown("Braintree has two refunds with our id")
        if alive:
            return alive[0]
        return outcomes[-1] if outcomes else NotFound()


def _read_ours(submission: Submission, refund: Transaction) -> Outcome:
    """The outcome of a refund that must be ours."""
    about = (refund.type, refund.refunded_id)
    # One that was made there and adopted carries no id of ours.
    adopted = refund.id == submission.reference and not is_operation_id(refund.order_id)
    ours = refund.order_id == submission.key or adopted
    if about != ("credit", submission.processor_reference) or not ours:
        return Unknown("the answer is about another refund")
    return read_refund(refund)


def _read_sale(submission: Submission, sale: Transaction) -> Outcome | NotFound:
    if submission.kind is OperationKind.CAPTURE:
        return read_capture(sale)
    return read_cancel(sale, submission.amount)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:500]
