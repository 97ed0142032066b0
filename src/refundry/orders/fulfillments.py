"""Reading fulfilments: the request body, and what is stored of earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from refundry.db.database import Session
from refundry.domain.fulfillment import FulfilledItem, Fulfillment, FulfillmentAsk
from refundry.http.document import JsonValue
from refundry.http.fields import Fields, metadata_text
from refundry.orders.commands import FulfillmentRequest
from refundry.tenant import Tenant

_MOST_UNITS = 1_000_000
_TRACKING = ("shipmentId", "trackingCompany", "trackingNumber", "trackingUrl")


class _StoredItem(msgspec.Struct, rename="camel"):
    position: int
    quantity: int
    cancel_quantity: int
    extra: dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class StoredFulfillment:
    """A fulfilment as it was stored. details, metadata: JSON texts."""

    order_id: str
    fulfillment: Fulfillment
    extras: list[dict[str, msgspec.Raw]]
    details: str
    metadata: str


def read_fulfillment(body: Fields) -> FulfillmentRequest:
    """The fulfilment in a body. Raises BadFields."""
    order_id = body.text("orderId", required=True, most=64)
    items = body.objects("items", least=1, most=500, required=True) or []
    asks: list[FulfillmentAsk] = []
    extras: list[dict[str, JsonValue]] = []
    for item in items:
        asks.append(_read_item(item))
        extras.append(_passed_on(item, ("shipmentItemId",)))
        item.unknown()
    details = _passed_on(body, _TRACKING)
    metadata = metadata_text(body.metadata()) or "{}"
    body.unknown()
    body.finish()
    return FulfillmentRequest(order_id or "", asks, extras, details, metadata)


def _read_item(item: Fields) -> FulfillmentAsk:
    item_id, sku_id = item.text("itemId"), item.text("skuId")
    if not item.has("itemId") and not item.has("skuId"):
        item.missing("itemId")
    quantity = item.integer("quantity", least=0, most=_MOST_UNITS)
    cancelled = item.integer("cancelQuantity", least=0, most=_MOST_UNITS)
    sent = item.has("quantity") or item.has("cancelQuantity")
    bad = (item.has("quantity") and quantity is None) or (
        item.has("cancelQuantity") and cancelled is None
    )
    if not bad and (not sent or not (quantity or cancelled)):
        item.missing("quantity")
    return FulfillmentAsk(item_id, sku_id, quantity or 0, cancelled or 0)


def _passed_on(fields: Fields, names: Sequence[str]) -> dict[str, JsonValue]:
    texts = {name: fields.text(name, most=2048) for name in names}
    return {name: text for name, text in texts.items() if text is not None}


async def find_fulfillments(
    session: Session, tenant: Tenant, fulfillment_ids: Sequence[str]
) -> list[StoredFulfillment]:
    """The fulfilments with these ids, in the order of the ids."""
    rows = await session.fetch(
        """
        SELECT id, order_id, created_at, items, operation_ids, details, metadata
          FROM fulfillments
         WHERE account_id = $1 AND live = $2 AND id = ANY ($3::text[])
        """,
        tenant.account_id, tenant.live, list(fulfillment_ids),
    )  # fmt: skip
    found: dict[str, StoredFulfillment] = {}
    for row in rows:
        items = msgspec.json.decode(row["items"], type=list[_StoredItem])
        found[row["id"]] = StoredFulfillment(
            order_id=row["order_id"],
            fulfillment=Fulfillment(
                row["id"],
                row["created_at"],
                tuple(FulfilledItem(i.position, i.quantity, i.cancel_quantity) for i in items),
                tuple(row["operation_ids"]),
            ),
            extras=[item.extra for item in items],
            details=row["details"],
            metadata=row["metadata"],
        )
    return [found[each] for each in fulfillment_ids if each in found]
