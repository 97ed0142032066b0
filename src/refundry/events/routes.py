"""The operations on events."""

from typing import Any

from refundry.domain.event import EventType
from refundry.errors import NotFound
from refundry.events import schemas
from refundry.events.wire import event_view
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import to_json
from refundry.http.lists import list_answer
from refundry.http.query import Filter, Kind, refuse_type_with_types
from refundry.outbox.store import StoredEvent, find_events

EVENT_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("type", Kind.EQUAL, "t.type", wild=tuple(kind.value for kind in EventType)),
    Filter("types", Kind.ANY, "t.type", most=20, spread=True),
)


async def get_event(call: Call) -> Answer:
    """Read an event."""
    found = await find_events(call.database, call.tenant, [call.path["id"]])
    if not found:
        raise NotFound("Event", call.path["id"])
    return Answer(200, to_json(_view(call, found[0])))


async def get_events(call: Call) -> Answer:
    """List events."""
    refuse_type_with_types(call.query)

    async def load(ids: list[str]) -> list[Any]:
        return [_view(call, e) for e in await find_events(call.database, call.tenant, ids)]

    return await list_answer(call, "events", EVENT_FILTERS, load)


def _view(call: Call, event: StoredEvent) -> Any:
    version = call.headers.get("digitalriver-version") or call.key.version
    return event_view(event, live=call.tenant.live, version=version, vault=call.services.vault)


OPERATIONS = (
    Operation(
        "GET", "/events", get_events, "List events", "Events", schemas.EventList,
        resource="events", filters=EVENT_FILTERS, paged=True,
    ),
    Operation(
        "GET", "/events/{id}", get_event, "Read an event", "Events", schemas.Event,
        resource="events",
    ),
)  # fmt: skip
