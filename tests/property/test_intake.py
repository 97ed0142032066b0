"""An order that is taken in adds up, its past included; one that does not add up is refused."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refundry.domain.cells import Cells
from refundry.domain.charge import Charge, OperationKind
from refundry.domain.intake import ChargeAsk, OrderAsk, PastAmount, SourceAsk, admit
from refundry.domain.money import major_text
from refundry.domain.order import Order, OrderState
from refundry.domain.refusal import InvalidField
from tests.property.generated import (
    NOW,
    SHIPPING,
    SHIPPING_TAX,
    admitted,
    new_ids,
    order_asks,
    rounded,
    total,
)

bounded = settings(max_examples=70, deadline=None)
imported = st.sampled_from([OrderState.FULFILLED, OrderState.COMPLETE, OrderState.RETURNED])
TOTALS: dict[str, tuple[int, ...]] = {
    "totalTax": (1, 3, 7),
    "totalFees": (6,),
    "totalDuty": (4,),
    "totalImporterTax": (5,),
    "totalShipping": (2,),
    "subtotal": (0, 2, 4, 5, 6),
    "totalAmount": (0, 1, 2, 3, 4, 5, 6, 7),
}


def totals_of(ask: OrderAsk) -> dict[str, tuple[int, str]]:
    """The totals that a client would send along, from the figures as sent."""
    cells = list(total([line.ordered for line in ask.lines]))
    cells[SHIPPING], cells[SHIPPING_TAX] = ask.shipping
    sums = {name: sum(cells[place] for place in places) for name, places in TOTALS.items()}
    return {name: (minor, f"sent {name}") for name, minor in sums.items()}


def refused(ask: OrderAsk) -> str:
    """The parameter for which `ask` is refused."""
    refusal = admit(ask, now=NOW, ids=new_ids())
    assert isinstance(refusal, InvalidField)
    return refusal.parameter


@bounded
@given(order_asks())
def test_an_order_holds_what_was_sent(ask: OrderAsk) -> None:
    order = admitted(replace(ask, totals=totals_of(ask)))
    assert order.total_amount == totals_of(ask)["totalAmount"][0]
    assert [charge.amount for charge in order.charges] == [each.amount for each in ask.sources]
    assert [charge.source_type for charge in order.charges] == [each.type for each in ask.sources]
    for line, sent in zip(order.lines, ask.lines, strict=True):
        for place in (0, 1, 4, 5, 6, 7):
            assert line.ordered[place] == sent.ordered[place]
        assert (line.captured, line.units_left) == ((0,) * 8, sent.quantity)
    assert order.available_to_refund == 0


@bounded
@given(order_asks())
def test_shipping_is_spread_by_price_over_what_is_shipped(ask: OrderAsk) -> None:
    order = admitted(ask)
    prices = [line.ordered[0] if line.physical else 0 for line in ask.lines]
    weights = prices if any(prices) else [1] * len(prices)
    for place, sent in zip((SHIPPING, SHIPPING_TAX), ask.shipping, strict=True):
        shares = [line.ordered[place] for line in order.lines]
        assert sum(shares) == sent
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share * sum(weights) - sent * weight) < sum(weights)
            assert weight or not share


@bounded
@given(order_asks(), st.data())
def test_shipping_of_the_items_is_kept_if_it_adds_up(ask: OrderAsk, data: st.DataObject) -> None:
    size = len(ask.lines)
    sent = data.draw(
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=size, max_size=size)
    )
    sums = sum(pair[0] for pair in sent), sum(pair[1] for pair in sent)
    lines = tuple(replace(line, shipping=pair) for line, pair in zip(ask.lines, sent, strict=True))
    paid = sum(sum(line.ordered) for line in lines) + sum(sums)
    sources = (SourceAsk(None, "creditCard", paid),) if paid else ()
    ask = replace(ask, lines=lines, shipping=sums, sources=sources)
    order = admitted(ask)
    assert [(line.ordered[SHIPPING], line.ordered[SHIPPING_TAX]) for line in order.lines] == sent
    for wrong in ((sums[0] + 1, sums[1]), (sums[0], sums[1] + 1)):
        assert refused(replace(ask, shipping=wrong)) == "items.shipping"


@bounded
@given(order_asks(), st.sampled_from(list(TOTALS)), st.sampled_from([-1, 1]))
def test_a_total_that_does_not_add_up_is_named_as_it_was_sent(
    ask: OrderAsk, name: str, error: int
) -> None:
    totals = totals_of(ask)
    totals[name] = totals[name][0] + error, totals[name][1]
    refusal = admit(replace(ask, totals=totals), now=NOW, ids=new_ids())
    assert refusal == InvalidField(name, f"sent {name}")


def _one_more(ask: OrderAsk) -> OrderAsk:
    first, *others = ask.sources
    return replace(ask, sources=(replace(first, amount=first.amount + 1), *others))


def _two_primaries(ask: OrderAsk) -> OrderAsk:
    first, *others = ask.sources
    half = first.amount // 2
    parts = (half, first.amount - half)
    return replace(ask, sources=(*(SourceAsk(None, "payPal", part) for part in parts), *others))


@bounded
@given(order_asks(), st.sampled_from([_one_more, _two_primaries]))
def test_sources_that_do_not_pay_the_order_are_named_with_their_sum(
    ask: OrderAsk, spoil: Callable[[OrderAsk], OrderAsk]
) -> None:
    assume(ask.sources and ask.sources[0].amount > 1)
    ask = spoil(ask)
    paid = sum(source.amount for source in ask.sources)
    expected = InvalidField("payment.sources", major_text(paid, ask.currency.exponent))
    assert admit(ask, now=NOW, ids=new_ids()) == expected


def _silent(amount: int | None) -> ChargeAsk:
    """A charge without any past."""
    return ChargeAsk(None, None, None, None, (), amount=amount)


@bounded
@given(order_asks(), st.integers(0, 2))
def test_charges_are_one_for_each_source_and_of_its_amount(ask: OrderAsk, pick: int) -> None:
    assume(ask.sources)
    charges = [_silent(source.amount) for source in ask.sources]
    assert admitted(replace(ask, charges=tuple(charges))).charges == admitted(ask).charges
    assert refused(replace(ask, charges=tuple(charges[:-1]))) == "payment.charges"
    index = pick % len(charges)
    charges[index] = _silent(ask.sources[index].amount + 1)
    assert refused(replace(ask, charges=tuple(charges))) == "payment.charges"


@st.composite
def pasts(draw: st.DrawFn) -> OrderAsk:
    """Imported orders with units of all three kinds: fulfilled, cancelled, left."""
    ask = draw(order_asks(state=draw(imported), most_lines=4))
    lines = list(ask.lines)
    said = draw(st.booleans())
    for index, line in enumerate(lines):
        gone = draw(st.integers(0, line.quantity))
        done = draw(st.integers(0, line.quantity - gone)) if said else None
        lines[index] = replace(line, fulfilled_units=done, cancelled_units=gone)
    return replace(ask, lines=tuple(lines))


@bounded
@given(pasts())
def test_an_imported_order_is_captured_and_cancelled_by_its_units(ask: OrderAsk) -> None:
    order = admitted(ask)
    assert order.state is ask.state
    for line, sent in zip(order.lines, ask.lines, strict=True):
        silent = sent.fulfilled_units is None
        fulfilled = sent.quantity - sent.cancelled_units if silent else sent.fulfilled_units
        assert (line.fulfilled_units, line.cancelled_units) == (fulfilled, sent.cancelled_units)
        assert line.captured_units == fulfilled
        captured, ended = _worths(order, line.position)
        assert sum(line.captured) == captured
        assert sum(line.captured) + sum(line.cancelled) == ended
        for figures in zip(line.ordered, line.captured, line.cancelled, strict=True):
            assert min(figures) >= 0
            assert figures[1] + figures[2] <= figures[0]
    _assert_charges_carry_the_cells(order)
    assert order.available_to_refund == order.captured


def _worths(order: Order, position: int) -> tuple[int, int]:
    """What the fulfilled units of a line are worth, and what these and the cancelled ones are."""
    line = order.lines[position]
    whole = sum(line.ordered)
    ended = line.fulfilled_units + line.cancelled_units
    return (
        rounded(whole * line.fulfilled_units, line.quantity),
        rounded(whole * ended, line.quantity),
    )


def _assert_charges_carry_the_cells(order: Order) -> None:
    for kind, figures in (
        (OperationKind.CAPTURE, [line.captured for line in order.lines]),
        (OperationKind.CANCEL, [line.cancelled for line in order.lines]),
        (OperationKind.REFUND, [line.refunded for line in order.lines]),
    ):
        for position, cells in enumerate(figures):
            assert total(_shares(order.charges, kind, position)) == cells
    for charge in order.charges:
        assert charge.open >= 0
        assert charge.refundable >= 0
        for operation in charge.operations:
            assert sum(map(sum, (operation.shares or {}).values())) == operation.amount
            assert operation.state.value == "complete"


def _shares(charges: tuple[Charge, ...], kind: OperationKind, position: int) -> list[Cells]:
    return [
        operation.shares[position]
        for charge in charges
        for operation in charge.operations
        if operation.kind is kind and operation.shares and position in operation.shares
    ]


@st.composite
def told_pasts(draw: st.DrawFn) -> OrderAsk:
    """Imported orders that bring their own captures, cancels and refunds, all adding up."""
    ask = draw(pasts())
    order = admitted(ask)
    assume(order.captured > 0)
    charges: list[ChargeAsk] = []
    for charge in order.charges:
        refunds: list[int] = []
        for _ in range(draw(st.integers(0, 3))):
            left = charge.captured - sum(refunds)
            refunds += [draw(st.integers(1, left))] if left else []
        charges.append(
            ChargeAsk(
                None,
                None,
                _split(draw, charge.captured),
                _split(draw, charge.cancelled),
                tuple(PastAmount(amount, None) for amount in refunds),
            )
        )
    return replace(ask, charges=tuple(charges))


def _split(draw: st.DrawFn, amount: int) -> tuple[PastAmount, ...]:
    first = draw(st.integers(0, amount))
    return tuple(PastAmount(part, None) for part in (first, amount - first) if part)


@bounded
@given(told_pasts())
def test_an_imported_past_is_kept_and_adds_up(ask: OrderAsk) -> None:
    order = admitted(ask)
    assert ask.charges is not None
    for charge, sent in zip(order.charges, ask.charges, strict=True):
        kept = [(operation.kind.value, operation.amount) for operation in charge.operations]
        told = [("capture", past.amount) for past in sent.captures or ()]
        told += [("cancel", past.amount) for past in sent.cancels or ()]
        told += [("refund", past.amount) for past in sent.refunds]
        assert kept == told
    _assert_charges_carry_the_cells(order)
    refunded = sum(past.amount for charge in ask.charges for past in charge.refunds)
    assert order.refunded == refunded
    assert order.available_to_refund == order.captured - refunded
    assert all(min(line.available) >= 0 for line in order.lines)
    # Fees are used only when nothing else remains.
    goods = sum(sum(line.available[:6]) for line in order.lines)
    assert not any(any(line.refunded[6:]) for line in order.lines) or goods == 0


@bounded
@given(told_pasts(), st.sampled_from(["captures", "cancels"]), st.data())
def test_a_past_that_does_not_add_up_is_named_with_its_sum(
    ask: OrderAsk, name: str, data: st.DataObject
) -> None:
    charges = list(ask.charges or ())
    index = data.draw(st.integers(0, len(charges) - 1))
    pasts: tuple[PastAmount, ...] = getattr(charges[index], name)
    charges[index] = replace(charges[index], **{name: (*pasts, PastAmount(1, None))})
    given = sum(past.amount for charge in charges for past in getattr(charge, name))
    refusal = admit(replace(ask, charges=tuple(charges)), now=NOW, ids=new_ids())
    expected = InvalidField("payment.charges", major_text(given, ask.currency.exponent))
    assert refusal == expected


@bounded
@given(told_pasts(), st.data())
def test_a_charge_cannot_have_paid_back_more_than_it_took(
    ask: OrderAsk, data: st.DataObject
) -> None:
    charges = list(ask.charges or ())
    index = data.draw(st.integers(0, len(charges) - 1))
    captured = sum(past.amount for past in charges[index].captures or ())
    paid = sum(past.amount for past in charges[index].refunds)
    excess = PastAmount(captured - paid + 1, None)
    refunds = (*charges[index].refunds, excess)
    charges[index] = replace(charges[index], refunds=refunds)
    path = f"payment.charges[{index}].refunds[{len(refunds) - 1}].amount"
    refusal = admit(replace(ask, charges=tuple(charges)), now=NOW, ids=new_ids())
    expected = InvalidField(path, major_text(excess.amount, ask.currency.exponent))
    assert refusal == expected
