"""Reads an order of Oscar into the facts that `mapping` works on."""

from typing import Any

from refundry_sync.oscar.conf import conf
from refundry_sync.oscar.mapping import (
    Body,
    LineFacts,
    OrderFacts,
    Price,
    SourceFacts,
    fulfillment_body,
    order_body,
    refundry_id,
)
from refundry_sync.oscar.models import RefundryOrder


def id_of(order: Any) -> str:
    """The order's id at Refundry."""
    return refundry_id(order.number, order.pk, conf().order_id_prefix)


def line_id(order: Any, line: Any) -> str:
    """A line's id at Refundry, where ids of items are unique in the account."""
    return f"{conf().order_id_prefix}{line.pk}-{order.pk}"


def known_order(order: Any) -> RefundryOrder:
    """The shop's record of the order, made if there is none."""
    found, _ = RefundryOrder.objects.get_or_create(
        order=order, defaults={"refundry_id": id_of(order)}
    )
    return found


def order_request(order: Any) -> Body:
    """The body of POST /orders. Raises CannotMap."""
    body = order_body(order_facts(order), conf().source_types, conf().default_source_type)
    return conf().adjust(order, body)


def shipment_request(order: Any, event: Any, quantities: list[Any]) -> Body:
    """The body of POST /fulfillments for lines of a shipping event."""
    shipped = [(line_id(order, each.line), str(each.pk), each.quantity) for each in quantities]
    return fulfillment_body(known_order(order).refundry_id, shipped, event.notes.strip()[:64])


def order_facts(order: Any) -> OrderFacts:
    return OrderFacts(
        id=known_order(order).refundry_id,
        number=order.number,
        currency=order.currency,
        total_incl_tax=order.total_incl_tax,
        lines=[_line(order, line) for line in order.lines.select_related("product")],
        shipping=Price(order.shipping_excl_tax, order.shipping_incl_tax),
        shipping_method=order.shipping_method,
        surcharges=[(s.code, Price(s.excl_tax, s.incl_tax)) for s in order.surcharges.all()],
        sources=[
            SourceFacts(s.source_type.code, s.amount_allocated, s.reference)
            for s in order.sources.select_related("source_type")
        ],
        fields=_fields(order),
    )


def _line(order: Any, line: Any) -> LineFacts:
    product = line.product
    return LineFacts(
        id=line_id(order, line),
        sku=line.partner_sku or line.upc or f"line-{line.pk}",
        title=line.title,
        quantity=line.quantity,
        price=Price(line.line_price_excl_tax, line.line_price_incl_tax),
        physical=product is None or product.is_shipping_required,
    )


def _fields(order: Any) -> Body:
    found: Body = {}
    if order.email:
        found["email"] = order.email
    if order.user_id:
        found["customerId"] = str(order.user_id)
    for name, address in (("shipTo", order.shipping_address), ("billTo", order.billing_address)):
        if address is not None:
            found[name] = {"name": address.name, "address": _address(address)}
    vouchers = [d.voucher_code for d in order.discounts.all() if d.voucher_code]
    if vouchers:
        found["metadata"] = {"vouchers": ", ".join(vouchers)[:500]}
    return found


def _address(address: Any) -> Body:
    lines = {
        "line1": address.line1,
        "line2": ", ".join(part for part in (address.line2, address.line3) if part),
        "city": address.line4,
        "state": address.state,
        "postalCode": address.postcode,
        "country": address.country_id,
    }
    return {name: value for name, value in lines.items() if value}
