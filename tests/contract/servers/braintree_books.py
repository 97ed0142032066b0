"""What Braintree's stand-in keeps: sales and refunds, and how it shows them.

Sources: Braintree docs, "Transaction" (response), "Authorization" and "Settlement" (processor
responses), "All Validation Errors".
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tests.contract.connectors.stand import State
from tests.contract.servers import braintree_wire as wire

# "All Validation Errors", 81503: as "10" or "10.00"; no decimals where the currency has none.
_DIGITS = {"JPY": 0, "KWD": 3}

# "Authorization" and "Settlement".
RESPONSES = {
    "2000": "Do Not Honor",
    "2004": "Expired Card",
    "2013": "Possible Lost Card",
    "2047": "Call Issuer. Pick Up Card.",
    "2057": "Issuer or Cardholder has put a restriction on the card",
    "2099": "One that came later",
    "4001": "Settlement Declined",
    "4018": "PayPal Pending Payments Not Supported",
    "4025": "Payer Account Is Locked Or Closed",
}


@dataclass(slots=True)
class Sale:
    """A sale; amount: minor units."""

    id: str
    amount: int
    currency: str
    status: str
    order_id: str
    at: datetime
    authorized: int
    captured: bool = False


@dataclass(slots=True)
class Refund:
    """A refund; amount: minor units. code: of the processor."""

    id: str
    sale: str
    amount: int
    currency: str
    order_id: str
    status: str
    at: datetime
    code: str = "1002"


def transaction(one: Sale | Refund, kind: str, more: "dict[str, wire.Value | wire.Fields]") -> str:
    """A transaction as Braintree shows it; more: what its kind has besides."""
    fields: dict[str, wire.Value | wire.Fields] = {
        "id": one.id,
        "status": one.status,
        "type": kind,
        "currency-iso-code": one.currency,
        "amount": major(one.amount, one.currency),
        "order-id": one.order_id,
        "created-at": one.at,
        **more,
    }
    return wire.xml("transaction", fields)


def state(status: str) -> State:
    """How far an operation is whose transaction has this status."""
    if status in ("processor_declined", "settlement_declined", "voided"):
        return "failed"
    return "settled" if status == "settled" else "pending"


def digits(currency: str) -> int:
    """How many decimals a currency has."""
    return _DIGITS.get(currency, 2)


def minor(value: str, currency: str) -> int:
    """An amount in minor units."""
    return int(Decimal(value).scaleb(digits(currency)))


def major(amount: int, currency: str) -> str:
    """An amount as Braintree writes it."""
    places = digits(currency)
    return f"{Decimal(amount).scaleb(-places):.{places}f}"
