"""A stand-in for Adyen, stateful: Checkout modifications, and the webhooks of what came of them.

Written from Adyen's public documentation: "Refund", "Capture", "Cancel", "API idempotency",
"Errors", "Error codes and messages", "Verify HMAC signatures", "Handle webhook events", "Dispute
webhooks", "Currency codes and minor units"; API explorer, Checkout 72, Webhooks 1.
"""

import base64
import hashlib
import hmac
import itertools
import json
import re
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tests.contract.connectors.stand import Forgery, Held, Plan, Sent, State
from tests.contract.servers.loopback import Answer, Loopback, Request

API_KEY = "key-of-the-stand-in"
MERCHANT = "ShopECOM"
# "Verify HMAC signatures": 32 bytes, in hexadecimal.
HMAC_KEY = "5e" * 32
OTHER_KEY = "00" * 32

# "API idempotency": at least 7 days. This one forgets as early as it may.
KEYS_KEPT = timedelta(days=7)

# API explorer, Checkout 72: the fields that each request may have, and the first of them must.
_FIELDS = {
    "captures": ("merchantAccount", "amount", "reference", "lineItems", "splits", "subMerchants"),
    "refunds": ("merchantAccount", "amount", "reference", "lineItems", "splits", "store",
                "merchantRefundReason", "capturePspReference"),
    "cancels": ("merchantAccount", "reference"),
}  # fmt: skip
_KINDS: dict[str, Literal["capture", "cancel", "refund"]] = {
    "captures": "capture",
    "cancels": "cancel",
    "refunds": "refund",
}
_PATH = re.compile(r"/v72/payments/([^/]+)/(captures|refunds|cancels)")

# "Error codes and messages".
ERRORS = {
    "100": "No amount specified",
    "137": "Invalid amount specified",
    "138": "Unsupported currency specified",
    "167": "Original pspReference required for this operation",
}

# "Raw acquirer responses": what some codes of schemes look like in words.
SCHEME_WORDS = {
    "05": "Do not honor",
    "41": "Lost card",
    "43": "Stolen card",
    "46": "Closed account",
    "51": "Insufficient funds",
    "54": "Expired card",
    "62": "Restricted card",
    "96": "System malfunction",
}

# "Currency codes and minor units", marked as different: how many of their units one of ISO is.
_UNITS = {"CLP": 100, "ISK": 100}

Doc = dict[str, Any]


@dataclass(slots=True)
class Modification:
    """One capture, cancel or refund; amount: their units."""

    psp_reference: str
    payment: str
    kind: Literal["capture", "cancel", "refund"]
    reference: str
    amount: int
    currency: str
    state: State = "pending"


@dataclass(slots=True)
class Payment:
    """A payment; amount: their units."""

    amount: int
    currency: str
    captured: bool
    reference: str


@dataclass(slots=True)
class Kept:
    """The answer to an idempotency key."""

    answer: Answer
    at: datetime


@dataclass(slots=True)
class AdyenServer:
    """The books, and the side door."""

    payments: dict[str, Payment] = field(default_factory=dict[str, Payment])
    modifications: list[Modification] = field(default_factory=list[Modification])
    complaints: list[str] = field(default_factory=list[str])
    _keys: dict[str, Kept] = field(default_factory=dict[str, Kept])
    _plan: Plan = field(default_factory=Plan)
    _left: int = 0
    _asked: int = 0
    _ahead: timedelta = timedelta()
    _outbox: list[Doc] = field(default_factory=list[Doc])
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def serve(self) -> Loopback:
        """A server of these books."""
        return Loopback(self.answer)

    # The API.

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request; None: it is never answered."""
        with self._lock:
            if request.headers.get("x-api-key") != API_KEY:
                # "Error codes and messages": 000.
                return _error(401, "000", "HTTP Status Response - Unauthorized", "security")
            if request.path == "/v72/paymentMethods":
                return self._payment_methods(request)
            match = _PATH.fullmatch(request.path)
            if match is None or request.method != "POST":
                return self._complain(f"no such address: {request.method} {request.path}")
            self._asked += 1
            return self._modify(request, match[1], match[2])

    def _payment_methods(self, request: Request) -> Answer:
        # API explorer, POST /paymentMethods.
        if json.loads(request.body).get("merchantAccount") != MERCHANT:
            return _error(403, "901", "Invalid Merchant Account", "security")
        return _json(200, {"paymentMethods": [{"name": "Cards", "type": "scheme"}]})

    def _modify(self, request: Request, payment: str, action: str) -> Answer | None:
        plan = self._take_plan()
        refused = {
            "silence_before": None,
            "too_many": _error(429, "029", "Too many requests", "security"),
            "error_before": _error(500, "702", "Internal error", "internal"),
            "forbidden": _error(403, "010", "Not allowed", "security"),
        }
        if plan.fault in refused:
            return refused[plan.fault]
        body: Doc = json.loads(request.body)
        key = request.headers.get("idempotency-key", "")
        wrong = self._wrong_with(request, body, action)
        if wrong:
            return self._complain(wrong)
        # "API idempotency": within the time a repeat gets what the first one got.
        kept = self._keys.get(key)
        if kept is not None and self.now - kept.at < KEYS_KEPT:
            return self._faulty(plan, kept.answer)
        if plan.end == "declined":
            return _error(422, str(plan.code), ERRORS[str(plan.code)], "validation")
        if payment not in self.payments:
            return _error(422, "167", ERRORS["167"], "validation")
        if action != "cancels" and body["amount"]["currency"] != self.payments[payment].currency:
            return _error(422, "138", ERRORS["138"], "validation")
        answer = self._accept(payment, action, body, short=plan.fault == "wrong_amount")
        self._keys[key] = Kept(answer, self.now)
        return self._faulty(plan, answer)

    def _wrong_with(self, request: Request, body: Doc, action: str) -> str:
        """What a request has against the documentation, in words; empty: nothing."""
        fields = _FIELDS[action]
        key = request.headers.get("idempotency-key", "")
        amount = body.get("amount", {})
        wrong = {
            "content type": request.headers.get("content-type") != "application/json",
            "unknown fields": not set(body) <= set(fields),
            "merchantAccount": body.get("merchantAccount") != MERCHANT,
            "amount": "amount" in fields and set(amount) != {"value", "currency"},
            "value": "amount" in fields and type(amount.get("value")) is not int,
            # API explorer: at most 80 characters.
            "reference": not 0 < len(body.get("reference", "")) <= 80,
            # "API idempotency": at most 64 characters.
            "idempotency-key": not 0 < len(key) <= 64,
        }
        return ", ".join(name for name, is_wrong in wrong.items() if is_wrong)

    def _accept(self, payment: str, action: str, body: Doc, *, short: bool) -> Answer:
        paid = self.payments[payment]
        amount = body.get("amount", {"value": paid.amount, "currency": paid.currency})
        value = amount["value"] - (1 if short else 0)
        done = Modification(
            self._reference(), payment, _KINDS[action], body["reference"], value, paid.currency
        )
        # "Refund": more than is left of the payment is accepted, and fails.
        left = paid.amount - sum(one.amount for one in self._alive(payment))
        self.modifications.append(done)
        if done.kind == "refund" and value > left:
            done.state = "failed"
            self._tell(done, "REFUND", "false", "Insufficient balance on payment")
        answer = {
            "merchantAccount": MERCHANT,
            "paymentPspReference": payment,
            "pspReference": done.psp_reference,
            "reference": done.reference,
            "status": "received",
        }
        if action != "cancels":
            answer |= {"amount": {"value": value, "currency": paid.currency}}
        return _json(201, answer)

    def _alive(self, payment: str) -> list[Modification]:
        refunds = [one for one in self.modifications if one.kind == "refund"]
        return [one for one in refunds if one.payment == payment and one.state != "failed"]

    def _faulty(self, plan: Plan, answer: Answer) -> Answer | None:
        match plan.fault:
            case "silence_after":
                return None
            case "error_after":
                return _error(500, "702", "Internal error", "internal")
            case "malformed":
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case "duplicate":
                # "API idempotency", transient errors.
                busy = _error(422, "704", "request already processed or in progress", "validation")
                return replace(busy, headers={**busy.headers, "transient-error": "true"})
            case _:
                return answer

    def _complain(self, words: str) -> Answer:
        self.complaints.append(words)
        return _error(400, "702", f"Bad request: {words}", "validation")

    def _take_plan(self) -> Plan:
        if self._left == 0:
            return Plan()
        self._left -= 1
        return self._plan

    def _reference(self) -> str:
        return f"PSP{next(self._numbers):012d}A"

    @property
    def now(self) -> datetime:
        """Its time."""
        return datetime.now(UTC) + self._ahead

    # The side door.

    def pay(self, amount: int, currency: str, *, captured: bool) -> str:
        """As `SideDoor.pay`."""
        psp_reference = self._reference()
        theirs, reference = amount * _UNITS.get(currency, 1), f"order-{psp_reference}"
        self.payments[psp_reference] = Payment(theirs, currency, captured, reference)
        return psp_reference

    def plan(self, plan: Plan) -> None:
        """As `SideDoor.plan`."""
        self._plan, self._left = plan, plan.times

    def finish(self, key: str, end: Literal["settled", "failed"], code: str | None) -> None:
        """As `SideDoor.finish`; Adyen tells of each end."""
        done = next(one for one in self.modifications if one.reference == key)
        before, done.state = done.state, end
        if end == "settled":
            self._tell(done, "REFUND", "true", "")
        else:
            scheme = code or "05"
            # "Refund": of what was accepted by the scheme first, REFUND_FAILED tells the failure.
            event = "REFUND" if before == "pending" else "REFUND_FAILED"
            success = "false" if before == "pending" else "true"
            self._tell(done, event, success, f"{scheme} : {SCHEME_WORDS[scheme]}")

    def refund_elsewhere(self, payment: str, amount: int) -> str:
        """As `SideDoor.refund_elsewhere`; the reference is the payment's then."""
        paid = self.payments[payment]
        done = Modification(
            self._reference(), payment, "refund", paid.reference, amount, paid.currency, "settled"
        )
        self.modifications.append(done)
        self._tell(done, "REFUND", "true", "")
        return done.psp_reference

    def dispute(self, payment: str, amount: int, state: Literal["opened", "won", "lost"]) -> None:
        """As `SideDoor.dispute`; the events of a dispute share their reference."""
        paid = self.payments[payment]
        event, status = {
            "opened": ("NOTIFICATION_OF_CHARGEBACK", "Undefended"),
            "won": ("CHARGEBACK_REVERSED", "Won"),
            "lost": ("SECOND_CHARGEBACK", "Lost"),
        }[state]
        case = Modification(
            f"DSP{payment[3:]}", payment, "refund", paid.reference, amount, paid.currency
        )
        more = {
            "disputeStatus": status,
            "chargebackReasonCode": "10.4",
            "defensePeriodEndsAt": (self.now + timedelta(days=14)).isoformat(timespec="seconds"),
        }
        self._tell(case, event, "true", "Other Fraud-Card Absent Environment", more)

    def advance(self, seconds: float) -> None:
        """As `SideDoor.advance`."""
        self._ahead += timedelta(seconds=seconds)

    def held(self, payment: str) -> list[Held]:
        """As `SideDoor.held`."""
        return [
            Held(
                one.psp_reference,
                one.payment,
                one.reference,
                one.kind,
                one.amount // _UNITS.get(one.currency, 1),
                one.currency,
                one.state,
            )
            for one in self.modifications
            if one.payment == payment
        ]

    def asked(self) -> int:
        """As `SideDoor.asked`."""
        return self._asked

    def sent(self) -> list[Sent]:
        """As `SideDoor.sent`: one webhook for each event."""
        items, self._outbox = self._outbox, []
        return [_webhook(sign(item, HMAC_KEY)) for item in items]

    def forge(self, sent: Sent, how: Forgery) -> Sent:
        """As `SideDoor.forge`; there is no time in the scheme."""
        item: Doc = json.loads(sent.body)["notificationItems"][0]["NotificationRequestItem"]
        if how == "body":
            item["amount"]["value"] += 1
        elif how == "secret":
            item = sign(item, OTHER_KEY)
        else:
            assert how == "unsigned"
            del item["additionalData"]["hmacSignature"]
        return _webhook(item)

    def _tell(
        self, done: Modification, event: str, success: str, reason: str, more: Doc | None = None
    ) -> None:
        # "Webhook structure and types": values are texts, but for the amount's.
        self._outbox.append(
            {
                "additionalData": dict(more or {}),
                "amount": {"currency": done.currency, "value": done.amount},
                "eventCode": event,
                "eventDate": self.now.isoformat(timespec="seconds"),
                "merchantAccountCode": MERCHANT,
                "merchantReference": done.reference,
                "originalReference": done.payment,
                "paymentMethod": "visa",
                "pspReference": done.psp_reference,
                "reason": reason,
                "success": success,
            }
        )


def sign(item: Doc, key: str) -> Doc:
    """The item with its signature ("Verify HMAC signatures": these fields, joined by colons)."""
    signed = ":".join(
        [
            item["pspReference"],
            item["originalReference"],
            item["merchantAccountCode"],
            item["merchantReference"],
            str(item["amount"]["value"]),
            item["amount"]["currency"],
            item["eventCode"],
            item["success"],
        ]
    )
    digest = hmac.new(bytes.fromhex(key), signed.encode(), hashlib.sha256).digest()
    more = item["additionalData"] | {"hmacSignature": base64.b64encode(digest).decode()}
    return item | {"additionalData": more}


def _webhook(item: Doc) -> Sent:
    message = {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
    return Sent({"content-type": "application/json"}, json.dumps(message).encode())


def _json(status: int, body: Doc) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _error(status: int, code: str, message: str, kind: str) -> Answer:
    # "Errors": the fields of an error of Checkout.
    return _json(
        status, {"status": status, "errorCode": code, "message": message, "errorType": kind}
    )
