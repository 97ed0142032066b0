"""The sandbox's sample orders: the numbers that the guide and the README work with."""

import json
from typing import Any

from refundry.domain.fulfillment import FulfillmentAsk
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.operations.work import Worker, drain
from refundry.orders.commands import FulfillmentRequest, create_fulfillment, ingest_order
from refundry.orders.reading import read_order
from refundry.tenant import Tenant

_BUYER = {"firstName": "Ana", "lastName": "Lind", "email": "ana.lind@example.com"}
_CARD = {"number": "4444222233331111", "expirationMonth": 7, "expirationYear": 2030}


def _order(
    upstream_id: str,
    currency: str,
    items: list[dict[str, Any]],
    sources: list[dict[str, Any]],
    shipping: dict[str, Any] | None = None,
) -> dict[str, Any]:
    order: dict[str, Any] = {
        "upstreamId": upstream_id,
        "currency": currency,
        "email": _BUYER["email"],
        "items": items,
        "payment": {"sources": [{"owner": _BUYER, **source} for source in sources]},
    }
    return order | ({"shippingChoice": shipping} if shipping else {})


def _card(amount: float) -> dict[str, Any]:
    return {"type": "creditCard", "amount": amount, "creditCard": _CARD}


_TEE: dict[str, Any] = {
    "skuId": "sku-tee", "amount": 20.00, "quantity": 2, "tax": {"amount": 1.61},
}  # fmt: skip

# What goes in as JSON is written here as JSON's numbers; they are read back digit by digit.
SAMPLES = (
    _order(
        "SAMPLE-SHIPPING", "USD", [_TEE], [_card(27.01)],
        {"amount": 5.00, "taxAmount": 0.40, "description": "standard", "serviceLevel": "SG"},
    ),
    _order(
        "SAMPLE-TWO-LINES", "USD",
        [_TEE, {"skuId": "sku-cap", "amount": 40.00, "quantity": 4, "tax": {"amount": 3.21}}],
        [_card(64.82)],
    ),
    _order(
        "SAMPLE-DUTY", "EUR",
        [{"skuId": "sku-mug", "amount": 10.00, "quantity": 1, "duties": {"amount": 2.40},
          "importerTax": {"amount": 4.70}}],
        [_card(27.10)], {"amount": 10.00},
    ),
    _order(
        "SAMPLE-FEES", "USD",
        [{"skuId": "sku-lamp", "amount": 20.00, "quantity": 2, "tax": {"amount": 1.51},
          "fees": {"amount": 16.00, "taxAmount": 1.20}}],
        [_card(44.09)], {"amount": 5.00, "taxAmount": 0.38},
    ),
    _order(
        "SAMPLE-YEN", "JPY",
        [{"skuId": "sku-tea", "amount": 3000, "quantity": 1, "tax": {"amount": 301}}],
        [{"type": "konbini", "amount": 3301}],
    ),
    _order(
        "SAMPLE-CREDIT", "USD",
        [{"skuId": "sku-pen", "amount": 20.00, "quantity": 2, "tax": {"amount": 1.51}}],
        [_card(6.89), {"type": "customerCredit", "amount": 20.00}],
        {"amount": 5.00, "taxAmount": 0.38},
    ),
)  # fmt: skip


async def make_samples(worker: Worker, account_id: str) -> None:
    """Take in every sample order, fulfil it and let its captures settle."""
    tenant = Tenant(account_id, live=False)
    for sample in SAMPLES:
        now = worker.clock.now()
        fields = Fields(read_object(json.dumps(sample).encode()), [])
        body = await ingest_order(
            worker.database, tenant, read_order(fields, live=False, now=now), now, None
        )
        order = json.loads(body)
        asks = [FulfillmentAsk(item["id"], None, item["quantity"], 0) for item in order["items"]]
        request = FulfillmentRequest(order["id"], asks, [{} for _ in asks], {}, "{}")
        await create_fulfillment(worker.database, tenant, request, now, None)
    await drain(worker, account_id)
