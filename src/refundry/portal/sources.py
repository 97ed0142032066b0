"""How payment sources are called on pages."""

import msgspec

from refundry.domain.charge import Charge
from refundry.orders.store import StoredOrder
from refundry.portal.order_lines import as_object
from refundry.portal.rendering import words

_NAMES = {
    "creditCard": "Card",
    "customerCredit": "Customer credit",
    "payPal": "PayPal",
    "payPalBilling": "PayPal",
    "payPalCredit": "PayPal Credit",
    "wireTransfer": "Wire transfer",
    "onlineBanking": "Online banking",
    "bankTransfer": "Bank transfer",
    "bPay": "BPAY",
    "konbini": "Konbini",
    "codJapan": "Cash on delivery",
    "applePay": "Apple Pay",
    "googlePay": "Google Pay",
}


def source_label(stored: StoredOrder, charge: Charge) -> str:
    """`Visa •••• 1111` for a card whose digits are known, else the name of the type."""
    details = msgspec.json.decode(stored.facts.sources[charge.id].details)
    name = _NAMES.get(charge.source_type, words(charge.source_type))
    card = as_object(
        as_object(details).get(charge.source_type) or as_object(details).get("creditCard")
    )
    brand, digits = card.get("brand"), card.get("lastFourDigits")
    if not isinstance(digits, str) or not digits:
        return name
    return f"{brand if isinstance(brand, str) and brand else name} •••• {digits}"
