"""Decisions on refunds that wait: somebody else approves the exact request, or declines it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from refundry.access.audit_log import Actor, Change, audit
from refundry.db.database import Database, Tx
from refundry.errors import NotFound
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.drafts import RefundDraft, decide_draft, find_draft
from refundry.tenant import Tenant

OWN = "Somebody else has to decide on a request of your own."
DECIDED = "This request was decided meanwhile, or has expired."


class NotApproved(Exception):
    """The decision cannot be taken; nothing was changed. The message is for people."""


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides, when. now: on the tenant's clock; real_now: of the machine."""

    actor: Actor
    now: datetime
    real_now: datetime


@dataclass(frozen=True, slots=True)
class _Approval:
    """Keeps in the refund's transaction that its draft was approved."""

    draft: RefundDraft
    by: Decider

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Decide the draft, or raise NotApproved, which undoes the refund."""
        assert status < 400
        assert not sealed
        draft, by = self.draft, self.by
        made: Mapping[str, Any] = msgspec.json.decode(body)
        if not await decide_draft(tx, draft, by.actor, by.now, refund_id=made["id"]):
            raise NotApproved(DECIDED)
        after = {**made, "draft": draft.id, "requestedBy": draft.requester.name}
        change = Change("refund.create", "refund", made["id"], None, after, draft.tenant.live)
        await audit(tx, draft.tenant.account_id, by.actor, change, by.real_now)
        change = Change("approval.approve", "draft", draft.id, None, after, draft.tenant.live)
        await audit(tx, draft.tenant.account_id, by.actor, change, by.real_now)


async def approve(
    database: Database, tenant: Tenant, draft_id: str, by: Decider, batch_window: timedelta
) -> str:
    """Make the refund that was asked for; gives its id.

    Raises NotFound, NotApproved, and Refused where the order no longer gives the same amount: then
    the request goes on waiting.
    """
    draft = await _load(database, tenant, draft_id, by.actor)
    request = RefundRequest(
        ask=draft.ask,
        now=by.now,
        batch_window=batch_window,
        receipt=_Approval(draft, by),
        expected=draft.amount,
    )
    body = await create_refund(database, tenant, request)
    return msgspec.json.decode(body)["id"]


async def decline(
    database: Database, tenant: Tenant, draft_id: str, by: Decider, reason: str
) -> None:
    """Say no, and why. Raises NotFound and NotApproved."""
    draft = await _load(database, tenant, draft_id, by.actor)
    if not reason:
        raise NotApproved("Say why.")

    async def work(tx: Tx) -> None:
        if not await decide_draft(tx, draft, by.actor, by.now, note=reason):
            raise NotApproved(DECIDED)
        change = Change("approval.decline", "draft", draft.id, None, {"reason": reason},
                        tenant.live)  # fmt: skip
        await audit(tx, tenant.account_id, by.actor, change, by.real_now)

    await database.run(work)


async def _load(database: Database, tenant: Tenant, draft_id: str, decider: Actor) -> RefundDraft:
    draft = await find_draft(database, tenant, draft_id)
    if draft is None:
        raise NotFound("Approval", draft_id)
    if draft.requester.id == decider.id:
        raise NotApproved(OWN)
    return draft
