"""Orders, charges, sources and fulfilments as the API shows them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from refundry.domain.cells import Component
from refundry.domain.charge import Charge, Operation, OperationKind
from refundry.domain.fulfillment import Fulfillment
from refundry.domain.money import Currency
from refundry.domain.order import Line, Order
from refundry.http.document import money, raw_members, seconds
from refundry.orders.store import StoredOrder

View = dict[str, Any]

_ADDRESSES = ("shipTo", "shipFrom", "billTo")
_LATE_DETAILS = (
    "organization",
    "purchaseLocation",
    "sellingEntity",
    "taxIdentifiers",
    "disclosures",
    "invoicePDFs",
    "creditMemoPDFs",
    "discount",
)
_EXPANDED = ("physical", "metadata")


def order_view(
    stored: StoredOrder, *, live: bool, expand: bool = False, payment: bool = True
) -> View:
    """The Order resource. expand: with productDetails.physical and .metadata."""
    order, facts = stored.order, stored.facts
    details = raw_members(facts.details)
    view: View = {
        "id": order.id,
        "createdTime": seconds(order.created_at),
        "currency": order.currency.code,
    }
    _put(view, email=facts.email)
    _copy(view, details, _ADDRESSES)
    view |= _totals_view(order, details)
    view["items"] = [
        _line_view(line, order.currency, text, expand=expand)
        for line, text in zip(order.lines, facts.line_details, strict=True)
    ]
    if "shippingChoice" in details:
        view["shippingChoice"] = _shipping_view(order, details["shippingChoice"])
    _put(view, upstreamId=facts.upstream_id, invoiceId=order.invoice_id)
    view["updatedTime"] = seconds(order.updated_at)
    view["version"] = order.version
    _put(
        view,
        locale=facts.locale,
        customerId=facts.customer_id,
        checkoutId=facts.checkout_id,
        applicationId=facts.application_id,
        browserIp=facts.browser_ip,
        customerType=facts.customer_type,
    )
    _copy(view, details, _LATE_DETAILS)
    view["liveMode"] = live
    if payment:
        view["payment"] = _payment_view(stored)
    return view | _state_view(stored)


def _totals_view(order: Order, details: dict[str, msgspec.Raw]) -> View:
    exponent = order.currency.exponent
    tax = order.total(Component.TAX, Component.SHIPPING_TAX, Component.FEES_TAX)
    importer_tax = order.total(Component.IMPORTER_TAX)
    view: View = {
        "totalAmount": money(order.total_amount, exponent),
        "subtotal": money(order.total_amount - tax, exponent),
        "totalFees": money(order.total(Component.FEES), exponent),
        "totalTax": money(tax, exponent),
        "totalImporterTax": money(importer_tax, exponent),
        "totalDuty": money(order.total(Component.DUTY), exponent),
        "totalDiscount": details.get("totalDiscount", money(0, exponent)),
        "totalShipping": money(order.total(Component.SHIPPING), exponent),
    }
    if importer_tax > 0 or bytes(details.get("importerOfRecordTax", b"")) == b"true":
        view["importerOfRecordTax"] = True
    return view


def _shipping_view(order: Order, sent: msgspec.Raw) -> View:
    exponent = order.currency.exponent
    return {
        "amount": money(order.total(Component.SHIPPING), exponent),
        **msgspec.json.decode(sent, type=dict[str, msgspec.Raw]),
        "taxAmount": money(order.total(Component.SHIPPING_TAX), exponent),
    }


def _line_view(line: Line, currency: Currency, text: str, *, expand: bool) -> View:
    exponent = currency.exponent
    kept = raw_members(text)
    cells = [money(cell, exponent) for cell in line.ordered]
    view: View = {"id": line.id}
    _put(view, skuId=line.sku_id)
    if "productDetails" in kept:
        product = raw_members(bytes(kept["productDetails"]).decode())
        view["productDetails"] = {
            name: value for name, value in product.items() if expand or name not in _EXPANDED
        }
    view |= {
        "amount": cells[Component.PRODUCT],
        "quantity": line.quantity,
        "state": line.state.value,
        "stateTransitions": {state: seconds(at) for state, at in line.state_times.items()},
        "tax": ({"rate": kept["taxRate"]} if "taxRate" in kept else {})
        | {"amount": cells[Component.TAX]},
        "importerTax": {"amount": cells[Component.IMPORTER_TAX]},
        "duties": {"amount": cells[Component.DUTY]},
        "availableToRefundAmount": money(line.available_to_refund, exponent),
        "fees": {"amount": cells[Component.FEES], "taxAmount": cells[Component.FEES_TAX]}
        | ({"details": kept["feeDetails"]} if "feeDetails" in kept else {}),
        "shipping": {
            "amount": cells[Component.SHIPPING],
            "taxAmount": cells[Component.SHIPPING_TAX],
        },
    }
    _copy(view, kept, ("discount", "subscriptionInfo", "sellerTaxIdentifier", "shipFrom"))
    _copy(view, kept, ("metadata",))
    return view


def _payment_view(stored: StoredOrder) -> View:
    order, facts = stored.order, stored.facts
    total = money(order.total_amount, order.currency.exponent)
    return {
        "charges": [_order_charge_view(charge, order.currency) for charge in order.charges],
        "sources": [source_view(stored, charge) for charge in order.charges],
        "session": {
            "id": facts.session_id,
            "amountContributed": total,
            "amountRemainingToBeContributed": money(0, order.currency.exponent),
            "state": "complete",
            "clientSecret": facts.client_secret,
        },
    }


def _state_view(stored: StoredOrder) -> View:
    order, facts = stored.order, stored.facts
    exponent = order.currency.exponent
    view: View = {
        "state": order.state.value,
        "stateTransitions": {state: seconds(at) for state, at in order.state_times.items()},
    }
    if order.fraud_state:
        view["fraudState"] = order.fraud_state
    if order.fraud_times:
        view["fraudStateTransitions"] = {s: seconds(at) for s, at in order.fraud_times.items()}
    view |= {
        "requestToBeForgotten": facts.request_to_be_forgotten,
        "capturedAmount": money(order.captured, exponent),
        "cancelledAmount": money(order.cancelled, exponent),
        "refundedAmount": money(order.refunded, exponent),
        "availableToRefundAmount": money(order.available_to_refund, exponent),
    }
    if order.over_refunded:
        view["overRefunded"] = True
    if facts.metadata != "{}":
        view["metadata"] = msgspec.Raw(facts.metadata.encode())
    return view


def source_view(stored: StoredOrder, charge: Charge) -> View:
    """A source as an order shows it."""
    details = raw_members(stored.facts.sources[charge.id].details)
    return {
        "id": charge.source_id,
        "type": charge.source_type,
        "amount": money(charge.amount, stored.order.currency.exponent),
        **details,
    }


def source_resource(stored: StoredOrder, charge: Charge, *, live: bool, flow: str) -> View:
    """The Source resource."""
    return {
        "createdTime": seconds(stored.order.created_at),
        **source_view(stored, charge),
        "reusable": False,
        "state": "consumed",
        "flow": flow,
        "liveMode": live,
    }


def _order_charge_view(charge: Charge, currency: Currency) -> View:
    """A charge as an order shows it: its records without times of update; refunds without id."""
    exponent = currency.exponent
    return (
        _charge_head(charge, currency)
        | _records(
            charge,
            captures=lambda o: _brief(o, exponent, with_id=True),
            refunds=lambda o: _brief(o, exponent, with_id=False),
        )
        | {"sourceId": charge.source_id, "type": charge.type}
    )


def charge_view(stored: StoredOrder, charge: Charge, *, live: bool) -> View:
    """The Charge resource."""
    order = stored.order
    exponent = order.currency.exponent
    view = _charge_head(charge, order.currency)
    view["orderId"] = order.id
    view |= _records(
        charge,
        captures=lambda o: _record(o, exponent),
        refunds=lambda o: _record(o, exponent),
    )
    view |= {
        "sourceId": charge.source_id,
        "paymentSessionId": stored.facts.session_id,
        "type": charge.type,
    }
    failure = next(
        (o.failure for o in charge.operations if o.kind is OperationKind.AUTHORIZE and o.failure),
        None,
    )
    if failure:
        view |= {"failureCode": failure.code, "failureMessage": failure.message}
    return view | {"liveMode": live}


def _charge_head(charge: Charge, currency: Currency) -> View:
    return {
        "id": charge.id,
        "createdTime": seconds(charge.created_at),
        "currency": currency.code,
        "amount": money(charge.amount, currency.exponent),
        "state": charge.state.value,
    }


def _records(
    charge: Charge,
    *,
    captures: Callable[[Operation], View],
    refunds: Callable[[Operation], View],
) -> View:
    """captured, captures, cancels, refunded and refunds; empty lists are left out."""
    by_kind = {
        kind: [o for o in charge.operations if o.kind is kind]
        for kind in (OperationKind.CAPTURE, OperationKind.CANCEL, OperationKind.REFUND)
    }
    captured, cancelled, refunded = by_kind.values()
    view: View = {"captured": bool(captured)}
    if captured:
        view["captures"] = [captures(o) for o in captured]
    if cancelled:
        view["cancels"] = [captures(o) for o in cancelled]
    view["refunded"] = bool(refunded)
    if refunded:
        view["refunds"] = [refunds(o) for o in refunded]
    return view


def _brief(operation: Operation, exponent: int, *, with_id: bool) -> View:
    head = {"id": operation.id} if with_id else {}
    return head | {
        "createdTime": seconds(operation.created_at),
        "amount": money(operation.amount, exponent),
        "state": operation.state.value,
    }


def _record(operation: Operation, exponent: int) -> View:
    view: View = {
        "id": operation.id,
        "createdTime": seconds(operation.created_at),
        "updatedTime": seconds(operation.updated_at),
        "amount": money(operation.amount, exponent),
        "state": operation.state.value,
    }
    _put(view, fulfillmentId=operation.fulfillment_id)
    if operation.failure:
        view["failureCode"] = operation.failure.code
        view["failureMessage"] = operation.failure.message
    return view


def fulfillment_view(
    fulfillment: Fulfillment,
    order: Order,
    *,
    live: bool,
    extras: list[dict[str, msgspec.Raw]],
    details: str,
    metadata: str,
) -> View:
    """The Fulfillment resource as its creation answers it. extras: per item, what came along."""
    view: View = {
        "id": fulfillment.id,
        "createdTime": seconds(fulfillment.created_at),
        "orderId": order.id,
        "items": [
            {
                "itemId": order.lines[item.position].id,
                **_some("skuId", order.lines[item.position].sku_id),
                "quantity": item.quantity,
                "cancelQuantity": item.cancel_quantity,
                **extra,
            }
            for item, extra in zip(fulfillment.items, extras, strict=True)
        ],
        **raw_members(details),
    }
    if metadata != "{}":
        view["metadata"] = msgspec.Raw(metadata.encode())
    return view | {"liveMode": live}


def retry_view(order: Order, failed: Operation, retries: Sequence[Operation]) -> View:
    """A failed capture or cancel with the records in its place, as the audit log keeps them."""
    exponent = order.currency.exponent
    view: View = {"id": failed.id, "orderId": order.id, "chargeId": failed.charge_id}
    return view | {
        "amount": money(failed.amount, exponent),
        "retries": [
            {"id": each.id, "chargeId": each.charge_id, "amount": money(each.amount, exponent)}
            for each in retries
        ],
    }


def _some(name: str, value: str | None) -> View:
    return {} if value is None else {name: value}


def _put(view: View, **values: str | None) -> None:
    for name, value in values.items():
        if value is not None:
            view[name] = value


def _copy(view: View, source: dict[str, msgspec.Raw], names: Iterable[str]) -> None:
    for name in names:
        if name in source:
            view[name] = source[name]
