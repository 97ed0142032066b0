"""What a processor's settlement report tells of refunds and chargebacks, whoever wrote it."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class LineKind(StrEnum):
    """What a line tells of."""

    REFUND = "refund"
    REFUND_REVERSED = "refund_reversed"
    """Money of a refund came back: it did not reach the shopper after all."""
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"
    """The bank gave back what it took."""


REFUND_KINDS = frozenset({LineKind.REFUND, LineKind.REFUND_REVERSED})


@dataclass(frozen=True, slots=True)
class Line:
    """A refund or a chargeback in a settlement report. number: of its line in the file, from 1.

    identity: the same in every report that tells of it. reference: the processor's of the refund
    or of the dispute; payments: those that it may know the payment by. key: our operation's id,
    where the report carries what we sent. amount: minor units of the currency, > 0. fee: minor
    units of its own currency; below zero where fees were given back. payout: which payout it is
    part of. arn: the acquirer reference number. booked_on: the day that the report gives.
    """

    number: int
    identity: str
    kind: LineKind
    reference: str | None
    payments: tuple[str, ...]
    key: str | None
    amount: int
    currency: str
    booked_on: date
    fee: int | None = None
    fee_currency: str | None = None
    payout: str | None = None
    arn: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a report. day: that it tells of; line: None where it is about something else."""

    day: date | None
    line: Line | None = None


class BadReport(Exception):
    """A report that cannot be read; the message names the line, the column and what is wrong."""
