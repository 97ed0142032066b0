"""How one refund stands, for the shopper who gets it."""

from dataclasses import dataclass
from datetime import timedelta

from refundry.access.store import account_name, clock_shift
from refundry.domain.another_way import UNPAID_STATES
from refundry.domain.refund import Refund, RefundState
from refundry.domain.settlement import operations_of
from refundry.errors import required
from refundry.http.answer import Answer
from refundry.languages.language import Language, message
from refundry.operations.check_store import standings
from refundry.orders.store import StoredOrder, find_order
from refundry.refunds.replacing import find_chain
from refundry.refunds.store import find_refund
from refundry.shopper.bank_details import DEAD
from refundry.shopper.links import read_status_link
from refundry.shopper.methods import SOURCE_OF_WAY, arrives_by, method_name
from refundry.shopper.pages import Page, Visit
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Words:
    """A state in plain words; both to be translated. tone: of the mark beside it."""

    title: str
    text: str
    tone: str


_WORDS = {
    RefundState.PENDING: Words(
        message("On its way"),
        message("Your refund was passed on to the bank or payment service."),
        "now",
    ),
    RefundState.PENDING_INFORMATION: Words(
        message("Waiting for your bank details"),
        message("Open the link that you were sent and say where the money should go."),
        "warn",
    ),
    RefundState.SUCCEEDED: Words(
        message("Paid"),
        message("The money was sent. How soon you see it depends on your bank."),
        "ok",
    ),
    RefundState.FAILED: Words(
        message("Not paid"),
        message("Your refund could not be paid. Please contact %(merchant)s."),
        "bad",
    ),
    RefundState.EXPIRED: Words(
        message("Not paid"),
        message("Your bank details did not come in time. Please contact %(merchant)s."),
        "bad",
    ),
}
_IN_PART = message("%(paid)s was sent; the rest could not be paid. Please contact %(merchant)s.")
_EXPECTED = message("Usually by %(day)s")
_OVERDUE = message("It should be there. If you do not see it, contact %(merchant)s.")
_AFTER_DETAILS = message("After you have given your bank details")


async def show_status(visit: Visit) -> Answer:
    """The page behind a signed link. What is wrong with a link that is none is not said."""
    services = visit.services
    named = read_status_link(services.vault, visit.path["link"])
    if named is None:
        return visit.tell(DEAD, status=404)
    tenant, refund_id = named
    stored = await find_refund(services.database, tenant, refund_id)
    if stored is None:
        return visit.tell(DEAD, status=404)
    refund = await _that_pays(visit, tenant, stored.refund)
    order = required(await find_order(services.database, tenant, refund.order_id))
    merchant = await account_name(services.database, tenant.account_id)
    shift = await clock_shift(services.database, tenant)
    return visit.show(
        "status.html",
        path=f"/refund-status/{visit.path['link']}",
        merchant=merchant,
        live=tenant.live,
        refund=refund,
        amount=visit.language.money(refund.amount, refund.currency),
        words=_WORDS[refund.state],
        text=_text(visit.language, refund, merchant),
        methods=_methods(visit.language, order, refund),
        expected=_expected(visit, order, refund, shift, merchant),
        requested=visit.language.day(refund.created_at),
        arns=await _arns(visit, tenant, refund),
    )


async def _that_pays(visit: Visit, tenant: Tenant, refund: Refund) -> Refund:
    """The refund that stands in the place of one that failed, if there is one."""
    if refund.state not in UNPAID_STATES:
        return refund
    chain = await find_chain(visit.services.database, tenant, refund.id)
    return chain.alive or refund


def _text(language: Language, refund: Refund, merchant: str) -> str:
    if refund.state is RefundState.SUCCEEDED and refund.refunded < refund.amount:
        paid = language.money(refund.refunded, refund.currency)
        return language.text(_IN_PART, paid=paid, merchant=merchant)
    return language.text(_WORDS[refund.state].text, merchant=merchant)


def _methods(language: Language, order: StoredOrder, refund: Refund) -> list[tuple[str, str]]:
    """Each way on which it is paid, with its amount."""
    if refund.way is not None:
        source = SOURCE_OF_WAY.get(refund.way)
        name = method_name(language, source, "{}") if source else ""
        return [(name, language.money(refund.amount, refund.currency))] if name else []
    found: list[tuple[str, str]] = []
    for part in refund.parts:
        charge = order.order.charge(part.charge_id)
        name = method_name(language, charge.source_type, order.facts.sources[charge.id].details)
        found.append((name, language.money(part.amount, refund.currency)))
    return found


async def _arns(visit: Visit, tenant: Tenant, refund: Refund) -> list[str]:
    """By which the shopper's bank finds what was paid."""
    ids = [part.operation_id for part in refund.parts]
    if refund.state is not RefundState.SUCCEEDED or not ids:
        return []
    found = await standings(visit.services.database, tenant, refund.order_id, ids)
    return [found[each].arn or "" for each in ids if found[each].paid and found[each].arn]


def _expected(
    visit: Visit, order: StoredOrder, refund: Refund, shift: timedelta, merchant: str
) -> str:
    """When the money is expected; nothing where it does not come."""
    text = visit.language.text
    if refund.state is RefundState.PENDING_INFORMATION:
        return text(_AFTER_DETAILS)
    if refund.state not in (RefundState.PENDING, RefundState.SUCCEEDED):
        return ""
    sent = [operation.updated_at for operation in operations_of(order.order, refund)]
    types = [order.order.charge(part.charge_id).source_type for part in refund.parts]
    if refund.way is not None and (source := SOURCE_OF_WAY.get(refund.way)):
        types = [source]
    day = arrives_by(types, max(sent, default=refund.created_at).date())
    today = (visit.services.clock.now() + shift).date()
    if day < today:
        return text(_OVERDUE, merchant=merchant) if refund.state is RefundState.SUCCEEDED else ""
    return text(_EXPECTED, day=visit.language.day(day))


PAGES = (Page("GET", "/refund-status/{link}", show_status),)
