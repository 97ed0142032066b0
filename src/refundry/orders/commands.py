"""What may be done to an order: take it in, update it, fulfil it, retry what failed of that."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
import msgspec

from refundry.db.database import Database, Tx
from refundry.domain.capture_retry import check_retry, retry
from refundry.domain.charge import ChargeState, Operation
from refundry.domain.event import Change, Draft, EventType, entry_event
from refundry.domain.fulfillment import (
    Fulfillment,
    FulfillmentAsk,
    check_fulfillment,
    fulfill,
)
from refundry.domain.intake import IMPORT_STATES, NewIds, admit
from refundry.domain.order import Order, OrderState, enter_state
from refundry.domain.refusal import (
    ConcurrentUpdate,
    InvalidField,
    NotRetriable,
    OrderExists,
    OrderUnknown,
    SourceDeclined,
)
from refundry.errors import NotFound, Refused
from refundry.http.document import JsonValue, raw_members, to_json, to_json_text
from refundry.http.fields import MAX_METADATA_KEYS, metadata_text
from refundry.idempotency import Keeper
from refundry.ids import new_fulfillment_id, new_number, new_ordered_uuid, new_uuid
from refundry.orders import saving, store
from refundry.orders.reading import ReadOrder
from refundry.orders.recording import Rendered, record
from refundry.orders.store import OrderFacts, SourceFacts, StoredOrder
from refundry.orders.wire import fulfillment_view, order_view, retry_view
from refundry.processors.sandbox import Trigger
from refundry.tenant import Tenant

# "Key (account_id, live, id)=(..., t, 4711) already exists.", in every language of PostgreSQL.
_TAKEN = re.compile(r"=\((.*?)\)")
_IDS = NewIds(number=new_number, uuid=new_ordered_uuid)


async def lock_or_refuse(tx: Tx, tenant: Tenant, order_id: str) -> StoredOrder | None:
    """The locked order, or None. Raises Refused if its turn does not come in time."""
    try:
        async with asyncio.timeout(store.LOCK_SECONDS):
            return await store.lock_order(tx, tenant, order_id)
    except TimeoutError as error:
        raise Refused(ConcurrentUpdate()) from error


async def ingest_order(
    database: Database, tenant: Tenant, read: ReadOrder, now: datetime, receipt: Keeper | None
) -> bytes:
    """Take an order in; gives the Order resource. Raises Refused."""
    stored = judge_order(read, now)
    order = stored.order

    async def work(tx: Tx) -> bytes:
        try:
            if not await saving.insert_order(tx, tenant, stored):
                raise Refused(OrderExists(order.id))
        except asyncpg.UniqueViolationError as error:
            raise Refused(taken_id(error, read)) from error
        kept = await _announce(tx, tenant, stored, now)
        body = to_json(order_view(kept, live=tenant.live))
        if receipt:
            await receipt.store(tx, 201, body)
        return body

    return await database.run(work)


def judge_order(read: ReadOrder, now: datetime) -> StoredOrder:
    """The order to store, by the rules for orders of every way in. Raises Refused."""
    if Trigger.SOURCE_FAILS in {source.trigger for source in read.sources}:
        raise Refused(SourceDeclined())
    order = admit(read.ask, now=now, ids=_IDS)
    if isinstance(order, InvalidField):
        raise Refused(order)
    return StoredOrder(order, _facts(read, order))


def _facts(read: ReadOrder, order: Order) -> OrderFacts:
    session_id = new_uuid()
    texts = read.texts
    return OrderFacts(
        session_id=session_id,
        client_secret=f"{session_id}_{new_uuid()}",
        details=read.details,
        metadata=read.metadata,
        upstream_id=texts["upstreamId"],
        customer_id=texts["customerId"],
        checkout_id=texts["checkoutId"],
        application_id=texts["applicationId"],
        email=texts["email"],
        locale=texts["locale"],
        browser_ip=texts["browserIp"],
        customer_type=texts["customerType"],
        request_to_be_forgotten=read.request_to_be_forgotten,
        line_details=read.line_details,
        subscription_ids=read.subscription_ids,
        sources={
            charge.id: SourceFacts(
                charge.id,
                source.details,
                source.processor_reference,
                source.trigger.value if source.trigger else None,
            )
            for charge, source in zip(order.charges, read.sources, strict=True)
        },
    )


def taken_id(error: asyncpg.UniqueViolationError, read: ReadOrder) -> InvalidField:
    """Which id of the body was given to something else before."""
    found = _TAKEN.search(str(error.detail or ""))
    values = found[1].split(", ") if found else [""]
    value = values[-1]
    if error.constraint_name == "orders_invoice":
        return InvalidField("invoiceId", value)
    for index, line in enumerate(read.ask.lines):
        if line.id in values:
            return InvalidField(f"items[{index}].id", line.id or value)
    for index, charge in enumerate(read.ask.charges or ()):
        if charge.id in values:
            return InvalidField(f"payment.charges[{index}].id", charge.id or value)
    return InvalidField("payment.charges", value)


async def _announce(tx: Tx, tenant: Tenant, stored: StoredOrder, now: datetime) -> StoredOrder:
    """Write the event of a new order; an imported one is taken in silently."""
    event = entry_event(stored.order.state)
    if stored.order.state in IMPORT_STATES or event is None:
        return stored
    change = Change(stored.order, now)
    change.order = stored.order  # A new order is version 1.
    change.order_event(event)
    return await record(tx, tenant, stored, change)


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """What an update may say; None where it says nothing. metadata: with nulls to remove."""

    metadata: dict[str, JsonValue] | None
    clear_metadata: bool
    upstream_id: str | None
    request_to_be_forgotten: bool | None
    accept: bool


async def update_order(
    database: Database,
    tenant: Tenant,
    order_id: str,
    update: OrderUpdate,
    now: datetime,
    receipt: Keeper | None,
) -> bytes:
    """Change what may be changed of an order; gives the Order resource. Raises NotFound."""

    async def work(tx: Tx) -> bytes:
        stored = await lock_or_refuse(tx, tenant, order_id)
        if stored is None:
            raise NotFound("Order", order_id)
        after = await _apply(tx, tenant, stored, update, now)
        body = to_json(order_view(after, live=tenant.live))
        if receipt:
            await receipt.store(tx, 200, body)
        return body

    return await database.run(work)


async def _apply(
    tx: Tx, tenant: Tenant, stored: StoredOrder, update: OrderUpdate, now: datetime
) -> StoredOrder:
    old = stored.facts
    facts = replace(
        old,
        metadata=merged_metadata(old.metadata, update.metadata, clear=update.clear_metadata),
        upstream_id=update.upstream_id or old.upstream_id,
        request_to_be_forgotten=(
            old.request_to_be_forgotten
            if update.request_to_be_forgotten is None
            else update.request_to_be_forgotten
        ),
    )
    change = Change(stored.order, now)
    previous = _previous(old, facts)
    if previous:
        change.order_event(EventType.ORDER_UPDATED)
    waiting = (OrderState.PENDING_PAYMENT, OrderState.IN_REVIEW)
    if update.accept and stored.order.state in waiting:
        _accept(change, now)
    if not change.drafts:
        return stored
    await saving.update_facts(tx, tenant, stored.order.id, facts)

    def render(draft: Draft) -> Rendered | None:
        if draft.type is not EventType.ORDER_UPDATED:
            return None
        view = order_view(StoredOrder(draft.order, facts), live=tenant.live)
        return Rendered(to_json_text(view), to_json_text(previous))

    return await record(tx, tenant, stored, change, facts=facts, render=render)


def _accept(change: Change, now: datetime) -> None:
    """The merchant vouches for the payment: nothing is awaited any more."""
    change.order = enter_state(change.order, OrderState.ACCEPTED, now)
    for charge in change.order.charges:
        if charge.state is ChargeState.PENDING:
            change.enter_charge_state(charge, ChargeState.CAPTURABLE)
    change.order_event(EventType.ORDER_ACCEPTED)


def _previous(old: OrderFacts, new: OrderFacts) -> dict[str, JsonValue]:
    """The changed attributes with their old values; `{}` where there was none."""
    previous: dict[str, JsonValue] = {}
    if raw_members(old.metadata) != raw_members(new.metadata):
        previous["metadata"] = msgspec.Raw(old.metadata.encode())
    if old.upstream_id != new.upstream_id:
        previous["upstreamId"] = {} if old.upstream_id is None else old.upstream_id
    if old.request_to_be_forgotten != new.request_to_be_forgotten:
        previous["requestToBeForgotten"] = old.request_to_be_forgotten
    return previous


def merged_metadata(old: str, sent: dict[str, JsonValue] | None, *, clear: bool = False) -> str:
    """Metadata after an update, as JSON text: merged key by key, null removes a key.

    Raises Refused if more keys than allowed come together.
    """
    if clear:
        return "{}"
    if sent is None:
        return old
    members: dict[str, JsonValue] = dict(raw_members(old))
    text = metadata_text(members | sent) or "{}"
    if len(raw_members(text)) > MAX_METADATA_KEYS:
        raise Refused(InvalidField("metadata", text[:100]))
    return text


@dataclass(frozen=True, slots=True)
class FulfillmentRequest:
    """A fulfilment as it was sent. extras: per item, what is passed through; details: JSON."""

    order_id: str
    items: Sequence[FulfillmentAsk]
    extras: list[dict[str, JsonValue]]
    details: dict[str, JsonValue]
    metadata: str


async def create_fulfillment(
    database: Database,
    tenant: Tenant,
    request: FulfillmentRequest,
    now: datetime,
    receipt: Keeper | None,
) -> bytes:
    """Process units of an order; gives the Fulfillment resource. Raises Refused."""

    async def work(tx: Tx) -> bytes:
        stored = await lock_or_refuse(tx, tenant, request.order_id)
        if stored is None:
            raise Refused(OrderUnknown(request.order_id))
        items = check_fulfillment(stored.order, request.items)
        if not isinstance(items, list):
            raise Refused(items)
        change = Change(stored.order, now)
        fulfillment = fulfill(
            change, items, fulfillment_id=new_fulfillment_id(), new_id=new_ordered_uuid
        )
        extras = [msgspec.json.decode(to_json(e), type=dict[str, msgspec.Raw])
                  for e in request.extras]  # fmt: skip
        view = fulfillment_view(
            fulfillment, stored.order, live=tenant.live, extras=extras,
            details=to_json_text(request.details), metadata=request.metadata,
        )  # fmt: skip

        def render(draft: Draft) -> Rendered | None:
            if draft.fulfillment is None:
                return None
            shown = StoredOrder(draft.order, stored.facts)
            return Rendered(to_json_text(with_order(view, fulfillment, shown, tenant)))

        await _insert_fulfillment(tx, tenant, stored.order, fulfillment, request)
        await record(tx, tenant, stored, change, render=render)
        body = to_json(view)
        if receipt:
            await receipt.store(tx, 201, body)
        return body

    return await database.run(work)


def with_order(
    view: dict[str, JsonValue], fulfillment: Fulfillment, stored: StoredOrder, tenant: Tenant
) -> dict[str, JsonValue]:
    """The Fulfillment as `GET` and the event show it."""
    return view | {
        "chargeOperationIds": list(fulfillment.operation_ids),
        "orderDetails": order_view(stored, live=tenant.live, payment=False),
    }


async def _insert_fulfillment(
    tx: Tx, tenant: Tenant, order: Order, fulfillment: Fulfillment, request: FulfillmentRequest
) -> None:
    items = [
        {
            "position": item.position,
            "quantity": item.quantity,
            "cancelQuantity": item.cancel_quantity,
            "extra": extra,
        }
        for item, extra in zip(fulfillment.items, request.extras, strict=True)
    ]
    skus = dict.fromkeys(order.lines[item.position].sku_id for item in fulfillment.items)
    await tx.execute(
        """
        INSERT INTO fulfillments (account_id, live, order_id, id, created_at, items, sku_ids,
            operation_ids, tracking_company, tracking_number, details, metadata)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        tenant.account_id, tenant.live, order.id, fulfillment.id, fulfillment.created_at,
        to_json_text(items), [sku for sku in skus if sku], list(fulfillment.operation_ids),
        _text_or_none(request.details.get("trackingCompany")),
        _text_or_none(request.details.get("trackingNumber")),
        to_json_text(request.details), request.metadata,
    )  # fmt: skip


def _text_or_none(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


async def retry_operation(
    database: Database,
    tenant: Tenant,
    order_id: str,
    operation_id: str,
    now: datetime,
    receipt: Keeper | None,
) -> bytes:
    """Ask for a failed capture or cancel again; gives what it was and the records in its place.

    Raises NotFound (no such order) and Refused.
    """

    async def work(tx: Tx) -> bytes:
        stored = await lock_or_refuse(tx, tenant, order_id)
        if stored is None:
            raise NotFound("Order", order_id)
        failed = check_retry(stored.order, operation_id)
        if isinstance(failed, NotRetriable):
            raise Refused(failed)
        change = Change(stored.order, now)
        retries = retry(change, failed, new_ordered_uuid)
        await _add_to_fulfillment(tx, tenant, order_id, retries)
        await record(tx, tenant, stored, change)
        body = to_json(retry_view(stored.order, failed, retries))
        if receipt:
            await receipt.store(tx, 201, body)
        return body

    return await database.run(work)


async def _add_to_fulfillment(
    tx: Tx, tenant: Tenant, order_id: str, retries: Sequence[Operation]
) -> None:
    """Name new records in the fulfilment that they belong to, after the earlier ones."""
    await tx.execute(
        """
        UPDATE fulfillments SET operation_ids = operation_ids || $5::text[]
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
        """,
        tenant.account_id, tenant.live, order_id, retries[0].fulfillment_id,
        [operation.id for operation in retries],
    )  # fmt: skip
