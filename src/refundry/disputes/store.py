"""Disputes and sales transactions in the database."""

from collections.abc import Sequence

from refundry.db.database import Record, Session, Tx
from refundry.domain.dispute import Dispute, DisputeState, SalesTransaction
from refundry.domain.money import find_currency
from refundry.errors import required
from refundry.tenant import Tenant

_SELECT = """
SELECT d.id, d.order_id, d.charge_id, d.amount_minor, d.created_at, d.reason, d.state,
       d.resolved_at, d.chargeback_minor, d.fraud, d.sales_transaction_ids,
       d.processor_reference, o.currency
  FROM disputes d
  JOIN orders o ON o.account_id = d.account_id AND o.live = d.live AND o.id = d.order_id
"""


async def find_disputes(
    session: Session, tenant: Tenant, dispute_ids: Sequence[str]
) -> list[Dispute]:
    """The disputes with these ids, in the order of the ids."""
    rows = await session.fetch(
        _SELECT + " WHERE d.account_id = $1 AND d.live = $2 AND d.id = ANY ($3::text[])",
        tenant.account_id, tenant.live, list(dispute_ids),
    )  # fmt: skip
    found = {row["id"]: _dispute(row) for row in rows}
    return [found[dispute_id] for dispute_id in dispute_ids if dispute_id in found]


async def find_dispute(session: Session, tenant: Tenant, dispute_id: str) -> Dispute | None:
    """The dispute with this id."""
    found = await find_disputes(session, tenant, [dispute_id])
    return found[0] if found else None


async def disputes_of_order(session: Session, tenant: Tenant, order_id: str) -> list[Dispute]:
    """Every dispute of an order, oldest first."""
    rows = await session.fetch(
        _SELECT + " WHERE d.account_id = $1 AND d.live = $2 AND d.order_id = $3 ORDER BY d.seq",
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return [_dispute(row) for row in rows]


def _dispute(row: Record) -> Dispute:
    return Dispute(
        id=row["id"],
        order_id=row["order_id"],
        charge_id=row["charge_id"],
        currency=required(find_currency(row["currency"])),
        amount=row["amount_minor"],
        created_at=row["created_at"],
        reason=row["reason"],
        state=DisputeState(row["state"]),
        resolved_at=row["resolved_at"],
        chargeback=row["chargeback_minor"],
        fraud=row["fraud"],
        sales_transaction_ids=tuple(row["sales_transaction_ids"]),
        processor_reference=row["processor_reference"],
    )


async def insert_dispute(tx: Tx, tenant: Tenant, dispute: Dispute, *, heard: bool) -> None:
    """Write a new dispute; the caller has locked its order. heard: told of by the processor."""
    await tx.execute(
        """
        INSERT INTO disputes (account_id, live, order_id, id, created_at, charge_id, amount_minor,
                              reason, state, processor_reference, heard)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        tenant.account_id, tenant.live, dispute.order_id, dispute.id, dispute.created_at,
        dispute.charge_id, dispute.amount, dispute.reason, dispute.state.value,
        dispute.processor_reference, heard,
    )  # fmt: skip


async def close_dispute(tx: Tx, tenant: Tenant, dispute: Dispute) -> None:
    """Store how an open dispute ended; what has ended stays."""
    tag = await tx.execute(
        """
        UPDATE disputes
           SET state = $5, resolved_at = $6, chargeback_minor = $7, fraud = $8,
               sales_transaction_ids = $9
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4 AND state = 'open'
        """,
        tenant.account_id, tenant.live, dispute.order_id, dispute.id, dispute.state.value,
        dispute.resolved_at, dispute.chargeback, dispute.fraud,
        list(dispute.sales_transaction_ids),
    )  # fmt: skip
    assert tag == "UPDATE 1", f"dispute {dispute.id} is closed already"


async def name_dispute(tx: Tx, tenant: Tenant, dispute: Dispute, reference: str) -> None:
    """Give the processor's name to a dispute that has none."""
    await tx.execute(
        """
        UPDATE disputes SET processor_reference = $5, heard = true
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
           AND processor_reference IS NULL
        """,
        tenant.account_id, tenant.live, dispute.order_id, dispute.id, reference,
    )  # fmt: skip


async def find_by_reference(
    session: Session, reference: str, *, live: bool, account_id: str | None = None
) -> list[tuple[Tenant, str, str]]:
    """The disputes that a processor knows by a reference, as (tenant, order, dispute): the open
    ones, or if there is none the closed ones.

    Where it has told of one itself, those that somebody opened by hand with the same reference
    do not count: accounts must not meet through what they may choose. account_id: only of this one.
    """
    rows = await session.fetch(
        """
        SELECT account_id, live, order_id, id, state, heard FROM disputes
         WHERE processor_reference = $1 AND live = $2 AND ($3::text IS NULL OR account_id = $3)
        """,
        reference, live, account_id,
    )  # fmt: skip
    rows = [row for row in rows if row["heard"]] or rows
    wanted = [row for row in rows if row["state"] == "open"] or rows
    return [(Tenant(row["account_id"], row["live"]), row["order_id"], row["id"]) for row in wanted]


async def find_charges(session: Session, charge_id: str, *, live: bool) -> list[tuple[Tenant, str]]:
    """The charges with an id in any account, as (tenant, order): all that a processor knows."""
    rows = await session.fetch(
        "SELECT account_id, live, order_id FROM charges WHERE id = $1 AND live = $2",
        charge_id, live,
    )  # fmt: skip
    return [(Tenant(row["account_id"], row["live"]), row["order_id"]) for row in rows]


async def insert_sales_transaction(
    tx: Tx, tenant: Tenant, dispute: Dispute, sales: SalesTransaction, row: "SalesRow"
) -> None:
    """Write what a chargeback took of a line."""
    await tx.execute(
        """
        INSERT INTO sales_transactions (account_id, live, order_id, id, created_at, dispute_id,
            type, currency, exponent, amount_minor, quantity, order_upstream_id, sku_id,
            payment_type, object)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        tenant.account_id, tenant.live, dispute.order_id, sales.id, sales.created_at, dispute.id,
        sales.type, dispute.currency.code, dispute.currency.exponent, -sum(sales.cells), *row,
    )  # fmt: skip


SalesRow = tuple[int, str | None, str | None, str, str]
"""Quantity, the order's upstream id, SKU, type of payment, and the resource as JSON text."""


async def find_sales_transactions(
    session: Session, tenant: Tenant, ids: Sequence[str]
) -> list[str]:
    """The sales transactions with these ids as JSON texts, in the order of the ids."""
    rows = await session.fetch(
        """
        SELECT id, object FROM sales_transactions
         WHERE account_id = $1 AND live = $2 AND id = ANY ($3::text[])
        """,
        tenant.account_id, tenant.live, list(ids),
    )  # fmt: skip
    found = {row["id"]: row["object"] for row in rows}
    return [found[each] for each in ids if each in found]
