"""Example bodies and answers of orders, charges, sources and fulfilments, for the reference."""

from typing import Any

_ADDRESS = {
    "line1": "12 Harbor St",
    "city": "Duluth",
    "postalCode": "55802",
    "state": "MN",
    "country": "US",
}
_OWNER = {"firstName": "Ana", "lastName": "Lind", "email": "ana.lind@example.com"}
_ORDER_ID = "256469221483"
_CHARGE_ID = "5107bbfa-9c34-45a7-9bdc-e86f80a73dd8"
_SOURCE_ID = "651cc1e4-730a-49a0-972b-a237b6762a1e"
_SESSION_ID = "0025896e-f3d6-455b-802a-787f91c21b8f"
_CAPTURE_ID = "f40b7452-9a7b-438f-8502-a9a2e5e8bf9a"
_FULFILLMENT_ID = "ful_dc6eeda3-72ab-42e7-97b1-2944929bd9cc"

# Order A of the contract's acceptance cases: its body works as it stands.
EXAMPLE_ORDER: dict[str, Any] = {
    "upstreamId": "WEB-100482",
    "currency": "USD",
    "email": "ana.lind@example.com",
    "billTo": {"name": "Ana Lind", "address": _ADDRESS},
    "items": [
        {
            "skuId": "sku-tee",
            "amount": 20.00,
            "quantity": 2,
            "tax": {"rate": 0.08025, "amount": 1.61},
        }
    ],
    "shippingChoice": {
        "amount": 5.00,
        "taxAmount": 0.40,
        "description": "standard",
        "serviceLevel": "SG",
    },
    "totalAmount": 27.01,
    "payment": {
        "sources": [
            {
                "type": "creditCard",
                "amount": 27.01,
                "owner": _OWNER,
                "creditCard": {
                    "number": "4444222233331111",
                    "expirationMonth": 7,
                    "expirationYear": 2030,
                },
            }
        ]
    },
}
EXAMPLE_FULFILLMENT: dict[str, Any] = {
    "orderId": _ORDER_ID,
    "items": [{"skuId": "sku-tee", "quantity": 2}],
    "trackingCompany": "UPS",
    "trackingNumber": "1Z999AA10123456784",
}

_SOURCE: dict[str, Any] = {
    "id": _SOURCE_ID,
    "type": "creditCard",
    "amount": 27.01,
    "owner": _OWNER,
    "creditCard": {
        "brand": "Visa",
        "expirationMonth": 7,
        "expirationYear": 2030,
        "lastFourDigits": "1111",
    },
}
EXAMPLE_SOURCE_ANSWER: dict[str, Any] = {
    "createdTime": "2024-05-01T09:40:02Z",
    **_SOURCE,
    "reusable": False,
    "state": "consumed",
    "flow": "standard",
    "liveMode": False,
}
EXAMPLE_CHARGE_ANSWER: dict[str, Any] = {
    "id": _CHARGE_ID,
    "createdTime": "2024-05-01T09:40:02Z",
    "currency": "USD",
    "amount": 27.01,
    "state": "complete",
    "orderId": _ORDER_ID,
    "captured": True,
    "captures": [
        {
            "id": _CAPTURE_ID,
            "createdTime": "2024-05-01T09:41:10Z",
            "updatedTime": "2024-05-01T09:41:12Z",
            "amount": 27.01,
            "state": "complete",
            "fulfillmentId": _FULFILLMENT_ID,
        }
    ],
    "refunded": True,
    "refunds": [
        {
            "id": "c4fb3aed-fdf6-484a-928b-722c23e6f9c0",
            "createdTime": "2024-05-01T09:58:13Z",
            "updatedTime": "2024-05-01T09:58:30Z",
            "amount": 13.51,
            "state": "complete",
        }
    ],
    "sourceId": _SOURCE_ID,
    "paymentSessionId": _SESSION_ID,
    "type": "customer_initiated",
    "liveMode": False,
}
# As right after POST /orders: nothing is captured yet.
EXAMPLE_ORDER_ANSWER: dict[str, Any] = {
    "id": _ORDER_ID,
    "createdTime": "2024-05-01T09:40:02Z",
    "currency": "USD",
    "email": "ana.lind@example.com",
    "billTo": {"name": "Ana Lind", "address": _ADDRESS},
    "totalAmount": 27.01,
    "subtotal": 25.0,
    "totalFees": 0.0,
    "totalTax": 2.01,
    "totalImporterTax": 0.0,
    "totalDuty": 0.0,
    "totalDiscount": 0.0,
    "totalShipping": 5.0,
    "items": [
        {
            "id": "181629488650",
            "skuId": "sku-tee",
            "amount": 20.0,
            "quantity": 2,
            "state": "created",
            "stateTransitions": {"created": "2024-05-01T09:40:02Z"},
            "tax": {"rate": 0.08025, "amount": 1.61},
            "importerTax": {"amount": 0.0},
            "duties": {"amount": 0.0},
            "availableToRefundAmount": 0.0,
            "fees": {"amount": 0.0, "taxAmount": 0.0},
            "shipping": {"amount": 5.0, "taxAmount": 0.4},
        }
    ],
    "shippingChoice": {
        "amount": 5.0,
        "description": "standard",
        "serviceLevel": "SG",
        "taxAmount": 0.4,
    },
    "upstreamId": "WEB-100482",
    "updatedTime": "2024-05-01T09:40:02Z",
    "version": 1,
    "liveMode": False,
    "payment": {
        "charges": [
            {
                "id": _CHARGE_ID,
                "createdTime": "2024-05-01T09:40:02Z",
                "currency": "USD",
                "amount": 27.01,
                "state": "capturable",
                "captured": False,
                "refunded": False,
                "sourceId": _SOURCE_ID,
                "type": "customer_initiated",
            }
        ],
        "sources": [_SOURCE],
        "session": {
            "id": _SESSION_ID,
            "amountContributed": 27.01,
            "amountRemainingToBeContributed": 0.0,
            "state": "complete",
            "clientSecret": f"{_SESSION_ID}_131880c7-a3fd-43aa-b62e-2c7c6bd1555e",
        },
    },
    "state": "accepted",
    "stateTransitions": {"accepted": "2024-05-01T09:40:02Z"},
    "requestToBeForgotten": False,
    "capturedAmount": 0.0,
    "cancelledAmount": 0.0,
    "refundedAmount": 0.0,
    "availableToRefundAmount": 0.0,
}
EXAMPLE_FULFILLMENT_ANSWER: dict[str, Any] = {
    "id": _FULFILLMENT_ID,
    "createdTime": "2024-05-01T09:41:10Z",
    "orderId": _ORDER_ID,
    "items": [{"itemId": "181629488650", "skuId": "sku-tee", "quantity": 2, "cancelQuantity": 0}],
    "trackingCompany": "UPS",
    "trackingNumber": "1Z999AA10123456784",
    "liveMode": False,
}
