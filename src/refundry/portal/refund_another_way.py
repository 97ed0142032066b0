"""On the page of a refund that failed: another way to pay it, and what was paid after all."""

from collections.abc import Mapping
from dataclasses import dataclass

from refundry.access.forms import find_form
from refundry.access.rights import Right
from refundry.db.database import Tx
from refundry.domain.another_way import Chain, check_replacement
from refundry.domain.refund import Refund, Way
from refundry.errors import NotFound, Refused, required
from refundry.http.answer import Answer
from refundry.http.problems import message_of
from refundry.operations.another_way import AnotherWay, pay_another_way
from refundry.operations.commands import Books
from refundry.operations.twice import Doubt, doubts_of, note_dealt_with
from refundry.portal.pages import Page, Visit, Wrong
from refundry.portal.receipts import AlreadySubmitted, note_done, take_token
from refundry.portal.refund_story import Step
from refundry.refunds.replacing import find_chain
from refundry.refunds.store import find_refund

WAYS: Mapping[Way, str] = {
    Way.BANK_TRANSFER: "Bank transfer: ask the shopper for bank details",
    Way.STORE_CREDIT: "Store credit: it is given now, outside Refundry",
    Way.BY_HAND: "By hand: it was paid already, outside Refundry",
}
WAY_NAMES: Mapping[Way, str] = {
    Way.BANK_TRANSFER: "bank transfer",
    Way.STORE_CREDIT: "store credit",
    Way.BY_HAND: "paid by hand",
}


@dataclass(frozen=True, slots=True)
class Replacing:
    """A refund in its chain, for its page. ways: value and label of those that are open to it."""

    refund: Refund
    chain: Chain
    doubts: list[Doubt]

    @property
    def open_doubts(self) -> list[Doubt]:
        """What nobody has dealt with yet."""
        return [doubt for doubt in self.doubts if doubt.note is None]

    @property
    def others(self) -> list[Refund]:
        """The other refunds of the chain, oldest first."""
        chain = (self.chain.first, *self.chain.replacements)
        return [each for each in chain if each.id != self.refund.id]

    @property
    def way(self) -> str:
        """How this refund is paid, if in another way."""
        return WAY_NAMES[self.refund.way] if self.refund.way else ""

    @property
    def can_retry(self) -> bool:
        """Whether a new refund through the same payment may take the chain's place."""
        return check_replacement(self.chain, None) is None

    @property
    def ways(self) -> dict[str, str]:
        """The ways in which the chain may be paid now."""
        return {
            way.value: label
            for way, label in WAYS.items()
            if check_replacement(self.chain, way) is None
        }


async def replacing_of(visit: Visit, refund: Refund) -> Replacing:
    """A refund in its chain."""
    chain = await find_chain(visit.database, visit.tenant, refund.id)
    doubts = await doubts_of(visit.database, visit.tenant, refund)
    return Replacing(refund, chain, doubts)


def doubt_steps(replacing: Replacing) -> list[Step]:
    """What happened after a refund had failed. Pure."""
    steps: list[Step] = []
    for doubt in replacing.doubts:
        text = "The processor says that it was paid after all"
        details = [f"Our reference at the provider: {doubt.operation_id}"]
        if doubt.note:
            details.append(f"Dealt with: {doubt.note}")
        steps.append(Step(text, doubt.told_at, "ok" if doubt.note else "bad", details))
    return steps


async def post_another_way(visit: Visit) -> Answer:
    """Pay a failed refund in another way, once."""
    refund_id = (await _found(visit)).id
    token, way = visit.form.text("form_token"), visit.form.text("way")
    reason = visit.form.text("reason", 500)
    if not token or way not in set(Way):
        raise Wrong("Choose how it is to be paid.")
    known = await find_form(visit.database, visit.user, token)
    if known is not None and known.location:
        return visit.go(known.location, done="once")
    if not reason:
        raise Wrong("Say why it is paid in this way.")
    asked = AnotherWay(Way(way), reason, visit.user.actor, visit.now, visit.real_now)

    async def take(tx: Tx, made_id: str) -> None:
        await take_token(tx, visit, token, f"/dashboard/refunds/{made_id}")

    books = Books(visit.database, visit.services.vault)
    try:
        made_id = await pay_another_way(books, visit.tenant, refund_id, asked, take)
    except AlreadySubmitted as already:
        return visit.go(required(already.location), done="once")
    except Refused as refused:
        raise Wrong(message_of(refused.refusal)) from refused
    visit.services.wake()
    return visit.go(f"/dashboard/refunds/{made_id}", done="another-way")


async def post_dealt_with(visit: Visit) -> Answer:
    """Say what was done about a payout after all."""
    refund, note = await _found(visit), visit.form.text("note", 500)
    if not note:
        raise Wrong("Say what you did about it.")
    text = f"{visit.user.email}: {note}"
    if not await visit.database.run(lambda tx: note_dealt_with(tx, visit.tenant, refund, text)):
        raise Wrong("Nothing waits for you here: somebody has dealt with it.")
    await note_done(visit, "refund.paid_after_all", "refund", refund.id, None, {"note": note})
    return visit.go(f"/dashboard/refunds/{refund.id}", done="saved")


async def _found(visit: Visit) -> Refund:
    """The refund of the page. Raises NotFound."""
    stored = await find_refund(visit.database, visit.tenant, visit.path["id"])
    if stored is None:
        raise NotFound("Refund", visit.path["id"])
    return stored.refund


PAGES = (
    Page("POST", "/refunds/{id}/another-way", post_another_way, Right.PAY_ANOTHER_WAY),
    Page("POST", "/refunds/{id}/dealt-with", post_dealt_with, Right.PAY_ANOTHER_WAY),
)
