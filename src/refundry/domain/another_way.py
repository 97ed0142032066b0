"""A failed refund paid in another way: what may take its place, and that only one thing may.

A chain is a refund that failed and those made in its place; each names the first. As a failed
refund never comes back, at most one of a chain pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from refundry.domain.cells import subtract
from refundry.domain.charge import Operation, OperationKind, OperationState, Shares
from refundry.domain.order import Order, OrderState
from refundry.domain.refund import Refund, RefundState, Way
from refundry.domain.refusal import (
    AmountUnavailable,
    RefundDuringDispute,
    RefundNotFailed,
    RefundPaidAfterAll,
    RefundReplaced,
    Refusal,
)

UNPAID_STATES = frozenset({RefundState.FAILED, RefundState.EXPIRED})
"""What a refund that can be replaced has come to."""
WAYS_AT_ONCE = frozenset({Way.STORE_CREDIT, Way.BY_HAND})
"""Nobody is asked to pay these: who records them has paid, or does it elsewhere."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A refund and those made in its place. replacements: oldest first.

    paid_after_all: whether a processor says that it paid what has failed, and nobody has dealt
    with that yet.
    """

    first: Refund
    replacements: tuple[Refund, ...] = ()
    paid_after_all: bool = False

    @property
    def alive(self) -> Refund | None:
        """The only one that may still pay, or has paid."""
        return alive((self.first, *self.replacements))

    @property
    def may_be_paid_twice(self) -> bool:
        """Whether a payout that failed was made after all, beside another one."""
        return self.paid_after_all and alive(self.replacements) is not None


def alive(refunds: Sequence[Refund]) -> Refund | None:
    """The one refund of a chain that has not failed."""
    found = [refund for refund in refunds if refund.state not in UNPAID_STATES]
    assert len(found) <= 1, "two refunds of a chain have not failed"
    return found[0] if found else None


def is_paid_after_all(operation: Operation, *, paid: bool) -> bool:
    """Whether the word on a record is that it paid a refund, though the books have it as failed.

    That is never booked, as something else may stand in the refund's place: a person decides.
    """
    refund = operation.kind is OperationKind.REFUND and operation.shares is None
    return paid and refund and operation.state is OperationState.FAILED


def check_replacement(chain: Chain, way: Way | None) -> Refusal | None:
    """Why nothing may take a chain's place in this way; None where it may.

    way: None for a retry. What was paid after all can only be recorded as such.
    """
    if chain.first.state not in UNPAID_STATES:
        return RefundNotFailed(chain.first.id)
    if (other := chain.alive) is not None:
        return RefundReplaced(chain.first.id, other.id)
    if chain.paid_after_all and way is not Way.BY_HAND:
        return RefundPaidAfterAll(chain.first.id)
    return None


def plan_replacement(
    order: Order, chain: Chain, way: Way | None, *, refund_id: str, now: datetime
) -> Refund | Refusal:
    """The refund that takes a chain's place, of the same cells of the order, or why none may."""
    if refusal := check_replacement(chain, way):
        return refusal
    if order.state is OrderState.DISPUTE:
        return RefundDuringDispute()
    first = chain.first
    if not _is_free(order, first.shares):
        return AmountUnavailable()
    return Refund(
        id=refund_id,
        order_id=first.order_id,
        invoice_id=first.invoice_id,
        currency=first.currency,
        type=first.type,
        amount=first.amount,
        elements=tuple([replace(element, refunded=0) for element in first.elements]),
        shares=first.shares,
        created_at=now.replace(microsecond=0),
        reason=first.reason,
        metadata=first.metadata,
        replaces=first.id,
        way=way,
    )


def _is_free(order: Order, shares: Shares) -> bool:
    return all(
        min(subtract(order.lines[position].available, cells)) >= 0
        for position, cells in shares.items()
    )
