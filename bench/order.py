"""The order that every laid order is a copy of, and the refund that is asked for."""

from typing import Any

_OWNER = {"firstName": "Ana", "lastName": "Lind", "email": "ana.lind@example.com"}
_CARD = {"number": "4444222233331111", "expirationMonth": 7, "expirationYear": 2030}

# Two lines, tax and shipping, as a usual order has; its amounts so large that no run can refund
# all of it.
ORDER: dict[str, Any] = {
    "currency": "USD",
    "email": "ana.lind@example.com",
    "items": [
        {"skuId": "sku-tee", "amount": 200000.00, "quantity": 2, "tax": {"amount": 16100.00}},
        {"skuId": "sku-cap", "amount": 400000.00, "quantity": 4, "tax": {"amount": 32100.00}},
    ],
    "shippingChoice": {
        "amount": 50000.00,
        "taxAmount": 4000.00,
        "description": "standard",
        "serviceLevel": "SG",
    },
    "totalAmount": 702200.00,
    "payment": {
        "sources": [
            {
                "type": "creditCard",
                "amount": 702200.00,
                "owner": _OWNER,
                "creditCard": _CARD,
            }
        ]
    },
}
FULFILLMENT: dict[str, Any] = {
    "items": [{"skuId": "sku-tee", "quantity": 2}, {"skuId": "sku-cap", "quantity": 4}],
}

# Spread over product, tax, shipping and shipping tax of both lines.
REFUND: dict[str, Any] = {"currency": "USD", "amount": 5.00}
