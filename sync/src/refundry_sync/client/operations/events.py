"""Events, webhooks, what processors tell, and the test clock."""

from datetime import datetime
from typing import Unpack

from refundry_sync.client.call import (
    Body,
    Call,
    Listing,
    encode,
    get,
    listing,
    post,
    read_nothing,
    reader,
)
from refundry_sync.client.filters import (
    AttemptFilters,
    EventFilters,
    WebhookFilters,
    query_of,
    time_text,
)
from refundry_sync.client.operations.orders import PAGE
from refundry_sync.models import (
    Attempt,
    ClockNow,
    Event,
    NotificationReceived,
    Queued,
    Webhook,
)
from refundry_sync.signature import sign

_WEBHOOK = "/webhooks/{id}"


def list_events(**filters: Unpack[EventFilters]) -> Listing[Event]:
    """Events, newest first; with ending_before, those made after that event, oldest first."""
    return listing("/events", Event, query_of(filters, page_size=PAGE))


def get_event(event_id: str) -> Call[Event]:
    """One event."""
    return get("/events/{id}", Event, id=event_id)


def list_webhooks(**filters: Unpack[WebhookFilters]) -> Listing[Webhook]:
    """Webhooks, newest first."""
    return listing("/webhooks", Webhook, query_of(filters))


def get_webhook(webhook_id: str) -> Call[Webhook]:
    """One webhook."""
    return get(_WEBHOOK, Webhook, id=webhook_id)


def create_webhook(body: Body, *, idempotency_key: str | None = None) -> Call[Webhook]:
    """Have an address told of events."""
    return post("/webhooks", Webhook, body, idempotency_key)


def update_webhook(webhook_id: str, body: Body) -> Call[Webhook]:
    """Change what the body names; the rest stays."""
    values = get(_WEBHOOK, Webhook, id=webhook_id).values
    return Call("PATCH", _WEBHOOK, reader(Webhook), values, body=encode(body))


def delete_webhook(webhook_id: str) -> Call[None]:
    """End a webhook; what waits for it is dropped."""
    values = get(_WEBHOOK, Webhook, id=webhook_id).values
    return Call("DELETE", _WEBHOOK, read_nothing, values)


def list_attempts(webhook_id: str, **filters: Unpack[AttemptFilters]) -> Listing[Attempt]:
    """The attempts to deliver to a webhook, newest first. Refundry only."""
    template = "/refundry/v1/webhooks/{id}/deliveries"
    return listing(template, Attempt, query_of(filters, page_size=PAGE), id=webhook_id)


def resend_event(
    webhook_id: str, event_id: str, *, idempotency_key: str | None = None
) -> Call[Queued]:
    """Send an event to a webhook once more. Refundry only."""
    template = "/refundry/v1/webhooks/{id}/resend"
    return post(template, Queued, {"eventId": event_id}, idempotency_key, id=webhook_id)


def recover_webhook(
    webhook_id: str, since: datetime, *, idempotency_key: str | None = None
) -> Call[Queued]:
    """Send all that a webhook did not get since a time. Refundry only."""
    template = "/refundry/v1/webhooks/{id}/recover"
    return post(template, Queued, {"since": time_text(since)}, idempotency_key, id=webhook_id)


def create_processor_notification(
    body: Body, *, secret: str, now: datetime | float
) -> Call[NotificationReceived]:
    """Say what became of an operation at a processor, as that would. Refundry only.

    secret: the processor's. now: the time that is signed.
    """
    content = encode(body)
    # `keyed` as the server applies a notification once, by the id in its body.
    return Call(
        "POST",
        "/refundry/v1/processor-notifications",
        reader(NotificationReceived),
        body=content,
        keyed=True,
        open=True,
        headers=(("Refundry-Signature", sign(content, [secret], now=now)),),
    )


def advance_test_clock(seconds: int, *, idempotency_key: str | None = None) -> Call[ClockNow]:
    """Move the account's test clock and do all that is due by then; 0 only does what is due."""
    template = "/refundry/v1/test/advance"
    return post(template, ClockNow, {"seconds": seconds}, idempotency_key)
