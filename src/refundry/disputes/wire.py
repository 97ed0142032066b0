"""Disputes and sales transactions as the API shows them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from refundry.domain.cells import Cells, Component
from refundry.domain.dispute import Dispute, SalesTransaction
from refundry.http.document import money, raw_members, seconds
from refundry.orders.store import StoredOrder

View = dict[str, Any]

# The parts of `payoutAmounts` and the cells that each sums up; the others are always 0.
_PAYOUT: Sequence[tuple[str, tuple[Component, ...]]] = (
    ("tax", (Component.TAX, Component.SHIPPING_TAX, Component.FEES_TAX)),
    ("shipping", (Component.SHIPPING,)),
    ("regulatoryFees", (Component.FEES,)),
    ("landedCost", (Component.DUTY, Component.IMPORTER_TAX)),
    ("productPrice", (Component.PRODUCT,)),
    ("digitalRiverShare", ()),
    ("distributorShare", ()),
    ("transactionFees", ()),
    ("shippingDiscount", ()),
    ("regulatoryFeeDiscount", ()),
    ("remitShipping", ()),
    ("remitLandedCost", ()),
)


def dispute_view(dispute: Dispute, *, live: bool) -> View:
    """The Dispute resource."""
    exponent = dispute.currency.exponent
    view: View = {
        "id": dispute.id,
        "createdTime": seconds(dispute.created_at),
        "orderId": dispute.order_id,
        "chargeId": dispute.charge_id,
        "currency": dispute.currency.code,
        "amount": money(dispute.amount, exponent),
    }
    if dispute.reason is not None:
        view["reason"] = dispute.reason
    view["state"] = dispute.state.value
    if dispute.resolved_at is not None:
        view["resolvedTime"] = seconds(dispute.resolved_at)
    if dispute.chargeback is not None:
        view["chargebackAmount"] = money(dispute.chargeback, exponent)
    if dispute.fraud is not None:
        view["fraud"] = dispute.fraud
    if dispute.sales_transaction_ids:
        view["salesTransactionIds"] = list(dispute.sales_transaction_ids)
    if dispute.processor_reference is not None:
        view["processorReference"] = dispute.processor_reference
    return view | {"liveMode": live}


def sales_view(
    sales: SalesTransaction, stored: StoredOrder, *, account: tuple[str, str], live: bool
) -> View:
    """The Sales transaction resource; account: its id and name."""
    order, line = stored.order, stored.order.lines[sales.position]
    kept = raw_members(stored.facts.line_details[sales.position])
    exponent = order.currency.exponent
    at = seconds(sales.created_at)
    view: View = {
        "id": sales.id,
        "createdTime": at,
        "updatedTime": at,
        "saleTime": at,
        "currency": order.currency.code,
        "amount": money(-sum(sales.cells), exponent),
        "type": sales.type,
        "orderId": order.id,
    }
    if stored.facts.upstream_id is not None:
        view["orderUpstreamId"] = stored.facts.upstream_id
    if line.sku_id is not None:
        view["skuId"] = line.sku_id
    product = _members(kept.get("productDetails"))
    if "taxCode" in product:
        view["skuTaxCode"] = product["taxCode"]
    view |= {
        "quantity": line.quantity,
        "lineItemId": line.id,
        "payoutAmounts": _payout(sales.cells, order.currency.code, exponent),
        **_parties(stored, account),
        **_countries(stored),
        "paymentType": order.charge(sales.charge_id).source_type,
        "orderMetadata": msgspec.Raw(stored.facts.metadata.encode()),
        "lineItemMetadata": kept.get("metadata", msgspec.Raw(b"{}")),
        "liveMode": live,
    }
    return view


def _payout(cells: Cells, currency: str, exponent: int) -> View:
    amount = money(-sum(cells), exponent)
    parts = {
        name: money(-sum(cells[component] for component in components), exponent)
        for name, components in _PAYOUT
    }
    return {
        "currency": currency,
        "exchangeRate": msgspec.Raw(b"1.0"),
        "amount": amount,
        **parts,
        "payoutAmount": amount,
        "storeCredit": money(0, exponent),
    }


def _parties(stored: StoredOrder, account: tuple[str, str]) -> View:
    """Who sold, and who is paid: without a selling entity the account sells by itself."""
    seller = _members(raw_members(stored.facts.details).get("sellingEntity"))
    account_id, name = account
    return {
        "payerId": seller.get("id", account_id),
        "payerName": seller.get("name", name),
        "payeeId": account_id,
        "payeeName": name,
    }


def _countries(stored: StoredOrder) -> View:
    details = raw_members(stored.facts.details)
    found: View = {}
    for source, name in (
        ("shipFrom", "shipFromCountry"),
        ("shipTo", "shipToCountry"),
        ("billTo", "billToCountry"),
    ):
        address = _members(_members(details.get(source)).get("address"))
        if "country" in address:
            found[name] = address["country"]
    return found


def _members(value: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """The members of what was passed through, if it is an object."""
    text = b"" if value is None else bytes(value)
    return raw_members(text.decode()) if text.lstrip()[:1] == b"{" else {}
