"""What we ask of a payment processor, and each outcome it may give."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from refundry.domain.charge import Failure, OperationKind
from refundry.domain.money import Currency
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Submission:
    """One operation for a processor. key: the same on every repeat; amount: minor units.

    first_attempt_at, now: on the clock of the operation's mode. bank_details: of a refund whose
    shopper has given them. trigger: what the sandbox is told to do.
    """

    key: str
    tenant: Tenant
    kind: OperationKind
    charge_id: str
    amount: int
    currency: Currency
    processor_reference: str | None
    source_type: str
    trigger: str | None
    first_attempt_at: datetime
    now: datetime
    attempt: int
    bank_details: dict[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """The processor did it."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """Accepted, the outcome comes later. ask_again: when to look; None: wait to be told."""

    ask_again: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NeedsInformation:
    """A refund that needs the shopper's bank details first."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The processor will not do it."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Unknown:
    """No telling whether it was done: time-out, lost connection, server error."""

    error: str


Outcome = Settled | InProgress | NeedsInformation | Declined | Unknown


class Connector(Protocol):
    """Our module for one processor. It may be asked the same thing many times: by the key, the
    processor does it once."""

    name: str

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation; never raises for what the outside world does."""
        ...
