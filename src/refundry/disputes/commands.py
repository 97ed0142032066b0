"""What may be done about disputes: open one, and end it, won or lost."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from refundry.access.store import account_name
from refundry.db.database import Database, Tx
from refundry.disputes import store
from refundry.disputes.reading import DisputeRequest, Resolution
from refundry.disputes.wire import dispute_view, sales_view
from refundry.domain.charge import Charge
from refundry.domain.dispute import (
    Dispute,
    DisputeState,
    SalesTransaction,
    check_dispute,
    check_resolution,
    limit_of,
    lose,
    open_dispute,
    primary_charge,
    win,
)
from refundry.domain.event import Change, Draft
from refundry.domain.money import Currency, to_minor
from refundry.domain.order import Order
from refundry.domain.refusal import InvalidField
from refundry.errors import BadFields, FieldProblem, NotFound, Refused, required
from refundry.http.document import to_json, to_json_text
from refundry.idempotency import Keeper
from refundry.ids import new_dispute_id, new_ordered_uuid, new_sales_transaction_id
from refundry.orders.commands import lock_or_refuse
from refundry.orders.recording import Rendered, record
from refundry.orders.store import StoredOrder
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Told:
    """Who says something of a dispute, when, and where the answer to it is kept."""

    tenant: Tenant
    now: datetime
    receipt: Keeper | None = None


async def create_dispute(
    database: Database, told: Told, order_id: str, request: DisputeRequest
) -> bytes:
    """Open a dispute; gives the Dispute resource. Raises NotFound, BadFields and Refused."""

    async def work(tx: Tx) -> bytes:
        stored = await lock_or_refuse(tx, told.tenant, order_id)
        if stored is None:
            raise NotFound("Order", order_id)
        dispute = await _open(tx, told, stored, request)
        body = to_json(dispute_view(dispute, live=told.tenant.live))
        if told.receipt:
            await told.receipt.store(tx, 201, body)
        return body

    return await database.run(work)


async def _open(
    tx: Tx, told: Told, stored: StoredOrder, request: DisputeRequest, *, heard: bool = False
) -> Dispute:
    order, tenant = stored.order, told.tenant
    charge = _charge(order, request.charge_id)
    amount = _minor(request.amount, order.currency, request.sent_amount)
    known = await store.disputes_of_order(tx, tenant, order.id)
    disputed = {each.charge_id for each in known if each.state is DisputeState.OPEN}
    if refusal := check_dispute(order, charge.id, disputed):
        raise Refused(refusal)
    dispute = Dispute(
        id=new_dispute_id(),
        order_id=order.id,
        charge_id=charge.id,
        currency=order.currency,
        amount=limit_of(charge) if amount is None else amount,
        created_at=told.now.replace(microsecond=0),
        reason=request.reason,
        processor_reference=request.processor_reference,
    )
    await store.insert_dispute(tx, tenant, dispute, heard=heard)
    change = Change(order, told.now)
    open_dispute(change)
    if change.drafts:
        await record(tx, tenant, stored, change)
    return dispute


def _charge(order: Order, charge_id: str | None) -> Charge:
    """The charge that a request names, or the primary one."""
    if charge_id is None:
        charge = primary_charge(order)
        if charge is None:
            raise BadFields(
                [FieldProblem("missing_parameter", "chargeId", "A parameter is missing.")]
            )
        return charge
    for charge in order.charges:
        if charge.id == charge_id:
            return charge
    raise Refused(InvalidField("chargeId", charge_id))


def _minor(amount: Decimal | None, currency: Currency, sent: str) -> int | None:
    """An amount in minor units. Raises Refused if it does not fit the currency."""
    if amount is None:
        return None
    minor = to_minor(amount, currency)
    if not minor:
        raise Refused(InvalidField("amount", sent))
    return minor


async def resolve_dispute(
    database: Database, told: Told, dispute_id: str, resolution: Resolution
) -> bytes:
    """End a dispute; gives the Dispute resource. Raises NotFound and Refused."""
    found = await store.find_dispute(database, told.tenant, dispute_id)
    if found is None:
        raise NotFound("Dispute", dispute_id)
    order_id = found.order_id

    async def work(tx: Tx) -> bytes:
        stored = required(await lock_or_refuse(tx, told.tenant, order_id))
        dispute = await _resolve(tx, told, stored, dispute_id, resolution)
        body = to_json(dispute_view(dispute, live=told.tenant.live))
        if told.receipt:
            await told.receipt.store(tx, 200, body)
        return body

    return await database.run(work)


async def _resolve(
    tx: Tx, told: Told, stored: StoredOrder, dispute_id: str, resolution: Resolution
) -> Dispute:
    order, tenant = stored.order, told.tenant
    known = {each.id: each for each in await store.disputes_of_order(tx, tenant, order.id)}
    dispute = known.pop(dispute_id)
    amount = _minor(resolution.amount, order.currency, resolution.sent_amount)
    charge = order.charge(dispute.charge_id)
    if refusal := check_resolution(dispute, charge, amount, resolution.sent_amount):
        raise Refused(refusal)
    last = all(other.state is not DisputeState.OPEN for other in known.values())
    change = Change(order, told.now)
    if not resolution.lost:
        ended, made = win(change, dispute, last=last), list[SalesTransaction]()
    else:
        ended, made = lose(
            change, dispute, amount=amount, fraud=resolution.fraud, last=last,
            new_id=new_ordered_uuid, new_sales_id=new_sales_transaction_id,
        )  # fmt: skip
    await store.close_dispute(tx, tenant, ended)
    await _record(tx, tenant, stored, change, ended, made)
    return ended


async def _record(
    tx: Tx,
    tenant: Tenant,
    stored: StoredOrder,
    change: Change,
    dispute: Dispute,
    made: list[SalesTransaction],
) -> None:
    """Write the sales transactions, the order and the events."""
    account = tenant.account_id, await account_name(tx, tenant.account_id)
    texts = {
        each.id: to_json_text(sales_view(each, stored, account=account, live=tenant.live))
        for each in made
    }
    order = stored.order
    for each in made:
        line = order.lines[each.position]
        payment = order.charge(each.charge_id).source_type
        row = line.quantity, stored.facts.upstream_id, line.sku_id, payment, texts[each.id]
        await store.insert_sales_transaction(tx, tenant, dispute, each, row)
    if change.drafts:
        await record(tx, tenant, stored, change, render=_renderer(texts))


def _renderer(texts: dict[str, str]) -> Callable[[Draft], Rendered | None]:
    def render(draft: Draft) -> Rendered | None:
        return Rendered(texts[draft.sales.id]) if draft.sales is not None else None

    return render


async def hear_of_dispute(
    database: Database, told: Told, order_id: str, request: DisputeRequest
) -> bool:
    """Open the dispute that a processor tells of; False if that changes nothing.

    One that somebody has opened by hand takes the processor's reference. Raises Refused if it
    cannot be opened now, as while the processor's earlier dispute on that charge is open.
    """

    async def work(tx: Tx) -> bool:
        stored = required(await lock_or_refuse(tx, told.tenant, order_id))
        known = await store.disputes_of_order(tx, told.tenant, order_id)
        mine = [each for each in known if each.charge_id == request.charge_id]
        if any(each.processor_reference == request.processor_reference for each in mine):
            return False
        for each in mine:
            if each.state is DisputeState.OPEN and each.processor_reference is None:
                reference = required(request.processor_reference)
                await store.name_dispute(tx, told.tenant, each, reference)
                return True
        await _open(tx, told, stored, request, heard=True)
        return True

    return await database.run(work)
