"""From the bodies of `POST /returns` and `POST /returns/{id}` to what the rules take in."""

from dataclasses import dataclass
from enum import StrEnum

from refundry.domain.returns import UnitsAsk
from refundry.http.document import JsonValue, to_json_text
from refundry.http.fields import Fields, metadata_text

_MOST_UNITS = 1_000_000
_MAX_REASON = 64
_ADDRESS = ("line1", "line2", "city", "postalCode", "state", "country")
_CONTACT = ("name", "phone", "email")


@dataclass(frozen=True, slots=True)
class ReturnRequest:
    """A return asked for. location, metadata: JSON texts of objects."""

    order_id: str
    items: list[UnitsAsk]
    reason: str | None
    location: str | None
    metadata: str


@dataclass(frozen=True, slots=True)
class ReturnUpdate:
    """What an update may say. accept: the whole return; items: units that arrived; metadata: to
    be merged, with nulls to remove; clear_metadata: remove all of it."""

    accept: bool
    items: list[UnitsAsk]
    location: str | None
    metadata: dict[str, JsonValue] | None
    clear_metadata: bool

    @property
    def takes_units(self) -> bool:
        """Whether the update is about goods at all."""
        return self.accept or bool(self.items)


class _Accepted(StrEnum):
    """The only state that a request may name."""

    ACCEPTED = "accepted"


def read_return(body: Fields) -> ReturnRequest:
    """The return in a body. Raises BadFields with every bad field, in the table's order."""
    order_id = body.text("orderId", required=True)
    if not body.has("items") or body.value("items") == []:
        body.value("items")
        body.missing("items")
    items = _read_items(body, with_state=False)
    reason = body.text("reason", most=_MAX_REASON)
    location = _location(body)
    metadata = metadata_text(body.metadata()) or "{}"
    body.unknown()
    body.finish()
    return ReturnRequest(order_id or "", items, reason, location, metadata)


def read_return_update(body: Fields, document: dict[str, JsonValue]) -> ReturnUpdate:
    """The update in a body; document: the same body. Raises BadFields."""
    state = body.enum("state", _Accepted)
    update = ReturnUpdate(
        accept=state is not None,
        items=_read_items(body, with_state=True),
        location=_location(body),
        metadata=body.metadata(),
        clear_metadata="metadata" in document and document["metadata"] is None,
    )
    body.unknown()
    body.finish()
    return update


def _read_items(body: Fields, *, with_state: bool) -> list[UnitsAsk]:
    return [
        _read_item(item, with_state=with_state) for item in body.objects("items", most=500) or []
    ]


def _read_item(item: Fields, *, with_state: bool) -> UnitsAsk:
    item_id, sku_id = item.text("itemId"), item.text("skuId")
    if not item.has("itemId") and not item.has("skuId"):
        item.missing("itemId")
    quantity = item.integer("quantity", least=1, most=_MOST_UNITS, required=True)
    if with_state:
        if not item.has("state"):
            item.missing("state")
        item.enum("state", _Accepted)
    item.unknown()
    return UnitsAsk(item_id, sku_id, quantity or 0)


def _location(body: Fields) -> str | None:
    """Where goods come back to, as JSON text with its members in the documented order."""
    location = body.object("location")
    if location is None:
        return None
    texts: dict[str, JsonValue] = {}
    address = location.object("address", required=True)
    if address is not None:
        texts["address"] = {
            name: address.text(name, required=name != "line2")
            for name in _ADDRESS
            if address.has(name) or name != "line2"
        }
        address.unknown()
    texts |= {name: location.text(name) for name in _CONTACT if location.has(name)}
    location.unknown()
    return to_json_text(texts)
