"""Oscar's figures of an order as the body of POST /orders, to the last minor unit.

Pure: what the database holds comes in as facts, so that the rule can be tested without a shop.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

# Currencies without a minor unit (ISO 4217). Oscar stores two decimals whatever the currency, so
# those with three need no entry: no amount of theirs is finer than what two decimals hold.
WHOLE_CURRENCIES = frozenset(
    (
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
        "VUV", "XAF", "XOF", "XPF",
    )
)  # fmt: skip
_SOURCE_TYPE = re.compile(r"[a-z][A-Za-z0-9]{0,39}", re.ASCII)
_SECONDARY = "customerCredit"
_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

Body = dict[str, Any]


class CannotMap(Exception):
    """An order that cannot be said exactly; the message is for the shop's staff."""


@dataclass(frozen=True, slots=True)
class Price:
    """One price without and with its tax, in major units, as Oscar stores both."""

    excl_tax: Decimal
    incl_tax: Decimal


@dataclass(frozen=True, slots=True)
class LineFacts:
    """A line; price: of all its units, after discounts and vouchers."""

    id: str
    sku: str
    title: str
    quantity: int
    price: Price
    physical: bool = True


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What paid: the code of Oscar's source type, and the amount in major units."""

    type: str
    amount: Decimal
    reference: str = ""


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order of Oscar. surcharges: code and price of each."""

    id: str
    number: str
    currency: str
    total_incl_tax: Decimal
    lines: Sequence[LineFacts]
    shipping: Price
    shipping_method: str = ""
    surcharges: Sequence[tuple[str, Price]] = ()
    sources: Sequence[SourceFacts] = ()
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Cells:
    """The order's figures in hundredths of a major unit, in one row so that they can be fitted."""

    product: list[int]
    tax: list[int]
    shipping: int
    shipping_tax: int
    fees: list[int]
    fees_tax: list[int]


def refundry_id(number: str, key: int, prefix: str = "") -> str:
    """The order's id at Refundry: its number where an id may look like it, else by its key."""
    wanted = f"{prefix}{number}"
    return wanted if _ORDER_ID.fullmatch(wanted) else f"{prefix}key-{key}"


def order_body(facts: OrderFacts, source_types: Mapping[str, str], default_type: str) -> Body:
    """The body of POST /orders; its amounts add up to `total_incl_tax` exactly.

    source_types: code of Oscar's source type -> type of source. default_type: where Oscar knows
    nothing of the payment. Raises CannotMap.
    """
    unit = 100 if facts.currency in WHOLE_CURRENCIES else 1
    total = _hundredths(facts.total_incl_tax)
    if total % unit:
        raise CannotMap(f"{facts.total_incl_tax} {facts.currency} is not an amount of money.")
    cells = _fitted(_cells(facts), total, unit)
    return {
        "id": facts.id,
        "upstreamId": facts.number,
        "currency": facts.currency,
        **facts.fields,
        "items": [_item(line, index, cells) for index, line in enumerate(facts.lines)],
        **_shipping(facts, cells),
        "totalAmount": _major(total),
        **_payment(facts, total, source_types, default_type),
    }


def fulfillment_body(
    order_id: str, shipped: Sequence[tuple[str, str, int]], tracking_number: str = ""
) -> Body:
    """The body of POST /fulfillments. shipped: id of the line, id of the shipment, units."""
    items = [
        {"itemId": item, "quantity": quantity, "shipmentItemId": shipment}
        for item, shipment, quantity in shipped
    ]
    tracking = {"trackingNumber": tracking_number} if tracking_number else {}
    return {"orderId": order_id, "items": items, **tracking}


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights`; the shares add up to `total` exactly.

    All of it are whole numbers >= 0. Units left over go to the largest remainders, among equal
    ones to the earlier; without any weight, all to the first.
    """
    whole = sum(weights)
    if not whole:
        return [total] + [0] * (len(weights) - 1)
    shares = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _hundredths(amount: Decimal) -> int:
    scaled = amount * 100
    if scaled != scaled.to_integral_value() or scaled < 0:
        raise CannotMap(f"{amount} is not an amount of money.")
    return int(scaled)


def _major(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)


def _taxed(price: Price) -> tuple[int, int]:
    """Net and tax. A tax below zero, which rounding of discounts can make, is none."""
    net, gross = _hundredths(price.excl_tax), _hundredths(price.incl_tax)
    return (net, gross - net) if gross >= net else (gross, 0)


def _cells(facts: OrderFacts) -> _Cells:
    if not facts.lines:
        raise CannotMap("The order has no lines.")
    lines = [_taxed(line.price) for line in facts.lines]
    shipping, shipping_tax = _taxed(facts.shipping)
    charges = [_taxed(price) for _, price in facts.surcharges]
    weights = [net + tax for net, tax in lines]
    return _Cells(
        [net for net, _ in lines],
        [tax for _, tax in lines],
        shipping,
        shipping_tax,
        allocate(sum(net for net, _ in charges), weights),
        allocate(sum(tax for _, tax in charges), weights),
    )


def _fitted(cells: _Cells, total: int, unit: int) -> _Cells:
    """The cells as whole units that add up to `total`; each moves by less than two units.

    Oscar rounds every figure by itself, so that they may miss the order's total by a unit here
    and there. What the customer paid is the truth; more than that is no rounding: CannotMap.
    """
    count = len(cells.product)
    flat = [
        *cells.product, *cells.tax, cells.shipping, cells.shipping_tax, *cells.fees,
        *cells.fees_tax,
    ]  # fmt: skip
    fitted = [each // unit for each in flat]
    missing = total // unit - sum(fitted)
    step = 1 if missing > 0 else -1
    # By the remainder, and where all are whole the largest cell: so rather product than tax.
    order = sorted(range(len(flat)), key=lambda i: (-step * (flat[i] % unit), -flat[i]))
    able = [i for i in order if (flat[i] if step > 0 else fitted[i]) > 0]
    if abs(missing) > len(able):
        raise CannotMap("The figures of the order's lines do not add up to its total.")
    for i in able[: abs(missing)]:
        fitted[i] += step
    flat = [each * unit for each in fitted]
    at = 2 * count + 2
    return _Cells(
        flat[:count], flat[count : 2 * count], flat[at - 2], flat[at - 1],
        flat[at : at + count], flat[at + count :],
    )  # fmt: skip


def _item(line: LineFacts, index: int, cells: _Cells) -> Body:
    item: Body = {
        "id": line.id,
        "skuId": line.sku,
        "quantity": line.quantity,
        "amount": _major(cells.product[index]),
        "tax": {"amount": _major(cells.tax[index])},
        "productDetails": {"id": line.sku, "name": line.title, "physical": line.physical},
    }
    if cells.fees[index] or cells.fees_tax[index]:
        item["fees"] = {
            "amount": _major(cells.fees[index]),
            "taxAmount": _major(cells.fees_tax[index]),
        }
    return item


def _shipping(facts: OrderFacts, cells: _Cells) -> Body:
    if not cells.shipping and not cells.shipping_tax:
        return {}
    choice = {"amount": _major(cells.shipping), "taxAmount": _major(cells.shipping_tax)}
    named = {"description": facts.shipping_method} if facts.shipping_method else {}
    return {"shippingChoice": {**choice, **named}}


def _payment(
    facts: OrderFacts, total: int, source_types: Mapping[str, str], default_type: str
) -> Body:
    if not total:
        return {}
    known = facts.sources or (SourceFacts("", facts.total_incl_tax),)
    sources = [
        _source(each, source_types.get(each.type) or _camel(each.type) or default_type)
        for each in known
        if each.amount
    ]
    if sum(_hundredths(each["amount"]) for each in sources) != total:
        raise CannotMap("The payment sources of the order do not add up to its total.")
    if sum(each["type"] != _SECONDARY for each in sources) > 1:
        raise CannotMap(f"An order has one payment source besides {_SECONDARY}.")
    return {"payment": {"sources": sources}}


def _source(facts: SourceFacts, type: str) -> Body:
    reference = {"processorReference": facts.reference} if facts.reference else {}
    return {"type": type, "amount": facts.amount, **reference}


def _camel(code: str) -> str:
    """`bank-transfer` as `bankTransfer`; empty if no type of source can look like it."""
    first, *more = [part for part in re.split(r"[^A-Za-z0-9]+", code) if part] or [""]
    name = first[:1].lower() + first[1:] + "".join(part.capitalize() for part in more)
    return name if _SOURCE_TYPE.fullmatch(name) else ""
