"""The refund form as it stands on the page: what was filled in, and what it asks for."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from refundry_sync.oscar.amounts import plain
from refundry_sync.oscar.asking import KINDS, WHOLE, Ask, BadAsk, Chosen, Kind, Line, Offer, ask

LABELS: Mapping[Kind, object] = {
    "complete": _("Complete order"),
    "items": _("Line items"),
    "shipping": _("Shipping"),
    "tax": _("Tax"),
    "duty": _("Importer duty"),
    "importer_tax": _("Importer tax"),
    "fees": _("Fees"),
    "amount": _("An amount of the order"),
}
_PLAIN = re.compile(r"\d{1,12}(?:\.\d{1,3})?", re.ASCII)
_REASON_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Option:
    """A kind of refund on the form. amount: as filled in, else all that is available."""

    kind: Kind
    label: str
    available: Decimal
    amount: str
    whole: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class LineRow:
    line: Line
    quantity: int
    amount: str

    @property
    def choices(self) -> Sequence[int]:
        return range(self.line.quantity + 1)


@dataclass(frozen=True, slots=True)
class RefundForm:
    """offer: what is available. filled: the fields as they were sent; nothing on a fresh form."""

    offer: Offer
    filled: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def request_id(self) -> str:
        """One for each form that was shown: a double click asks for one refund."""
        return self.filled.get("request_id") or str(uuid.uuid4())

    @property
    def reason(self) -> str:
        return self.filled.get("reason", "").strip()[:_REASON_LENGTH]

    @property
    def offer_fees(self) -> bool:
        return self.offer.of("fees") > 0

    @property
    def options(self) -> list[Option]:
        return [self._option(kind) for kind in KINDS]

    @property
    def rows(self) -> list[LineRow]:
        return [
            LineRow(
                line,
                min(_whole(self.filled.get(f"qty-{line.id}", "")), line.quantity),
                self.filled.get(f"line-{line.id}", ""),
            )
            for line in self.offer.lines
        ]

    def ask(self) -> Ask:
        """What was filled in. Raises BadAsk."""
        kind = next((each for each in KINDS if each == self.filled.get("kind")), None)
        if kind is None:
            raise BadAsk(str(_("Choose what to refund.")))
        amount = None
        if kind not in WHOLE and kind != "items":
            amount = _amount(self.filled.get(f"amount-{kind}", ""))
        chosen = [
            Chosen(row.line.id, row.quantity, _amount(row.amount) if row.amount.strip() else None)
            for row in self.rows
            if row.quantity
        ]
        return ask(kind, amount, chosen if kind == "items" else ())

    def _option(self, kind: Kind) -> Option:
        available = self.offer.of(kind)
        amount = self.filled.get(
            f"amount-{kind}", plain(available, self.offer.currency) if kind != "amount" else ""
        )
        chosen = self.filled.get("kind") == kind
        return Option(kind, str(LABELS[kind]), available, amount, kind in WHOLE, chosen)


def _amount(text: str) -> Decimal:
    """Raises BadAsk: what is meant by anything but digits and a point is not to be guessed."""
    if _PLAIN.fullmatch(text.strip()):
        return Decimal(text.strip())
    raise BadAsk(str(_("Write an amount as 12.50.")))


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
