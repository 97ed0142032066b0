"""The adapter of `examples/http_adapter.py`, with a bank behind it and faults in front of it.

Written from docs/processors/http.md. The adapter is the example, unchanged; the bank is what a
merchant would have in place of its `pay`.
"""

import itertools
import json
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from examples.http_adapter import Adapter

from tests.contract.connectors.stand import Forgery, Held, Plan, Sent, State
from tests.contract.servers.loopback import Answer, Loopback, Request

SECRET = "kept-between-us"
ARN = "74850120752112040000000"
# A code of the bank's, and the failureReason that its adapter makes of it ("Answer").
REASONS = {
    "04": "lost_or_stolen_card",
    "14": "account_closed",
    "33": "expired_or_canceled_card",
    "51": "insufficient_funds",
    "57": "declined",
    "62": "account_frozen",
    "96": "unknown",
    "99": "a whim of the bank",
    "IBAN": "invalid_bank_details",
}
Doc = dict[str, Any]
Kind = Literal["capture", "cancel", "refund"]
_KINDS: dict[str, Kind] = {"capture": "capture", "cancel": "cancel", "refund": "refund"}
_WORDS: dict[State, str] = {"settled": "complete", "pending": "pending", "failed": "failed"}
# The fields of each request, by the last part of its address ("http", "More than operations").
_FIELDS = {
    "refundry": {"operationId", "kind", "chargeId", "processorReference", "amount", "currency"},
    "lookup": {"operationId"},
    "list": {"since", "after"},
    "check": set[str](),
}
_DIGITS = {"JPY": 0, "KWD": 3}


@dataclass(slots=True)
class Payment:
    """A shopper's payment; amount: minor units."""

    amount: int
    currency: str
    captured: bool


class AdapterServer:
    """The side door, the bank and what goes wrong on the way to the adapter."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._payments: dict[str, Payment] = {}
        self._held: dict[str, Held] = {}
        self._adapter = Adapter(SECRET, self._pay)
        self._plan = Plan()
        self._now = Plan()
        self._asked = 0
        self._ahead = 0.0
        self._outbox: list[bytes] = []
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def serve(self) -> Loopback:
        """A server of the adapter."""
        return Loopback(self.answer)

    def answer(self, request: Request) -> Answer | None:
        """The adapter's answer, unless something goes wrong; None: none ever."""
        with self._lock:
            name = request.path.rpartition("/")[2]
            wrong = _wrong_with(request, name)
            if wrong:
                self.complaints.append(wrong)
                return Answer(400)
            if name != "refundry":
                return self._through(request)
            self._asked += 1
            return self._faulty(request, self._take_plan())

    def _faulty(self, request: Request, plan: Plan) -> Answer | None:
        before = {
            "silence_before": None,
            "too_many": Answer(429),
            "error_before": Answer(503),
            "forbidden": Answer(403),
        }
        if plan.fault in before:
            return before[plan.fault]
        self._now = plan
        answer = self._through(request)
        match plan.fault:
            case "silence_after":
                return None
            case "error_after":
                return Answer(500)
            case "malformed":
                return replace(answer, body=answer.body[:-9])
            case "duplicate":
                return self._through(request)
            case _:
                return answer

    def _through(self, request: Request) -> Answer:
        header = request.headers.get("refundry-signature", "")
        status, answer = self._adapter.answer(request.path, header, request.body)
        return Answer(status, json.dumps(answer).encode())

    def _take_plan(self) -> Plan:
        plan = self._plan
        left = plan.times - 1
        self._plan = replace(plan, times=left) if left > 0 else Plan()
        return plan

    # The bank.

    def _pay(self, asked: Doc) -> Doc:
        payment = self._payments[asked["processorReference"]]
        amount = _minor(asked["amount"], payment.currency)
        kind = _KINDS[asked["kind"]]
        if self._now.end == "declined":
            return _failed(self._now.code or "57")
        if amount > self._left(asked["processorReference"], kind):
            return _failed("57")
        if self._now.fault == "wrong_amount":
            amount -= 1
        held = Held(
            f"bank-{next(self._numbers)}",
            asked["processorReference"],
            asked["operationId"],
            kind,
            amount,
            payment.currency,
            "pending" if self._now.end == "pending" else "settled",
            arn=ARN if kind == "refund" else None,
        )
        self._held[held.reference] = held
        if held.state == "settled":
            self._tell(f"{kind}.complete", {"operationId": held.key, **_shown(held)})
        return _shown(held)

    def _left(self, reference: str, kind: Kind) -> int:
        """What may still be refunded, or captured or cancelled, in minor units."""
        payment = self._payments[reference]
        if payment.captured != (kind == "refund"):
            return 0
        return payment.amount - sum(
            one.amount
            for one in self.held(reference)
            if one.state != "failed" and (one.kind == "refund") == (kind == "refund")
        )

    # The side door.

    def pay(self, amount: int, currency: str, *, captured: bool) -> str:
        """As `SideDoor.pay`."""
        reference = f"payment-{next(self._numbers)}"
        self._payments[reference] = Payment(amount, currency, captured)
        return reference

    def plan(self, plan: Plan) -> None:
        """As `SideDoor.plan`."""
        self._plan = plan

    def finish(self, key: str, end: Literal["settled", "failed"], code: str | None) -> None:
        """As `SideDoor.finish`; the adapter keeps what became of it, and tells it."""
        (held,) = [one for one in self._held.values() if one.key == key]
        if held.state == end:
            return
        ended = replace(held, state=end)
        self._held[held.reference] = ended
        told = self._adapter.done[key]
        told |= _shown(ended) if end == "settled" else _failed(code or "96")
        self._tell(f"{held.kind}.{told['state']}", told)

    def refund_elsewhere(self, payment: str, amount: int) -> str:
        """As `SideDoor.refund_elsewhere`; the adapter hears of it from its processor."""
        currency = self._payments[payment].currency
        reference = f"bank-{next(self._numbers)}"
        held = Held(reference, payment, None, "refund", amount, currency, "settled", arn=ARN)
        self._held[reference] = held
        made = {**_shown(held), "createdTime": datetime.now(UTC).isoformat()}
        self._adapter.refunds.append(made)
        self._tell("refund.complete", made)
        return reference

    def dispute(self, payment: str, amount: int, state: Literal["opened", "won", "lost"]) -> None:
        """As `SideDoor.dispute`."""
        currency = self._payments[payment].currency
        told: Doc = {
            "processorReference": f"dispute-{payment}",
            "payment": payment,
            "amount": _major(amount, currency),
            "currency": currency,
        }
        if state == "opened":
            told |= {"reason": "fraudulent", "respondBy": "2030-01-01T00:00:00Z"}
        if state == "lost":
            told["fraud"] = True
        self._tell(f"dispute.{state}", told)

    def advance(self, seconds: float) -> None:
        """The time of its notifications goes on."""
        self._ahead += seconds

    def held(self, payment: str) -> list[Held]:
        """As `SideDoor.held`."""
        return [one for one in self._held.values() if one.payment == payment]

    def asked(self) -> int:
        """As `SideDoor.asked`."""
        return self._asked

    def sent(self) -> list[Sent]:
        """As `SideDoor.sent`."""
        sent = [self._sign(body, self._adapter) for body in self._outbox]
        self._outbox = []
        return sent

    def forge(self, sent: Sent, how: Forgery) -> Sent:
        """As `SideDoor.forge`."""
        match how:
            case "body":
                return replace(sent, body=sent.body.replace(b'"amount": 1', b'"amount": 9'))
            case "secret":
                return self._sign(sent.body, Adapter("of-another", self._pay))
            case "unsigned":
                return replace(sent, headers={})
            case "old":
                return self._sign(sent.body, self._adapter, -86400)

    def _tell(self, kind: str, data: Doc) -> None:
        """ "Notifications"."""
        told = {
            "id": f"n-{next(self._numbers)}",
            "type": kind,
            "occurredTime": datetime.now(UTC).isoformat(),
            "data": {name: value for name, value in data.items() if name != "state"},
        }
        self._outbox.append(json.dumps(told).encode())

    def _sign(self, body: bytes, adapter: Adapter, shift: float = 0) -> Sent:
        seconds = int(time.time() + self._ahead + shift)
        return Sent({"refundry-signature": adapter.sign(body, seconds)}, body)


def _wrong_with(request: Request, name: str) -> str:
    """What a request has against the page, in words; empty: nothing."""
    asked: Doc = json.loads(request.body)
    amount = asked.get("amount", 0.0)
    wrong = {
        f"no such address: {request.method} {request.path}": request.method != "POST"
        or name not in _FIELDS,
        "content type": request.headers.get("content-type") != "application/json",
        f"fields {sorted(asked)}": set(asked) - {"bankDetails"} != _FIELDS.get(name, set()),
        "kind": asked.get("kind", "refund") not in _KINDS,
        "amount": not isinstance(amount, float) or amount < 0,
        "operationId": not 0 < len(asked.get("operationId", "x")) <= 64,
    }
    return ", ".join(words for words, is_wrong in wrong.items() if is_wrong)


def _failed(code: str) -> Doc:
    return {
        "state": "failed",
        "code": code,
        "message": f"The bank answered {code}",
        "failureReason": REASONS[code],
    }


def _shown(held: Held) -> Doc:
    """An operation in the fields of an answer ("Answer")."""
    shown: Doc = {
        "state": _WORDS[held.state],
        "reference": held.reference,
        "payment": held.payment,
        "amount": _major(held.amount, held.currency),
        "currency": held.currency,
    }
    return shown if held.arn is None else {**shown, "arn": held.arn}


def _minor(amount: float, currency: str) -> int:
    return int(Decimal(str(amount)).scaleb(_DIGITS.get(currency, 2)))


def _major(amount: int, currency: str) -> float:
    return float(Decimal(amount).scaleb(-_DIGITS.get(currency, 2)))
