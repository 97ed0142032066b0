"""What a refund form offers, and what it asks of Refundry: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Kind = Literal["complete", "items", "shipping", "tax", "duty", "importer_tax", "fees", "amount"]
KINDS: tuple[Kind, ...] = (
    "complete", "items", "shipping", "tax", "duty", "importer_tax", "fees", "amount",
)  # fmt: skip
# Refundry gives these back whole or not at all.
WHOLE: frozenset[Kind] = frozenset({"complete", "tax", "importer_tax"})
# Which components of a line's price each kind of refund draws on.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "complete": ("product", "tax", "shipping", "shipping_tax", "duty", "importer_tax"),
    "items": ("product", "tax"),
    "shipping": ("shipping", "shipping_tax"),
    "tax": ("tax", "shipping_tax", "fees_tax"),
    "duty": ("duty",),
    "importer_tax": ("importer_tax",),
    "fees": ("fees", "fees_tax"),
    "amount": ("product", "tax", "shipping", "shipping_tax", "duty", "importer_tax"),
}


class BadAsk(Exception):
    """What was filled in is no request for a refund; the message is for staff."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that could be refunded; left: what each component still has, by its name."""

    id: str
    title: str
    quantity: int
    left: Mapping[str, Decimal]

    @property
    def available(self) -> Decimal:
        return sum((self.left.get(name, Decimal(0)) for name in COMPONENTS["items"]), Decimal(0))


@dataclass(frozen=True, slots=True)
class Offer:
    """What could be refunded of an order, now. available: of all of it, fees included."""

    currency: str
    available: Decimal
    captured: Decimal
    refunded: Decimal
    state: str
    lines: Sequence[Line]

    def of(self, kind: Kind) -> Decimal:
        """The most that a refund of a kind can be."""
        return sum(
            (line.left.get(name, Decimal(0)) for line in self.lines for name in COMPONENTS[kind]),
            Decimal(0),
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: one of percent, amount and lines; lines as POST /refunds has them."""

    type: str | None = None
    amount: Decimal | None = None
    percent: Decimal | None = None
    lines: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A line as it was filled in; amount: for all of the units, None: their share of the line."""

    line_id: str
    quantity: int
    amount: Decimal | None = None


def ask(kind: Kind, amount: Decimal | None, chosen: Iterable[Chosen]) -> Ask:
    """The request for what was filled in. Raises BadAsk."""
    match kind:
        case "complete":
            return Ask(percent=Decimal(100))
        case "tax" | "importer_tax":
            return Ask(type=kind, percent=Decimal(100))
        case "items":
            return Ask(lines=[_element(each) for each in chosen] or _refuse("Choose a line."))
        case "shipping" | "duty" | "fees":
            return Ask(type=kind, amount=_positive(amount))
        case "amount":
            return Ask(amount=_positive(amount))


def _refuse(words: str) -> Any:
    raise BadAsk(words)


def _positive(amount: Decimal | None) -> Decimal:
    if amount is None or amount <= 0:
        raise BadAsk("Fill in an amount.")
    return amount


def _element(chosen: Chosen) -> dict[str, Any]:
    element = {"itemId": chosen.line_id, "quantity": chosen.quantity}
    if chosen.amount is None:
        return element | {"percent": Decimal(100)}
    return element | {"amount": _positive(chosen.amount)}
