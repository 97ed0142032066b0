"""Refunds made at a processor as rows, and what is needed to find whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry.db.database import Record, Session
from refundry.domain.charge import OperationKind
from refundry.gateways.store import Gateway
from refundry.processors.contract import ProcessorRefund
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Known:
    """An operation of ours, as a processor's word finds it."""

    order_id: str
    operation_id: str
    kind: OperationKind
    reference: str | None = None
    failed: bool = False
    parked: str | None = None

    def is_other_than(self, reference: str) -> bool:
        """Whether the processor knows this refund under another reference."""
        return self.kind is OperationKind.REFUND and self.reference not in (None, reference)


@dataclass(frozen=True, slots=True)
class ChargeOfPayment:
    """A charge and the name by which its shop knows the payment at the processor."""

    order_id: str
    charge_id: str
    payment: str


@dataclass(frozen=True, slots=True)
class External:
    """A refund that somebody made at the processor. why: of a conflict, what is in the way.

    payment: all its names that charges may have, separated by spaces.
    """

    gateway_id: str
    reference: str
    seen_at: datetime
    made_at: datetime
    payment: str
    amount: int
    currency: str
    state: str
    why: str | None
    order_id: str | None
    refund_id: str | None


async def find_operation(
    session: Session, gateway: Gateway, key: str | None, reference: str | None
) -> Known | None:
    """The operation that a gateway was asked for, by our id, or else by its processor's.

    One of another gateway or account is none: nobody may speak for those.
    """
    row = await session.fetchrow(
        """
        SELECT order_id, id, kind, processor_reference, state = 'failed' AS failed, parked
          FROM charge_operations
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3
           AND (id = $4 OR processor_reference = $5)
         ORDER BY id = $4 DESC NULLS LAST
         LIMIT 1
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, key, reference,
    )  # fmt: skip
    if row is None:
        return None
    return Known(
        row["order_id"], row["id"], OperationKind(row["kind"]), row["processor_reference"],
        row["failed"], row["parked"],
    )  # fmt: skip


async def is_known(session: Session, tenant: Tenant, refund: ProcessorRefund) -> bool:
    """Whether the account has a refund record of it, through whichever gateway."""
    return await session.fetchval(
        """
        SELECT EXISTS (SELECT FROM charge_operations
                        WHERE account_id = $1 AND live = $2 AND id = $3 AND kind = 'refund')
            OR EXISTS (SELECT FROM charges c JOIN charge_operations o
                           ON o.account_id = c.account_id AND o.live = c.live
                          AND o.order_id = c.order_id AND o.charge_id = c.id
                        WHERE c.account_id = $1 AND c.live = $2
                          AND c.processor_reference = ANY ($4::text[])
                          AND o.kind = 'refund' AND o.processor_reference = $5)
        """,
        tenant.account_id, tenant.live, refund.key, refund.payments, refund.reference,
    )  # fmt: skip


async def charges_of_payment(
    session: Session, tenant: Tenant, payments: Sequence[str]
) -> list[ChargeOfPayment]:
    """The charges that a processor knows by one of its references of a payment."""
    rows = await session.fetch(
        """
        SELECT order_id, id, processor_reference FROM charges
         WHERE account_id = $1 AND live = $2 AND processor_reference = ANY ($3::text[])
         ORDER BY order_id, id
        """,
        tenant.account_id, tenant.live, payments,
    )  # fmt: skip
    return [ChargeOfPayment(row["order_id"], row["id"], row["processor_reference"]) for row in rows]


async def claim_external(
    session: Session, gateway: Gateway, refund: ProcessorRefund, why: str, now: datetime
) -> bool:
    """Note a refund that is not ours, as a conflict for now; False if it was noted before."""
    tag = await session.execute(
        """
        INSERT INTO external_refunds (account_id, live, gateway_id, reference, seen_at, made_at,
                                      payment, amount_minor, currency, state, why)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'conflict', $10)
        ON CONFLICT DO NOTHING
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, refund.reference, now,
        refund.created_at, " ".join(refund.payments), refund.amount, refund.currency, why,
    )  # fmt: skip
    return tag == "INSERT 0 1"


async def note_adopted(
    session: Session, gateway: Gateway, reference: str, order_id: str, refund_id: str
) -> None:
    """Say which refund of ours tells of one that was made at the processor."""
    await session.execute(
        """
        UPDATE external_refunds SET state = 'adopted', why = NULL, order_id = $5, refund_id = $6
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3 AND reference = $4
           AND state = 'conflict'
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, reference, order_id, refund_id,
    )  # fmt: skip


async def note_conflict(
    session: Session, gateway: Gateway, reference: str, why: str, order_id: str | None
) -> None:
    """Say what keeps a refund from being adopted."""
    await session.execute(
        """
        UPDATE external_refunds SET why = $5, order_id = $6
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3 AND reference = $4
           AND state = 'conflict'
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, reference, why, order_id,
    )  # fmt: skip


async def give_to_processor(
    session: Session, gateway: Gateway, order_id: str, operation_id: str, refund: ProcessorRefund,
    check_due_at: datetime | None,
) -> None:  # fmt: skip
    """Mark a record as asked for already: it is nobody's to be sent."""
    await session.execute(
        """
        UPDATE charge_operations
           SET gateway_id = $3, processor_reference = $6, attempts = 1, first_attempt_at = $7,
               due_at = NULL, check_due_at = $8
         WHERE account_id = $1 AND live = $2 AND order_id = $4 AND id = $5
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, order_id, operation_id,
        refund.reference, refund.created_at, check_due_at,
    )  # fmt: skip


async def find(session: Session, gateway: Gateway, reference: str) -> External | None:
    """A refund made at the processor, if it was noted."""
    row = await session.fetchrow(
        """
        SELECT gateway_id, reference, seen_at, made_at, payment, amount_minor, currency, state,
               why, order_id, refund_id
          FROM external_refunds
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3 AND reference = $4
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, reference,
    )  # fmt: skip
    return _external(row) if row else None


async def conflicts(session: Session, tenant: Tenant) -> list[External]:
    """The refunds made at processors that wait for a person, oldest first; at most 100."""
    rows = await session.fetch(
        """
        SELECT gateway_id, reference, seen_at, made_at, payment, amount_minor, currency, state,
               why, order_id, refund_id
          FROM external_refunds
         WHERE account_id = $1 AND live = $2 AND state = 'conflict'
         ORDER BY seq LIMIT 100
        """,
        tenant.account_id, tenant.live,
    )  # fmt: skip
    return [_external(row) for row in rows]


async def ignore(session: Session, tenant: Tenant, gateway_id: str, reference: str) -> bool:
    """Take a conflict off the list: a person has dealt with it. False if it is none."""
    tag = await session.execute(
        """
        UPDATE external_refunds SET state = 'ignored'
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3 AND reference = $4
           AND state = 'conflict'
        """,
        tenant.account_id, tenant.live, gateway_id, reference,
    )  # fmt: skip
    return tag == "UPDATE 1"


def _external(row: Record) -> External:
    return External(
        row["gateway_id"], row["reference"], row["seen_at"], row["made_at"], row["payment"],
        row["amount_minor"], row["currency"], row["state"], row["why"], row["order_id"],
        row["refund_id"],
    )  # fmt: skip
