"""What PayPal's stand-in keeps: authorisations, captures and refunds, and how it shows them.

Sources: PayPal developer docs, "Payments API v2" (resources), "Transaction Search API v1".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.contract.connectors.stand import State
from tests.contract.servers import paypal_wire as wire
from tests.contract.servers.loopback import Answer

STATES: dict[str, State] = {
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
class Authorization:
    """An authorised payment and its order; amount: minor units."""

    id: str
    order: str
    amount: int
    currency: str
    status: str = "CREATED"


@dataclass(slots=True)
class Capture:
    """A captured payment and its order; amount: minor units."""

    id: str
    order: str
    amount: int
    currency: str
    authorization: str | None = None


@dataclass(slots=True)
class Kept:
    """The answer to a PayPal-Request-Id."""

    answer: Answer
    at: datetime


def authorization(given: Authorization) -> Doc:
    """An authorisation as PayPal shows it."""
    # "Payments API v2", authorization.
    return {
        "id": given.id,
        "status": given.status,
        "amount": wire.money(given.amount, given.currency),
        "supplementary_data": {"related_ids": {"order_id": given.order}},
    }


def representation(refund: Refund) -> Doc:
    """A refund as PayPal shows it."""
    doc = {
        "id": refund.id,
        "status": refund.status,
        "amount": wire.money(refund.amount, refund.currency),
        "create_time": wire.time(refund.at),
        "update_time": wire.time(refund.at),
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
    if refund.status == "COMPLETED":
        doc["acquirer_reference_number"] = f"7401{refund.id}"
    if refund.status == "PENDING":
        doc["status_details"] = {"reason": "ECHECK"}
    return doc


def transaction(refund: Refund) -> Doc:
    """A refund as a search shows it."""
    # "Transaction Search API v1", transaction_info: what went out is negative.
    statuses = {"COMPLETED": "S", "PENDING": "P", "FAILED": "D", "CANCELLED": "V"}
    money = wire.money(refund.amount, refund.currency)
    info = {
        "transaction_id": refund.id,
        "paypal_reference_id": refund.capture,
        "paypal_reference_id_type": "TXN",
        "transaction_event_code": "T1107",
        "transaction_initiation_date": wire.time(refund.at).replace("Z", "+0000"),
        "transaction_amount": {**money, "value": f"-{money['value']}"},
        "transaction_status": statuses[refund.status],
    }
    if refund.custom_id:
        info["custom_field"] = refund.custom_id
    return {"transaction_info": info}
