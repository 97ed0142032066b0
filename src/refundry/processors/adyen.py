"""Adyen: Checkout modifications (captures, cancels, refunds), whose outcomes come by webhook.

Sources: Adyen docs, "API idempotency", "Refund", "Capture", "Cancel", "Errors"; API explorer,
Checkout 72.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

import Adyen  # pyright: ignore[reportMissingTypeStubs] - the SDK ships without types
import msgspec
from Adyen.services.checkout import modifications_api, payments_api  # pyright: ignore

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.adyen_notices import EXPONENTS, NoticeKeys, read_notices
from refundry.processors.contract import (
    Abilities,
    Captures,
    Declined,
    Finding,
    Found,
    InProgress,
    Notice,
    Outcome,
    ProcessorRefund,
    Receipt,
    Submission,
    Unknown,
)
from refundry.processors.exponents import our_units, processor_units
from refundry.processors.threads import CallThreads

# Enough for a worker: a call takes some hundred milliseconds.
_THREADS = 16
# "API idempotency": keys are valid for at least 7 days. An hour less, as clocks differ.
_KEYS_KEPT = timedelta(days=7) - timedelta(hours=1)
# The host that the SDK's addresses have in test mode.
_SDK_HOST = "https://checkout-test.adyen.com"


@dataclass(frozen=True, slots=True)
class AdyenCredentials:
    """What the connector needs of a merchant's Adyen account.

    live_prefix: of the live endpoint ("Live endpoints"). multiple_captures: whether Adyen has
    switched on multiple partial captures. hmac_keys, notice_user, notice_password: of the webhook.
    """

    api_key: str = field(repr=False)
    merchant_account: str
    hmac_keys: tuple[str, ...] = field(repr=False)
    live: bool = False
    live_prefix: str = ""
    notice_user: str = ""
    notice_password: str = field(default="", repr=False)
    multiple_captures: bool = False


class _Amount(msgspec.Struct):
    value: int
    currency: str


class _Accepted(msgspec.Struct, rename="camel"):
    """The answer to a modification; a cancel's has no amount."""

    status: str
    psp_reference: str
    payment_psp_reference: str
    reference: str
    amount: _Amount | None = None


class _Answer(Protocol):
    message: object


class _Modify(Protocol):
    def __call__(
        self, request: Mapping[str, object], payment: str, idempotency_key: str, /
    ) -> _Answer: ...


class AdyenProcessor:
    """The connector to one merchant account. Adyen says "received" at once and the outcome later.

    Adyen has no way to look a modification up: what became of one that it did not answer is learnt
    by repeating it under its key, as long as Adyen keeps it, or by webhook.
    """

    name = "adyen"

    def __init__(
        self, credentials: AdyenCredentials, timeout_seconds: float, base_url: str | None = None
    ) -> None:
        self.abilities = Abilities(
            captures=Captures.MULTIPLE if credentials.multiple_captures else Captures.PARTIAL,
            partial_refunds=True,
            refund_age=None,
            repeats_for=_KEYS_KEPT,
            arn=False,
            asynchronous=True,
            bank_detail_refunds=False,
            lists=False,
            exponents=EXPONENTS,
        )
        self._credentials = credentials
        self._threads = CallThreads(_THREADS, timeout_seconds)
        client = _client(credentials, timeout_seconds, base_url)
        self._modifications = cast(Any, modifications_api).ModificationsApi(client)
        self._payments = cast(Any, payments_api).PaymentsApi(client)

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for a modification; a repeat under the key is safe while Adyen keeps the key."""
        if submission.kind is OperationKind.AUTHORIZE:
            return InProgress()  # The shop authorises; we are told.
        payment = submission.processor_reference
        if not payment:
            return Unknown("the payment has no pspReference of Adyen")
        age = submission.now - submission.first_attempt_at
        if submission.attempt > 1 and age >= _KEYS_KEPT:
            return Unknown(
                "Adyen may have forgotten the key by now; wait for its webhook or report"
            )
        request = self._request(submission)
        if request is None:
            return Declined(_UNPAYABLE)
        if submission.rest not in (None, submission.amount):
            return Declined(_ALL_OR_NOTHING)
        modify = self._modify(submission.kind)
        try:
            answer = await self._threads.call(lambda: modify(request, payment, submission.key))
        except _FAULTS as error:
            return read_error(error)
        return read_answer(submission, answer.message)

    async def look_up(self, submission: Submission) -> Found:
        """Nothing new, ever: Adyen cannot be asked, so this never says that nothing was done."""
        if submission.reference:
            return InProgress(receipt=Receipt(reference=submission.reference))
        return Unknown("Adyen has no look-up of modifications; wait for its webhook or report")

    async def read_notification(
        self,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,  # noqa: ARG002 - Adyen signs no time of sending
    ) -> Sequence[Notice]:
        """Verified by the signature of each item, and by basic authentication where it is set."""
        of_ours = self._credentials
        keys = NoticeKeys(
            of_ours.merchant_account,
            of_ours.live,
            of_ours.hmac_keys,
            of_ours.notice_user,
            of_ours.notice_password,
        )
        return read_notices(keys, headers, body)

    async def refunds_since(self, since: datetime) -> AsyncIterator[ProcessorRefund]:
        """Raises OSError always: Adyen lists no refunds. They come by webhook and report."""
        raise OSError(f"Adyen cannot list its refunds since {since:%Y-%m-%d}")
        yield  # pragma: no cover - makes this a generator

    async def check(self) -> Sequence[Finding]:
        """Whether the key may use Checkout for the merchant account, and the HMAC keys are such."""
        return [await self._check_key(), self._check_hmac_keys()]

    def close(self) -> None:
        """Take no more calls."""
        self._threads.close()

    def _modify(self, kind: OperationKind) -> _Modify:
        api = self._modifications
        chosen: dict[OperationKind, Callable[..., Any]] = {
            OperationKind.CAPTURE: api.capture_authorised_payment,
            OperationKind.CANCEL: api.cancel_authorised_payment_by_psp_reference,
            OperationKind.REFUND: api.refund_captured_payment,
        }
        return chosen[kind]

    def _request(self, submission: Submission) -> dict[str, object] | None:
        value = processor_units(submission.amount, submission.currency, EXPONENTS)
        if value is None:
            return None
        request: dict[str, object] = {
            "merchantAccount": self._credentials.merchant_account,
            "reference": submission.key,
        }
        if submission.kind is not OperationKind.CANCEL:
            request["amount"] = {"value": value, "currency": submission.currency.code}
        return request

    async def _check_key(self) -> Finding:
        what = "API key"
        request = {"merchantAccount": self._credentials.merchant_account}
        try:
            await self._threads.call(lambda: self._payments.payment_methods(request))
        except Adyen.AdyenAPIAuthenticationError:
            return Finding(what, "Adyen does not know the API key, or not in this mode")
        except Adyen.AdyenAPIInvalidPermission:
            return Finding(
                what,
                "the API credential needs the role Checkout webservice role and the merchant "
                f"account {self._credentials.merchant_account}",
            )
        except _FAULTS as error:
            return Finding(what, f"no answer to a trial: {error}"[:300])
        return Finding(what)

    def _check_hmac_keys(self) -> Finding:
        what = "HMAC keys of the webhook"
        keys = self._credentials.hmac_keys
        if not keys:
            return Finding(what, "there is none: generate one in the webhook's settings")
        if not all(_is_hex(key) for key in keys):
            return Finding(what, "a key is 64 hexadecimal digits; copy it whole")
        return Finding(what)


# What correct use of the SDK may still raise: its own errors, the network's (requests' errors are
# OSErrors), and what it trips over in an answer that is not the object it expects.
_FAULTS = (Adyen.AdyenError, OSError, ValueError, TypeError, AttributeError, KeyError)

# "Cancel a payment" knows no amount: all that is not captured yet would go.
_ALL_OR_NOTHING = Failure(
    "all_or_nothing", "Adyen cancels all that is authorised, or nothing", "declined"
)
_UNPAYABLE = Failure(
    "amount_not_payable",
    "Adyen counts this currency in larger units than the amount has",
    "declined",
)


def read_answer(submission: Submission, message: object) -> Outcome:
    """What an accepted modification says; unknown unless it is surely about ours."""
    try:
        accepted = msgspec.convert(message, _Accepted)
    except msgspec.ValidationError as error:
        return Unknown(f"unreadable answer: {error}"[:500])
    if accepted.status != "received":
        return Unknown(f"unknown status {accepted.status!r}"[:500])
    about = (accepted.payment_psp_reference, accepted.reference)
    if about != (submission.processor_reference, submission.key):
        return Unknown("the answer is about another modification")
    amount = accepted.amount
    if amount is None:
        return InProgress(receipt=Receipt(accepted.psp_reference))
    ours = our_units(amount.value, amount.currency, EXPONENTS)
    return InProgress(
        receipt=Receipt(accepted.psp_reference, amount=ours, currency=amount.currency)
    )


def read_error(error: Exception) -> Outcome:
    """Declined only where Adyen refused the request for good: 422, of type validation.

    A request that is "already processed or in progress" (704), or whose store of keys is out of
    reach (703), is unknown, as is whatever carries the header transient-error.
    """
    if isinstance(error, TimeoutError):
        return Unknown("no answer in time")
    if not isinstance(error, Adyen.AdyenError):
        return Unknown(f"{type(error).__name__}: {error}"[:500])
    api_error = cast(Any, error)
    status: int = api_error.status_code
    if status in (401, 403):
        return Unknown(f"Adyen refuses the API key ({status}): {error}"[:500])
    body: object = api_error.message
    if status != 422 or not isinstance(body, dict):
        return Unknown(f"answered {status}: {error}"[:500])
    headers: Mapping[str, str] = api_error.headers
    if headers.get("transient-error") == "true":
        return Unknown("a transient error; to be repeated")
    return _refused(cast(dict[str, object], body))


def _refused(body: dict[str, object]) -> Outcome:
    code, words = str(body.get("errorCode", "")), str(body.get("message", ""))
    if body.get("errorType") != "validation" or code in ("703", "704"):
        return Unknown(f"answered 422: {code} {words}"[:500])
    reference = body.get("pspReference")
    receipt = Receipt(
        reference if isinstance(reference, str) else None, code[:200] or None, words[:500] or None
    )
    default = Failure()
    return Declined(
        Failure(code[:200] or default.code, words[:500] or default.message, "declined"), receipt
    )


def _client(credentials: AdyenCredentials, timeout_seconds: float, base_url: str | None) -> Any:
    """The SDK's client, whose calls go to `base_url` instead of Adyen where that is given."""
    platform = "live" if credentials.live else "test"
    client = cast(Any, Adyen.AdyenClient)(
        xapikey=credentials.api_key,
        platform=platform,
        live_endpoint_prefix=credentials.live_prefix or None,
        http_timeout=timeout_seconds,
        http_force="requests",
    )
    if base_url is not None:
        # The SDK has no setting for another host.
        def elsewhere(_platform: str, address: str) -> str:
            return address.replace(_SDK_HOST, base_url)

        client._determine_api_url = elsewhere
    return client


def _is_hex(key: str) -> bool:
    try:
        return len(bytes.fromhex(key)) == 32
    except ValueError:
        return False
