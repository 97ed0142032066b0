"""The operations on webhooks."""

from collections.abc import Mapping

from refundry.errors import NotFound, required
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import JsonValue, to_json
from refundry.http.query import (
    WILDCARD,
    Filter,
    Kind,
    bad_cursor,
    read_filters,
    read_page,
    refuse_type_with_types,
)
from refundry.webhooks import commands, schemas, store
from refundry.webhooks.addresses import Guard
from refundry.webhooks.attempts import list_attempts
from refundry.webhooks.reading import Rules, WebhookAsk, read_webhook
from refundry.webhooks.rules import rules_for
from refundry.webhooks.types import DeliveryState, Transport
from refundry.webhooks.wire import attempt_view, webhook_view

WEBHOOK_FILTERS = (
    Filter(
        "type", Kind.EQUAL,
        f"EXISTS (SELECT FROM unnest(t.types) AS subscribed WHERE subscribed {WILDCARD})",
    ),
    Filter("types", Kind.ANY, "t.types && {}::text[]", most=20),
)  # fmt: skip
ATTEMPT_FILTERS = (
    Filter("eventId", Kind.EQUAL, "a.event_id"),
    Filter("state", Kind.EQUAL, "d.state", values=tuple(state.value for state in DeliveryState)),
)


async def post_webhook(call: Call) -> Answer:
    """Make a webhook. Its signing token is made along, and shown to those who run the service."""
    rules = await _rules(call, call.document)
    ask = read_webhook(call.fields(), rules, None)
    body = await commands.create_webhook(
        call.database, call.services.vault, call.tenant, ask, call.now, call.receipt
    )
    return Answer(201, body, sealed=True)


async def patch_webhook(call: Call) -> Answer:
    """Change what is sent of a webhook; the rest stays as it is."""
    rules = await _rules(call, call.document)

    def read(transport: Transport) -> WebhookAsk:
        return read_webhook(call.fields(), rules, transport)

    body = await commands.update_webhook(
        call.database, call.services.vault, call.tenant, call.path["id"], read, call.now
    )
    return Answer(200, body, sealed=True)


async def delete_webhook(call: Call) -> Answer:
    """Delete a webhook, and drop what was still to be delivered to it."""
    await commands.delete_webhook(call.database, call.tenant, call.path["id"])
    return Answer(204, b"")


async def get_webhook(call: Call) -> Answer:
    """Read a webhook."""
    webhook = await _find(call)
    return Answer(200, to_json(webhook_view(webhook, call.services.vault)), sealed=True)


async def get_webhooks(call: Call) -> Answer:
    """List every webhook of the mode, newest first, as an array without pages."""
    refuse_type_with_types(call.query)
    conditions = read_filters(call.query, WEBHOOK_FILTERS)
    found = await store.list_webhooks(call.database, call.tenant, conditions)
    views = [webhook_view(webhook, call.services.vault) for webhook in found]
    return Answer(200, to_json(views), sealed=True)


async def resend_event(call: Call) -> Answer:
    """Send an event once more, in one attempt."""
    fields = call.fields()
    event_id = fields.text("eventId", required=True)
    fields.unknown()
    fields.finish()
    body = await commands.resend(
        call.database, call.tenant, required(event_id), call.path["id"], call.now, call.receipt
    )
    call.services.wake()
    return Answer(200, body)


async def recover_webhook(call: Call) -> Answer:
    """Deliver what the webhook missed since a time."""
    fields = call.fields()
    if not fields.has("since"):
        fields.missing("since")
    since = fields.time("since")
    fields.unknown()
    fields.finish()
    queued = await commands.recover(
        call.database, call.tenant, call.path["id"], required(since), call.now
    )
    call.services.wake()
    return Answer(200, to_json({"queued": queued}))


async def get_attempts(call: Call) -> Answer:
    """List what was tried for a webhook, newest first."""
    page = read_page(call.query)
    conditions = read_filters(call.query, ATTEMPT_FILTERS)
    webhook = await _find(call)
    found = await list_attempts(call.database, call.tenant, webhook.id, conditions, page)
    if found is None:
        raise bad_cursor(page)
    attempts, more = found
    return Answer(200, to_json({"hasMore": more, "data": [attempt_view(a) for a in attempts]}))


async def _find(call: Call) -> store.Webhook:
    webhook = await store.find_webhook(call.database, call.tenant, call.path["id"])
    if webhook is None:
        raise NotFound("Webhook", call.path["id"])
    return webhook


async def _rules(call: Call, document: Mapping[str, JsonValue]) -> Rules:
    services = call.services
    return await rules_for(
        call.database, services.settings, services.part(Guard), call.tenant, document
    )


_TAG = "Webhooks"
_OWN = "/refundry/v1/webhooks/{id}"
OPERATIONS = (
    Operation(
        "GET", "/webhooks", get_webhooks, "List webhooks", _TAG, list[schemas.Webhook],
        resource="webhooks", filters=WEBHOOK_FILTERS,
        answer_example=[schemas.EXAMPLE_WEBHOOK_ANSWER],
    ),
    Operation(
        "POST", "/webhooks", post_webhook, "Create a webhook", _TAG, schemas.Webhook,
        resource="webhooks", status=201, body=schemas.NewWebhook,
        example=schemas.EXAMPLE_WEBHOOK,
    ),
    Operation(
        "GET", "/webhooks/{id}", get_webhook, "Read a webhook", _TAG, schemas.Webhook,
        resource="webhooks",
    ),
    Operation(
        "PATCH", "/webhooks/{id}", patch_webhook, "Update a webhook", _TAG, schemas.Webhook,
        resource="webhooks", body=schemas.WebhookUpdate,
    ),
    Operation(
        "DELETE", "/webhooks/{id}", delete_webhook, "Delete a webhook", _TAG, None,
        resource="webhooks", status=204, subject=schemas.Webhook,
    ),
    Operation(
        "GET", f"{_OWN}/deliveries", get_attempts, "List delivery attempts", _TAG,
        schemas.AttemptList, resource="webhooks", filters=ATTEMPT_FILTERS, paged=True,
        subject=schemas.Webhook,
    ),
    Operation(
        "POST", f"{_OWN}/resend", resend_event, "Resend an event", _TAG, schemas.Queued,
        resource="webhooks", body=schemas.Resend, subject=schemas.Webhook,
    ),
    Operation(
        "POST", f"{_OWN}/recover", recover_webhook, "Recover missed events", _TAG,
        schemas.Queued, resource="webhooks", body=schemas.Recover, subject=schemas.Webhook,
        description="Queues every event since a time that the webhook subscribes to and that"
        " neither reached it nor is on its way to it, with the full schedule of attempts.",
    ),
)  # fmt: skip
