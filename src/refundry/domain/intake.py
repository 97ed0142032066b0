"""Taking an order in: totals, shipping shares, charges, and what an imported order has behind it.

Source: contract, orders, sections 3 and 5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from refundry.domain.allocation import allocate
from refundry.domain.cells import EMPTY, Cells, Component, add, only, spread, subtract
from refundry.domain.charge import (
    SECONDARY_SOURCES,
    Charge,
    ChargeState,
    Operation,
    OperationKind,
    OperationState,
    Shares,
    capture_order,
    charge_state,
    refund_order,
)
from refundry.domain.exported import (
    FINAL_STATES,
    Told,
    check_told,
    refunds_as_told,
    told_units,
)
from refundry.domain.fulfillment import split_over, units_amount
from refundry.domain.money import Currency, major_text
from refundry.domain.order import Line, LineState, Order, OrderState
from refundry.domain.refusal import InvalidField

IMPORT_STATES = FINAL_STATES
_TOTALS: dict[str, tuple[Component, ...]] = {
    "totalAmount": tuple(Component),
    "totalTax": (Component.TAX, Component.SHIPPING_TAX, Component.FEES_TAX),
    "totalFees": (Component.FEES,),
    "totalDuty": (Component.DUTY,),
    "totalImporterTax": (Component.IMPORTER_TAX,),
    "totalShipping": (Component.SHIPPING,),
    "subtotal": (
        Component.PRODUCT,
        Component.SHIPPING,
        Component.FEES,
        Component.DUTY,
        Component.IMPORTER_TAX,
    ),
}


@dataclass(frozen=True, slots=True)
class LineAsk:
    """A line as it was sent. ordered: its cells without shipping; shipping: (amount, tax)."""

    id: str | None
    sku_id: str | None
    quantity: int
    ordered: Cells
    shipping: tuple[int, int] | None
    physical: bool
    fulfilled_units: int | None
    cancelled_units: int
    state: LineState | None


@dataclass(frozen=True, slots=True)
class SourceAsk:
    """A payment source as it was sent; `waits` if its charge is not authorised yet."""

    id: str | None
    type: str
    amount: int
    waits: bool = False


@dataclass(frozen=True, slots=True)
class PastAmount:
    """A capture, cancel or refund that an imported charge brings with it."""

    amount: int
    created_at: datetime | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeAsk:
    """A charge as it was sent; None where a list was not sent at all."""

    id: str | None
    type: str | None
    captures: tuple[PastAmount, ...] | None
    cancels: tuple[PastAmount, ...] | None
    refunds: tuple[PastAmount, ...]
    amount: int | None = None
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderAsk:
    """An order as it was sent, amounts in minor units. totals: name -> (amount, text as sent).

    told: what an export says of the order's past; None for one that was sent to the API.
    """

    id: str
    currency: Currency
    state: OrderState
    lines: tuple[LineAsk, ...]
    shipping: tuple[int, int]
    totals: dict[str, tuple[int, str]]
    sources: tuple[SourceAsk, ...]
    charges: tuple[ChargeAsk, ...] | None
    created_at: datetime | None
    state_times: dict[str, datetime] = field(default_factory=dict[str, datetime])
    fraud_state: str | None = None
    fraud_times: dict[str, datetime] = field(default_factory=dict[str, datetime])
    invoice_id: str | None = None
    told: Told | None = None

    @property
    def has_past(self) -> bool:
        """Whether it brings captures, cancels and refunds along."""
        return self.told is not None or self.state in IMPORT_STATES


@dataclass(frozen=True, slots=True)
class NewIds:
    """Where new ids come from: `number` for orders and lines, `uuid` for what is inside."""

    number: Callable[[], str]
    uuid: Callable[[], str]


def admit(ask: OrderAsk, *, now: datetime, ids: NewIds) -> Order | InvalidField:
    """The order that `ask` describes, or the first figure in it that does not add up."""
    lines = _lines(ask, now, ids)
    if isinstance(lines, InvalidField):
        return lines
    order = _bare_order(ask, lines, now)
    problem = (
        _check_totals(order, ask)
        or _check_sources(order, ask)
        or _check_charges(ask)
        or _check_past_ids(ask)
    )
    if problem:
        return problem
    order = replace(order, charges=_charges(ask, order, ids))
    if not ask.has_past:
        return _awaiting(order, ids, now) if any(s.waits for s in ask.sources) else order
    if ask.told is None:
        return _import_past(order, ask, ids)
    order = _import_past(order, _with_units(ask, order, ask.told), ids)
    return order if isinstance(order, InvalidField) else check_told(order, ask.told) or order


def _with_units(ask: OrderAsk, order: Order, told: Told) -> OrderAsk:
    """An exported order with the units of each line, as it says or as its sums do."""
    if all(line.fulfilled_units is None and not line.cancelled_units for line in ask.lines):
        units = told_units(order, [line.state for line in ask.lines], told)
    elif ask.state in IMPORT_STATES:
        return ask
    else:
        units = [(line.fulfilled_units or 0, line.cancelled_units) for line in ask.lines]
    lines = [
        replace(line, fulfilled_units=done, cancelled_units=gone)
        for line, (done, gone) in zip(ask.lines, units, strict=True)
    ]
    return replace(ask, lines=tuple(lines))


def _lines(ask: OrderAsk, now: datetime, ids: NewIds) -> tuple[Line, ...] | InvalidField:
    shipping = _item_shipping(ask)
    if isinstance(shipping, InvalidField):
        return shipping
    created = ask.created_at or now.replace(microsecond=0)
    lines: list[Line] = []
    for position, (line, cells) in enumerate(zip(ask.lines, shipping, strict=True)):
        state = line.state or LineState.CREATED
        lines.append(
            Line(
                position=position,
                id=line.id or ids.number(),
                sku_id=line.sku_id,
                quantity=line.quantity,
                ordered=add(line.ordered, cells),
                state=state,
                state_times={LineState.CREATED.value: created, state.value: created},
            )
        )
    return tuple(lines)


def _item_shipping(ask: OrderAsk) -> list[Cells] | InvalidField:
    """Each line's share of the order's shipping and shipping tax, as cells."""
    amount, tax = ask.shipping
    if any(line.shipping is not None for line in ask.lines):
        sent = [line.shipping or (0, 0) for line in ask.lines]
        for total, wanted in ((sum(s[0] for s in sent), amount), (sum(s[1] for s in sent), tax)):
            if total != wanted:
                return InvalidField("items.shipping", major_text(total, ask.currency.exponent))
        return [_shipping_cells(*pair) for pair in sent]
    weights = [line.ordered[Component.PRODUCT] if line.physical else 0 for line in ask.lines]
    if not any(weights):
        weights = [1] * len(ask.lines)
    pairs = zip(allocate(amount, weights), allocate(tax, weights), strict=True)
    return [_shipping_cells(*pair) for pair in pairs]


def _shipping_cells(amount: int, tax: int) -> Cells:
    cells = list(EMPTY)
    cells[Component.SHIPPING] = amount
    cells[Component.SHIPPING_TAX] = tax
    return tuple(cells)


def _bare_order(ask: OrderAsk, lines: tuple[Line, ...], now: datetime) -> Order:
    second = now.replace(microsecond=0)
    created = ask.created_at or second
    waits = any(source.waits for source in ask.sources) and not ask.has_past
    state = OrderState.PENDING_PAYMENT if waits else ask.state
    return Order(
        id=ask.id,
        currency=ask.currency,
        state=state,
        lines=lines,
        charges=(),
        created_at=created,
        updated_at=second,
        state_times={state.value: created} | ask.state_times,
        fraud_state=ask.fraud_state,
        fraud_times=ask.fraud_times,
        invoice_id=ask.invoice_id,
    )


def _check_totals(order: Order, ask: OrderAsk) -> InvalidField | None:
    for name, components in _TOTALS.items():
        if name in ask.totals and ask.totals[name][0] != order.total(*components):
            return InvalidField(name, ask.totals[name][1])
    return None


def _check_sources(order: Order, ask: OrderAsk) -> InvalidField | None:
    total = sum(source.amount for source in ask.sources)
    primaries = sum(source.type not in SECONDARY_SOURCES for source in ask.sources)
    if total != order.total_amount or primaries > 1:
        return InvalidField("payment.sources", major_text(total, order.currency.exponent))
    return None


def _check_charges(ask: OrderAsk) -> InvalidField | None:
    """One charge per source, in the order of the sources, each for its source's amount."""
    if ask.charges is None:
        return None
    exponent = ask.currency.exponent
    amounts = [charge.amount for charge in ask.charges if charge.amount is not None]
    wrong = InvalidField("payment.charges", major_text(sum(amounts), exponent))
    if len(ask.charges) != len(ask.sources):
        return wrong
    for charge, source in zip(ask.charges, ask.sources, strict=True):
        if charge.amount is not None and charge.amount != source.amount:
            return wrong
        if charge.source_id is not None and charge.source_id != source.id:
            return InvalidField("payment.charges", charge.source_id)
    return None


def _check_past_ids(ask: OrderAsk) -> InvalidField | None:
    """No id of a capture, cancel or refund may come twice."""
    seen: set[str] = set()
    for index, charge in enumerate(ask.charges or ()):
        lists = {"captures": charge.captures, "cancels": charge.cancels, "refunds": charge.refunds}
        for name, past in lists.items():
            for place, each in enumerate(past or ()):
                if each.id is not None and each.id in seen:
                    return InvalidField(f"payment.charges[{index}].{name}[{place}].id", each.id)
                if each.id is not None:
                    seen.add(each.id)
    return None


def _charges(ask: OrderAsk, order: Order, ids: NewIds) -> tuple[Charge, ...]:
    past = ask.has_past
    sent = ask.charges or (ChargeAsk(None, None, None, None, ()),) * len(ask.sources)
    return tuple(
        Charge(
            id=charge.id or ids.uuid(),
            source_id=source.id or ids.uuid(),
            source_type=source.type,
            amount=source.amount,
            state=ChargeState.PENDING if source.waits and not past else ChargeState.CAPTURABLE,
            type=charge.type or "customer_initiated",
            created_at=order.created_at,
        )
        for source, charge in zip(ask.sources, sent, strict=True)
    )


def _awaiting(order: Order, ids: NewIds, now: datetime) -> Order:
    """The order with an authorisation under way for each charge that waits for one."""
    second = now.replace(microsecond=0)
    for charge in order.charges:
        if charge.state is ChargeState.PENDING:
            operation = Operation(
                ids.uuid(), charge.id, OperationKind.AUTHORIZE, charge.amount,
                OperationState.PENDING, second, second,
            )  # fmt: skip
            order = order.with_charge(charge.with_operation(operation))
    return order


def _import_past(order: Order, ask: OrderAsk, ids: NewIds) -> Order | InvalidField:
    """Give an imported order the units, captures, cancels and refunds it comes with."""
    order = replace(order, lines=tuple(_processed(line, ask) for line in order.lines))
    captured, cancelled = _unit_shares(order)
    sent = ask.charges or ()
    given = [charge.captures for charge in sent], [charge.cancels for charge in sent]
    for kind, shares, past in (
        (OperationKind.CAPTURE, captured, given[0]),
        (OperationKind.CANCEL, cancelled, given[1]),
    ):
        result = _past_operations(order, kind, shares, past, ids)
        if isinstance(result, InvalidField):
            return result
        order = result
    order = replace(order, charges=tuple(replace(c, state=charge_state(c)) for c in order.charges))
    after = _past_refunds(order, ask, ids)
    if ask.told is None or isinstance(after, InvalidField):
        return after
    return refunds_as_told(order, after, ask.told)


def _processed(line: Line, ask: OrderAsk) -> Line:
    """The line with its imported units: without any figure, all that is not cancelled."""
    sent = ask.lines[line.position]
    silent = all(other.fulfilled_units is None for other in ask.lines)
    fulfilled = line.quantity - sent.cancelled_units if silent else sent.fulfilled_units or 0
    line = replace(
        line,
        fulfilled_units=fulfilled,
        captured_units=fulfilled,
        cancelled_units=sent.cancelled_units,
        returned_units=fulfilled if sent.state is LineState.RETURNED else 0,
    )
    if sent.state is not None or line.units_left:
        return line
    state = LineState.FULFILLED if fulfilled else LineState.CANCELLED
    created = next(iter(line.state_times.values()))
    return replace(line, state=state, state_times={**line.state_times, state.value: created})


def _unit_shares(order: Order) -> tuple[dict[int, Cells], dict[int, Cells]]:
    """What the fulfilled and the cancelled units of each line are worth, by cell."""
    captured: dict[int, Cells] = {}
    cancelled: dict[int, Cells] = {}
    for line in order.lines:
        whole = sum(line.ordered)
        done = units_amount(whole, line.quantity, 0, line.fulfilled_units)
        gone = units_amount(whole, line.quantity, line.fulfilled_units, line.cancelled_units)
        captured[line.position] = tuple(allocate(done, line.ordered))
        left = subtract(line.ordered, captured[line.position])
        cancelled[line.position] = tuple(allocate(gone, left))
    return captured, cancelled


def _past_operations(
    order: Order,
    kind: OperationKind,
    shares: dict[int, Cells],
    given: Sequence[tuple[PastAmount, ...] | None],
    ids: NewIds,
) -> Order | InvalidField:
    """Book complete captures or cancels that sum to `shares`, as given or by the charges' order."""
    total = sum(map(sum, shares.values()))
    if any(amounts is not None for amounts in given):
        pairs = [
            (charge, past)
            for charge, amounts in zip(order.charges, given, strict=True)
            for past in amounts or ()
        ]
        if problem := _check_past(order, pairs, total):
            return problem
    else:
        ordered = capture_order if kind is OperationKind.CAPTURE else refund_order
        rooms = [(charge, charge.open) for charge in ordered(order.charges)]
        pairs = [(c, PastAmount(amount, None)) for c, amount in split_over(rooms, total)]
    left = shares
    for charge, past in pairs:
        taken = _take(past.amount, left)
        left = {position: subtract(cells, taken[position]) for position, cells in left.items()}
        order = _book_past(order, charge.id, kind, past, taken, ids)
    return order


def _check_past(
    order: Order, pairs: Sequence[tuple[Charge, PastAmount]], total: int
) -> InvalidField | None:
    given = sum(past.amount for _, past in pairs)
    by_charge: dict[str, int] = {}
    for charge, past in pairs:
        by_charge[charge.id] = by_charge.get(charge.id, 0) + past.amount
    overdrawn = any(by_charge.get(charge.id, 0) > charge.open for charge in order.charges)
    if given != total or overdrawn:
        return InvalidField("payment.charges", major_text(given, order.currency.exponent))
    return None


def _take(amount: int, left: Shares) -> dict[int, Cells]:
    positions = sorted(left)
    cells = spread(amount, [left[position] for position in positions])
    return dict(zip(positions, cells, strict=True))


def _book_past(
    order: Order,
    charge_id: str,
    kind: OperationKind,
    past: PastAmount,
    shares: dict[int, Cells],
    ids: NewIds,
) -> Order:
    """Add a complete operation of the past to its charge and to the cells."""
    at = past.created_at or order.created_at
    shares = {position: cells for position, cells in shares.items() if any(cells)}
    operation = Operation(
        past.id or ids.uuid(), charge_id, kind, past.amount, OperationState.COMPLETE, at, at,
        shares=shares,
    )  # fmt: skip
    order = order.with_charge(order.charge(charge_id).with_past(operation))
    for position, cells in shares.items():
        line = order.lines[position]
        if kind is OperationKind.CAPTURE:
            line = replace(line, captured=add(line.captured, cells))
        elif kind is OperationKind.CANCEL:
            line = replace(line, cancelled=add(line.cancelled, cells))
        else:
            line = replace(line, refunded=add(line.refunded, cells))
        order = order.with_line(line)
    return order


def _past_refunds(order: Order, ask: OrderAsk, ids: NewIds) -> Order | InvalidField:
    """Apply imported refunds in order, as order-level product refunds; fees come last."""
    for charge_index, charge in enumerate(ask.charges or ()):
        for index, past in enumerate(charge.refunds):
            current = order.charges[charge_index]
            free = {line.position: line.available for line in order.lines}
            if past.amount > min(sum(map(sum, free.values())), current.refundable):
                path = f"payment.charges[{charge_index}].refunds[{index}].amount"
                return InvalidField(path, major_text(past.amount, order.currency.exponent))
            fees = (Component.FEES, Component.FEES_TAX)
            goods = [c for c in Component if c not in fees]
            first = {position: only(cells, goods) for position, cells in free.items()}
            most = min(past.amount, sum(map(sum, first.values())))
            shares = _take(most, first)
            rest = _take(
                past.amount - most,
                {position: only(cells, fees) for position, cells in free.items()},
            )
            shares = {position: add(cells, rest[position]) for position, cells in shares.items()}
            order = _book_past(order, current.id, OperationKind.REFUND, past, shares, ids)
    return order
