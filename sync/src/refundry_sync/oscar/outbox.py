"""Tells Refundry what was placed and what has left, from rows that outlive any outage.

A row is written beside the order and sent by the worker, never by a checkout. Rows of one order
go in their turn. Each has one idempotency key and one body, however often it is sent.
"""

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from oscar.core.loading import get_model

from refundry_sync.errors import ApiError, BadAnswer, RateLimited, ServerError, Unreachable
from refundry_sync.oscar import facts
from refundry_sync.oscar.conf import conf
from refundry_sync.oscar.mapping import Body, CannotMap
from refundry_sync.oscar.models import Outgoing

# How far back orders are looked for that have no row: a row is missing only where a process died
# between the order and its row, and an app that is new in a shop must not send years of orders.
_MISSED = timedelta(days=3)
_LONGEST_WAIT = timedelta(minutes=5)
_AT_ONCE = 100
_ALREADY_THERE = "order_already_exists"

_encoder = msgspec.json.Encoder(decimal_format="number")
_log = logging.getLogger("refundry_sync.oscar")


class Sends(Protocol):
    """What a client of refundry_sync has for the two requests."""

    @property
    def orders(self) -> Any: ...
    @property
    def fulfillments(self) -> Any: ...


def write_order(order: Any) -> None:
    """Put an order that was placed into the outbox, once."""
    Outgoing.objects.get_or_create(
        key=f"oscar-order-{order.pk}",
        defaults={"order": order, "kind": Outgoing.ORDER, "due_at": _settled()},
    )


def write_shipped(quantity: Any) -> None:
    """Put a line of a shipping event into the outbox: into the event's row while that is open."""
    event = quantity.event
    key = f"oscar-shipped-{event.pk}"
    if Outgoing.objects.filter(key=key, body="").update(due_at=_settled()):
        return
    if Outgoing.objects.filter(key=key).exists():
        key = f"{key}-{quantity.pk}"
    Outgoing.objects.get_or_create(
        key=key,
        defaults={
            "order": event.order,
            "kind": Outgoing.SHIPMENT,
            "shipping_event": event,
            "due_at": _settled(),
        },
    )


def has_left(event: Any) -> bool:
    """Whether a shipping event means that lines have left."""
    return event.event_type.code in conf().shipped_events


def find_missed(now: datetime) -> int:
    """Write rows for what was placed or has left lately and has none; how many."""
    rows = Outgoing.objects.filter(order=OuterRef("pk"), kind=Outgoing.ORDER)
    orders = get_model("order", "Order").objects.filter(
        ~Exists(rows), date_placed__gte=now - _MISSED
    )
    event_rows = Outgoing.objects.filter(shipping_event=OuterRef("event"))
    quantities = get_model("order", "ShippingEventQuantity").objects.filter(
        ~Exists(event_rows),
        event__date_created__gte=now - _MISSED,
        event__event_type__code__in=conf().shipped_events,
    )
    missed = 0
    for order in orders:
        write_order(order)
        missed += 1
    for quantity in quantities.select_related("event__order"):
        write_shipped(quantity)
        missed += 1
    return missed


def send_due(client: Sends, now: datetime) -> int:
    """Send the rows that are due; how many Refundry has taken. Ends early where it is not there."""
    taken = 0
    for row in _due(now):
        try:
            taken += _send(client, row, now)
        except (Unreachable, ServerError, RateLimited, BadAnswer) as error:
            _postpone(row, now, str(error))
            break
    return taken


def send_again(row: Outgoing, now: datetime) -> None:
    """Let a refused row be made anew and sent with a key of its own."""
    key = row.key.split("~")[0]
    row.key, row.body, row.refused, row.due_at = f"{key}~{row.attempts}", "", "", now
    row.save()


def _settled() -> datetime:
    return timezone.now() + timedelta(seconds=conf().settle_seconds)


def _due(now: datetime) -> Iterator[Outgoing]:
    """The first open row of each order, if it is due. An order that was refused holds the rest."""
    earlier = Outgoing.objects.filter(order=OuterRef("order"), pk__lt=OuterRef("pk"), sent_at=None)
    open_rows = Outgoing.objects.filter(~Exists(earlier), sent_at=None, refused="", due_at__lte=now)
    yield from open_rows.select_related("order", "shipping_event").order_by("pk")[:_AT_ONCE]


def _send(client: Sends, row: Outgoing, now: datetime) -> bool:
    try:
        body = _fixed_body(row)
    except CannotMap as error:
        return _refuse(row, str(error))
    if body is None:
        row.delete()
        return False
    resource = client.orders if row.kind == Outgoing.ORDER else client.fulfillments
    try:
        resource.create(body, idempotency_key=row.key)
    except (ServerError, RateLimited):
        raise
    except ApiError as error:
        if _ALREADY_THERE not in error.codes:
            return _refuse(row, "; ".join(each.message for each in error.problems) or str(error))
    row.sent_at, row.trouble, row.attempts = now, "", row.attempts + 1
    row.save()
    return True


def _fixed_body(row: Outgoing) -> Body | None:
    """The row's body; made and stored the first time. None if the shipment was taken back."""
    with transaction.atomic():
        locked = Outgoing.objects.select_for_update().get(pk=row.pk)
        if not locked.body:
            made = _make_body(row)
            if made is None:
                return None
            locked.body = _encoder.encode(made).decode()
            locked.save()
        row.body = locked.body
    return json.loads(row.body, parse_float=Decimal)


def _make_body(row: Outgoing) -> Body | None:
    if row.kind == Outgoing.ORDER:
        return facts.order_request(row.order)
    event = row.shipping_event
    quantities = event.line_quantities.select_related("line").order_by("pk")
    alone = row.key.removeprefix(f"oscar-shipped-{event.pk}").strip("-").split("~")[0]
    chosen = [each for each in quantities if not alone or str(each.pk) == alone]
    return facts.shipment_request(row.order, event, chosen) if chosen else None


def _refuse(row: Outgoing, words: str) -> bool:
    _log.error("%s was refused: %s", row.key, words)
    row.refused, row.attempts = words, row.attempts + 1
    row.save()
    return False


def _postpone(row: Outgoing, now: datetime, trouble: str) -> None:
    wait = min(timedelta(seconds=2**row.attempts), _LONGEST_WAIT)
    row.attempts, row.due_at, row.trouble = min(row.attempts + 1, 30), now + wait, trouble
    row.save()
