"""The form in which PayPal's stand-in speaks: tokens, errors, amounts, signatures.

Sources: PayPal developer docs, "Get started with PayPal REST APIs" (access tokens), "Payments API
v2" (requests, errors and their issues), "Currency codes", "Idempotency", "Webhooks API"
(verify-webhook-signature).
"""

import base64
import hashlib
import hmac
import json
import re
import zlib
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tests.contract.servers.loopback import Answer, Request

CLIENT_ID = "client-of-the-stand-in"
CLIENT_SECRET = "secret-of-the-stand-in"
WEBHOOK_ID = "webhook-of-the-stand-in"
TOKEN = "token-of-the-stand-in"
SCOPES = (
    "https://uri.paypal.com/services/payments/refund "
    "https://uri.paypal.com/services/payments/payment/authcapture "
    "https://uri.paypal.com/services/reporting/search/read "
    "https://uri.paypal.com/services/disputes/read-seller"
)

# "Payments API v2", refund_request and capture_request, and their money.
_REQUESTS = {
    "refund": {"amount", "custom_id", "invoice_id", "note_to_payer", "payment_instruction"},
    "capture": {"amount", "invoice_id", "final_capture", "payment_instruction", "note_to_payer"},
    "void": set[str](),
}
_MONEY = re.compile(r"((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))")
# "Currency codes": these have no decimals.
_WHOLE = frozenset({"HUF", "JPY", "TWD"})
_THREE = frozenset({"KWD", "BHD", "TND"})

# "Payments API v2", issues of captures.refund, authorizations.capture and .void, in their words.
ISSUES = {
    "AUTHORIZATION_ALREADY_CAPTURED": "Authorization has already been captured.",
    "AUTHORIZATION_VOIDED": "A voided authorization cannot be captured or reauthorized.",
    "MAX_CAPTURE_AMOUNT_EXCEEDED": "Capture amount exceeds allowable limit.",
    "PAYEE_ACCOUNT_RESTRICTED": "Payee account is restricted.",
    "PREVIOUSLY_CAPTURED": "Authorization has been previously captured and hence cannot be voided.",
    "PREVIOUSLY_VOIDED": "Authorization has been previously voided.",
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

Doc = dict[str, Any]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What verify-webhook-signature takes; all of it is required."""

    auth_algo: str
    cert_url: str
    transmission_id: str
    transmission_sig: str
    transmission_time: str
    webhook_id: str
    webhook_event: msgspec.Raw


def verdict(request: Request) -> Answer:
    """PayPal's answer on whether it sent a webhook."""
    question = msgspec.json.decode(request.body, type=Question)
    expected = signature(
        question.transmission_id,
        question.transmission_time,
        question.webhook_id,
        bytes(question.webhook_event),
    )
    genuine = hmac.compare_digest(expected, question.transmission_sig)
    return answer(200, {"verification_status": "SUCCESS" if genuine else "FAILURE"})


def signature(transmission: str, at: str, webhook: str, body: bytes) -> str:
    """PayPal signs this text with the key of a certificate; only PayPal checks it here, so that an
    HMAC does as well."""
    signed = f"{transmission}|{at}|{webhook}|{zlib.crc32(body)}"
    return base64.b64encode(hmac.digest(b"paypal", signed.encode(), hashlib.sha256)).decode()


def token(request: Request) -> Answer:
    """An access token for the client id and secret."""
    pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    if request.headers.get("authorization") != f"Basic {pair}":
        return answer(
            401, {"error": "invalid_client", "error_description": "Client Authentication failed"}
        )
    assert b"grant_type=client_credentials" in request.body
    return answer(
        200,
        {"scope": SCOPES, "access_token": TOKEN, "token_type": "Bearer",
         "app_id": "APP-1", "expires_in": 32400, "nonce": "once"},
    )  # fmt: skip


def wrong_with(request: Request, body: Doc, key: str, action: str) -> str:
    """What a request that moves money has against the documentation, in words; empty: nothing."""
    amount = body.get("amount", {})
    wrong = {
        "content type": action != "void"
        and request.headers.get("content-type") != "application/json",
        "prefer": request.headers.get("prefer") != "return=representation",
        "unknown fields": not set(body) <= _REQUESTS[action],
        "amount": action != "void" and set(amount) != {"currency_code", "value"},
        "value": action != "void" and _MONEY.fullmatch(amount.get("value", "")) is None,
        # A capture that is not the last one leaves the authorisation open.
        "final_capture": action == "capture" and body.get("final_capture") is not True,
        # "Payments API v2": custom_id and invoice_id have at most 127 characters.
        "custom_id": len(body.get("custom_id", "")) > 127,
        "invoice_id": len(body.get("invoice_id", "")) > 127,
        # "Idempotency": at most 108 characters.
        "PayPal-Request-Id": not 0 < len(key) <= 108,
    }
    return ", ".join(name for name, is_wrong in wrong.items() if is_wrong)


def digits(currency: str) -> int:
    """How many decimals a currency has."""
    return 0 if currency in _WHOLE else 3 if currency in _THREE else 2


def minor(value: str, currency: str) -> int:
    """An amount in minor units."""
    scaled = Decimal(value).scaleb(digits(currency))
    assert scaled == int(scaled), "DECIMAL_PRECISION"
    return int(scaled)


def money(amount: int, currency: str) -> Doc:
    """An amount as PayPal writes it."""
    value = Decimal(amount).scaleb(-digits(currency))
    return {"currency_code": currency, "value": f"{value:.{digits(currency)}f}"}


def time(at: datetime) -> str:
    """A time as PayPal writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(status: int, body: Doc) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(body).encode())


def error(status: int, name: str, message: str, issue: str = "") -> Answer:
    """An error; its issue stands in the details."""
    # "Payments API v2", error: name, message, debug_id, details of issue and description.
    body: Doc = {"name": name, "message": message, "debug_id": "debug"}
    if issue:
        body["details"] = [{"issue": issue, "description": ISSUES[issue]}]
    return answer(status, body)


def missing() -> Answer:
    """The answer where there is nothing of that id."""
    return error(404, "RESOURCE_NOT_FOUND", "The specified resource does not exist.")
