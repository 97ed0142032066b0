"""The operations on disputes and sales transactions."""

from typing import Any

import msgspec

from refundry.disputes import commands, schemas
from refundry.disputes.commands import Told
from refundry.disputes.reading import read_dispute, read_resolution
from refundry.disputes.store import find_disputes, find_sales_transactions
from refundry.disputes.wire import dispute_view
from refundry.domain.dispute import DisputeState
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import to_json
from refundry.http.lists import list_answer
from refundry.http.query import Filter, Kind
from refundry.orders.schemas import Order

DISPUTE_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter("state", Kind.EQUAL, "t.state", values=tuple(s.value for s in DisputeState)),
)
# Their pages are longer than those of other lists (contract, HTTP conventions, section 4).
_MOST_SALES = 5000
_SALES_TYPES = (
    "sale",
    "replacement",
    "replacement_refund",
    "replacement_return",
    "fraud_chargeback",
    "non_fraud_chargeback",
    "refund",
    "return",
    "fraud_detection",
    "declined_settlement",
)
_AMOUNT = "t.amount_minor * 10::numeric ^ -t.exponent"
SALES_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("saleTime", Kind.TIME, "t.created_at"),
    Filter("amount", Kind.NUMBER, _AMOUNT),
    Filter("quantity", Kind.NUMBER, "t.quantity"),
    # Chargebacks share nothing and belong to no summary; what is paid out is their amount.
    Filter("digitalRiverShare", Kind.NUMBER, "0::numeric"),
    Filter("payoutAmount", Kind.NUMBER, _AMOUNT),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("type", Kind.EQUAL, "t.type", values=_SALES_TYPES),
    Filter("currency", Kind.EQUAL, "t.currency", fold=True),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter("orderUpstreamId", Kind.EQUAL, "t.order_upstream_id"),
    Filter("skuId", Kind.EQUAL, "t.sku_id"),
    Filter("paymentType", Kind.EQUAL, "t.payment_type", fold=True),
    Filter("salesSummaryId", Kind.EQUAL, "NULL::text"),
)


async def post_dispute(call: Call) -> Answer:
    """Open a dispute on an order."""
    request = read_dispute(call.fields())
    told = Told(call.tenant, call.now, call.receipt)
    body = await commands.create_dispute(call.database, told, call.path["id"], request)
    call.services.wake()
    return Answer(201, body)


async def post_resolution(call: Call) -> Answer:
    """Say how a dispute ended."""
    resolution = read_resolution(call.fields())
    told = Told(call.tenant, call.now, call.receipt)
    body = await commands.resolve_dispute(call.database, told, call.path["id"], resolution)
    call.services.wake()
    return Answer(200, body)


async def get_dispute(call: Call) -> Answer:
    """Read a dispute."""
    found = await find_disputes(call.database, call.tenant, [call.path["id"]])
    if not found:
        raise NotFound("Dispute", call.path["id"])
    return Answer(200, to_json(dispute_view(found[0], live=call.tenant.live)))


async def get_disputes(call: Call) -> Answer:
    """List disputes."""

    async def load(ids: list[str]) -> list[Any]:
        found = await find_disputes(call.database, call.tenant, ids)
        return [dispute_view(each, live=call.tenant.live) for each in found]

    return await list_answer(call, "disputes", DISPUTE_FILTERS, load)


async def get_sales_transaction(call: Call) -> Answer:
    """Read a sales transaction."""
    found = await find_sales_transactions(call.database, call.tenant, [call.path["id"]])
    if not found:
        raise NotFound("Sales transaction", call.path["id"])
    return Answer(200, found[0].encode())


async def get_sales_transactions(call: Call) -> Answer:
    """List sales transactions."""

    async def load(ids: list[str]) -> list[Any]:
        found = await find_sales_transactions(call.database, call.tenant, ids)
        return [msgspec.Raw(text.encode()) for text in found]

    return await list_answer(call, "sales_transactions", SALES_FILTERS, load, most=_MOST_SALES)


OPERATIONS = (
    Operation(
        "GET", "/refundry/v1/disputes", get_disputes, "List disputes", "Disputes",
        schemas.DisputeList, resource="disputes", filters=DISPUTE_FILTERS, paged=True,
    ),
    Operation(
        "GET", "/refundry/v1/disputes/{id}", get_dispute, "Read a dispute", "Disputes",
        schemas.Dispute, resource="disputes",
    ),
    Operation(
        "POST", "/refundry/v1/orders/{id}/disputes", post_dispute, "Open a dispute", "Disputes",
        schemas.Dispute, resource="disputes", status=201, body=schemas.NewDispute, refusals=(409,),
        subject=Order,
        description="Puts the order into dispute: no refund, return or fulfillment is taken until"
        " it ends. Refunds that are under way go on.",
    ),
    Operation(
        "POST", "/refundry/v1/disputes/{id}", post_resolution, "Resolve a dispute", "Disputes",
        schemas.Dispute, resource="disputes", body=schemas.DisputeResolution, refusals=(409,),
        description="Won: the order goes on as before. Lost: what the bank took is booked as"
        " refunded, with a sales transaction for each line.",
    ),
    Operation(
        "GET", "/sales-transactions", get_sales_transactions, "List sales transactions",
        "Sales transactions", schemas.SalesTransactionList, resource="sales-transactions",
        filters=SALES_FILTERS, paged=True, most=_MOST_SALES,
    ),
    Operation(
        "GET", "/sales-transactions/{id}", get_sales_transaction, "Read a sales transaction",
        "Sales transactions", schemas.SalesTransaction, resource="sales-transactions",
    ),
)  # fmt: skip
