"""Writes what became of refunds, any number of them in a few statements."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refundry.db.database import Tx
from refundry.domain.charge import OPEN_STATES
from refundry.domain.order import Order
from refundry.domain.refund import Refund
from refundry.orders.store import cells_text, columns, flatten
from refundry.refunds.store import elements_text
from refundry.sealing import Vault
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class RefundSaving:
    """Two versions of a refund whose order's row the caller has locked; order: after the change."""

    tenant: Tenant
    before: Refund
    after: Refund
    order: Order


async def insert_return_refund(
    tx: Tx, tenant: Tenant, refund: Refund, submit_due_at: datetime
) -> None:
    """Write a refund that a return made; the order's row is locked and written by the caller."""
    positions, cells = flatten(refund.shares)
    await tx.execute(
        """
        INSERT INTO refunds (account_id, live, order_id, id, created_at, currency, exponent,
            amount_minor, elements, sku_ids, reason, invoice_id, share_lines, shares,
            submit_due_at, return_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """,
        tenant.account_id, tenant.live, refund.order_id, refund.id, refund.created_at,
        refund.currency.code, refund.currency.exponent, refund.amount, elements_text(refund),
        [e.sku_id for e in refund.elements if e.sku_id], refund.reason, refund.invoice_id,
        positions, cells, submit_due_at, refund.return_id,
    )  # fmt: skip


async def save_refunds(tx: Tx, savings: Sequence[RefundSaving], vault: Vault) -> None:
    """Store new states and parts of refunds, each of which comes once. A final state stays, but
    for a late failure."""
    if not savings:
        return
    tag = await tx.execute(
        """
        UPDATE refunds r
           SET state = n.state, refunded_minor = n.refunded_minor,
               refunded_shares = n.refunded_shares::bigint[], elements = n.elements,
               failure_reason = n.failure_reason, metadata = n.metadata,
               token_expires_at = n.token_expires_at,
               token_hash = coalesce(n.token_hash, r.token_hash),
               sealed_token = CASE WHEN n.token_expires_at IS NULL THEN NULL
                                   ELSE coalesce(n.sealed_token, r.sealed_token) END,
               submit_due_at = CASE WHEN n.submitted THEN NULL ELSE r.submit_due_at END,
               attention_since = CASE WHEN n.attention THEN r.attention_since END
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                      $7::text[], $8::text[], $9::text[], $10::text[], $11::timestamptz[],
                      $12::bytea[], $13::bytea[], $14::boolean[], (SELECT $15::boolean[]))
               AS n (account_id, live, order_id, id, state, refunded_minor, refunded_shares,
                     elements, failure_reason, metadata, token_expires_at, token_hash,
                     sealed_token, submitted, attention)
         WHERE r.account_id = n.account_id AND r.live = n.live AND r.order_id = n.order_id
           AND r.id = n.id
           AND (r.state IN ('pending', 'pending_information') OR r.state = n.state
                OR (r.state = 'succeeded' AND n.state = 'failed'))
        """,
        *columns([_row(saving.tenant, saving.after, vault) for saving in savings], 15),
    )
    names = [saving.after.id for saving in savings]
    assert tag == f"UPDATE {len(savings)}", f"one of the refunds {names} has ended already"
    await _insert_parts(tx, savings)
    await _close_parts(tx, savings)


def _row(tenant: Tenant, refund: Refund, vault: Vault) -> tuple[Any, ...]:
    secret = refund.token.secret if refund.token else ""
    shares = cells_text(flatten(refund.refunded_shares)[1]) if refund.refunded else None
    return (
        tenant.account_id, tenant.live, refund.order_id, refund.id, refund.state.value,
        refund.refunded, shares, elements_text(refund), refund.failure_reason, refund.metadata,
        refund.token.expires_at if refund.token else None,
        token_hash(secret) if secret else None, vault.seal(secret) if secret else None,
        refund.submitted, refund.needs_attention,
    )  # fmt: skip


async def _insert_parts(tx: Tx, savings: Sequence[RefundSaving]) -> None:
    """Insert the parts that are new."""
    rows = [
        (
            saving.tenant.account_id, saving.tenant.live, saving.after.order_id, saving.after.id,
            part.operation_id, part.charge_id, part.amount, part.operation_id in _open(saving),
        )
        for saving in savings
        for part in saving.after.parts[len(saving.before.parts) :]
    ]  # fmt: skip
    if not rows:
        return
    await tx.execute(
        """
        INSERT INTO refund_parts (account_id, live, order_id, refund_id, operation_id, charge_id,
                                  amount_minor, open)
        SELECT account_id, live, order_id, refund_id, operation_id, charge_id, amount_minor, open
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::text[],
                      $7::bigint[], (SELECT $8::boolean[]))
               AS p (account_id, live, order_id, refund_id, operation_id, charge_id,
                     amount_minor, open)
        """,
        *columns(rows, 8),
    )


async def _close_parts(tx: Tx, savings: Sequence[RefundSaving]) -> None:
    """Mark the parts whose records have ended."""
    rows = [
        (
            saving.tenant.account_id, saving.tenant.live, saving.after.order_id, saving.after.id,
            part.operation_id,
        )
        for saving in savings
        for part in saving.before.parts
        if part.operation_id not in _open(saving)
    ]  # fmt: skip
    if not rows:
        return
    await tx.execute(
        """
        UPDATE refund_parts p SET open = false
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], (SELECT $5::text[]))
               AS n (account_id, live, order_id, refund_id, operation_id)
         WHERE p.account_id = n.account_id AND p.live = n.live AND p.order_id = n.order_id
           AND p.refund_id = n.refund_id AND p.operation_id = n.operation_id AND p.open
        """,
        *columns(rows, 5),
    )


def _open(saving: RefundSaving) -> set[str]:
    """The records of an order that have not ended."""
    return {
        operation.id
        for charge in saving.order.charges
        for operation in charge.operations
        if operation.state in OPEN_STATES
    }


def token_hash(secret: str) -> bytes:
    """What a refund token is looked up by."""
    return hashlib.sha256(secret.encode()).digest()
