"""Refunds: what may be asked, how much that is, which cells give it, and the states after it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from refundry.domain.cells import EMPTY, Cells, Component, add, only, spread, subtract
from refundry.domain.charge import Shares
from refundry.domain.fulfillment import find_line
from refundry.domain.money import Currency, half_up, to_minor
from refundry.domain.order import Line, Order, OrderState
from refundry.domain.refusal import (
    AmountUnavailable,
    BelowSmallestAmount,
    CurrencyNotSupported,
    InvalidField,
    OnlyFullTax,
    QuantityAboveOrder,
    RefundDuringDispute,
    Refusal,
)


class RefundState(StrEnum):
    """The published states of a refund."""

    PENDING = "pending"
    PENDING_INFORMATION = "pending_information"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


OPEN_REFUND_STATES = frozenset({RefundState.PENDING, RefundState.PENDING_INFORMATION})

# Every step that a refund may take; the numbers are the rows of the contract, refunds, section 7.
# Row 8 ends in PENDING where another record of the refund still waits for its processor.
TRANSITIONS: Mapping[RefundState, frozenset[RefundState]] = {
    RefundState.PENDING: frozenset(
        {RefundState.PENDING_INFORMATION, RefundState.SUCCEEDED, RefundState.FAILED}  # 6; 3, 5; 4
    ),
    RefundState.PENDING_INFORMATION: frozenset(
        {RefundState.PENDING, RefundState.EXPIRED, RefundState.SUCCEEDED}  # 7, 8; 8; 5
    ),
    RefundState.SUCCEEDED: frozenset({RefundState.FAILED}),  # 10
    RefundState.FAILED: frozenset(),
    RefundState.EXPIRED: frozenset(),
}


class RefundType(StrEnum):
    """What a typed refund pays back; a refund without a type is for products."""

    SHIPPING = "shipping"
    DUTY = "duty"
    TAX = "tax"
    IMPORTER_TAX = "importer_tax"
    FEES = "fees"


class Way(StrEnum):
    """How a refund is paid that does not go through the payment that it pays back."""

    BANK_TRANSFER = "bank_transfer"
    """To an account that the shopper names."""
    STORE_CREDIT = "store_credit"
    BY_HAND = "by_hand"
    """Somebody has paid it elsewhere."""


_UNIT_SCALE = 10**6
# Behind the six decimals only a binary float's noise is forgiven.
_UNIT_NOISE = Fraction(1, 10**9)
ITEM_TYPES = frozenset({RefundType.SHIPPING, RefundType.DUTY, RefundType.FEES})
FULL_ONLY_TYPES = frozenset({RefundType.TAX, RefundType.IMPORTER_TAX})

_SHIPPING = (Component.SHIPPING, Component.SHIPPING_TAX)
_FEES = (Component.FEES, Component.FEES_TAX)
_ORDER_SELECTIONS: Mapping[RefundType | None, tuple[Component, ...]] = {
    # Fees come back only by a refund of type fees (contract, refunds, decision 1).
    None: (
        Component.PRODUCT,
        Component.TAX,
        *_SHIPPING,
        Component.DUTY,
        Component.IMPORTER_TAX,
    ),
    RefundType.SHIPPING: _SHIPPING,
    RefundType.DUTY: (Component.DUTY,),
    RefundType.TAX: (Component.TAX, Component.SHIPPING_TAX, Component.FEES_TAX),
    RefundType.IMPORTER_TAX: (Component.IMPORTER_TAX,),
    RefundType.FEES: _FEES,
}
_ITEM_SELECTIONS: Mapping[RefundType | None, tuple[Component, ...]] = {
    None: (Component.PRODUCT, Component.TAX),
    RefundType.SHIPPING: _SHIPPING,
    RefundType.DUTY: (Component.DUTY,),
    RefundType.FEES: _FEES,
}


def base_of_order(order: Order, kind: RefundType | None) -> int:
    """What an order-level refund of a kind may take at most, in minor units."""
    return sum(base_of_line(line, _ORDER_SELECTIONS[kind]) for line in order.lines)


def base_of_item(line: Line, kind: RefundType | None) -> int:
    """What an element of a kind may take of a line at most, in minor units."""
    return base_of_line(line, _ITEM_SELECTIONS[kind])


def base_of_line(line: Line, components: Iterable[Component]) -> int:
    """What is left of the named components of a line, in minor units."""
    return sum(only(line.available, components))


def components_of(kind: RefundType | None, *, of_item: bool) -> tuple[Component, ...]:
    """What a refund of a kind pays back."""
    return (_ITEM_SELECTIONS if of_item else _ORDER_SELECTIONS)[kind]


class AmountBasis(StrEnum):
    """What `items[].amount` means for a key: the whole element, or one unit of it."""

    LINE = "line"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class ElementAsk:
    """One element of an item-level request. amount: major units, in the key's basis."""

    item_id: str | None
    sku_id: str | None
    quantity: int | None
    amount: Decimal | None
    percent: Decimal | None
    type: RefundType | None
    sent_amount: str = ""


@dataclass(frozen=True, slots=True)
class RefundAsk:
    """A request whose fields are well formed; nothing is checked against the order yet.

    amount: major units; exactly one of amount, percent and items is given. sent_amount: the
    amount as it was sent, for messages. replaces: the first refund of the chain that it is to take
    the place of.
    """

    order_id: str | None
    invoice_id: str | None
    currency: str
    amount: Decimal | None = None
    percent: Decimal | None = None
    type: RefundType | None = None
    items: tuple[ElementAsk, ...] = ()
    reason: str | None = None
    metadata: str | None = None
    basis: AmountBasis = AmountBasis.LINE
    sent_amount: str = ""
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an item-level refund. amount, refunded: minor units, for all its units."""

    position: int
    item_id: str
    sku_id: str | None
    type: RefundType | None
    quantity: int
    amount: int
    refunded: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What one charge-level record carries of a refund, in minor units."""

    charge_id: str
    operation_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Token:
    """A shopper's way in to give bank details. secret: what the shopper holds."""

    secret: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund. amount, refunded: minor units; shares: what each cell gave, adding up to amount.

    refunded_shares: what was really paid out of them. metadata: JSON text of an object.
    return_id: the return whose acceptance made it. replaces: the first refund of its chain, which
    failed; way: None where it goes through the payment that it pays back.
    """

    id: str
    order_id: str
    invoice_id: str | None
    currency: Currency
    type: RefundType | None
    amount: int
    elements: tuple[Element, ...]
    shares: Shares
    created_at: datetime
    state: RefundState = RefundState.PENDING
    refunded: int = 0
    refunded_shares: Shares = field(default_factory=dict[int, Cells])
    reason: str | None = None
    failure_reason: str | None = None
    metadata: str | None = None
    parts: tuple[Part, ...] = ()
    token: Token | None = None
    needs_attention: bool = False
    submitted: bool = False
    return_id: str | None = None
    replaces: str | None = None
    way: Way | None = None


def plan_refund(order: Order, ask: RefundAsk, *, refund_id: str, now: datetime) -> Refund | Refusal:
    """What `ask` comes to on `order`: a pending refund with its shares, or why not.

    The checks run in the order of the contract, refunds, section 4.2, steps 3 to 6.
    """
    if order.state is OrderState.DISPUTE:
        return RefundDuringDispute()
    if ask.currency.upper() != order.currency.code:
        return CurrencyNotSupported(ask.currency)
    if refusal := _check_precision(order.currency, ask):
        return refusal
    planned = _plan_elements(order, ask) if ask.items else _plan_whole(order, ask)
    if not isinstance(planned, tuple):
        return planned
    elements, shares = planned
    return Refund(
        id=refund_id,
        order_id=order.id,
        invoice_id=order.invoice_id,
        currency=order.currency,
        type=ask.type,
        amount=sum(sum(cells) for cells in shares.values()),
        elements=elements,
        shares=shares,
        created_at=now.replace(microsecond=0),
        reason=ask.reason,
        metadata=ask.metadata,
        replaces=ask.replaces,
    )


def _check_precision(currency: Currency, ask: RefundAsk) -> InvalidField | None:
    """Whether every amount fits the currency; an amount per unit may carry six decimals."""
    if ask.amount is not None and not to_minor(ask.amount, currency):
        return InvalidField("amount", ask.sent_amount)
    for index, item in enumerate(ask.items):
        if item.amount is None:
            continue
        if ask.basis is AmountBasis.UNIT:
            unit = _unit_amount(item.amount)
            fits = unit > 0 and abs(unit - Fraction(item.amount)) <= _UNIT_NOISE
        else:
            fits = bool(to_minor(item.amount, currency))
        if not fits:
            return InvalidField(f"items[{index}].amount", item.sent_amount)
    return None


def _unit_amount(amount: Decimal) -> Fraction:
    """An amount per unit, which may carry six decimals; a float's noise behind them is cut."""
    return Fraction(half_up(Fraction(amount) * _UNIT_SCALE), _UNIT_SCALE)


Planned = tuple[tuple[Element, ...], Shares]


def _plan_whole(order: Order, ask: RefundAsk) -> Planned | Refusal:
    """The shares of an order-level refund."""
    full_only = ask.type in FULL_ONLY_TYPES
    if full_only and ask.percent is not None and ask.percent != 100:
        return OnlyFullTax()
    selection = _ORDER_SELECTIONS[ask.type]
    weights = [only(line.available, selection) for line in order.lines]
    base = sum(map(sum, weights))
    amount = _whole_amount(order.currency, ask, base)
    if base == 0 or amount > base:
        return AmountUnavailable()
    if full_only and amount < base:
        return OnlyFullTax()
    if amount == 0:
        return BelowSmallestAmount()
    shares = spread(amount, weights)
    return (), {line.position: shares[line.position] for line in order.lines if any(
        shares[line.position]
    )}  # fmt: skip


def _whole_amount(currency: Currency, ask: RefundAsk, base: int) -> int:
    if ask.percent is not None:
        return half_up(base * Fraction(ask.percent) / 100)
    assert ask.amount is not None
    amount = to_minor(ask.amount, currency)
    assert amount is not None
    return amount


def _plan_elements(order: Order, ask: RefundAsk) -> Planned | Refusal:
    """The elements and shares of an item-level refund; each sees what the earlier ones took."""
    found = _find_elements(order, ask)
    if not isinstance(found, list):
        return found
    taken: dict[int, Cells] = {}
    elements: list[Element] = []
    for item, (line, quantity) in zip(ask.items, found, strict=True):
        free = subtract(line.available, taken.get(line.position, EMPTY))
        weights = only(free, _ITEM_SELECTIONS[item.type])
        base = sum(weights)
        amount = _element_amount(order.currency, ask.basis, item, line, quantity, base)
        if base == 0 or amount > base:
            return AmountUnavailable()
        if amount == 0:
            return BelowSmallestAmount()
        taken[line.position] = add(taken.get(line.position, EMPTY), spread(amount, [weights])[0])
        elements.append(Element(line.position, line.id, line.sku_id, item.type, quantity, amount))
    return tuple(elements), taken


def _find_elements(order: Order, ask: RefundAsk) -> list[tuple[Line, int]] | Refusal:
    """The line and the quantity of each element; a line counts once per type."""
    found: list[tuple[Line, int]] = []
    seen: set[tuple[int, RefundType | None]] = set()
    for index, item in enumerate(ask.items):
        line = find_line(order, index, item.item_id, item.sku_id)
        if not isinstance(line, Line):
            return line
        if item.item_id and item.sku_id and line.sku_id != item.sku_id:
            return InvalidField(f"items[{index}].skuId", item.sku_id)
        if (line.position, item.type) in seen:
            return InvalidField(f"items[{index}].itemId", line.id)
        seen.add((line.position, item.type))
        quantity = line.quantity if item.quantity is None else item.quantity
        if quantity > line.quantity:
            return QuantityAboveOrder(f"items[{index}].quantity")
        found.append((line, quantity))
    return found


def _element_amount(
    currency: Currency, basis: AmountBasis, item: ElementAsk, line: Line, quantity: int, base: int
) -> int:
    """What an element asks for, in minor units (contract, refunds, section 4.3)."""
    if item.percent is not None:
        captured = sum(only(line.captured, _ITEM_SELECTIONS[item.type]))
        if not line.captured_units:
            return 0
        worth = min(Fraction(captured * quantity, line.captured_units), Fraction(base))
        return half_up(worth * Fraction(item.percent) / 100)
    assert item.amount is not None
    if basis is AmountBasis.UNIT:
        return half_up(_unit_amount(item.amount) * quantity * 10**currency.exponent)
    amount = to_minor(item.amount, currency)
    assert amount is not None
    return amount


def product_estimate(order: Order, position: int, quantity: int) -> int:
    """What a product refund of `quantity` units of a line would take now, in minor units."""
    line = order.lines[position]
    base = sum(only(line.available, _ITEM_SELECTIONS[None]))
    return _full_amount(line, quantity, base)


def plan_units_refund(
    order: Order, units: Mapping[int, int], *, refund_id: str, now: datetime
) -> Refund | None:
    """An item-level product refund of everything that `units` are worth and that is left.

    units: position of the line -> how many. Lines with nothing left are dropped; None if that is
    all of them (contract, returns, section 4).
    """
    elements: list[Element] = []
    shares: dict[int, Cells] = {}
    for position, quantity in units.items():
        line = order.lines[position]
        weights = only(line.available, _ITEM_SELECTIONS[None])
        amount = _full_amount(line, quantity, sum(weights))
        if amount:
            shares[position] = spread(amount, [weights])[0]
            elements.append(Element(position, line.id, line.sku_id, None, quantity, amount))
    if not elements:
        return None
    return Refund(
        id=refund_id,
        order_id=order.id,
        invoice_id=order.invoice_id,
        currency=order.currency,
        type=None,
        amount=sum(element.amount for element in elements),
        elements=tuple(elements),
        shares=shares,
        created_at=now.replace(microsecond=0),
    )


def _full_amount(line: Line, quantity: int, base: int) -> int:
    """What `quantity` units are worth by what was captured, at most `base`."""
    if not line.captured_units:
        return 0
    captured = sum(only(line.captured, _ITEM_SELECTIONS[None]))
    return half_up(min(Fraction(captured * quantity, line.captured_units), Fraction(base)))
