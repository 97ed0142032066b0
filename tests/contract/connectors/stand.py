"""What a processor brings to the contract suite: a connector, and a server with a side door.

A processor joins by a file `test_<name>.py` here, that makes a `Stand` per test and parametrises
one test over `scenario.cases(TRAITS)`. Its server stands in `tests/contract/servers/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from refundry.processors.contract import Processor

State = Literal["settled", "pending", "failed"]
"""How far an operation is at the processor; failed ones move no money."""

Fault = Literal[
    "none",
    "silence_before",
    "silence_after",
    "too_many",
    "error_before",
    "error_after",
    "malformed",
    "wrong_amount",
    "duplicate",
    "forbidden",
]
"""What goes wrong with an operation's request.

silence: no answer within the connector's time-out, before or after the processor acted.
too_many: 429, not acted. error: a 5xx, before or after it acted. malformed: acted, and what it
answers with its usual status cannot be read. wrong_amount: it acts on, and tells of, one minor
unit less than asked. duplicate: acted, and answers as it does to a repetition ("already
refunded"). forbidden: 401 or 403, not acted.
"""

Forgery = Literal["body", "secret", "unsigned", "old"]
"""How a notification is forged: its body changed, signed with another secret, without its
signature, or replayed a day later (only where the scheme has a time)."""


@dataclass(frozen=True, slots=True)
class Traits:
    """How a processor is, as far as the scenarios differ by it.

    at_once: the answer to a refund may tell its end; else it is only accepted. looks_up: an API
    finds an operation by our reference. lists: an API lists refunds. confirms: a notification is
    confirmed at the API, so that it tells of now. replay_window: its signature has a time.
    forgets: it keeps idempotency keys for a time only, so that a look-up comes before a repeat.
    declines: code in a refund's answer -> our reason. failures: code of a refund that fails after
    it was accepted -> our reason. late_failures: a settled refund may fail. captures, cancels:
    whether the connector does these. disputes: whether it is told of disputes. tells: whether the
    processor tells of the ends of refunds by itself; tells_others: of refunds made there, too.
    """

    at_once: bool
    looks_up: bool
    lists: bool
    confirms: bool
    replay_window: bool
    declines: Mapping[str, str]
    failures: Mapping[str, str]
    late_failures: bool = True
    forgets: bool = True
    captures: bool = True
    cancels: bool = True
    disputes: bool = True
    tells: bool = True
    tells_others: bool = True
    source_type: str = "creditCard"


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the next operations. end: settled, pending, or declined with `code` in the
    answer; times: of how many requests that ask for one; then all is well again."""

    end: Literal["settled", "pending", "declined"] = "settled"
    fault: Fault = "none"
    code: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Held:
    """An operation as the processor holds it.

    key: our reference in it, None where the processor keeps none, as of captures or cancels that
    happen once. arn: the acquirer reference number of a refund, where it tells of one.
    """

    reference: str
    payment: str
    key: str | None
    kind: Literal["capture", "cancel", "refund"]
    amount: int
    currency: str
    state: State
    arn: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A notification on its way to us; headers: names in lower case."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class SideDoor(Protocol):
    """How a scenario moves the server; none of it is the processor's API."""

    def pay(self, amount: int, currency: str, *, captured: bool) -> str:
        """A payment of a shopper, authorised or captured too; gives our processorReference."""
        ...

    def plan(self, plan: Plan) -> None:
        """What becomes of the next operations that are asked for."""
        ...

    def finish(self, key: str, end: Literal["settled", "failed"], code: str | None) -> None:
        """The refund with our reference ends, and a notification is sent. What has ended so
        already stays; what was settled may fail."""
        ...

    def refund_elsewhere(self, payment: str, amount: int) -> str:
        """A refund made in the processor's own dashboard; gives its reference there."""
        ...

    def dispute(self, payment: str, amount: int, state: Literal["opened", "won", "lost"]) -> None:
        """A dispute of the payment becomes so, and a notification is sent."""
        ...

    def advance(self, seconds: float) -> None:
        """The processor's clock goes on: it forgets idempotency keys in its own time."""
        ...

    def held(self, payment: str) -> list[Held]:
        """All it holds on a payment, failed ones included."""
        ...

    def asked(self) -> int:
        """How many requests for an operation it received, repetitions included."""
        ...

    def sent(self) -> list[Sent]:
        """The notifications since the last call, in the order of what they tell, signed at the
        processor's time now."""
        ...

    def forge(self, sent: Sent, how: Forgery) -> Sent:
        """The notification as someone else would send it."""
        ...


@dataclass(frozen=True, slots=True)
class Stand:
    """A connector that talks to its server. stranger: the same with wrong credentials."""

    processor: Processor
    stranger: Processor
    door: SideDoor
    traits: Traits
