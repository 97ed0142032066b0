"""From the bodies about disputes to what the rules take in."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from refundry.http.document import shown
from refundry.http.fields import Fields

_MAX_AMOUNT = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class DisputeRequest:
    """A dispute to be opened. amount: major units, None for what the charge has left."""

    charge_id: str | None
    amount: Decimal | None
    reason: str | None
    processor_reference: str | None
    sent_amount: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a dispute ended. amount: major units that the bank took, None for all that is left."""

    lost: bool
    amount: Decimal | None = None
    fraud: bool = False
    sent_amount: str = ""


class _Outcome(StrEnum):
    WON = "won"
    LOST = "lost"


def read_dispute(body: Fields) -> DisputeRequest:
    """The dispute in a body. Raises BadFields."""
    request = DisputeRequest(
        charge_id=body.text("chargeId"),
        amount=body.decimal("amount", is_amount),
        reason=body.text("reason"),
        processor_reference=body.text("processorReference"),
        sent_amount=shown(body.value("amount")),
    )
    body.unknown()
    body.finish()
    return request


def read_resolution(body: Fields) -> Resolution:
    """The outcome in a body; a won dispute has neither amount nor fraud. Raises BadFields."""
    if not body.has("outcome"):
        body.missing("outcome")
    outcome = body.enum("outcome", _Outcome)
    lost = outcome is not _Outcome.WON
    amount = body.decimal("amount", is_amount) if lost else None
    fraud = body.flag("fraud") if lost else None
    if outcome is _Outcome.LOST and not body.has("fraud"):
        body.missing("fraud")
    sent = shown(body.value("amount")) if lost else ""
    body.unknown()
    body.finish()
    return Resolution(lost, amount, fraud or False, sent)


def is_amount(amount: Decimal) -> bool:
    """Whether an amount of major units may be meant at all."""
    return 0 < amount < _MAX_AMOUNT
