"""A stand-in for PayPal, stateful: authorisations, captures, refunds, orders, search, disputes,
webhooks.

Written from PayPal's public documentation: "Get started with PayPal REST APIs" (access tokens),
"Payments API v2" (captures.refund, its request, answers and issues), "Orders API v2",
"Idempotency", "Webhooks API" (verify-webhook-signature), "Webhook event names", "Disputes API v1",
"Transaction Search API v1".
"""

import base64
import itertools
import json
import re
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tests.contract.connectors.stand import Forgery, Held, Plan, Sent
from tests.contract.servers import paypal_books as books
from tests.contract.servers import paypal_wire as wire
from tests.contract.servers.loopback import Answer, Loopback, Request

# "Idempotency": the keys of refunds are kept for 45 days.
KEYS_KEPT = timedelta(days=45)

_ACTION = re.compile(r"/v2/payments/(?:captures|authorizations)/([^/]+)/(refund|capture|void)")

Doc = dict[str, Any]


@dataclass(slots=True)
class PayPalServer:
    """The books, and the side door. blocks: whether the account blocks invoice ids that were used,
    which is a setting of the merchant's."""

    blocks: bool = False
    authorizations: dict[str, books.Authorization] = field(
        default_factory=dict[str, books.Authorization]
    )
    captures: dict[str, books.Capture] = field(default_factory=dict[str, books.Capture])
    refunds: dict[str, books.Refund] = field(default_factory=dict[str, books.Refund])
    disputes: dict[str, Doc] = field(default_factory=dict[str, Doc])
    complaints: list[str] = field(default_factory=list[str])
    _keys: dict[str, books.Kept] = field(default_factory=dict[str, books.Kept])
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
                return wire.token(request)
            if request.headers.get("authorization") != f"Bearer {wire.TOKEN}":
                return wire.error(401, "AUTHENTICATION_FAILURE", "Authentication failed")
            return self._route(request)

    def _route(self, request: Request) -> Answer | None:
        action = _ACTION.fullmatch(request.path) if request.method == "POST" else None
        if action is not None:
            self._asked += 1
            return self._operate(request, action[1], action[2])
        parts = request.path.strip("/").split("/")
        match (request.method, *parts):
            case ("GET", "v2", "payments", "authorizations", reference):
                given = self.authorizations.get(reference)
                return wire.answer(200, books.authorization(given)) if given else wire.missing()
            case ("GET", "v2", "payments", "captures", capture):
                found = self.captures.get(capture)
                return wire.answer(200, self._capture(found)) if found else wire.missing()
            case ("GET", "v2", "payments", "refunds", refund):
                known = self.refunds.get(refund)
                return wire.answer(200, books.representation(known)) if known else wire.missing()
            case ("GET", "v2", "checkout", "orders", order):
                return self._order(order)
            case ("GET", "v1", "reporting", "transactions"):
                return self._transactions(request)
            case ("POST", "v1", "notifications", "verify-webhook-signature"):
                return wire.verdict(request)
            case ("GET", "v1", "notifications", "webhooks", webhook):
                return (
                    wire.answer(200, {"id": webhook})
                    if webhook == wire.WEBHOOK_ID
                    else wire.missing()
                )
            case ("GET", "v1", "customer", "disputes", dispute):
                case_ = self.disputes.get(dispute)
                return wire.answer(200, case_) if case_ else wire.missing()
            case _:
                return self._complain(f"no such address: {request.method} {request.path}")

    def _operate(self, request: Request, reference: str, action: str) -> Answer | None:
        plan = self._take_plan()
        refused = {
            "silence_before": None,
            "too_many": wire.error(429, "RATE_LIMIT_REACHED", "Too many requests. Blocked."),
            "error_before": wire.error(500, "INTERNAL_SERVER_ERROR", "An internal error occurred."),
            "forbidden": wire.error(403, "NOT_AUTHORIZED", "Insufficient permissions."),
        }
        if plan.fault in refused:
            return refused[plan.fault]
        body: Doc = json.loads(request.body or b"{}")
        key = request.headers.get("paypal-request-id", "")
        wrong = wire.wrong_with(request, body, key, action)
        if wrong:
            return self._complain(wrong)
        kept = self._keys.get(key)
        if kept is not None and self.now - kept.at < KEYS_KEPT:
            return self._faulty(plan, kept.answer)
        if reference not in (self.captures if action == "refund" else self.authorizations):
            return wire.missing()
        issue = str(plan.code) if plan.end == "declined" else self._issue(reference, action, body)
        if issue:
            return wire.error(422, "UNPROCESSABLE_ENTITY", "failed business validation", issue)
        answer = self._act(reference, action, body, plan)
        self._keys[key] = books.Kept(answer, self.now)
        return self._faulty(plan, answer)

    def _act(self, reference: str, action: str, body: Doc, plan: Plan) -> Answer:
        # Prefer: return=representation, else id, status and links.
        if action == "refund":
            return wire.answer(
                201, books.representation(self._enter(self.captures[reference], body, plan))
            )
        authorization = self.authorizations[reference]
        if action == "void":
            authorization.status = "VOIDED"
            return wire.answer(200, books.authorization(authorization))
        authorization.status = "CAPTURED"
        amount = wire.minor(body["amount"]["value"], authorization.currency)
        capture = books.Capture(
            self._id("C"), authorization.order, amount, authorization.currency, reference
        )
        self.captures[capture.id] = capture
        return wire.answer(201, self._capture(capture))

    def _issue(self, reference: str, action: str, body: Doc) -> str:
        if action == "refund":
            return self._issue_of_refund(self.captures[reference], body)
        authorization = self.authorizations[reference]
        void = action == "void"
        if authorization.status == "CAPTURED":
            return "PREVIOUSLY_CAPTURED" if void else "AUTHORIZATION_ALREADY_CAPTURED"
        if authorization.status == "VOIDED":
            return "PREVIOUSLY_VOIDED" if void else "AUTHORIZATION_VOIDED"
        if void:
            return ""
        amount = wire.minor(body["amount"]["value"], authorization.currency)
        return "MAX_CAPTURE_AMOUNT_EXCEEDED" if amount > authorization.amount else ""

    def _issue_of_refund(self, capture: books.Capture, body: Doc) -> str:
        currency = body["amount"]["currency_code"]
        if currency != capture.currency:
            return "REFUND_CAPTURE_CURRENCY_MISMATCH"
        used = {refund.invoice_id for refund in self.refunds.values()}
        if self.blocks and body.get("invoice_id") in used:
            return "DUPLICATE_INVOICE_ID"
        left = capture.amount - self._refunded(capture)
        if left == 0:
            return "CAPTURE_FULLY_REFUNDED"
        if wire.minor(body["amount"]["value"], currency) > left:
            return "REFUND_AMOUNT_EXCEEDED"
        return ""

    def _enter(self, capture: books.Capture, body: Doc, plan: Plan) -> books.Refund:
        amount = wire.minor(body["amount"]["value"], capture.currency)
        refund = books.Refund(
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
                return wire.error(500, "INTERNAL_SERVER_ERROR", "An internal error occurred.")
            case "malformed":
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case "duplicate":
                issue = "CAPTURE_FULLY_REFUNDED"
                return wire.error(422, "UNPROCESSABLE_ENTITY", "failed business validation", issue)
            case _:
                return answer

    def _capture(self, capture: books.Capture) -> Doc:
        refunded = self._refunded(capture)
        status = "COMPLETED" if refunded == 0 else "PARTIALLY_REFUNDED"
        up = f"authorizations/{capture.authorization}"
        links = [{"href": f"https://api-m.paypal.com/v2/payments/{up}", "rel": "up"}]
        return {
            "id": capture.id,
            "status": "REFUNDED" if refunded == capture.amount else status,
            "amount": wire.money(capture.amount, capture.currency),
            "final_capture": True,
            "links": links if capture.authorization else [],
            "supplementary_data": {"related_ids": {"order_id": capture.order}},
        }

    def _order(self, order: str) -> Answer:
        authorized = [one for one in self.authorizations.values() if one.order == order]
        captures = [one for one in self.captures.values() if one.order == order]
        if not authorized and not captures:
            return wire.missing()
        ids = {one.id for one in captures}
        payments = {
            "authorizations": [books.authorization(one) for one in authorized],
            "captures": [self._capture(one) for one in captures],
            "refunds": [
                books.representation(one) for one in self.refunds.values() if one.capture in ids
            ],
        }
        unit = {"reference_id": "default", "payments": payments}
        return wire.answer(200, {"id": order, "status": "COMPLETED", "purchase_units": [unit]})

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
        shown = [books.transaction(one) for one in found[(page - 1) * size : page * size]]
        return wire.answer(
            200,
            {"transaction_details": shown, "total_items": len(found), "total_pages": pages,
             "page": page},
        )  # fmt: skip

    def _refunded(self, capture: books.Capture) -> int:
        return sum(
            one.amount
            for one in self.refunds.values()
            if one.capture == capture.id and books.STATES[one.status] != "failed"
        )

    def _complain(self, words: str) -> Answer:
        self.complaints.append(words)
        return wire.error(400, "INVALID_REQUEST", words)

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
        if not captured:
            given = books.Authorization(self._id("A"), self._id("O"), amount, currency)
            self.authorizations[given.id] = given
            return given.id
        capture = books.Capture(self._id("C"), self._id("O"), amount, currency)
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
        body = {"amount": wire.money(amount, capture.currency)}
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
            "dispute_amount": wire.money(amount, capture.currency),
            "seller_response_due_date": wire.time(self.now + timedelta(days=10)),
        }
        if outcome:
            doc["dispute_outcome"] = {"outcome_code": outcome}
        self.disputes[reference] = doc
        self._tell(f"CUSTOMER.DISPUTE.{event}", "dispute", doc)

    def advance(self, seconds: float) -> None:
        """As `SideDoor.advance`."""
        self._ahead += timedelta(seconds=seconds)

    def held(self, payment: str) -> list[Held]:
        """As `SideDoor.held`: a capture and a void have no reference of ours."""
        captures = {one.id: one for one in self.captures.values() if one.authorization == payment}
        held = [
            Held(one.id, payment, None, "capture", one.amount, one.currency, "settled")
            for one in captures.values()
        ]
        given = self.authorizations.get(payment)
        if given and given.status == "VOIDED":
            amount, currency = given.amount, given.currency
            held.append(Held(payment, payment, None, "cancel", amount, currency, "settled"))
        return held + [
            Held(one.id, payment, one.custom_id, "refund", one.amount, one.currency,
                 books.STATES[one.status])
            for one in self.refunds.values()
            if one.capture in {payment, *captures}
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

    def _tell_of(self, refund: books.Refund) -> None:
        events = {
            "PENDING": "PAYMENT.REFUND.PENDING",
            "COMPLETED": "PAYMENT.CAPTURE.REFUNDED",
            "FAILED": "PAYMENT.REFUND.FAILED",
            "CANCELLED": "PAYMENT.REFUND.FAILED",
        }
        self._tell(events[refund.status], "refund", books.representation(refund))

    def _tell(self, event: str, kind: str, resource: Doc) -> None:
        # "Webhooks API", event: these fields.
        body = json.dumps(
            {
                "id": self._id("WH-"),
                "event_version": "1.0",
                "create_time": wire.time(self.now),
                "resource_type": kind,
                "resource_version": "2.0",
                "event_type": event,
                "summary": event,
                "resource": resource,
            }
        ).encode()
        transmission, at = self._id("T"), wire.time(self.now)
        headers = {
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42",
            "paypal-transmission-id": transmission,
            "paypal-transmission-time": at,
            "paypal-transmission-sig": wire.signature(transmission, at, wire.WEBHOOK_ID, body),
        }
        self._outbox.append(Sent(headers, body))
