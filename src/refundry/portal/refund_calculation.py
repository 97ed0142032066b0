"""Amounts explained: the calculation of a refund, written so that it can be followed on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, localcontext

from refundry.domain.cells import COMPONENT_NAMES
from refundry.domain.explanation import Figure, Step, explain_refund
from refundry.domain.money import Currency
from refundry.domain.refund import Refund
from refundry.orders.store import StoredOrder
from refundry.portal.order_lines import line_name
from refundry.portal.orders import COMPONENT_LABELS
from refundry.portal.rendering import amount, plain_amount, words

# Digits behind the minor unit: enough to see which fraction is the largest.
_MORE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class GivenByLine:
    """What a line gave to a refund: per component, minor units."""

    name: str
    cells: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a calculation, as it is written; extra: empty where it got no rounding unit."""

    line: str
    component: str
    captured: str
    taken: str
    available: str
    exact: str
    extra: str
    share: str


@dataclass(frozen=True, slots=True)
class Sum:
    """One amount spread over its cells. left_over: what rounding down left; empty if nothing."""

    title: str
    formula: str
    rows: list[Row]
    available: str
    left_over: str
    amount: str


@dataclass(frozen=True, slots=True)
class Calculation:
    """The calculation of a refund; see `Explanation`."""

    sums: list[Sum]
    certain: bool


def given_by_lines(stored: StoredOrder, refund: Refund) -> list[GivenByLine]:
    """The result: what each line gave."""
    return [
        GivenByLine(line_name(stored, position), cells, sum(cells))
        for position, cells in sorted(refund.shares.items())
    ]


def calculation(
    stored: StoredOrder, refunds: Sequence[Refund], refund: Refund
) -> Calculation | None:
    """The way there; None if the records do not show it. refunds: all of the order's, the oldest
    first."""
    explanation = explain_refund(stored.order, refunds, refund.id)
    if explanation is None:
        return None
    sums = [_sum(stored, step) for step in explanation.steps]
    return Calculation(sums, explanation.certain)


def _sum(stored: StoredOrder, step: Step) -> Sum:
    currency = stored.order.currency
    units = sum(figure.extra for figure in step.figures)
    return Sum(
        title=_title(stored, step),
        formula=f"available × {plain_amount(step.amount, currency)}"
        f" ÷ {plain_amount(step.available, currency)}",
        rows=[_row(stored, figure) for figure in step.figures],
        available=plain_amount(step.available, currency),
        left_over=f"{units} × {plain_amount(1, currency)}" if units else "",
        amount=amount(step.amount, currency),
    )


def _title(stored: StoredOrder, step: Step) -> str:
    """`10.00 USD of 21.61 USD available: 2 × Tee, product`."""
    currency = stored.order.currency
    title = f"{amount(step.amount, currency)} of {amount(step.available, currency)} available"
    element = step.element
    if element is None:
        return title
    kind = words(element.type.value if element.type else "product").lower()
    return f"{title}: {element.quantity} × {line_name(stored, element.position)}, {kind}"


def _row(stored: StoredOrder, figure: Figure) -> Row:
    currency = stored.order.currency
    return Row(
        line=line_name(stored, figure.position),
        component=COMPONENT_LABELS[COMPONENT_NAMES[figure.component]],
        captured=plain_amount(figure.captured, currency),
        taken=plain_amount(figure.taken, currency),
        available=plain_amount(figure.available, currency),
        exact=_exact(figure, currency),
        extra=f"+{plain_amount(figure.extra, currency)}" if figure.extra else "",
        share=plain_amount(figure.share, currency),
    )


def _exact(figure: Figure, currency: Currency) -> str:
    """The exact share in major units, cut after some digits; `…` where it goes on."""
    scale = 10**currency.exponent
    with localcontext(prec=60):
        value = Decimal(figure.exact.numerator) / (figure.exact.denominator * scale)
        step = Decimal(1).scaleb(-currency.exponent - _MORE_DIGITS)
        shown = value.quantize(step, rounding=ROUND_DOWN)
    return f"{shown:f}" if shown == value else f"{shown:f}…"
