"""Oscar says that an order was placed or a line has left; a row of the outbox says so for us.

A failure here must not fail a checkout, and may be forgotten: `outbox.find_missed` finds what has
no row.
"""

import logging
from typing import Any

from django.db import DatabaseError
from django.db.models.signals import post_save
from oscar.apps.order.signals import order_placed
from oscar.core.loading import get_model

from refundry_sync.oscar import outbox

_log = logging.getLogger("refundry_sync.oscar")


def connect() -> None:
    order_placed.connect(_on_order_placed, dispatch_uid="refundry_order_placed")
    post_save.connect(
        _on_shipped,
        sender=get_model("order", "ShippingEventQuantity"),
        dispatch_uid="refundry_shipped",
    )


def _on_order_placed(order: Any, **_: object) -> None:
    try:
        outbox.write_order(order)
    except DatabaseError:
        _log.exception("order %s is not in the outbox yet", order.number)


def _on_shipped(instance: Any, created: bool, raw: bool = False, **_: object) -> None:
    if not created or raw or not outbox.has_left(instance.event):
        return
    try:
        outbox.write_shipped(instance)
    except DatabaseError:
        _log.exception("shipping event %s is not in the outbox yet", instance.event_id)
