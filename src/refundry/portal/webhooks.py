"""Webhooks: the list, and one with its tokens, its attempts and what can be done with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from refundry.access.rights import Right
from refundry.db.listing import Page as ListPage
from refundry.domain.event import EventType
from refundry.http.answer import Answer
from refundry.ids import new_web_token
from refundry.portal.lists import ROWS, Pages, pages_beside
from refundry.portal.pages import Page, Visit, Wrong
from refundry.portal.reauthentication import why_not_confirmed
from refundry.portal.receipts import AlreadySubmitted, FormOnce, note_done
from refundry.portal.sample_events import sample_event
from refundry.portal.webhook_form import API_VERSION_LABELS, WEBHOOKS, load_webhook
from refundry.webhooks.attempts import Attempt, list_attempts
from refundry.webhooks.commands import (
    OVERLAPS,
    Editor,
    Tokens,
    delete_webhook,
    reveal_token,
    rotate_token,
    update_webhook,
)
from refundry.webhooks.reading import WebhookAsk
from refundry.webhooks.sending import Courier
from refundry.webhooks.store import Webhook, list_webhooks
from refundry.webhooks.trying import Trial, Trier, try_webhook

_OVERLAP_LABELS = {
    "12h": "signs along for 12 hours",
    "6h": "signs along for 6 hours",
    "3h": "signs along for 3 hours",
    "1h": "signs along for 1 hour",
    "now": "is blocked now",
}
_UNCHANGED = WebhookAsk(None, None, None, None, None, None, None, None)
assert _OVERLAP_LABELS.keys() == OVERLAPS.keys()


async def show_webhooks(visit: Visit) -> Answer:
    """Every webhook of the mode, newest first."""
    found = await list_webhooks(visit.database, visit.tenant, [])
    return visit.show("webhooks.html", webhooks=found, versions=API_VERSION_LABELS)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a form brought to light, shown in its answer alone."""

    error: str = ""
    tokens: Tokens | None = field(default=None, repr=False)
    trial: Trial | None = None


async def show_webhook(visit: Visit) -> Answer:
    """One webhook."""
    return await _page(visit, Shown())


async def _page(visit: Visit, shown: Shown) -> Answer:
    webhook = await load_webhook(visit)
    attempts, pages = await _attempts(visit, webhook)
    return visit.show(
        "webhook.html",
        status=400 if shown.error else 200,
        error=shown.error,
        webhook=webhook,
        shown=shown,
        attempts=attempts,
        pages=pages,
        versions=API_VERSION_LABELS,
        overlaps=_OVERLAP_LABELS,
        subscribed=[kind for kind in EventType if kind.value in webhook.types],
        others=[kind for kind in EventType if kind.value not in webhook.types],
        token=new_web_token(),
        text=answer_text,
    )


async def _attempts(visit: Visit, webhook: Webhook) -> tuple[Sequence[Attempt], Pages]:
    """A page of attempts. Raises Wrong."""
    after, before = visit.query.one("after"), visit.query.one("before")
    asked = ListPage(ROWS, after, None if after else before)
    found = await list_attempts(visit.database, visit.tenant, webhook.id, [], asked)
    if found is None:
        raise Wrong("This page of the list does not exist any more.")
    attempts, more = found
    pages = pages_beside(visit, [attempt.id for attempt in attempts], more=more)
    base = f"{WEBHOOKS}/{webhook.id}"  # The page may be the answer to a form with another address.
    return attempts, Pages(
        f"{base}{pages.newer}" if pages.newer else None,
        f"{base}{pages.older}" if pages.older else None,
    )


def answer_text(response: bytes | None) -> str:
    """The beginning of an endpoint's answer as text."""
    return (response or b"").decode("utf-8", "replace").replace("\x00", "\ufffd")


async def post_reveal(visit: Visit) -> Answer:
    """Show the signing tokens in the answer."""
    webhook = await load_webhook(visit)
    if error := await why_not_confirmed(visit):
        return await _page(visit, Shown(error))
    await note_done(visit, "webhook.token_revealed", "webhook", webhook.id, None, None)
    tokens = await reveal_token(
        visit.database, visit.services.vault, visit.tenant, webhook.id, visit.now
    )
    return await _page(visit, Shown(tokens=tokens))


async def post_rotate(visit: Visit) -> Answer:
    """Give the webhook a new signing token and show it."""
    webhook = await load_webhook(visit)
    overlap = OVERLAPS.get(visit.form.text("old"))
    if overlap is None:
        raise Wrong("Choose what becomes of the old token.")
    if error := await why_not_confirmed(visit):
        return await _page(visit, Shown(error))
    address = f"{WEBHOOKS}/{webhook.id}"
    try:
        tokens = await rotate_token(
            visit.database, visit.services.vault, visit.tenant, webhook.id, overlap, visit.now,
            _editor(visit), FormOnce(visit, address),
        )  # fmt: skip
    except AlreadySubmitted:
        return visit.go(address, done="once")
    return await _page(visit, Shown(tokens=tokens))


async def post_switch(visit: Visit) -> Answer:
    """Enable or disable the webhook."""
    webhook = await load_webhook(visit)
    on = visit.form.text("enabled") == "true"
    ask = replace(_UNCHANGED, enabled=on)
    await update_webhook(
        visit.database, visit.services.vault, visit.tenant, webhook.id, lambda _: ask, visit.now,
        _editor(visit),
    )  # fmt: skip
    return visit.go(f"{WEBHOOKS}/{webhook.id}", done="enabled" if on else "disabled")


async def post_delete(visit: Visit) -> Answer:
    """Delete the webhook."""
    webhook = await load_webhook(visit)
    if error := await why_not_confirmed(visit):
        return await _page(visit, Shown(error))
    await delete_webhook(visit.database, visit.tenant, webhook.id, _editor(visit))
    return visit.go(WEBHOOKS, done="webhook-deleted")


async def post_test(visit: Visit) -> Answer:
    """Send a sample event once and show what the endpoint said."""
    webhook = await load_webhook(visit)
    kind = visit.form.text("type")
    if kind not in set(EventType):
        raise Wrong("Choose the type of event to send.")
    services = visit.services
    trier = Trier(visit.database, services.vault, services.part(Courier), services.clock)
    event = sample_event(EventType(kind), visit.tenant, webhook.id, visit.now)
    address = f"{WEBHOOKS}/{webhook.id}"
    try:
        trial = await try_webhook(
            trier, visit.tenant, webhook.id, event, visit.now, _editor(visit),
            FormOnce(visit, address),
        )  # fmt: skip
    except AlreadySubmitted:
        return visit.go(address, done="once")
    return await _page(visit, Shown(trial=trial))


def _editor(visit: Visit) -> Editor:
    return Editor(visit.user.actor, visit.real_now)


PAGES = (
    Page("GET", "/webhooks", show_webhooks, Right.DEVELOPERS),
    Page("GET", "/webhooks/{id}", show_webhook, Right.DEVELOPERS),
    Page("POST", "/webhooks/{id}/token", post_reveal, Right.DEVELOPERS),
    Page("POST", "/webhooks/{id}/rotate", post_rotate, Right.DEVELOPERS),
    Page("POST", "/webhooks/{id}/switch", post_switch, Right.DEVELOPERS),
    Page("POST", "/webhooks/{id}/delete", post_delete, Right.DEVELOPERS),
    Page("POST", "/webhooks/{id}/test", post_test, Right.DEVELOPERS),
)
