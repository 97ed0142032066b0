"""One refund: its figures, the calculation behind them, its story, and what can be done."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from refundry.access.rights import Right
from refundry.domain.cells import COMPONENT_NAMES
from refundry.domain.charge import FAILURE_REASONS
from refundry.domain.refund import OPEN_REFUND_STATES, Refund
from refundry.errors import NotFound, Refused, required
from refundry.http.answer import Answer
from refundry.http.problems import message_of
from refundry.ids import new_web_token
from refundry.languages.language import language
from refundry.operations import check_store
from refundry.operations.manual import settle_by_hand
from refundry.orders.store import StoredOrder, find_order
from refundry.portal.api_logs import call_that_made
from refundry.portal.forms import Form
from refundry.portal.orders import COMPONENT_LABELS
from refundry.portal.pages import Page, Streamed, Visit, Wrong
from refundry.portal.receipts import note_done
from refundry.portal.refund_another_way import (
    PAGES as ANOTHER_WAY_PAGES,
)
from refundry.portal.refund_another_way import (
    Replacing,
    doubt_steps,
    replacing_of,
)
from refundry.portal.refund_calculation import calculation, given_by_lines
from refundry.portal.refund_form import read_metadata
from refundry.portal.refund_gateway import at_processor
from refundry.portal.refund_records import events_of_refund, records_of, requested_by
from refundry.portal.refund_rows import FAILURES, refund_row
from refundry.portal.refund_story import Record, Step, story
from refundry.portal.rendering import environment
from refundry.refunds.commands import MetadataUpdate, update_refund
from refundry.refunds.store import StoredRefund, find_refund, find_refunds, refunds_of_order
from refundry.shopper.links import form_address, status_address

# How often a page that is open looks for news, and for how long it may stay open.
_LOOK_SECONDS = 1.0
_MOST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Loaded:
    """A refund with all that its page shows of it. siblings: all refunds of the order, the oldest
    first."""

    stored: StoredRefund
    order: StoredOrder
    siblings: list[Refund]
    records: list[Record]
    steps: list[Step]
    standing: Replacing

    @property
    def refund(self) -> Refund:
        """The refund itself."""
        return self.stored.refund


async def _load(visit: Visit) -> Loaded:
    stored = await find_refund(visit.database, visit.tenant, visit.path["id"])
    if stored is None:
        raise NotFound("Refund", visit.path["id"])
    order = required(await find_order(visit.database, visit.tenant, stored.refund.order_id))
    records = await records_of(visit, order, stored.refund)
    who = await requested_by(visit, stored.refund)
    siblings = await _siblings(visit, order.order.id)
    standing = await replacing_of(visit, stored.refund)
    steps = story(stored.refund, records, requested_by=who) + doubt_steps(standing)
    return Loaded(stored, order, siblings, records, steps, standing)


async def _siblings(visit: Visit, order_id: str) -> list[Refund]:
    ids = await refunds_of_order(visit.database, visit.tenant, order_id)
    found = await find_refunds(visit.database, visit.tenant, ids[::-1])
    return [stored.refund for stored in found]


async def show_refund(visit: Visit, *, error: str = "") -> Answer:
    """The refund's page."""
    loaded = await _load(visit)
    refund, settings = loaded.refund, visit.services.settings
    return visit.show(
        "refund.html",
        status=400 if error else 200,
        error=error,
        refund=refund,
        row=refund_row(refund),
        facts=loaded.order.facts,
        records=loaded.records,
        steps=loaded.steps,
        open=refund.state in OPEN_REFUND_STATES,
        explained=given_by_lines(loaded.order, refund),
        calculation=calculation(loaded.order, loaded.siblings, refund),
        component_labels=[COMPONENT_LABELS[name] for name in COMPONENT_NAMES],
        link=_shopper_link(visit, loaded.stored),
        token=_token(visit, loaded.stored),
        left=_left(visit, refund),
        origin=settings.public_address(),
        status_link=status_address(settings, visit.services.vault, visit.tenant, refund.id),
        events=await events_of_refund(visit, refund),
        made_by=await call_that_made(visit, refund.id),
        replacing=loaded.standing,
        can_retry=loaded.standing.can_retry and visit.may(Right.CREATE_REFUND),
        ways=loaded.standing.ways if visit.may(Right.PAY_ANOTHER_WAY) else {},
        form_token=new_web_token(),
        form=visit.form,
        markable=_markable(visit, loaded),
        at_processors=[(r, at_processor(r.standing)) for r in loaded.records if r.standing],
        reasons={reason: FAILURES[reason] for reason in FAILURE_REASONS},
    )


def _shopper_link(visit: Visit, stored: StoredRefund) -> str:
    """Where the shopper gives bank details, while that is awaited."""
    token = _token(visit, stored)
    return form_address(visit.services.settings, token) if token else ""


def _token(visit: Visit, stored: StoredRefund) -> str:
    """What the shopper's page needs to show the form, while bank details are awaited."""
    if stored.sealed_token is None or stored.refund.token is None:
        return ""
    return visit.services.vault.open(stored.sealed_token)


def _left(visit: Visit, refund: Refund) -> str:
    """How long a token is still valid, in words."""
    if refund.token is None:
        return ""
    return language("en").until(max(refund.token.expires_at - visit.now, timedelta()))


def _markable(visit: Visit, loaded: Loaded) -> list[Record]:
    """The records that a person may decide: with the manual processor, and where it needs one."""
    if not visit.may(Right.MARK_MANUAL):
        return []
    by_hand = visit.tenant.live and visit.services.settings.processor == "manual"
    if not by_hand and not loaded.refund.needs_attention:
        return []
    pending = [record for record in loaded.records if record.state.value == "pending"]
    if loaded.refund.needs_attention:
        return pending
    # What a gateway was asked for is not paid by hand.
    return [record for record in pending if record.standing is None]


async def post_metadata(visit: Visit) -> Answer:
    """Change a refund's metadata; an empty value removes its name."""
    update = MetadataUpdate(read_metadata(visit.form, removing=True), clear=False)
    loaded = await _load(visit)
    services = visit.services
    try:
        await update_refund(
            services.database,
            services.vault,
            visit.tenant,
            loaded.refund.id,
            update,
            visit.now,
            None,
        )
    except Refused as refused:
        return await show_refund(visit, error=message_of(refused.refusal))
    await note_done(visit, "refund.metadata", "refund", loaded.refund.id, None, update.members)
    services.wake()
    return visit.go(f"/dashboard/refunds/{loaded.refund.id}", done="saved")


async def post_mark(visit: Visit) -> Answer:
    """Say by hand what became of a record: complete, or failed for a reason."""
    loaded = await _load(visit)
    form = visit.form
    operation_id, note = form.text("operation"), form.text("note", 500)
    if operation_id not in {record.operation_id for record in _markable(visit, loaded)}:
        raise Wrong("This record has ended already, or is not for a person to decide.")
    reason = _reason(form)
    if not note and (loaded.refund.needs_attention or reason is not None):
        return await show_refund(visit, error="Write a note: how do you know?")
    await settle_by_hand(
        visit.database, visit.services.settings, operation_id, reason=reason,
        note=f"{visit.user.email}: {note}" if note else visit.user.email,
    )  # fmt: skip
    done = {"operation": operation_id, "outcome": reason or "complete", "note": note}
    await note_done(visit, "refund.mark", "refund", loaded.refund.id, None, done)
    visit.services.wake()
    return visit.go(f"/dashboard/refunds/{loaded.refund.id}", done="saved")


async def post_check(visit: Visit) -> Answer:
    """Have a record looked up at its processor at once."""
    loaded = await _load(visit)
    operation_id = visit.form.text("operation")
    if operation_id not in {record.operation_id for record in loaded.records}:
        raise Wrong("This record is not one of the refund's.")
    asked = await check_store.ask_for_check(visit.database, visit.tenant, operation_id, visit.now)
    if not asked:
        raise Wrong("This record has ended already, or was not sent to a processor yet.")
    done = {"operation": operation_id}
    await note_done(visit, "refund.check", "refund", loaded.refund.id, None, done)
    visit.services.wake()
    return visit.go(f"/dashboard/refunds/{loaded.refund.id}", done="asked")


def _reason(form: Form) -> str | None:
    """Why it failed; None for complete. Raises Wrong."""
    match form.text("outcome"):
        case "complete":
            return None
        case "failed" if form.text("reason") in FAILURE_REASONS:
            return form.text("reason")
        case _:
            raise Wrong("Say whether it is complete, or why it failed.")


async def follow_refund(visit: Visit) -> Streamed:
    """The story of a refund again whenever it changes, as server-sent events, until it ends."""
    await _load(visit)
    return Streamed(_news(visit))


async def _news(visit: Visit) -> AsyncIterator[bytes]:
    template = environment().get_template("refund_story.html")
    shown = ""
    for _ in range(int(_MOST_SECONDS / _LOOK_SECONDS)):
        loaded = await _load(visit)
        refund = loaded.refund
        text = template.render(refund=refund, row=refund_row(refund), steps=loaded.steps)
        if text != shown:
            lines = "".join(f"data: {line}\n" for line in text.splitlines())
            yield f"event: part\n{lines}\n".encode()
            shown = text
        if refund.state not in OPEN_REFUND_STATES:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    yield b"event: end\ndata: end\n\n"


PAGES = (
    Page("GET", "/refunds/{id}", show_refund, Right.VIEW_ORDERS),
    Page("GET", "/refunds/{id}/news", follow_refund, Right.VIEW_ORDERS),
    Page("POST", "/refunds/{id}/metadata", post_metadata, Right.CREATE_REFUND),
    Page("POST", "/refunds/{id}/check", post_check, Right.MARK_MANUAL),
    Page("POST", "/refunds/{id}/mark", post_mark, Right.MARK_MANUAL),
    *ANOTHER_WAY_PAGES,
)
