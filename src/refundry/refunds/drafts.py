"""Refunds that wait for an approval: the exact request, kept until somebody else decides."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from refundry.access.audit_log import Actor, Change, audit
from refundry.db.database import Database, Record, Session, Tx
from refundry.domain.money import Currency
from refundry.domain.refund import Refund, RefundAsk
from refundry.ids import new_draft_id
from refundry.refunds.limits import Requester
from refundry.tenant import Tenant

DRAFT_LIFE = timedelta(days=3)
"""How long a request may wait: an approval is for what was known when it was asked for."""

_decoder = msgspec.json.Decoder(RefundAsk)


@dataclass(frozen=True, slots=True)
class RefundDraft:
    """A request above a limit. amount: minor units that it came to, and has to come to still.

    state: waiting, approved or declined; one that waits past expires_at can only be declined.
    """

    tenant: Tenant
    id: str
    created_at: datetime
    expires_at: datetime
    requester: Actor
    order_id: str
    ask: RefundAsk
    amount: int
    currency: Currency
    state: str
    decided_at: datetime | None
    decider_name: str | None
    note: str
    refund_id: str | None

    def state_at(self, now: datetime) -> str:
        """The state as it is to be shown: expired as well."""
        return "expired" if self.state == "waiting" and self.expires_at <= now else self.state


async def keep_draft(
    database: Database, tenant: Tenant, requester: Requester, ask: RefundAsk, refund: Refund
) -> str:
    """Keep a request to be approved; gives its id, that of the same request if it waits already."""
    actor, now = requester.actor, refund.created_at
    request = msgspec.json.encode(ask)
    digest = hashlib.sha256(request).digest()

    async def work(tx: Tx) -> str:
        # The same request twice at once, from a double click, is one draft.
        await tx.execute(
            "SELECT pg_advisory_xact_lock($1)", int.from_bytes(digest[:8], signed=True)
        )
        known = await _waiting_like(tx, tenant, actor, digest, now)
        if known is not None:
            return known
        draft_id = new_draft_id()
        await tx.execute(
            """
            INSERT INTO refund_drafts (account_id, live, id, created_at, expires_at,
                requester_kind, requester_id, requester_name, order_id, request, digest,
                amount_minor, currency, exponent, state)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'waiting')
            """,
            tenant.account_id, tenant.live, draft_id, now, now + DRAFT_LIFE, actor.kind, actor.id,
            actor.name, refund.order_id, request.decode(), digest, refund.amount,
            refund.currency.code, refund.currency.exponent,
        )  # fmt: skip
        after = {"orderId": refund.order_id, "request": msgspec.json.decode(request)}
        change = Change("approval.ask", "draft", draft_id, None, after, tenant.live)
        # `now` is that of the tenant's clock; the audit log is in real time.
        real_now: datetime = await tx.fetchval("SELECT now()")
        await audit(tx, tenant.account_id, actor, change, real_now)
        return draft_id

    return await database.run(work)


async def _waiting_like(
    tx: Tx, tenant: Tenant, actor: Actor, digest: bytes, now: datetime
) -> str | None:
    return await tx.fetchval(
        """
        SELECT id FROM refund_drafts
         WHERE account_id = $1 AND live = $2 AND requester_id = $3 AND digest = $4
           AND state = 'waiting' AND expires_at > $5
        """,
        tenant.account_id, tenant.live, actor.id, digest, now,
    )  # fmt: skip


async def find_draft(session: Session, tenant: Tenant, draft_id: str) -> RefundDraft | None:
    """A draft, or None."""
    found = await find_drafts(session, tenant, [draft_id])
    return found[0] if found else None


async def find_drafts(
    session: Session, tenant: Tenant, ids: Sequence[str]
) -> list[RefundDraft]:  # fmt: skip
    """Drafts in the order of their ids."""
    rows = await session.fetch(
        """
        SELECT account_id, live, id, created_at, expires_at, requester_kind, requester_id,
               requester_name, order_id, request, amount_minor, currency, exponent, state,
               decided_at, decider_name, note, refund_id
          FROM refund_drafts WHERE account_id = $1 AND live = $2 AND id = ANY ($3::text[])
        """,
        tenant.account_id, tenant.live, ids,
    )  # fmt: skip
    found = {row["id"]: _draft(row) for row in rows}
    return [found[each] for each in ids if each in found]


def _draft(row: Record) -> RefundDraft:
    return RefundDraft(
        tenant=Tenant(row["account_id"], row["live"]),
        id=row["id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        requester=Actor(row["requester_kind"], row["requester_name"], row["requester_id"]),
        order_id=row["order_id"],
        ask=_decoder.decode(row["request"]),
        amount=row["amount_minor"],
        currency=Currency(row["currency"], row["exponent"]),
        state=row["state"],
        decided_at=row["decided_at"],
        decider_name=row["decider_name"],
        note=row["note"],
        refund_id=row["refund_id"],
    )


async def count_waiting(session: Session, tenant: Tenant, now: datetime) -> int:
    """How many drafts wait for a decision; now: on the tenant's clock."""
    return await session.fetchval(
        """
        SELECT count(*) FROM refund_drafts
         WHERE account_id = $1 AND live = $2 AND state = 'waiting' AND expires_at > $3
        """,
        tenant.account_id, tenant.live, now,
    )  # fmt: skip


async def count_all_waiting(session: Session, now: datetime) -> int:
    """How many drafts of live mode wait, over all accounts."""
    return await session.fetchval(
        "SELECT count(*) FROM refund_drafts WHERE live AND state = 'waiting' AND expires_at > $1",
        now,
    )


async def decide_draft(
    tx: Tx, draft: RefundDraft, decider: Actor, now: datetime, *, note: str = "",
    refund_id: str | None = None,
) -> bool:  # fmt: skip
    """Approve a draft with the refund that it became, or without one decline it.

    False if it was decided before, has expired (declining stays open), or is the decider's own.
    """
    row = await tx.fetchrow(
        """
        UPDATE refund_drafts SET state = $5, decided_at = $6, decider_id = $7, decider_name = $8,
               note = $9, refund_id = $10
         WHERE account_id = $1 AND live = $2 AND id = $3 AND state = 'waiting'
           AND requester_id <> $4 AND ($10::text IS NULL OR expires_at > $6)
        RETURNING 1
        """,
        draft.tenant.account_id, draft.tenant.live, draft.id, decider.id,
        "declined" if refund_id is None else "approved", now, decider.id, decider.name, note,
        refund_id,
    )  # fmt: skip
    return row is not None
