"""A stand-in for PayPal, stateful: refunds of captures, orders, search, disputes, webhooks.

Written from PayPal's public documentation: "Get started with PayPal REST APIs" (access tokens),
"Payments API v2" (captures.refund, its request, answers and issues), "Orders API v2",
"Idempotency", "Webhooks API" (verify-webhook-signature), "Webhook event names", "Disputes API v1",
"Transaction Search API v1".
"""

import base64
import hashlib
import hmac
import itertools
import json
import re
import threading
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from tests.contract.connectors.stand import Forgery, Held, Plan, Sent, State
from tests.contract.servers.loopback import Answer, Loopback, Request

CLIENT_ID = "client-of-the-stand-in"
CLIENT_SECRET = "secret-of-the-stand-in"
WEBHOOK_ID = "webhook-of-the-stand-in"
TOKEN = "token-of-the-stand-in"
SCOPES = (
    "https://uri.paypal.com/services/payments/refund "
    "https://uri.paypal.com/services/reporting/search/read "
    "https://uri.paypal.com/services/disputes/read-seller"
)

# "Idempotency": the keys of refunds are kept for 45 days.
KEYS_KEPT = timedelta(days=45)

# "Payments API v2", refund_request, and its money.
_REQUEST = frozenset({"amount", "custom_id", "invoice_id", "note_to_payer", "payment_instruction"})
_MONEY = re.compile(r"((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))")
# "Currency codes": these have no decimals.
_WHOLE = frozenset({"HUF", "JPY", "TWD"})
_THREE = frozenset({"KWD", "BHD", "TND"})

# "Payments API v2", issues of captures.refund, in their words.
ISSUES = {
    "CAPTURE_FULLY_REFUNDED": "The capture has already been fully refunded",
    "DUPLICATE_INVOICE_ID": "Invoice ID was previously used to refund a capture.",
    "PARTIAL_REFUND_NOT_ALLOWED": "You cannot do a refund less than the original capture amount.",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "The payer account cannot be used for this transaction.",
    "REFUND_AMOUNT_EXCEEDED": "The refund amount must be less than or equal to the capture amount "
    "that has not yet been refunded.",
    "REFUND_CAPTURE_CURRENCY_MISMATCH": "Refund must be in the same currency as the capture",
    "REFUND_FAILED_INSUFFICIENT_FUNDS": "Capture could not be refunded due to insufficient funds.",
    "REFUND_NOT_ALLOWED": "Capture cannot be refunded.",
    "REFUND_TIME_LIMIT_EXCEEDED": "You are over the time limit to perform a refund on this capture",
}

_STATES: dict[str, State] = {
    "COMPLETED": "settled",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "failed",
}

Doc = dict[str, Any]


@dataclass(slots=True)
class Refund:
    """A refund; amount: minor units."""

    id: str
    capture: str
    custom_id: str | None
    invoice_id: str | None
    amount: int
    currency: str
    status: str
    at: datetime


@dataclass(slots=True)
class Capture:
    """A captured payment and its order; amount: minor units."""

    id: str
    order: str
    amount: int
    currency: str


@dataclass(slots=True)
class Kept:
    """The answer to a PayPal-Request-Id."""

    answer: Answer
    at: datetime


@dataclass(slots=True)
class PayPalServer:
    """The books, and the side door."""

    captures: dict[str, Capture] = field(default_factory=dict[str, Capture])
    refunds: dict[str, Refund] = field(default_factory=dict[str, Refund])
    disputes: dict[str, Doc] = field(default_factory=dict[str, Doc])
    complaints: list[str] = field(default_factory=list[str])
    _keys: dict[str, Kept] = field(default_factory=dict[str, Kept])
    _plan: Plan = field(default_factory=Plan)
    _left: int = 0
    _asked: int = 0
    _ahead: timedelta = timedelta()
    _outbox: list[Sent] = field(default_factory=list[Sent])
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def serve(self) -> Loopback:
        """A server of these books."""
        return Loopback(self.answer)

    # The API.

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request; None: it is never answered."""
        with self._lock:
            if request.path == "/v1/oauth2/token":
                return _token(request)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return _error(401, "AUTHENTICATION_FAILURE", "Authentication failed")
            return self._route(request)

    def _route(self, request: Request) -> Answer | None:
        parts = request.path.strip("/").split("/")
        match (request.method, *parts):
            case ("POST", "v2", "payments", "captures", capture, "refund"):
                self._asked += 1
                return self._refund(request, capture)
            case ("GET", "v2", "payments", "captures", capture):
                found = self.captures.get(capture)
                return _json(200, self._capture(found)) if found else _missing()
            case ("GET", "v2", "payments", "refunds", refund):
                known = self.refunds.get(refund)
                return _json(200, _representation(known)) if known else _missing()
            case ("GET", "v2", "checkout", "orders", order):
                return self._order(order)
            case ("GET", "v1", "reporting", "transactions"):
                return self._transactions(request)
            case ("POST", "v1", "notifications", "verify-webhook-signature"):
                return _verdict(request)
            case ("GET", "v1", "notifications", "webhooks", webhook):
                return _json(200, {"id": webhook}) if webhook == WEBHOOK_ID else _missing()
            case ("GET", "v1", "customer", "disputes", dispute):
                case_ = self.disputes.get(dispute)
                return _json(200, case_) if case_ else _missing()
            case _:
                return self._complain(f"no such address: {request.method} {request.path}")

    def _refund(self, request: Request, capture_id: str) -> Answer | None:
        plan = self._take_plan()
        refused = {
            "silence_before": None,
            "too_many": _error(429, "RATE_LIMIT_REACHED", "Too many requests. Blocked."),
            "error_before": _error(500, "INTERNAL_SERVER_ERROR", "An internal error occurred."),
            "forbidden": _error(403, "NOT_AUTHORIZED", "Insufficient permissions."),
        }
        if plan.fault in refused:
            return refused[plan.fault]
        body: Doc = json.loads(request.body or b"{}")
        key = request.headers.get("paypal-request-id", "")
        wrong = _wrong_with(request, body, key)
        if wrong:
            return self._complain(wrong)
        kept = self._keys.get(key)
        if kept is not None and self.now - kept.at < KEYS_KEPT:
            return self._faulty(plan, kept.answer)
        capture = self.captures.get(capture_id)
        if capture is None:
            return _missing()
        issue = str(plan.code) if plan.end == "declined" else self._issue(capture, body)
        if issue:
            return _error(422, "UNPROCESSABLE_ENTITY", "failed business validation", issue)
        refund = self._enter(capture, body, plan)
        # Prefer: return=representation, else id, status and links.
        answer = _json(201, _representation(refund))
        self._keys[key] = Kept(answer, self.now)
        return self._faulty(plan, answer)

    def _issue(self, capture: Capture, body: Doc) -> str:
        currency = body["amount"]["currency_code"]
        if currency != capture.currency:
            return "REFUND_CAPTURE_CURRENCY_MISMATCH"
        if any(refund.invoice_id == body.get("invoice_id") for refund in self.refunds.values()):
            return "DUPLICATE_INVOICE_ID"
        left = capture.amount - self._refunded(capture)
        if left == 0:
            return "CAPTURE_FULLY_REFUNDED"
        if _minor(body["amount"]["value"], currency) > left:
            return "REFUND_AMOUNT_EXCEEDED"
        return ""

    def _enter(self, capture: Capture, body: Doc, plan: Plan) -> Refund:
        amount = _minor(body["amount"]["value"], capture.currency)
        refund = Refund(
            self._id("R"),
            capture.id,
            body.get("custom_id"),
            body.get("invoice_id"),
            amount - 1 if plan.fault == "wrong_amount" else amount,
            capture.currency,
            "PENDING" if plan.end == "pending" else "COMPLETED",
            self.now,
        )
        self.refunds[refund.id] = refund
        self._tell_of(refund)
        return refund

    def _faulty(self, plan: Plan, answer: Answer) -> Answer | None:
        match plan.fault:
            case "silence_after":
                return None
            case "error_after":
                return _error(500, "INTERNAL_SERVER_ERROR", "An internal error occurred.")
            case "malformed":
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case "duplicate":
                issue = "CAPTURE_FULLY_REFUNDED"
                return _error(422, "UNPROCESSABLE_ENTITY", "failed business validation", issue)
            case _:
                return answer

    def _capture(self, capture: Capture) -> Doc:
        refunded = self._refunded(capture)
        status = "COMPLETED" if refunded == 0 else "PARTIALLY_REFUNDED"
        return {
            "id": capture.id,
            "status": "REFUNDED" if refunded == capture.amount else status,
            "amount": _money(capture.amount, capture.currency),
            "supplementary_data": {"related_ids": {"order_id": capture.order}},
        }

    def _order(self, order: str) -> Answer:
        captures = [one for one in self.captures.values() if one.order == order]
        if not captures:
            return _missing()
        refunds = [
            _representation(one) for one in self.refunds.values() if one.capture == captures[0].id
        ]
        payments = {"captures": [self._capture(captures[0])], "refunds": refunds}
        unit = {"reference_id": "default", "payments": payments}
        return _json(200, {"id": order, "status": "COMPLETED", "purchase_units": [unit]})

    def _transactions(self, request: Request) -> Answer:
        since = datetime.fromisoformat(request.query["start_date"])
        until = datetime.fromisoformat(request.query["end_date"])
        if until - since > timedelta(days=31) or request.query["transaction_type"] != "T1107":
            return self._complain("search of transactions")
        size, page = int(request.query["page_size"]), int(request.query["page"])
        # The times have whole seconds.
        late = until + timedelta(seconds=1)
        found = [one for one in self.refunds.values() if since <= one.at <= late]
        pages = max(1, -(-len(found) // size))
        shown = [_transaction(one) for one in found[(page - 1) * size : page * size]]
        return _json(
            200,
            {"transaction_details": shown, "total_items": len(found), "total_pages": pages,
             "page": page},
        )  # fmt: skip

    def _refunded(self, capture: Capture) -> int:
        return sum(
            one.amount
            for one in self.refunds.values()
            if one.capture == capture.id and _STATES[one.status] != "failed"
        )

    def _complain(self, words: str) -> Answer:
        self.complaints.append(words)
        return _error(400, "INVALID_REQUEST", words)

    def _take_plan(self) -> Plan:
        if self._left == 0:
            return Plan()
        self._left -= 1
        return self._plan

    def _id(self, letter: str) -> str:
        return f"{letter}{next(self._numbers):016d}"

    @property
    def now(self) -> datetime:
        """Its time."""
        return datetime.now(UTC) + self._ahead

    # The side door.

    def pay(self, amount: int, currency: str, *, captured: bool) -> str:
        """As `SideDoor.pay`."""
        assert captured
        capture = Capture(self._id("C"), self._id("O"), amount, currency)
        self.captures[capture.id] = capture
        return capture.id

    def plan(self, plan: Plan) -> None:
        """As `SideDoor.plan`."""
        self._plan, self._left = plan, plan.times

    def finish(self, key: str, end: Literal["settled", "failed"], code: str | None) -> None:
        """As `SideDoor.finish`; what is completed stays so."""
        refund = next(one for one in self.refunds.values() if one.custom_id == key)
        if refund.status != "PENDING":
            return
        refund.status = "COMPLETED" if end == "settled" else code or "FAILED"
        self._tell_of(refund)

    def refund_elsewhere(self, payment: str, amount: int) -> str:
        """As `SideDoor.refund_elsewhere`."""
        capture = self.captures[payment]
        body = {"amount": _money(amount, capture.currency)}
        return self._enter(capture, body, Plan()).id

    def dispute(self, payment: str, amount: int, state: Literal["opened", "won", "lost"]) -> None:
        """As `SideDoor.dispute`."""
        capture = self.captures[payment]
        reference = f"PP-D-{payment}"
        event = "CREATED" if state == "opened" else "RESOLVED"
        outcome = {"won": "RESOLVED_SELLER_FAVOUR", "lost": "RESOLVED_BUYER_FAVOUR"}.get(state)
        doc = {
            "dispute_id": reference,
            "disputed_transactions": [{"seller_transaction_id": payment}],
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": "RESOLVED" if outcome else "WAITING_FOR_SELLER_RESPONSE",
            "dispute_amount": _money(amount, capture.currency),
            "seller_response_due_date": _time(self.now + timedelta(days=10)),
        }
        if outcome:
            doc["dispute_outcome"] = {"outcome_code": outcome}
        self.disputes[reference] = doc
        self._tell(f"CUSTOMER.DISPUTE.{event}", "dispute", doc)

    def advance(self, seconds: float) -> None:
        """As `SideDoor.advance`."""
        self._ahead += timedelta(seconds=seconds)

    def held(self, payment: str) -> list[Held]:
        """As `SideDoor.held`."""
        return [
            Held(one.id, one.capture, one.custom_id, "refund", one.amount, one.currency,
                 _STATES[one.status])
            for one in self.refunds.values()
            if one.capture == payment
        ]  # fmt: skip

    def asked(self) -> int:
        """As `SideDoor.asked`."""
        return self._asked

    def sent(self) -> list[Sent]:
        """As `SideDoor.sent`."""
        sent, self._outbox = self._outbox, []
        return sent

    def forge(self, sent: Sent, how: Forgery) -> Sent:
        """As `SideDoor.forge`; what is old is asked anew, so there is no window."""
        if how == "body":
            return replace(sent, body=sent.body.replace(b'"WH-', b'"WX-', 1))
        if how == "secret":
            others = {"paypal-transmission-sig": base64.b64encode(b"others").decode()}
            return replace(sent, headers={**sent.headers, **others})
        assert how == "unsigned"
        return replace(sent, headers={"content-type": "application/json"})

    def _tell_of(self, refund: Refund) -> None:
        events = {
            "PENDING": "PAYMENT.REFUND.PENDING",
            "COMPLETED": "PAYMENT.CAPTURE.REFUNDED",
            "FAILED": "PAYMENT.REFUND.FAILED",
            "CANCELLED": "PAYMENT.REFUND.FAILED",
        }
        self._tell(events[refund.status], "refund", _representation(refund))

    def _tell(self, event: str, kind: str, resource: Doc) -> None:
        # "Webhooks API", event: these fields.
        body = json.dumps(
            {
                "id": self._id("WH-"),
                "event_version": "1.0",
                "create_time": _time(self.now),
                "resource_type": kind,
                "resource_version": "2.0",
                "event_type": event,
                "summary": event,
                "resource": resource,
            }
        ).encode()
        transmission, at = self._id("T"), _time(self.now)
        headers = {
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42",
            "paypal-transmission-id": transmission,
            "paypal-transmission-time": at,
            "paypal-transmission-sig": _signature(transmission, at, WEBHOOK_ID, body),
        }
        self._outbox.append(Sent(headers, body))


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    """What verify-webhook-signature takes; all of it is required."""

    auth_algo: str
    cert_url: str
    transmission_id: str
    transmission_sig: str
    transmission_time: str
    webhook_id: str
    webhook_event: msgspec.Raw


def _verdict(request: Request) -> Answer:
    question = msgspec.json.decode(request.body, type=_Question)
    expected = _signature(
        question.transmission_id,
        question.transmission_time,
        question.webhook_id,
        bytes(question.webhook_event),
    )
    genuine = hmac.compare_digest(expected, question.transmission_sig)
    return _json(200, {"verification_status": "SUCCESS" if genuine else "FAILURE"})


def _signature(transmission: str, at: str, webhook: str, body: bytes) -> str:
    """PayPal signs this text with the key of a certificate; only PayPal checks it here, so that an
    HMAC does as well."""
    signed = f"{transmission}|{at}|{webhook}|{zlib.crc32(body)}"
    return base64.b64encode(hmac.digest(b"paypal", signed.encode(), hashlib.sha256)).decode()


def _token(request: Request) -> Answer:
    pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    if request.headers.get("authorization") != f"Basic {pair}":
        return _json(
            401, {"error": "invalid_client", "error_description": "Client Authentication failed"}
        )
    assert b"grant_type=client_credentials" in request.body
    return _json(
        200,
        {"scope": SCOPES, "access_token": TOKEN, "token_type": "Bearer",
         "app_id": "APP-1", "expires_in": 32400, "nonce": "once"},
    )  # fmt: skip


def _wrong_with(request: Request, body: Doc, key: str) -> str:
    amount = body.get("amount", {})
    wrong = {
        "content type": request.headers.get("content-type") != "application/json",
        "prefer": request.headers.get("prefer") != "return=representation",
        "unknown fields": not set(body) <= _REQUEST,
        "amount": set(amount) != {"currency_code", "value"},
        "value": _MONEY.fullmatch(amount.get("value", "")) is None,
        # "Payments API v2": custom_id and invoice_id have at most 127 characters.
        "custom_id": len(body.get("custom_id", "")) > 127,
        "invoice_id": len(body.get("invoice_id", "")) > 127,
        # "Idempotency": at most 108 characters.
        "PayPal-Request-Id": not 0 < len(key) <= 108,
    }
    return ", ".join(name for name, is_wrong in wrong.items() if is_wrong)


def _digits(currency: str) -> int:
    return 0 if currency in _WHOLE else 3 if currency in _THREE else 2


def _minor(value: str, currency: str) -> int:
    scaled = Decimal(value).scaleb(_digits(currency))
    assert scaled == int(scaled), "DECIMAL_PRECISION"
    return int(scaled)


def _money(amount: int, currency: str) -> Doc:
    value = Decimal(amount).scaleb(-_digits(currency))
    return {"currency_code": currency, "value": f"{value:.{_digits(currency)}f}"}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _representation(refund: Refund) -> Doc:
    doc = {
        "id": refund.id,
        "status": refund.status,
        "amount": _money(refund.amount, refund.currency),
        "create_time": _time(refund.at),
        "update_time": _time(refund.at),
        "links": [
            {"href": f"https://api-m.paypal.com/v2/payments/refunds/{refund.id}", "rel": "self",
             "method": "GET"},
            {"href": f"https://api-m.paypal.com/v2/payments/captures/{refund.capture}",
             "rel": "up", "method": "GET"},
        ],
    }  # fmt: skip
    if refund.custom_id:
        doc["custom_id"] = refund.custom_id
    if refund.invoice_id:
        doc["invoice_id"] = refund.invoice_id
    if refund.status == "PENDING":
        doc["status_details"] = {"reason": "ECHECK"}
    return doc


def _transaction(refund: Refund) -> Doc:
    # "Transaction Search API v1", transaction_info: what went out is negative.
    statuses = {"COMPLETED": "S", "PENDING": "P", "FAILED": "D", "CANCELLED": "V"}
    money = _money(refund.amount, refund.currency)
    info = {
        "transaction_id": refund.id,
        "paypal_reference_id": refund.capture,
        "paypal_reference_id_type": "TXN",
        "transaction_event_code": "T1107",
        "transaction_initiation_date": _time(refund.at).replace("Z", "+0000"),
        "transaction_amount": {**money, "value": f"-{money['value']}"},
        "transaction_status": statuses[refund.status],
    }
    if refund.custom_id:
        info["custom_field"] = refund.custom_id
    return {"transaction_info": info}


def _json(status: int, body: Doc) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _error(status: int, name: str, message: str, issue: str = "") -> Answer:
    # "Payments API v2", error: name, message, debug_id, details of issue and description.
    body: Doc = {"name": name, "message": message, "debug_id": "debug"}
    if issue:
        body["details"] = [{"issue": issue, "description": ISSUES[issue]}]
    return _json(status, body)


def _missing() -> Answer:
    return _error(404, "RESOURCE_NOT_FOUND", "The specified resource does not exist.")
