"""Create refund: the choices, the preview beside them, and the submission.

Source of choices and names: contract, dashboard, section 3. One page: the review is the same page
with the preview filled in, so that nothing has to be remembered from one step to the next.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from refundry.access.forms import find_form
from refundry.access.rights import Right
from refundry.domain.another_way import check_replacement
from refundry.domain.cells import COMPONENT_NAMES
from refundry.domain.choices import (
    FULL_ONLY,
    Nothing,
    Units,
    choice_of,
    offers,
    unit_amount,
    why_nothing,
)
from refundry.domain.order import Order, OrderState
from refundry.domain.preview import Outside, Preview, preview_refund
from refundry.domain.refund import Refund, RefundAsk, base_of_item
from refundry.domain.refusal import ApprovalRequired, Refusal
from refundry.errors import NotFound, Refused, required
from refundry.gateways.abilities import too_old
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import BadCredentials, label_of
from refundry.gateways.payments import paid_through
from refundry.http.answer import Answer
from refundry.http.problems import message_of
from refundry.ids import new_web_token
from refundry.orders.store import StoredOrder
from refundry.portal.forms import Form, whole
from refundry.portal.order_lines import line_name
from refundry.portal.orders import COMPONENT_LABELS, IN_DISPUTE, load_order
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import AlreadySubmitted, FormReceipt
from refundry.portal.refund_form import Draft, form_of, read_draft
from refundry.portal.refund_rows import refund_row
from refundry.portal.rendering import amount as amount_text
from refundry.portal.rendering import page, plain_amount
from refundry.portal.sources import source_label
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.limits import foresee, user_requester
from refundry.refunds.previewing import unsubmitted_amount
from refundry.refunds.replacing import find_chain
from refundry.refunds.store import find_refund, find_refunds, refunds_of_order

_METADATA_ROWS = 3
_LIKE_WITHIN = timedelta(hours=24)
# Less than this share of what was captured would be left.
_NEARLY = 20
_WHY = {
    Nothing.DISPUTE: IN_DISPUTE,
    Nothing.NEVER_CAPTURED: "Nothing was captured for this on the order.",
    Nothing.HELD: "What is left is held by refunds that are on their way.",
    Nothing.REFUNDED: "All of it was paid back already.",
}


@dataclass(frozen=True, slots=True)
class Review:
    """What the panel beside the form shows. preview: None while the form says too little.

    problems: why this refund cannot be made. lines: id, name and units of what is refunded.
    shares, left_out: names with minor units. warnings: what should make one look twice.
    approval: why somebody else has to approve it; empty if nobody has to.
    """

    draft: Draft
    problems: list[str]
    preview: Preview | None = None
    lines: list[tuple[str, str, Units]] = field(default_factory=list[tuple[str, str, Units]])
    shares: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    left_out: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    warnings: list[str] = field(default_factory=list[str])
    approval: str = ""
    button: str = ""
    form_token: str = ""


async def new_refund(visit: Visit) -> Answer:
    """The form: empty, or as the refund that it is to be tried again for."""
    stored = await load_order(visit)
    draft = Draft()
    if again := visit.query.one("again"):
        earlier = await find_refund(visit.database, visit.tenant, again)
        if earlier is None or earlier.refund.order_id != stored.order.id:
            raise NotFound("Refund", again)
        visit.form = form_of(earlier.refund)
        draft = replace(draft, choice=choice_of(earlier.refund))
    return _form_page(visit, stored, Review(draft, []))


async def review_refund(visit: Visit) -> Answer:
    """The form with its preview; with the script only the preview is asked for."""
    stored = await load_order(visit)
    review = await _review(visit, stored, read_draft(stored.order, visit.form))
    if visit.headers.get("x-part") == "panel":
        return page("refund_panel.html", {"review": review, "order": stored.order})
    return _form_page(visit, stored, review, error=" ".join(review.problems))


async def _review(visit: Visit, stored: StoredOrder, draft: Draft) -> Review:
    order = stored.order
    if draft.ask is None:
        return Review(draft, draft.problems)
    waiting = await unsubmitted_amount(visit.database, visit.tenant, order.id)
    preview = preview_refund(order, draft.ask, waiting=waiting, now=visit.now)
    approval = await _approval(visit, preview)
    refusals = [*preview.refusals, *await _not_replaceable(visit, order, draft.ask)]
    return Review(
        draft,
        [message_of(refusal) for refusal in refusals],
        preview,
        [(order.lines[p].id, line_name(stored, p), units) for p, units in draft.lines.items()],
        [(source_label(stored, share.charge), share.amount) for share in preview.shares],
        [
            (COMPONENT_LABELS[COMPONENT_NAMES[o.component]], o.amount)
            for o in preview.left_out
            if o.reason is Outside.OTHER_TYPE
        ],
        await _warnings(visit, order, preview),
        approval,
        _button(stored, preview, waits=bool(approval)),
        visit.form.text("form_token") or new_web_token(),
    )


async def _approval(visit: Visit, preview: Preview) -> str:
    """Why the refund would wait for somebody else; empty if it would not."""
    if preview.refund is None:
        return ""
    requester = user_requester(visit.user)
    over = await foresee(visit.database, visit.tenant, requester, preview.refund)
    return over.words if over else ""


async def _not_replaceable(visit: Visit, order: Order, ask: RefundAsk) -> list[Refusal]:
    """Why a retry cannot take the place of what failed. Raises NotFound."""
    if ask.replaces is None:
        return []
    chain = await find_chain(visit.database, visit.tenant, ask.replaces)
    if chain.first.id != ask.replaces or chain.first.order_id != order.id:
        raise NotFound("Refund", ask.replaces)
    refusal = check_replacement(chain, None)
    return [refusal] if refusal else []


def _button(stored: StoredOrder, preview: Preview, *, waits: bool) -> str:
    """What the final button does, in full. waits: whether it only asks for an approval."""
    if preview.refund is None:
        return ""
    names = [source_label(stored, share.charge) for share in preview.shares]
    where = f" to {' and '.join(names)}" if names else ""
    what = "Ask for approval of" if waits else "Refund"
    return f"{what} {amount_text(preview.refund.amount, stored.order.currency)}{where}"


async def _warnings(visit: Visit, order: Order, preview: Preview) -> list[str]:
    """What should make a person look twice; nothing of it forbids the refund."""
    if preview.refund is None:
        return []
    found: list[str] = []
    ids = await refunds_of_order(visit.database, visit.tenant, order.id)
    for each in await find_refunds(visit.database, visit.tenant, ids):
        if (
            _is_like(each.refund, preview.refund)
            and visit.now - each.refund.created_at < _LIKE_WITHIN
        ):
            row = refund_row(each.refund)
            found.append(
                f"A like refund of {amount_text(each.refund.amount, order.currency)} was made "
                f"within the last 24 hours: {each.refund.id} ({row.state})."
            )
            break
    left = preview.after.available_to_refund
    if 0 < left * _NEARLY < order.captured:
        found.append(f"After this, only {amount_text(left, order.currency)} can be refunded.")
    return found + await _limits(visit, order, preview)


async def _limits(visit: Visit, order: Order, preview: Preview) -> list[str]:
    """Which payments are too old for the processors that pay them back."""
    asked = {share.charge.id for share in preview.shares}
    found: list[str] = []
    for payment in await paid_through(visit.database, visit.tenant, order.id):
        if payment.charge_id not in asked:
            continue
        try:
            connector = await visit.services.part(Connectors).find(payment.gateway_id)
        except BadCredentials:
            continue  # The page of the gateway says so.
        old = too_old(connector.abilities, payment.captured_at, visit.now)
        if old is not None:
            found.append(f"{label_of(connector.name)} {old}. It will probably be declined.")
    return found


def _is_like(earlier: Refund, new: Refund) -> bool:
    kinds = [(e.item_id, e.type) for e in earlier.elements]
    return (
        earlier.amount == new.amount
        and earlier.type is new.type
        and kinds == [(e.item_id, e.type) for e in new.elements]
    )


def _form_page(visit: Visit, stored: StoredOrder, review: Review, *, error: str = "") -> Answer:
    order = stored.order
    made = offers(order)
    choice = review.draft.choice
    dispute = IN_DISPUTE if order.state is OrderState.DISPUTE else ""
    return visit.show(
        "new_refund.html",
        status=400 if error else 200,
        error=error or dispute,
        order=order,
        facts=stored.facts,
        review=review,
        offers=made,
        left={offer.choice.value: offer.available for offer in made},
        why_not={o.choice.value: _WHY[why_nothing(order, o.choice)] for o in made},
        chosen=choice.value if choice else "",
        full_only={choice.value for choice in FULL_ONLY},
        names=[line_name(stored, line.position) for line in order.lines],
        unit_amounts=[unit_amount(order, line.position) for line in order.lines],
        bases=[base_of_item(line, None) for line in order.lines],
        metadata_rows=range(_METADATA_ROWS),
        form=visit.form,
    )


async def submit_refund(visit: Visit) -> Answer:
    """Make the refund that was reviewed, once; otherwise show why not."""
    token = visit.form.text("form_token") or new_web_token()
    stored = await load_order(visit)
    known = await find_form(visit.database, visit.user, token)
    if known is not None and known.location:
        return visit.go(known.location, done="refunded")
    review = await _review(visit, stored, read_draft(stored.order, visit.form))
    if problems := review.problems or _changes(stored.order, visit.form, review):
        return _form_page(visit, stored, review, error=" ".join(problems))
    try:
        return await _make(visit, stored.order, review, token)
    except AlreadySubmitted as already:
        return visit.go(required(already.location), done="refunded")
    except Refused as refused:
        if isinstance(refused.refusal, ApprovalRequired):
            return visit.go(f"/dashboard/approvals/{refused.refusal.draft_id}", done="waits")
        return _form_page(visit, stored, review, error=message_of(refused.refusal))


async def _make(visit: Visit, order: Order, review: Review, token: str) -> Answer:
    """Make a refund that nothing speaks against. Raises AlreadySubmitted and Refused."""
    preview = required(review.preview)
    address = f"/dashboard/orders/{order.id}"
    request = RefundRequest(
        ask=required(review.draft.ask),
        now=visit.now,
        batch_window=timedelta(seconds=visit.services.settings.refund_batch_window),
        receipt=FormReceipt(visit, token, address),
        expected=required(preview.refund).amount,
        requester=user_requester(visit.user),
    )
    await create_refund(visit.database, visit.tenant, request)
    visit.services.wake()
    return visit.go(address, done="refunded")


def _changes(order: Order, form: Form, review: Review) -> list[str]:
    """What is different from what was reviewed; nothing if it is the same.

    Who asked for an approval does not refund by surprise. The other way round the request waits,
    and the page that follows says so.
    """
    refund = required(required(review.preview).refund)
    found: list[str] = []
    if form.text("seen_approval") and not review.approval:
        found.append("This refund needs no approval any more. Nothing was sent; look again.")
    for name, now, what in (
        ("seen_amount", refund.amount, "the refund comes to"),
        ("seen_left", order.available_to_refund, "available on the order is"),
    ):
        seen = whole(form.text(name))
        if seen is not None and seen != now:
            found.append(
                f"The balance changed while you were looking: {what} "
                f"{amount_text(now, order.currency)}, not {plain_amount(seen, order.currency)}."
                " Nothing was sent; check the amounts again."
            )
    return found


PAGES = (
    Page("GET", "/orders/{id}/refunds/new", new_refund, Right.CREATE_REFUND),
    Page("POST", "/orders/{id}/refunds/review", review_refund, Right.CREATE_REFUND),
    Page("POST", "/orders/{id}/refunds", submit_refund, Right.CREATE_REFUND),
)
