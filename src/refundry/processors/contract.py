"""What we ask of a payment processor, and each outcome it may give."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from refundry.domain.charge import Failure, OperationKind
from refundry.domain.money import Currency
from refundry.tenant import Tenant

_OPERATION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Submission:
    """One operation for a processor. key: the same on every repeat; amount: minor units.

    first_attempt_at, now: on the clock of the operation's mode. bank_details: of a refund whose
    shopper has given them. trigger: what the sandbox is told to do. processor_reference: of the
    payment; reference: of this operation, once the processor has given it one. rest: of a cancel,
    what of the payment is neither captured nor given up otherwise, this operation included.
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
    reference: str | None = None
    rest: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a processor says of an operation besides its outcome.

    reference: its own id of the operation. code, message: in its words. arn: the acquirer
    reference number, by which the shopper's bank finds the money. amount (minor units of the
    currency asked for), currency: of what it did, where it says so; they are compared with what
    was asked.
    """

    reference: str | None = None
    code: str | None = None
    message: str | None = None
    arn: str | None = None
    amount: int | None = None
    currency: str | None = None


NO_RECEIPT = Receipt()


@dataclass(frozen=True, slots=True)
class Settled:
    """The processor did it."""

    receipt: Receipt = NO_RECEIPT


@dataclass(frozen=True, slots=True)
class InProgress:
    """Accepted, the outcome comes later. ask_again: when to look; None: wait to be told."""

    ask_again: timedelta | None = None
    receipt: Receipt = NO_RECEIPT


@dataclass(frozen=True, slots=True)
class NeedsInformation:
    """A refund that needs the shopper's bank details first."""

    receipt: Receipt = NO_RECEIPT


@dataclass(frozen=True, slots=True)
class Declined:
    """The processor will not do it."""

    failure: Failure
    receipt: Receipt = NO_RECEIPT


@dataclass(frozen=True, slots=True)
class Unknown:
    """No telling whether it was done: time-out, lost connection, server error."""

    error: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """A look-up found nothing: the processor never did it under our reference."""


Outcome = Settled | InProgress | NeedsInformation | Declined | Unknown
Found = Outcome | NotFound
"""What a look-up may give."""


class Captures(Enum):
    """How often an authorised payment may be captured."""

    NONE = "none"
    FULL = "full"
    PARTIAL = "partial"
    MULTIPLE = "multiple"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a processor can do, as data for the engine and the dashboard.

    refund_age: after which a payment cannot be refunded any more; None: no limit is known.
    repeats_for: how long the processor keeps a request's idempotency key; zero: not at all, so
    that a look-up must come before every repeat. exponents: of currencies whose minor units it
    counts unlike ISO 4217. asynchronous: whether a refund may end later than its answer. lists:
    whether it can list its refunds.
    """

    captures: Captures
    partial_refunds: bool
    refund_age: timedelta | None
    repeats_for: timedelta
    arn: bool
    asynchronous: bool
    bank_detail_refunds: bool
    lists: bool = True
    exponents: Mapping[str, int] = field(default_factory=dict[str, int])


class NoticeKind(Enum):
    """What a processor tells by itself."""

    OUTCOME = "outcome"
    REFUND = "refund"
    DISPUTE = "dispute"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProcessorRefund:
    """A refund as the processor lists it, ours or one made in its own dashboard.

    key: our operation's id, where it carries one. payment: its reference of the payment;
    other_names: further ones that a shop may have given us instead.
    """

    reference: str
    payment: str
    key: str | None
    amount: int
    currency: str
    created_at: datetime
    outcome: Outcome
    other_names: tuple[str, ...] = ()

    @property
    def payments(self) -> list[str]:
        """All names of the payment."""
        return [self.payment, *self.other_names]


@dataclass(frozen=True, slots=True)
class ProcessorDispute:
    """A dispute as the processor tells of it. state: opened, won, lost. amount: minor units.

    payment, other_names: as of a refund.
    """

    reference: str
    payment: str
    state: str
    amount: int
    currency: str
    reason: str
    respond_by: datetime | None = None
    other_names: tuple[str, ...] = ()

    @property
    def payments(self) -> list[str]:
        """All names of the payment."""
        return [self.payment, *self.other_names]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing in a notification that was verified. id: the same each time it is sent.

    key: our operation's id. OUTCOME: of an operation of ours. REFUND: of one that may be nobody's
    of ours.
    """

    id: str
    kind: NoticeKind
    type: str
    key: str | None = None
    outcome: Outcome | None = None
    refund: ProcessorRefund | None = None
    dispute: ProcessorDispute | None = None


def is_operation_id(text: str | None) -> bool:
    """Whether a reference at a processor is one of our operations, of any time and database."""
    return _OPERATION_ID.fullmatch(text or "") is not None


class Forged(Exception):
    """A notification that its processor did not send; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of a connection found. problem: in words, with what to mend; empty: fine."""

    what: str
    problem: str = ""


class Connector(Protocol):
    """Our module for one processor. It may be asked the same thing many times: by the key, the
    processor does it once."""

    name: str

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation; never raises for what the outside world does."""
        ...


class Processor(Connector, Protocol):
    """A connector to a payment processor of the outside world, whole."""

    abilities: Abilities

    async def look_up(self, submission: Submission) -> Found:
        """What became of an operation that may have been asked for; never raises either.

        Settled, InProgress and Declined tell of exactly this operation, found by its reference or
        by ours. NotFound only where the processor certainly holds none.
        """
        ...

    async def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[Notice]:
        """What a notification says, verified by the processor's own scheme. Raises Forged.

        headers: names in lower case. Where the processor recommends it, its API is asked first.
        """
        ...

    def refunds_since(self, since: datetime) -> AsyncIterator[ProcessorRefund]:
        """Its refunds from a time on, oldest or newest first; raises OSError where it cannot be
        asked."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Whether the credentials work and may do what we need, in words."""
        ...
