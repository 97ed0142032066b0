"""How one pays in the demo: nothing is taken, and Refundry's sandbox plays the bank."""

from typing import Any

from oscar.core.loading import get_model

# Code -> what the customer reads, and the source of payment as Refundry is told of it.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "visa": ("Visa card", {"creditCard": {"number": "4444 2222 3333 1111"}}),
    "visa-refund-fails": (
        "Visa card whose refunds fail",
        {"creditCard": {"number": "4000 0000 0000 4111"}},
    ),
    "visa-refund-fails-late": (
        "Visa card whose refunds fail after a minute",
        {"creditCard": {"number": "4556 6025 6424 0839"}},
    ),
    "wire-transfer": ("Bank transfer (refunds ask for bank details)", {}),
}


def payment_source(way: str, total: Any) -> Any:
    """Oscar's record of how an order was paid, not stored yet. total: a price of Oscar's."""
    source_type, _ = get_model("payment", "SourceType").objects.get_or_create(
        code=way, defaults={"name": WAYS[way][0]}
    )
    return get_model("payment", "Source")(
        source_type=source_type,
        currency=total.currency,
        amount_allocated=total.incl_tax,
        reference=way,
    )


def with_payment(order: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /orders with the way of paying that was chosen."""
    for source in body.get("payment", {}).get("sources", ()):
        way = source.pop("processorReference", "visa")
        source["type"] = "wireTransfer" if way == "wire-transfer" else "creditCard"
        source |= WAYS[way][1]
        if "creditCard" in source:
            source["creditCard"] = source["creditCard"] | {
                "expirationMonth": 7,
                "expirationYear": 2032,
            }
        source["owner"] = {"firstName": "Ana", "lastName": "Lind", "email": order.email}
    return body
