"""The operations on orders, charges, sources and fulfilments."""

from typing import Any

from refundry.db.listing import Bound
from refundry.domain.charge import BANK_DETAIL_SOURCES, Charge, ChargeState
from refundry.domain.order import OrderState
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import to_json
from refundry.http.lists import list_answer
from refundry.http.query import Filter, Kind
from refundry.orders import commands, schemas
from refundry.orders.bodies import OrderBodies
from refundry.orders.fulfillments import (
    StoredFulfillment,
    find_fulfillments,
    read_fulfillment,
)
from refundry.orders.reading import read_order
from refundry.orders.store import StoredOrder, find_orders, order_key
from refundry.orders.wire import charge_view, fulfillment_view, order_view, source_resource
from refundry.tenant import Tenant

# How the shopper pays with a type of source; every other type is standard.
_REDIRECT_SOURCES = frozenset(
    {"payPal", "payPalBilling", "payPalCredit", "alipay", "alipayCn", "klarnaCredit",
     "klarnaCreditRecurring", "bancontact", "ideal", "ccAvenue", "payCo"}
)  # fmt: skip

_LINE = (
    "EXISTS (SELECT 1 FROM order_lines l WHERE l.account_id = $1 AND l.live = $2"
    " AND l.order_id = t.id AND {condition})"
)
# The order's lines have an index by article. Of an article in an array the planner knows too
# little, and walks all fulfillments for one that nobody ever bought.
_FULFILLED_LINE = (
    "t.sku_ids @> ARRAY[{0}::text] AND EXISTS (SELECT 1 FROM order_lines l WHERE l.account_id = $1"
    " AND l.live = $2 AND l.order_id = t.order_id AND l.sku_id = {0}::text)"
)
_CHARGE = (
    "EXISTS (SELECT 1 FROM charges c WHERE c.account_id = $1 AND c.live = $2"
    " AND c.order_id = t.id AND {condition})"
)
_STATE_TIMES = (
    "in_review",
    "pending_payment",
    "accepted",
    "blocked",
    "cancelled",
    "fulfilled",
    "complete",
    "returned",
)
_FRAUD_STATES = ("blocked", "review_opened", "passed")
_ENTERED = (*_STATE_TIMES, *(f"fraud_{state}" for state in _FRAUD_STATES))
# An order enters its states after it was made, save one that was imported with other times: the
# index orders_backdated holds those. It was updated then or later, to the second.
_AFTER_CREATION = Bound(
    "t.created_at {sign} {{}}::timestamptz",
    unless=f"t.created_at > least({', '.join(f't.{state}_at' for state in _ENTERED)})",
)
_UPDATED_AFTER_CREATION = Bound("t.created_at {sign} {{}}::timestamptz + interval '1 second'")
ORDER_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("updatedTime", Kind.TIME, "t.updated_at", since=_UPDATED_AFTER_CREATION, walk=True),
    *(Filter(state, Kind.TIME, f"t.{state}_at", since=_AFTER_CREATION) for state in _STATE_TIMES),
    *(
        Filter(
            f"fraudStateTransitions.{state}",
            Kind.TIME,
            f"t.fraud_{state}_at",
            since=_AFTER_CREATION,
        )
        for state in _FRAUD_STATES
    ),
    Filter("totalAmount", Kind.NUMBER, "t.total_minor * 10::numeric ^ -t.exponent"),
    Filter(
        "refundedAmount", Kind.NUMBER, "t.refunded_minor * 10::numeric ^ -t.exponent", walk=True
    ),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("upstreamIds", Kind.ANY, "t.upstream_id"),
    Filter("state", Kind.EQUAL, "t.state", values=tuple(s.value for s in OrderState)),
    Filter("fraudState", Kind.EQUAL, "t.fraud_state", values=_FRAUD_STATES),
    Filter("customerId", Kind.EQUAL, "t.customer_id"),
    Filter("checkoutId", Kind.EQUAL, "t.checkout_id"),
    Filter("applicationId", Kind.EQUAL, "t.application_id"),
    Filter("email", Kind.EQUAL, "t.email", fold=True),
    Filter("currency", Kind.EQUAL, "t.currency", fold=True),
    Filter("skuId", Kind.EQUAL, _LINE.format(condition="l.sku_id = {}::text")),
    Filter("browserIp", Kind.EQUAL, "t.browser_ip"),
    Filter("chargeType", Kind.EQUAL, _CHARGE.format(condition="c.type = {}::text")),
    Filter("subscriptionId", Kind.EQUAL, _LINE.format(condition="l.subscription_id = {}::text")),
    Filter("locale", Kind.EQUAL, "t.locale"),
    Filter("customerType", Kind.EQUAL, "t.customer_type", values=("individual", "business")),
)
CHARGE_FILTERS = (
    Filter("ids", Kind.ANY, "t.id"),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter("sourceId", Kind.EQUAL, "t.source_id"),
    Filter("state", Kind.EQUAL, "t.state", values=tuple(s.value for s in ChargeState)),
    Filter("createdTime", Kind.TIME, "t.created_at"),
)
FULFILLMENT_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter("skuId", Kind.EQUAL, _FULFILLED_LINE),
    Filter("trackingCompany", Kind.EQUAL, "t.tracking_company"),
    Filter("trackingNumber", Kind.EQUAL, "t.tracking_number"),
)


async def post_order(call: Call) -> Answer:
    """Take in an order."""
    read = read_order(call.fields(), live=call.tenant.live, now=call.now)
    body = await commands.ingest_order(call.database, call.tenant, read, call.now, call.receipt)
    call.services.wake()
    return Answer(201, body)


async def post_order_update(call: Call) -> Answer:
    """Update an order; members that cannot be updated are ignored."""
    fields = call.fields()
    state = fields.value("state")
    update = commands.OrderUpdate(
        metadata=fields.metadata(),
        clear_metadata="metadata" in call.document and call.document["metadata"] is None,
        upstream_id=fields.text("upstreamId"),
        request_to_be_forgotten=fields.flag("requestToBeForgotten"),
        accept=isinstance(state, str) and state.lower() == "accepted",
    )
    fields.finish()
    body = await commands.update_order(
        call.database, call.tenant, call.path["id"], update, call.now, call.receipt
    )
    return Answer(200, body)


async def get_order(call: Call) -> Answer:
    """Read an order."""
    bodies = call.services.part(OrderBodies)
    body = await bodies.find(
        order_key(call.tenant, call.path["id"]), expand=call.query.flag("expand")
    )
    if body is None:
        raise NotFound("Order", call.path["id"])
    return Answer(200, body)


async def get_orders(call: Call) -> Answer:
    """List orders."""

    async def load(ids: list[str]) -> list[Any]:
        found = await find_orders(call.database, call.tenant, ids)
        expand = call.query.flag("expand")
        return [order_view(stored, live=call.tenant.live, expand=expand) for stored in found]

    return await list_answer(call, "orders", ORDER_FILTERS, load)


async def _charges(call: Call, column: str, values: list[str]) -> list[tuple[StoredOrder, Charge]]:
    """The charges whose `column` (a constant) is one of `values`, newest first."""
    rows = await call.database.fetch(
        f"SELECT order_id, id FROM charges WHERE account_id = $1 AND live = $2"
        f" AND {column} = ANY ($3::text[]) ORDER BY created_at DESC, seq DESC",
        call.tenant.account_id, call.tenant.live, values,
    )  # fmt: skip
    orders = await find_orders(call.database, call.tenant, list({row["order_id"] for row in rows}))
    by_id = {stored.order.id: stored for stored in orders}
    return [
        (by_id[row["order_id"]], by_id[row["order_id"]].order.charge(row["id"])) for row in rows
    ]


async def get_charge(call: Call) -> Answer:
    """Read a charge."""
    found = await _charges(call, "id", [call.path["id"]])
    if not found:
        raise NotFound("Charge", call.path["id"])
    stored, charge = found[0]
    return Answer(200, to_json(charge_view(stored, charge, live=call.tenant.live)))


async def get_charges(call: Call) -> Answer:
    """List charges."""

    async def load(ids: list[str]) -> list[Any]:
        found = {charge.id: (stored, charge) for stored, charge in await _charges(call, "id", ids)}
        return [charge_view(*found[each], live=call.tenant.live) for each in ids]

    return await list_answer(call, "charges", CHARGE_FILTERS, load)


async def get_source(call: Call) -> Answer:
    """Read a source; where several orders have one with this id, the newest."""
    found = await _charges(call, "source_id", [call.path["id"]])
    if not found:
        raise NotFound("Source", call.path["id"])
    stored, charge = found[0]
    flow = "standard"
    if charge.source_type in BANK_DETAIL_SOURCES:
        flow = "receiver"
    elif charge.source_type in _REDIRECT_SOURCES:
        flow = "redirect"
    view = source_resource(stored, charge, live=call.tenant.live, flow=flow)
    return Answer(200, to_json(view))


async def post_fulfillment(call: Call) -> Answer:
    """Fulfil or cancel units of an order."""
    request = read_fulfillment(call.fields())
    body = await commands.create_fulfillment(
        call.database, call.tenant, request, call.now, call.receipt
    )
    call.services.wake()
    return Answer(201, body)


def _fulfillment(found: StoredFulfillment, stored: StoredOrder, tenant: Tenant) -> Any:
    view = fulfillment_view(
        found.fulfillment, stored.order, live=tenant.live, extras=found.extras,
        details=found.details, metadata=found.metadata,
    )  # fmt: skip
    return commands.with_order(view, found.fulfillment, stored, tenant)


async def _load_fulfillments(call: Call, ids: list[str]) -> list[Any]:
    found = await find_fulfillments(call.database, call.tenant, ids)
    orders = await find_orders(call.database, call.tenant, list({f.order_id for f in found}))
    by_id = {stored.order.id: stored for stored in orders}
    return [_fulfillment(each, by_id[each.order_id], call.tenant) for each in found]


async def get_fulfillment(call: Call) -> Answer:
    """Read a fulfilment with its order."""
    views = await _load_fulfillments(call, [call.path["id"]])
    if not views:
        raise NotFound("Fulfillment", call.path["id"])
    return Answer(200, to_json(views[0]))


async def get_fulfillments(call: Call) -> Answer:
    """List fulfilments."""

    async def load(ids: list[str]) -> list[Any]:
        return await _load_fulfillments(call, ids)

    return await list_answer(call, "fulfillments", FULFILLMENT_FILTERS, load)


OPERATIONS = (
    Operation(
        "GET", "/orders", get_orders, "List orders", "Orders", schemas.OrderList,
        resource="orders", filters=ORDER_FILTERS, paged=True, expands=True,
    ),
    Operation(
        "POST", "/orders", post_order, "Create an order", "Orders", schemas.Order,
        resource="orders", status=201, body=schemas.NewOrder, refusals=(409,),
        description="Takes in an order whose amounts are already computed. An order in state"
        " fulfilled, complete or returned is imported with its past and emits no event.",
        example=schemas.EXAMPLE_ORDER,
    ),
    Operation(
        "GET", "/orders/{id}", get_order, "Read an order", "Orders", schemas.Order,
        resource="orders", expands=True,
    ),
    Operation(
        "POST", "/orders/{id}", post_order_update, "Update an order", "Orders", schemas.Order,
        resource="orders", body=schemas.OrderUpdate, refusals=(409,),
    ),
    Operation(
        "GET", "/charges", get_charges, "List charges", "Charges", schemas.ChargeList,
        resource="charges", filters=CHARGE_FILTERS, paged=True,
    ),
    Operation(
        "GET", "/charges/{id}", get_charge, "Read a charge", "Charges", schemas.Charge,
        resource="charges",
    ),
    Operation(
        "GET", "/sources/{id}", get_source, "Read a source", "Sources", schemas.Source,
        resource="sources",
    ),
    Operation(
        "GET", "/fulfillments", get_fulfillments, "List fulfillments", "Fulfillments",
        schemas.FulfillmentList, resource="fulfillments", filters=FULFILLMENT_FILTERS, paged=True,
    ),
    Operation(
        "POST", "/fulfillments", post_fulfillment, "Create a fulfillment", "Fulfillments",
        schemas.Fulfillment, resource="fulfillments", status=201, body=schemas.NewFulfillment,
        refusals=(409,), example=schemas.EXAMPLE_FULFILLMENT,
        description="Units shipped are captured, units cancelled are given up; the processor's"
        " answer follows in the background.",
    ),
    Operation(
        "GET", "/fulfillments/{id}", get_fulfillment, "Read a fulfillment", "Fulfillments",
        schemas.Fulfillment, resource="fulfillments",
    ),
)  # fmt: skip
