"""Takes a webhook in: verified, put into the inbox, answered, and only later worked on."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime

from refundry_sync import signature
from refundry_sync.errors import BadSignature
from refundry_sync.receiving.reception import Reception
from refundry_sync.sync.documents import Malformed, read_event, read_json, write_json
from refundry_sync.sync.merging import HANDLED_TYPES
from refundry_sync.sync.records import InboxEntry
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.store import Store
from refundry_sync.sync.views import Document, Event


def receive(
    store: Store, settings: Settings, headers: Mapping[str, str], body: bytes, now: datetime
) -> Reception:
    """202: taken in. 200: known already, or of the other mode. 400, 401, 413: refused.

    headers: in any case of letters. body: the bytes as they came.
    """
    if len(body) > settings.body_limit_bytes:
        return _refusal(413, "The body is larger than 1 MiB.")
    known = {name.lower(): value for name, value in headers.items()}
    if not _is_authorized(settings, known.get("authorization", "")):
        return _refusal(401, "The credentials are missing or wrong.")
    try:
        signature.verify(
            known.get(signature.HEADER),
            body,
            settings.tokens,
            now=now,
            window_seconds=settings.replay_window_seconds,
        )
    except BadSignature as error:
        return _refusal(401, f"The signature is not accepted: {error.reason}.")
    try:
        document = read_json(body)
        event = read_event(document)
    except Malformed as error:
        return _refusal(400, str(error))
    except ValueError:
        return _refusal(400, "The body is not JSON.")
    if document.get("liveMode", settings.mode == "live") is not (settings.mode == "live"):
        return Reception(200)
    with store.transaction() as tx:
        is_new = tx.insert_event(inbox_entry(event, document, now))
    return Reception(202 if is_new else 200)


def inbox_entry(event: Event, document: Document, now: datetime) -> InboxEntry:
    """An event to be put into the inbox; what nobody handles is only kept."""
    handled = event.type in HANDLED_TYPES and event.order_id != ""
    return InboxEntry(
        event_id=event.id,
        type=event.type,
        order_id=event.order_id,
        created_time=event.created_time,
        received_time=now,
        due_time=now,
        status="waiting" if handled else "ignored",
        payload=write_json(document),
    )


def _is_authorized(settings: Settings, given: str) -> bool:
    """Whether the webhook's own credentials are right, if it is to have any."""
    wanted: list[str] = []
    if settings.basic_auth is not None:
        plain = ":".join(settings.basic_auth).encode()
        wanted.append("Basic " + base64.b64encode(plain).decode())
    if settings.bearer_token is not None:
        wanted.append("Bearer " + settings.bearer_token)
    matches = [hmac.compare_digest(given.encode(), each.encode()) for each in wanted]
    return not wanted or any(matches)


def _refusal(status: int, message: str) -> Reception:
    return Reception(status, write_json({"message": message}).encode())
