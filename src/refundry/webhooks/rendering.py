"""The bytes of an event as they are sent to a webhook."""

from collections.abc import Mapping

import msgspec

from refundry.events.wire import event_view
from refundry.http.document import ascii_json, raw_members, to_json
from refundry.outbox.store import StoredEvent
from refundry.sealing import Vault

_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def render(event: StoredEvent, *, live: bool, version: str, vault: Vault) -> bytes:
    """The event in an API version: compact JSON in ASCII."""
    body = to_json(event_view(event, live=live, version=version, vault=vault))
    return body if body.isascii() else ascii_json(body.decode()).encode()


def expand(object_text: str, details: Mapping[str, str]) -> str:
    """The object of an expandable event with the whole `productDetails` of its items.

    details: what is kept of a line as JSON text, by the line's id; see `orders.wire`.
    """
    members = raw_members(object_text)
    if "orderDetails" in members:
        inner = expand(bytes(members["orderDetails"]).decode(), details)
        members["orderDetails"] = msgspec.Raw(inner.encode())
    if "items" in members:
        items = _items.decode(members["items"])
        members["items"] = msgspec.Raw(to_json([_expand_item(item, details) for item in items]))
    return to_json(members).decode()


def _expand_item(
    item: dict[str, msgspec.Raw], details: Mapping[str, str]
) -> dict[str, msgspec.Raw]:
    line_id = msgspec.json.decode(item.get("id", b"null"))
    whole = raw_members(details.get(line_id, "{}")).get("productDetails")
    if whole is None or "productDetails" not in item:
        return item
    return item | {"productDetails": whole}
