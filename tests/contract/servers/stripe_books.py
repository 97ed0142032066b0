"""What Stripe holds of one account: payments, refunds, disputes, events, idempotency keys.

Each rule says the page of Stripe's public documentation that it is from.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

Doc = dict[str, Any]

FAILURE_REASONS = (
    # API reference, "The Refund object", failure_reason.
    "lost_or_stolen_card",
    "expired_or_canceled_card",
    "charge_for_pending_refund_disputed",
    "insufficient_funds",
    "declined",
    "merchant_request",
    "unknown",
)
KEY_SECONDS = 24 * 3600  # API reference, "Idempotent requests": pruned when 24 hours old.
# "Supported currencies": amounts that must be whole hundreds, or whole tens.
_WHOLE = {"isk": 100, "kwd": 10, "bhd": 10, "jod": 10, "omr": 10, "tnd": 10}


class StripeError(Exception):
    """An answer that refuses. API reference, "Errors": type, code, message, param."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        error: Doc = {"type": kind, "message": message}
        if code:
            error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code}"}
        if param:
            error["param"] = param
        self.body: Doc = {"error": error}


@dataclass(slots=True)
class Payment:
    """A PaymentIntent and its charge. API reference, "The PaymentIntent object"."""

    id: str
    charge: str
    amount: int
    currency: str
    status: str
    received: int = 0
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    cancel_key: str | None = None
    refundable: bool = True

    def document(self) -> Doc:
        """As the API shows it."""
        waits = self.status == "requires_capture"
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.amount if waits else 0,
            "amount_received": self.received,
            "capture_method": "manual" if waits else "automatic",
            "currency": self.currency,
            "latest_charge": self.charge,
            "livemode": False,
            "metadata": dict(self.metadata),
            "status": self.status,
        }


@dataclass(slots=True)
class Stored:
    """The first answer to an idempotency key."""

    asked: str
    at: float
    status: int
    body: Doc


class Books:
    """The account. now: Stripe's clock in Unix seconds."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Doc] = {}
        self.disputes: dict[str, Doc] = {}
        self.events: list[Doc] = []
        self.stored: dict[str, Stored] = {}
        self.executing: set[str] = set()
        self._ids = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        """Ids begin with what they are of."""
        return f"{prefix}_{next(self._ids):024d}"

    def pay(self, amount: int, currency: str, *, captured: bool) -> Payment:
        """A shopper's payment, made in the shop."""
        payment = Payment(
            self.new_id("pi"),
            self.new_id("ch"),
            amount,
            currency,
            "succeeded" if captured else "requires_capture",
            amount if captured else 0,
        )
        self.payments[payment.id] = payment
        return payment

    def payment(self, reference: str) -> Payment:
        """Of a PaymentIntent's or a charge's id. "Error codes": resource_missing."""
        for payment in self.payments.values():
            if reference in (payment.id, payment.charge):
                return payment
        kind = "payment_intent" if reference.startswith("pi_") else "charge"
        raise StripeError(
            404, f"No such {kind}: '{reference}'", code="resource_missing", param=kind
        )

    def left(self, payment: Payment) -> int:
        """What is not refunded of it; refunds that failed came back."""
        gone = sum(
            refund["amount"]
            for refund in self.refunds.values()
            if refund["charge"] == payment.charge and refund["status"] not in ("failed", "canceled")
        )
        return payment.received - gone

    def check_refund(self, payment: Payment, amount: int) -> None:
        """API reference, "Create a refund": never more than is left; "Error codes"."""
        whole = _WHOLE.get(payment.currency, 1)
        if amount % whole:
            raise StripeError(
                400,
                f"Invalid amount. It must be divisible by {whole}.",
                code="invalid_charge_amount",
                param="amount",
            )
        if payment.status != "succeeded":
            raise StripeError(
                400,
                f"This PaymentIntent ({payment.id}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
            )
        if not payment.refundable:
            raise StripeError(
                400, f"Charge {payment.charge} has been charged back.", code="charge_disputed"
            )
        left = self.left(payment)
        if left == 0:
            raise StripeError(
                400,
                f"Charge {payment.charge} has already been refunded.",
                code="charge_already_refunded",
            )
        if amount > left:
            raise StripeError(
                400,
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
                param="amount",
            )

    def refund(
        self, payment: Payment, amount: int, metadata: dict[str, str], *, pending: bool
    ) -> Doc:
        """API reference, "The Refund object"; "Types of events", refund.created."""
        document: Doc = {
            "id": self.new_id("re"),
            "object": "refund",
            "amount": amount,
            "balance_transaction": self.new_id("txn"),
            "charge": payment.charge,
            "created": int(self.now),
            "currency": payment.currency,
            "destination_details": {
                "card": {
                    "reference": "74850120752112040000000",
                    "reference_status": "available",
                    "reference_type": "acquirer_reference_number",
                    "type": "refund",
                },
                "type": "card",
            },
            "metadata": metadata,
            "payment_intent": payment.id,
            "reason": None,
            "receipt_number": None,
            "status": "pending" if pending else "succeeded",
        }
        if pending:
            document["pending_reason"] = "processing"
        self.refunds[document["id"]] = document
        self.tell("refund.created", document)
        return document

    def finish(self, refund: Doc, status: Literal["succeeded", "failed"], code: str | None) -> None:
        """A refund ends. "Refund and cancel payments", failed refunds: also after it succeeded."""
        if refund["status"] == status:
            return
        assert refund["status"] != "failed", "a refund that failed stays so"
        refund["status"] = status
        refund.pop("pending_reason", None)
        if status == "failed":
            refund["failure_reason"] = code or "unknown"
            refund["failure_balance_transaction"] = self.new_id("txn")
            self.tell("refund.failed", refund)
        self.tell("refund.updated", refund)

    def capture(self, payment: Payment, amount: int, metadata: dict[str, str]) -> Doc:
        """API reference, "Capture a PaymentIntent": once; what is not captured is released."""
        self._check_open(payment, "captured")
        if amount > payment.amount:
            raise StripeError(
                400, "The amount is above what is capturable.", code="amount_too_large",
                param="amount_to_capture",
            )  # fmt: skip
        payment.received = amount
        payment.status = "succeeded"
        payment.metadata |= metadata
        self.tell("payment_intent.succeeded", payment.document())
        return payment.document()

    def cancel(self, payment: Payment, key: str | None) -> Doc:
        """API reference, "Cancel a PaymentIntent"."""
        self._check_open(payment, "canceled")
        payment.status = "canceled"
        payment.cancel_key = key
        self.tell("payment_intent.canceled", payment.document())
        return payment.document()

    def _check_open(self, payment: Payment, what: str) -> None:
        if payment.status != "requires_capture":
            raise StripeError(
                400,
                f"This PaymentIntent could not be {what} because it has a status of "
                f"{payment.status}.",
                code="payment_intent_unexpected_state",
            )

    def dispute(self, payment: Payment, amount: int, status: str) -> None:
        """API reference, "The Dispute object"; "Types of events", charge.dispute.*."""
        of_charge = [one for one in self.disputes.values() if one["charge"] == payment.charge]
        known: Doc = of_charge[0] if of_charge else {}
        if not known:
            known = {
                "id": self.new_id("dp"),
                "object": "dispute",
                "amount": amount,
                "charge": payment.charge,
                "created": int(self.now),
                "currency": payment.currency,
                "evidence_details": {"due_by": int(self.now) + 7 * 86400, "has_evidence": False},
                "is_charge_refundable": False,
                "payment_intent": payment.id,
                "reason": "fraudulent",
            }
            self.disputes[known["id"]] = known
        known["status"] = status
        payment.refundable = status == "won"
        opened = status == "needs_response"
        self.tell("charge.dispute.created" if opened else "charge.dispute.closed", known)

    def tell(self, kind: str, document: Doc) -> None:
        """API reference, "The Event object": a copy of what it is about, as it is now."""
        self.events.append(
            {
                "id": self.new_id("evt"),
                "object": "event",
                "api_version": "2026-01-28",
                "created": int(self.now),
                "data": {"object": {**document}},
                "livemode": False,
                "pending_webhooks": 1,
                "request": {"id": None, "idempotency_key": None},
                "type": kind,
            }
        )
