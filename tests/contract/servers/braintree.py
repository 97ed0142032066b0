"""A stand-in for Braintree, stateful: sales, their settlement, voids and refunds, search, disputes,
webhooks.

Written from Braintree's public documentation: "Transaction: Refund", "Transaction: Submit For
Settlement", "Transaction: Void", "Transaction: Search", "Transaction" (response), "Refund
Authorizations", "Authorization" and "Settlement" (processor responses), "All Validation Errors",
"At-Most-Once Processing", "Transaction" and "Dispute" (webhooks).
"""

import itertools
import re
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs

from tests.contract.connectors.stand import Forgery, Held, Plan, Sent
from tests.contract.servers import braintree_books as books
from tests.contract.servers import braintree_wire as wire
from tests.contract.servers.loopback import Answer, Loopback, Request

# "At-Most-Once Processing": where it is switched on, keys are kept for 30 days.
KEYS_KEPT = timedelta(days=30)

_ROUTE = re.compile(rf"/merchants/{wire.MERCHANT}/(transactions|disputes)/([^/]+)(?:/([a-z_]+))?")

# What each operation may have, of the pages that describe them.
_FIELDS = {
    "refund": {"amount", "order_id", "merchant_account_id", "api_request_key"},
    "submit_for_settlement": {"amount", "order_id", "descriptor", "api_request_key"},
    "void": {"api_request_key"},
}


@dataclass(slots=True)
class BraintreeServer:
    """The books, and the side door. by_bank: sales are of SEPA direct debit, of which there are
    webhooks, and whose refunds may come back late ("Transaction", webhooks); else by card.
    request_keys: whether At-Most-Once Processing is switched on. search_lags: whether a search
    knows nothing of the refunds of these days."""

    by_bank: bool = False
    request_keys: bool = False
    search_lags: bool = False
    sales: dict[str, books.Sale] = field(default_factory=dict[str, books.Sale])
    refunds: dict[str, books.Refund] = field(default_factory=dict[str, books.Refund])
    disputes: dict[str, str] = field(default_factory=dict[str, str])
    complaints: list[str] = field(default_factory=list[str])
    _keys: dict[str, tuple[datetime, dict[str, str], Answer]] = field(
        default_factory=dict[str, tuple[datetime, dict[str, str], Answer]]
    )
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
            if not wire.authorized(request):
                return wire.nothing(401)
            # "Accept" and the version that the SDKs of today send.
            if request.headers.get("x-apiversion") != "6":
                return self._complain("version of the API")
            match = _ROUTE.fullmatch(request.path)
            if match is None:
                return self._complain(f"no such address: {request.method} {request.path}")
            return self._route(request, match[1], match[2], match[3])

    def _route(
        self, request: Request, kind: str, reference: str, action: str | None
    ) -> Answer | None:
        match (request.method, kind, reference, action):
            case ("POST", "transactions", "advanced_search_ids", None):
                return self._search_ids(request)
            case ("POST", "transactions", "advanced_search", None):
                return self._search(request)
            case ("GET", "transactions", _, None):
                document = self._document(reference)
                return wire.answer(200, document) if document else wire.nothing(404)
            case ("GET", "disputes", _, None):
                dispute = self.disputes.get(reference)
                return wire.answer(200, dispute) if dispute else wire.nothing(404)
            case ("POST", _, _, "refund") | ("PUT", _, _, "submit_for_settlement" | "void"):
                self._asked += 1
                return self._operate(request, reference, str(action))
            case _:
                return self._complain(f"no such address: {request.method} {request.path}")

    def _operate(self, request: Request, reference: str, action: str) -> Answer | None:
        plan = self._take_plan()
        refused = {
            "silence_before": None,
            "too_many": wire.nothing(429),
            "error_before": wire.nothing(500),
            "forbidden": wire.nothing(403),
        }
        if plan.fault in refused:
            return refused[plan.fault]
        body = wire.asked_for(request)
        if not set(body) <= _FIELDS[action]:
            return self._complain(f"unknown fields: {sorted(body)}")
        sale = self.sales.get(reference)
        if sale is None:
            return wire.nothing(404)
        kept = self._kept(body)
        if kept is not None:
            return kept
        code = str(plan.code) if plan.end == "declined" else self._wrong_with(sale, action, body)
        if code in wire.ERRORS:
            return wire.invalid(code)
        answer = self._act(sale, action, body, plan)
        if key := body.get("api_request_key"):
            self._keys[key] = (self.now, body, answer)
        return _faulty(plan, action, answer)

    def _kept(self, body: dict[str, str]) -> Answer | None:
        """The answer to a key that was given before, or a refusal of the key; None: go on."""
        key = body.get("api_request_key")
        if key is None:
            return None
        if not self.request_keys:
            return wire.invalid("915231")
        at, before, answer = self._keys.get(key, (None, body, None))
        if at is None or self.now - at >= KEYS_KEPT:
            return None
        return answer if before == body else wire.invalid("915232")

    def _wrong_with(self, sale: books.Sale, action: str, body: dict[str, str]) -> str:
        """The code of what a request has against the books; empty: nothing."""
        if action == "void":
            waits = sale.status in ("authorized", "submitted_for_settlement")
            return "" if waits else "91504"
        if len(body.get("order_id", "")) > 255:
            return "91501"
        digits = books.digits(sale.currency)
        form = r"\d{1,10}" + (rf"(\.\d{{{digits}}})?" if digits else "")
        if re.fullmatch(form, body["amount"]) is None:
            self.complaints.append(f"amount {body['amount']} {sale.currency}")
            return "81503"
        amount = books.minor(body["amount"], sale.currency)
        if action == "submit_for_settlement":
            if sale.status != "authorized":
                return "91507"
            return "91522" if amount > sale.amount else ""
        left = sale.amount - sum(one.amount for one in self._alive(sale))
        wrong = {
            "81531": amount == 0,
            "91506": sale.status not in ("settled", "settling"),
            "91512": left == 0,
            "91521": amount > left,
        }
        return next((code for code, is_wrong in wrong.items() if is_wrong), "")

    def _act(self, sale: books.Sale, action: str, body: dict[str, str], plan: Plan) -> Answer:
        short = 1 if plan.fault == "wrong_amount" else 0
        if action == "void":
            sale.status = "voided"
            return wire.answer(200, self._document(sale.id))
        amount = books.minor(body["amount"], sale.currency) - short
        if action == "submit_for_settlement":
            sale.status, sale.amount, sale.captured = "submitted_for_settlement", amount, True
            return wire.answer(200, self._document(sale.id))
        # "Transaction: Refund": without an order id the sale's is copied.
        refund = self._enter(sale, amount, body.get("order_id", sale.order_id))
        if plan.end == "declined":
            # "Refund Authorizations": the bank declines at once.
            refund.status, refund.code = "processor_declined", str(plan.code)
            return wire.declined(self._document(refund.id), books.RESPONSES[refund.code])
        return wire.answer(201, self._document(refund.id))

    def _enter(self, sale: books.Sale, amount: int, order_id: str) -> books.Refund:
        refund = books.Refund(
            self._id("rf"),
            sale.id,
            amount,
            sale.currency,
            order_id,
            "submitted_for_settlement",
            self.now,
        )
        self.refunds[refund.id] = refund
        return refund

    def _search_ids(self, request: Request) -> Answer:
        asked = wire.criteria(request)
        assert asked.findtext("refund") == "true"
        since = asked.findtext("created_at/min")
        order_id = asked.findtext("order_id/is")
        wanted = [one.text for one in asked.findall("ids/item")]
        found = [
            one.id
            for one in reversed(self.refunds.values())
            if not self.search_lags
            and (since is None or one.at >= datetime.fromisoformat(since))
            and (order_id is None or one.order_id == order_id)
            and (not wanted or one.id in wanted)
        ]
        return wire.answer(200, wire.xml("search-results", {"page-size": 50, "ids": found}))

    def _search(self, request: Request) -> Answer:
        wanted = [str(one.text) for one in wire.criteria(request).findall("ids/item")]
        assert len(wanted) <= 50
        numbers = wire.xml("page-size", 50) + wire.xml("total-items", len(wanted))
        shown = "".join(self._document(one) for one in wanted)
        name = "credit-card-transactions"
        return wire.answer(200, f"<{name} type='collection'>{numbers}{shown}</{name}>")

    def _document(self, reference: str) -> str:
        """A transaction as Braintree shows it; empty where there is none."""
        if sale := self.sales.get(reference):
            return self._sale(sale)
        refund = self.refunds.get(reference)
        if refund is None:
            return ""
        more: dict[str, wire.Value | wire.Fields] = {"refunded-transaction-id": refund.sale}
        if refund.status == "settlement_declined":
            more["processor-settlement-response-code"] = refund.code
            more["processor-settlement-response-text"] = books.RESPONSES[refund.code]
        else:
            more["processor-response-code"] = refund.code
            more["processor-response-text"] = books.RESPONSES.get(refund.code, "Processed")
        if refund.status == "settled" and not self.by_bank:
            more["acquirer-reference-number"] = f"7408{refund.id[2:]}"
        return books.transaction(refund, "credit", more)

    def _sale(self, sale: books.Sale) -> str:
        event: wire.Fields = {
            "timestamp": sale.at,
            "status": "authorized",
            "amount": books.major(sale.authorized, sale.currency),
        }
        history = f"<status-history type='array'>{wire.xml('status-event', event)}</status-history>"
        refunds: dict[str, wire.Value | wire.Fields] = {
            "refund-ids": [one.id for one in self._alive(sale)]
        }
        shown = books.transaction(sale, "sale", refunds)
        return shown.replace("</transaction>", f"{history}</transaction>")

    def _alive(self, sale: books.Sale) -> list[books.Refund]:
        every = [one for one in self.refunds.values() if one.sale == sale.id]
        return [one for one in every if books.state(one.status) != "failed"]

    def _complain(self, words: str) -> Answer:
        self.complaints.append(words)
        return wire.nothing(400)

    def _take_plan(self) -> Plan:
        if self._left == 0:
            return Plan()
        self._left -= 1
        return self._plan

    def _id(self, letters: str) -> str:
        return f"{letters}{next(self._numbers):06d}"

    @property
    def now(self) -> datetime:
        """Its time."""
        return datetime.now(UTC) + self._ahead

    # The side door.

    def pay(self, amount: int, currency: str, *, captured: bool) -> str:
        """As `SideDoor.pay`."""
        status = "settled" if captured else "authorized"
        sale = books.Sale(self._id("sl"), amount, currency, status, "shop-1", self.now, amount)
        self.sales[sale.id] = sale
        return sale.id

    def plan(self, plan: Plan) -> None:
        """As `SideDoor.plan`; each refund waits for its settlement."""
        self._plan, self._left = plan, plan.times

    def finish(self, key: str, end: Literal["settled", "failed"], code: str | None) -> None:
        """As `SideDoor.finish`."""
        refund = next(one for one in self.refunds.values() if one.order_id == key)
        if end == "settled":
            refund.status = "settled"
        else:
            refund.status, refund.code = "settlement_declined", code or "4001"
        if self.by_bank:
            kind = "settled" if end == "settled" else "settlement_declined"
            subject = self._document(refund.id)
            self._outbox.append(wire.webhook(f"transaction_{kind}", self.now, subject))

    def refund_elsewhere(self, payment: str, amount: int) -> str:
        """As `SideDoor.refund_elsewhere`."""
        sale = self.sales[payment]
        return self._enter(sale, amount, sale.order_id).id

    def dispute(self, payment: str, amount: int, state: Literal["opened", "won", "lost"]) -> None:
        """As `SideDoor.dispute`."""
        sale = self.sales[payment]
        reference = f"dp{payment}"
        document = wire.xml(
            "dispute",
            {
                "id": reference,
                "amount-disputed": books.major(amount, sale.currency),
                "amount-won": books.major(amount if state == "won" else 0, sale.currency),
                "currency-iso-code": sale.currency,
                "kind": "chargeback",
                "status": "open" if state == "opened" else state,
                "reason": "fraud",
                "reply-by-date": None,
                "transaction": {"id": payment, "amount": books.major(sale.amount, sale.currency)},
            },
        ).replace(
            '<reply-by-date nil="true"/>', '<reply-by-date type="date">2030-01-31</reply-by-date>'
        )
        self.disputes[reference] = document
        self._outbox.append(wire.webhook(f"dispute_{state}", self.now, document))

    def advance(self, seconds: float) -> None:
        """As `SideDoor.advance`."""
        self._ahead += timedelta(seconds=seconds)

    def held(self, payment: str) -> list[Held]:
        """As `SideDoor.held`: a capture and a void have no reference of ours."""
        sale = self.sales[payment]
        refunds = [
            Held(one.id, one.sale, one.order_id, "refund", one.amount, one.currency,
                 books.state(one.status))
            for one in self.refunds.values()
            if one.sale == payment
        ]  # fmt: skip
        held = Held(sale.id, sale.id, None, "capture", sale.amount, sale.currency, "pending")
        if sale.captured:
            refunds.append(replace(held, state=books.state(sale.status)))
        if sale.status == "voided":
            refunds.append(replace(held, kind="cancel", state="settled"))
        return refunds

    def asked(self) -> int:
        """As `SideDoor.asked`."""
        return self._asked

    def sent(self) -> list[Sent]:
        """As `SideDoor.sent`."""
        sent, self._outbox = self._outbox, []
        return sent

    def forge(self, sent: Sent, how: Forgery) -> Sent:
        """As `SideDoor.forge`; what is old is asked anew, so there is no window."""
        fields = parse_qs(sent.body.decode())
        if how == "body":
            return wire.altered(sent.body, fields)
        if how == "secret":
            return wire.resigned(fields, "others")
        assert how == "unsigned"
        return wire.unsigned(fields)


def _faulty(plan: Plan, action: str, answer: Answer) -> Answer | None:
    match plan.fault:
        case "silence_after":
            return None
        case "error_after":
            return wire.nothing(500)
        case "malformed":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case "duplicate":
            again = {"refund": "91512", "submit_for_settlement": "91507", "void": "91504"}
            return wire.invalid(again[action])
        case _:
            return answer
