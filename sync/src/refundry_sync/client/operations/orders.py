"""Orders, charges, payment sources and fulfillments."""

from dataclasses import replace
from typing import Unpack

from refundry_sync.client.call import Body, Call, Listing, get, listing, post
from refundry_sync.client.filters import (
    ChargeFilters,
    FulfillmentFilters,
    OrderFilters,
    query_of,
)
from refundry_sync.models import Charge, Fulfillment, Order, Source

# The most that a page of these lists may hold.
PAGE = 100


def list_orders(**filters: Unpack[OrderFilters]) -> Listing[Order]:
    """Orders, newest first. expand: with `physical` and `metadata` of the items' products."""
    return listing("/orders", Order, query_of(filters, page_size=PAGE))


def get_order(order_id: str, *, expand: bool = False) -> Call[Order]:
    """One order. expand: with `physical` and `metadata` of the items' products."""
    call = get("/orders/{id}", Order, id=order_id)
    return replace(call, query=(("expand", "true"),)) if expand else call


def create_order(body: Body, *, idempotency_key: str | None = None) -> Call[Order]:
    """Take an order in."""
    return post("/orders", Order, body, idempotency_key)


def update_order(order_id: str, body: Body, *, idempotency_key: str | None = None) -> Call[Order]:
    """Change metadata, upstreamId or requestToBeForgotten, or accept an order in review."""
    return post("/orders/{id}", Order, body, idempotency_key, id=order_id)


def list_charges(**filters: Unpack[ChargeFilters]) -> Listing[Charge]:
    """Charges, newest first."""
    return listing("/charges", Charge, query_of(filters, page_size=PAGE))


def get_charge(charge_id: str) -> Call[Charge]:
    """One charge with its captures, cancels and refunds."""
    return get("/charges/{id}", Charge, id=charge_id)


def get_source(source_id: str) -> Call[Source]:
    """One payment source: its type, brand and last four digits."""
    return get("/sources/{id}", Source, id=source_id)


def list_fulfillments(**filters: Unpack[FulfillmentFilters]) -> Listing[Fulfillment]:
    """Fulfillments, newest first."""
    return listing("/fulfillments", Fulfillment, query_of(filters, page_size=PAGE))


def get_fulfillment(fulfillment_id: str) -> Call[Fulfillment]:
    """One fulfillment."""
    return get("/fulfillments/{id}", Fulfillment, id=fulfillment_id)


def create_fulfillment(body: Body, *, idempotency_key: str | None = None) -> Call[Fulfillment]:
    """Say that units were shipped, or are given up: money is captured, or let go."""
    return post("/fulfillments", Fulfillment, body, idempotency_key)
