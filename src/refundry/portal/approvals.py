"""Approvals: requests above a limit, what each would do now, and the decision of somebody else."""

from datetime import timedelta

from refundry.access.rights import Right
from refundry.domain.choices import TYPE_LABELS, Choice
from refundry.domain.preview import preview_refund
from refundry.domain.refund import RefundAsk
from refundry.errors import NotFound, Refused, required
from refundry.http.answer import Answer
from refundry.http.problems import message_of
from refundry.orders.store import find_order
from refundry.portal.lists import page_of
from refundry.portal.pages import Page, Visit
from refundry.portal.rendering import amount as amount_text
from refundry.portal.sources import source_label
from refundry.refunds.approving import DECIDED, OWN, Decider, NotApproved, approve, decline
from refundry.refunds.drafts import count_waiting, find_draft, find_drafts
from refundry.refunds.previewing import unsubmitted_amount

_LABELS = {
    "waiting": "Waiting",
    "approved": "Approved",
    "declined": "Declined",
    "expired": "Expired",
}
_TONES = {"waiting": "warn", "approved": "ok", "declined": "bad", "expired": ""}


async def list_approvals(visit: Visit) -> Answer:
    """The requests, newest first."""
    ids, pages = await page_of(visit, "refund_drafts", [])
    return visit.show(
        "approvals.html",
        drafts=await find_drafts(visit.database, visit.tenant, ids),
        waiting=await count_waiting(visit.database, visit.tenant, visit.now),
        pages=pages,
        now=visit.now,
        labels=_LABELS,
        tones=_TONES,
    )


async def show_approval(visit: Visit, *, error: str = "") -> Answer:
    """A request with what it would do now, and the decision."""
    draft = await find_draft(visit.database, visit.tenant, visit.path["id"])
    if draft is None:
        raise NotFound("Approval", visit.path["id"])
    stored = required(await find_order(visit.database, visit.tenant, draft.order_id))
    waiting = await unsubmitted_amount(visit.database, visit.tenant, draft.order_id)
    preview = preview_refund(stored.order, draft.ask, waiting=waiting, now=visit.now)
    state = draft.state_at(visit.now)
    problems = [message_of(each) for each in preview.refusals]
    if preview.refund is not None and preview.refund.amount != draft.amount:
        now = amount_text(preview.refund.amount, draft.currency)
        problems.append(f"The order's balance changed: the request would come to {now} now.")
    return visit.show(
        "approval.html",
        status=400 if error else 200,
        error=error,
        draft=draft,
        items=draft.ask.items,
        state=state,
        label=_LABELS[state],
        tone=_TONES[state],
        kind=_kind(draft.ask),
        shares=[(source_label(stored, share.charge), share.amount) for share in preview.shares],
        left=preview.after.available_to_refund,
        problems=problems if state == "waiting" else [],
        why_not=_why_not(visit, draft.requester.id, state),
    )


def _kind(ask: RefundAsk) -> str:
    if ask.items:
        return TYPE_LABELS[Choice.ITEMS]
    return TYPE_LABELS[Choice(ask.type.value) if ask.type else Choice.ORDER]


def _why_not(visit: Visit, requester_id: str | None, state: str) -> str:
    """Why the visitor cannot decide; nothing if they can."""
    if state in ("approved", "declined"):
        return DECIDED
    if requester_id == visit.user.id:
        return OWN
    if not visit.may(Right.APPROVE_REFUND):
        return "Your role does not include approvals."
    return ""


def _decider(visit: Visit) -> Decider:
    return Decider(visit.user.actor, visit.now, visit.real_now)


async def post_approve(visit: Visit) -> Answer:
    """Make the refund that was asked for."""
    window = timedelta(seconds=visit.services.settings.refund_batch_window)
    try:
        refund_id = await approve(
            visit.database, visit.tenant, visit.path["id"], _decider(visit), window
        )
    except NotApproved as no:
        return await show_approval(visit, error=str(no))
    except Refused as refused:
        return await show_approval(visit, error=message_of(refused.refusal))
    visit.services.wake()
    return visit.go(f"/dashboard/refunds/{refund_id}", done="approved")


async def post_decline(visit: Visit) -> Answer:
    """Say no, and why."""
    reason = visit.form.text("reason", 500)
    try:
        await decline(visit.database, visit.tenant, visit.path["id"], _decider(visit), reason)
    except NotApproved as no:
        return await show_approval(visit, error=str(no))
    return visit.go(f"/dashboard/approvals/{visit.path['id']}", done="declined")


PAGES = (
    Page("GET", "/approvals", list_approvals, Right.VIEW_ORDERS),
    Page("GET", "/approvals/{id}", show_approval, Right.VIEW_ORDERS),
    Page("POST", "/approvals/{id}/approve", post_approve, Right.APPROVE_REFUND),
    Page("POST", "/approvals/{id}/decline", post_decline, Right.APPROVE_REFUND),
)
