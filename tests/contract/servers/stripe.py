"""Stripe's API as far as refunds need it, on loopback, with a side door for scenarios.

Written from Stripe's public documentation (API reference and docs.stripe.com; each rule names its
page); knows nothing of our connector. Requests are checked as Stripe checks them: key, form,
parameters. Idempotency keys are kept as "Idempotent requests" says: the first answer of what began
to execute, a 500 included, for 24 hours; nothing of what was refused before that.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.contract.connectors.stand import Forgery, Held, Plan, Sent, State
from tests.contract.servers.stripe_books import (
    KEY_SECONDS,
    Books,
    Doc,
    Payment,
    Stored,
    StripeError,
)

SECRET_KEY = "sk_test_contract"
WEBHOOK_SECRET = "whsec_contract"
_STATES: dict[str, State] = {
    "succeeded": "settled",
    "pending": "pending",
    "requires_action": "pending",
    "failed": "failed",
    "canceled": "failed",
}
# Stripe's amount of one of our minor units, where it differs ("Supported currencies").
_FACTORS = {"ISK": 100}
_MOST_KEY = 255  # "Idempotent requests".


class StripeServer:
    """One account; use as an async context manager. url: where its API is."""

    def __init__(self) -> None:
        self.books = Books(time.time())
        self.url = ""
        # While it is away, nothing can be looked up.
        self.away = False
        self._plan = Plan()
        self._asked = 0
        self._told = 0
        self._closing = asyncio.Event()
        app = web.Application(middlewares=[self._absence])
        app.add_routes(
            [
                web.post("/v1/refunds", self._create_refund),
                web.get("/v1/refunds", self._list_refunds),
                web.get("/v1/refunds/{id}", self._one_refund),
                web.get("/v1/payment_intents/{id}", self._one_payment),
                web.post("/v1/payment_intents/{id}/capture", self._capture),
                web.post("/v1/payment_intents/{id}/cancel", self._cancel),
                web.get("/v1/disputes/{id}", self._one_dispute),
                web.get("/v1/webhook_endpoints", self._endpoints),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> "StripeServer":
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    # The side door.

    def pay(self, amount: int, currency: str, *, captured: bool) -> str:
        """A shopper's payment."""
        units = amount * _FACTORS.get(currency, 1)
        return self.books.pay(units, currency.lower(), captured=captured).id

    def plan(self, plan: Plan) -> None:
        """What becomes of the next requests for an operation."""
        self._plan = plan

    def finish(self, key: str, end: Literal["settled", "failed"], code: str | None) -> None:
        """A refund ends."""
        (refund,) = [one for one in self.books.refunds.values() if key in one["metadata"].values()]
        self.books.finish(refund, "succeeded" if end == "settled" else "failed", code)

    def refund_elsewhere(self, payment: str, amount: int) -> str:
        """A refund in the Dashboard; it has no metadata."""
        paid = self.books.payment(payment)
        self.books.check_refund(paid, amount)
        return self.books.refund(paid, amount, {}, pending=False)["id"]

    def dispute(self, payment: str, amount: int, state: Literal["opened", "won", "lost"]) -> None:
        """A dispute becomes so."""
        status = "needs_response" if state == "opened" else state
        self.books.dispute(self.books.payment(payment), amount, status)

    def advance(self, seconds: float) -> None:
        """Stripe's clock goes on."""
        self.books.now += seconds

    def held(self, payment: str) -> list[Held]:
        """What Stripe holds on a payment."""
        paid = self.books.payment(payment)
        currency = paid.currency.upper()
        factor = _FACTORS.get(currency, 1)
        found = [
            Held(
                refund["id"],
                payment,
                next(iter(refund["metadata"].values()), None),
                "refund",
                refund["amount"] // factor,
                currency,
                _STATES[refund["status"]],
                arn=refund["destination_details"]["card"].get("reference"),
            )
            for refund in self.books.refunds.values()
            if refund["charge"] == paid.charge
        ]
        return found + _held_intent(paid, currency, factor)

    def asked(self) -> int:
        """Requests for an operation."""
        return self._asked

    def sent(self) -> list[Sent]:
        """The events since the last call."""
        events = self.books.events[self._told :]
        self._told = len(self.books.events)
        return [self._sign(json.dumps(event).encode(), WEBHOOK_SECRET) for event in events]

    def forge(self, sent: Sent, how: Forgery) -> Sent:
        """An event as another would send it."""
        match how:
            case "body":
                return replace(sent, body=sent.body.replace(b'"amount": 1', b'"amount": 9', 1))
            case "secret":
                return self._sign(sent.body, "whsec_another")
            case "unsigned":
                return replace(sent, headers={})
            case "old":
                return self._sign(sent.body, WEBHOOK_SECRET, self.books.now - 86400)

    def _sign(self, body: bytes, secret: str, at: float | None = None) -> Sent:
        """Docs, "Receive Stripe events", verify manually: t, a dot and the body; v1 in hex."""
        stamp = int(self.books.now if at is None else at)
        signed = f"{stamp}.".encode() + body
        v1 = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return Sent({"stripe-signature": f"t={stamp},v1={v1},v0={'0' * 64}"}, body)

    # The API.

    @web.middleware
    async def _absence(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.away and request.method == "GET":
            error = StripeError(503, "Service unavailable", kind="api_error")
            return web.json_response(error.body, status=error.status)
        return await handler(request)

    async def _create_refund(self, request: web.Request) -> web.StreamResponse:
        form = await _form(
            request, {"amount", "charge", "payment_intent", "metadata", "reason",
                      "instructions_email", "refund_application_fee", "reverse_transfer"},
        )  # fmt: skip
        references = [form[name] for name in ("charge", "payment_intent") if name in form]

        def refund(plan: Plan) -> Doc:
            if len(references) != 1:
                raise StripeError(400, "One of charge and payment_intent is needed.")
            payment = self.books.payment(references[0])
            amount = _amount(form, "amount", self.books.left(payment))
            self.books.check_refund(payment, amount)
            told = amount - 1 if plan.fault == "wrong_amount" else amount
            pending = plan.end == "pending"
            return self.books.refund(payment, told, _metadata(form), pending=pending)

        return await self._operate(request, form, refund)

    async def _capture(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request, {"amount_to_capture", "metadata", "final_capture"})

        def capture(_: Plan) -> Doc:
            payment = self.books.payment(request.match_info["id"])
            amount = _amount(form, "amount_to_capture", payment.amount)
            return self.books.capture(payment, amount, _metadata(form))

        return await self._operate(request, form, capture)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request, {"cancellation_reason"})

        def cancel(_: Plan) -> Doc:
            payment = self.books.payment(request.match_info["id"])
            return self.books.cancel(payment, request.headers.get("Idempotency-Key"))

        return await self._operate(request, form, cancel)

    async def _list_refunds(self, request: web.Request) -> web.Response:
        """API reference, "List all refunds", "Pagination": newest first, 1 to 100 at once."""
        try:
            _authenticate(request)
            allowed = {"charge", "payment_intent", "created[gte]", "limit", "starting_after"}
            query = _known(dict(request.query), allowed)
            found = list(self.books.refunds.values())[::-1]
            for name in ("charge", "payment_intent"):
                if name in query:
                    self.books.payment(query[name])
                    found = [one for one in found if one[name] == query[name]]
            since = int(query.get("created[gte]", "0"))
            found = [one for one in found if one["created"] >= since]
            if after := query.get("starting_after"):
                found = found[[one["id"] for one in found].index(after) + 1 :]
            limit = int(query.get("limit", "10"))
            if not 1 <= limit <= 100:
                raise StripeError(400, "Invalid limit", param="limit")
        except StripeError as error:
            return web.json_response(error.body, status=error.status)
        return web.json_response(
            {
                "object": "list",
                "url": "/v1/refunds",
                "has_more": len(found) > limit,
                "data": found[:limit],
            }
        )

    async def _one_refund(self, request: web.Request) -> web.Response:
        return _show(request, "refund", self.books.refunds.get(request.match_info["id"]))

    async def _one_payment(self, request: web.Request) -> web.Response:
        payment = self.books.payments.get(request.match_info["id"])
        return _show(request, "payment_intent", payment.document() if payment else None)

    async def _one_dispute(self, request: web.Request) -> web.Response:
        return _show(request, "dispute", self.books.disputes.get(request.match_info["id"]))

    async def _endpoints(self, request: web.Request) -> web.Response:
        """API reference, "List all webhook endpoints"."""
        endpoint = {
            "id": "we_1",
            "object": "webhook_endpoint",
            "enabled_events": ["*"],
            "status": "enabled",
            "url": "https://refunds.example.com/",
        }
        return _show(request, "list", {"object": "list", "data": [endpoint], "has_more": False})

    async def _operate(
        self, request: web.Request, form: dict[str, str], act: Callable[[Plan], Doc]
    ) -> web.StreamResponse:
        """A request for an operation, with what was planned for it."""
        self._asked += 1
        plan = self._take_plan()
        try:
            _authenticate(request)
            if plan.fault == "too_many":
                # "Rate limits".
                raise StripeError(429, "Too many requests", code="rate_limit")
            if plan.fault == "forbidden":
                raise StripeError(403, "The key lacks the permission rak_charge_write.")
            if plan.fault == "silence_before":
                return await self._say_nothing()
            status, body = self._once(request, form, plan, act)
        except StripeError as error:
            return web.json_response(error.body, status=error.status)
        if plan.fault == "silence_after":
            return await self._say_nothing()
        if plan.fault == "malformed":
            return web.Response(
                text=json.dumps(body)[:-40], status=status, content_type="application/json"
            )
        return web.json_response(body, status=status)

    def _take_plan(self) -> Plan:
        plan = self._plan
        left = plan.times - 1
        self._plan = replace(plan, times=left) if left > 0 else Plan()
        return plan

    def _once(
        self, request: web.Request, form: dict[str, str], plan: Plan, act: Callable[[Plan], Doc]
    ) -> tuple[int, Doc]:
        """ "Idempotent requests": the first answer again, if the parameters are the same."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return _execute(plan, act)
        asked = f"{request.path} {sorted(form.items())}"
        if len(key) > _MOST_KEY:
            raise StripeError(400, "Idempotency-Key is too long", kind="idempotency_error")
        if key in self.books.executing:
            raise StripeError(
                409, "Another request is in progress.", code="idempotency_key_in_use",
                kind="idempotency_error",
            )  # fmt: skip
        stored = self.books.stored.get(key)
        if stored and self.books.now - stored.at < KEY_SECONDS:
            if stored.asked != asked:
                raise StripeError(
                    400, "Keys can only be used with the same parameters they were first used "
                    "with.", kind="idempotency_error",
                )  # fmt: skip
            return stored.status, stored.body
        status, body = _execute(plan, act)
        self.books.stored[key] = Stored(asked, self.books.now, status, body)
        return status, body

    async def _say_nothing(self) -> web.StreamResponse:
        await self._closing.wait()
        return web.Response(status=503)


def _execute(plan: Plan, act: Callable[[Plan], Doc]) -> tuple[int, Doc]:
    fault = StripeError(500, "An unknown error occurred", kind="api_error")
    try:
        if plan.fault == "error_before":
            raise fault
        if plan.end == "declined":
            raise StripeError(400, f"Refused: {plan.code}", code=plan.code)
        body = {**act(plan)}
        if plan.fault == "error_after":
            raise fault
        if plan.fault == "duplicate":
            raise StripeError(400, "Already refunded.", code="charge_already_refunded")
    except StripeError as error:
        return error.status, error.body
    return 200, body


def _held_intent(payment: Payment, currency: str, factor: int) -> list[Held]:
    """A capture or a cancel of the payment's own."""
    captured = next(iter(payment.metadata.values()), None)
    if captured:
        amount = payment.received // factor
        return [Held(payment.id, payment.id, captured, "capture", amount, currency, "settled")]
    if payment.cancel_key:
        key, amount = payment.cancel_key, payment.amount // factor
        return [Held(payment.id, payment.id, key, "cancel", amount, currency, "settled")]
    return []


def _authenticate(request: web.Request) -> None:
    """API reference, "Authentication": a bearer token, or basic with the key as user name."""
    if request.headers.get("Authorization") != f"Bearer {SECRET_KEY}":
        raise StripeError(401, "Invalid API Key provided: sk_test_****")


def _show(request: web.Request, kind: str, document: Doc | None) -> web.Response:
    try:
        _authenticate(request)
        if document is None:
            name = request.match_info["id"]
            raise StripeError(404, f"No such {kind}: '{name}'", code="resource_missing", param="id")
    except StripeError as error:
        return web.json_response(error.body, status=error.status)
    return web.json_response(document)


async def _form(request: web.Request, allowed: set[str]) -> dict[str, str]:
    """API reference, "Introduction": form-encoded bodies."""
    form = {name: str(value) for name, value in (await request.post()).items()}
    try:
        if form and request.content_type != "application/x-www-form-urlencoded":
            raise StripeError(400, "Send the body form-encoded.")
        return _known(form, allowed)
    except StripeError as error:
        raise web.HTTPBadRequest(
            text=json.dumps(error.body), content_type="application/json"
        ) from error


def _known(form: dict[str, str], allowed: set[str]) -> dict[str, str]:
    """ "Error codes": parameter_unknown."""
    for name in form:
        if name not in allowed and name.partition("[")[0] not in allowed - {"created"}:
            raise StripeError(
                400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
    return form


def _amount(form: dict[str, str], name: str, default: int) -> int:
    """ "Error codes": parameter_invalid_integer; amounts are above zero."""
    if name not in form:
        return default
    if not form[name].isdigit() or int(form[name]) < 1:
        raise StripeError(
            400, "Invalid positive integer", code="parameter_invalid_integer", param=name
        )
    return int(form[name])


def _metadata(form: dict[str, str]) -> dict[str, str]:
    """API reference, "Metadata": up to 50 keys of 40 characters, values of 500."""
    found = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
    if len(found) > 50 or any(len(key) > 40 or len(text) > 500 for key, text in found.items()):
        raise StripeError(400, "Invalid metadata", param="metadata")
    return found
