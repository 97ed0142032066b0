"""Events as the API shows them."""

from typing import Any

import msgspec

from refundry.http.document import microseconds
from refundry.outbox.store import TOKEN_GAP, StoredEvent
from refundry.sealing import Vault


def event_view(event: StoredEvent, *, live: bool, version: str, vault: Vault) -> dict[str, Any]:
    """The Event resource, rendered in an API version."""
    text = event.object
    if event.sealed_token is not None:
        text = text.replace(TOKEN_GAP, vault.open(event.sealed_token))
    data: dict[str, Any] = {"object": msgspec.Raw(text.encode())}
    if event.previous is not None:
        data["previousAttributes"] = msgspec.Raw(event.previous.encode())
    return {
        "id": event.id,
        "type": event.type,
        "data": data,
        "liveMode": live,
        "createdTime": microseconds(event.created_at),
        "webhookIds": list(event.webhook_ids),
        "sequence": event.sequence,
        "digitalriverVersion": version,
    }
