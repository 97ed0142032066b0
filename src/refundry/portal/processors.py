"""Processors: through which gateways money is paid back, what they can do, whether they work."""

from collections.abc import Sequence
from dataclasses import dataclass

from refundry.access.rights import Right
from refundry.errors import NotFound
from refundry.gateways import store as gateways_store
from refundry.gateways.abilities import in_words
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import BadCredentials, label_of
from refundry.gateways.store import Gateway
from refundry.http.answer import Answer
from refundry.operations.check_store import Load, loads
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import note_done
from refundry.processors.contract import Finding

_NOTHING = Load(0, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A gateway of the list. label: its processor; load: what is open through it."""

    gateway: Gateway
    label: str
    load: Load


async def show_processors(visit: Visit) -> Answer:
    """Every gateway of the mode, oldest first."""
    found = await gateways_store.list_of(visit.database, visit.tenant)
    open_of = await loads(visit.database, visit.tenant)
    rows = [Row(each, label_of(each.processor), open_of.get(each.id, _NOTHING)) for each in found]
    return visit.show("processors.html", rows=rows)


async def show_processor(visit: Visit, findings: Sequence[Finding] = ()) -> Answer:
    """One gateway, with what its processor can do. findings: of a check that was just made."""
    gateway = await _load(visit)
    problem, can = "", list[str]()
    try:
        connector = await visit.services.part(Connectors).find(gateway.id)
        can = in_words(connector.abilities)
    except BadCredentials as error:
        problem = str(error)
    path = f"/refundry/v1/processor-notifications/{gateway.id}"
    open_of = await loads(visit.database, visit.tenant)
    return visit.show(
        "processor.html",
        gateway=gateway,
        label=label_of(gateway.processor),
        can=can,
        problem=problem,
        load=open_of.get(gateway.id, _NOTHING),
        notifications=visit.services.settings.public_address() + path,
        findings=findings,
    )


async def post_check(visit: Visit) -> Answer:
    """Ask the processor whether the credentials work and may do what is needed; moves nothing."""
    gateway = await _load(visit)
    try:
        connector = await visit.services.part(Connectors).find(gateway.id)
        findings = await connector.check()
    except BadCredentials as error:
        findings = [Finding("credentials", str(error))]
    problems = [each.what for each in findings if each.problem]
    await note_done(visit, "gateway.check", "gateway", gateway.id, None, {"problems": problems})
    return await show_processor(visit, findings)


async def _load(visit: Visit) -> Gateway:
    gateway = await gateways_store.find(visit.database, visit.path["id"])
    if gateway is None or gateway.tenant != visit.tenant:
        raise NotFound("Gateway", visit.path["id"])
    return gateway


PAGES = (
    Page("GET", "/processors", show_processors, Right.DEVELOPERS),
    Page("GET", "/processors/{id}", show_processor, Right.DEVELOPERS),
    Page("POST", "/processors/{id}/check", post_check, Right.DEVELOPERS),
)
