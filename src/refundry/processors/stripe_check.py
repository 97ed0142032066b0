"""Whether a Stripe account is set up for us, in words; nothing is paid, nothing is changed.

Sources: Stripe docs, "API keys", "Restricted API keys"; API reference, "Webhook Endpoints".
"""

import stripe

from refundry.processors.contract import Finding, Unknown
from refundry.processors.stripe_calls import answer_of, words
from refundry.processors.stripe_events import DISPUTE_EVENTS, REFUND_EVENTS
from refundry.processors.stripe_objects import Endpoint, EndpointPage, Payment, Refund, RefundPage
from refundry.processors.stripe_outcomes import Refusal

# No payment has this id, so a refund of it is refused; whether for that reason or because the key
# may not refund is what we want to know.
_NO_PAYMENT = "pi_refundry_connection_check"
_TOLD_MISSING = "resource_missing"

_NEEDED_EVENTS = (
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
)
assert set(_NEEDED_EVENTS) <= REFUND_EVENTS | DISPUTE_EVENTS


async def check_connection(
    api: stripe.V1Services, secret_key: str, webhook_secret: str, timeout_seconds: float
) -> list[Finding]:
    """What was found, one thing after the other."""
    kind = "a key of test mode" if "_test_" in secret_key else "a key of live mode"
    refunds = await answer_of(api.refunds.list_async({"limit": 1}), RefundPage, timeout_seconds)
    findings = [Finding(f"The secret key is {kind}"), _reading("refunds", refunds)]
    if findings[-1].problem:
        return findings
    refund = api.refunds.create_async({"payment_intent": _NO_PAYMENT, "amount": 1})
    findings.append(_missing("Refunding", await answer_of(refund, Refund, timeout_seconds)))
    payment = api.payment_intents.retrieve_async(_NO_PAYMENT)
    findings.append(
        _missing("Reading payments", await answer_of(payment, Payment, timeout_seconds))
    )
    endpoints = api.webhook_endpoints.list_async({"limit": 100})
    answer = await answer_of(endpoints, EndpointPage, timeout_seconds)
    return [*findings, _secret(webhook_secret), _endpoints(answer)]


def _reading(what: str, answer: RefundPage | Refusal | Unknown) -> Finding:
    if isinstance(answer, RefundPage):
        return Finding(f"The key may read {what}")
    return Finding(
        f"The key may read {what}",
        f"Stripe did not list {what} ({words(answer)}); check that the key is whole, of this "
        "account and not rolled, and has the permission Charges and Refunds: Write",
    )


def _missing(what: str, answer: object) -> Finding:
    """A permitted request for what does not exist is told just that."""
    if isinstance(answer, Unknown) and _TOLD_MISSING in answer.error:
        return Finding(f"{what} is permitted")
    why = words(answer) if isinstance(answer, Refusal | Unknown) else "an unexpected answer"
    return Finding(
        f"{what} is permitted",
        f"Stripe did not say that the payment is missing ({why}); give the restricted key the "
        "permissions Charges and Refunds: Write and PaymentIntents: Write",
    )


def _secret(webhook_secret: str) -> Finding:
    what = "The webhook secret is set"
    if webhook_secret.startswith("whsec_"):
        return Finding(what)
    return Finding(what, "copy the signing secret (whsec_...) of the webhook endpoint")


def _endpoints(answer: EndpointPage | Refusal | Unknown) -> Finding:
    """Whether one endpoint is sent all that we need. Not every key may see them, nor has to."""
    if not isinstance(answer, EndpointPage):
        return Finding("Webhook endpoints cannot be seen with this key, so they are not checked")
    if any(_sends_all(endpoint) for endpoint in answer.data):
        return Finding("A webhook endpoint is sent the events we need")
    return Finding(
        "A webhook endpoint is sent the events we need",
        f"no enabled endpoint is sent all of {', '.join(_NEEDED_EVENTS)}; outcomes are found by "
        "look-up only, and refunds made at Stripe by listing only",
    )


def _sends_all(endpoint: Endpoint) -> bool:
    events = set(endpoint.enabled_events)
    return endpoint.status == "enabled" and ("*" in events or events >= set(_NEEDED_EVENTS))
