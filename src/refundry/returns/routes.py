"""The operations on returns."""

from datetime import timedelta
from typing import Any

from refundry.domain.returns import ReturnState
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import to_json
from refundry.http.lists import list_answer
from refundry.http.query import Filter, Kind
from refundry.orders.store import find_orders
from refundry.refunds.limits import key_requester
from refundry.returns import commands, schemas
from refundry.returns.reading import read_return, read_return_update
from refundry.returns.store import find_returns
from refundry.returns.wire import return_view

RETURN_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("state", Kind.EQUAL, "t.state", values=tuple(s.value for s in ReturnState)),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter(
        "skuId",
        Kind.EQUAL,
        "EXISTS (SELECT 1 FROM return_items i WHERE i.account_id = $1 AND i.live = $2"
        " AND i.order_id = t.order_id AND i.return_id = t.id AND i.sku_id = {}::text)",
    ),
)


async def post_return(call: Call) -> Answer:
    """Authorise a return."""
    request = read_return(call.fields())
    body = await commands.create_return(call.database, call.tenant, request, call.now, call.receipt)
    call.services.wake()
    return Answer(201, body)


async def post_return_update(call: Call) -> Answer:
    """Accept goods that arrived, or change what is kept with a return."""
    update = read_return_update(call.fields(), call.document)
    window = timedelta(seconds=call.services.settings.refund_batch_window)
    desk = commands.ReturnDesk(call.database, call.services.vault, window, key_requester(call.key))
    body = await commands.update_return(
        desk, call.tenant, call.path["id"], update, call.now, call.receipt
    )
    call.services.wake()
    return Answer(200, body)


async def _load(call: Call, ids: list[str]) -> list[Any]:
    found = await find_returns(call.database, call.tenant, ids)
    orders = await find_orders(call.database, call.tenant, list({each.order_id for each in found}))
    by_id = {stored.order.id: stored.order for stored in orders}
    return [return_view(each, by_id[each.order_id], live=call.tenant.live) for each in found]


async def get_return(call: Call) -> Answer:
    """Read a return."""
    views = await _load(call, [call.path["id"]])
    if not views:
        raise NotFound("Return", call.path["id"])
    return Answer(200, to_json(views[0]))


async def get_returns(call: Call) -> Answer:
    """List returns."""

    async def load(ids: list[str]) -> list[Any]:
        return await _load(call, ids)

    return await list_answer(call, "returns", RETURN_FILTERS, load)


OPERATIONS = (
    Operation(
        "GET", "/returns", get_returns, "List returns", "Returns", schemas.ReturnList,
        resource="returns", filters=RETURN_FILTERS, paged=True,
    ),
    Operation(
        "POST", "/returns", post_return, "Create a return", "Returns", schemas.Return,
        resource="returns", status=201, body=schemas.NewReturn, refusals=(409,),
        description="Authorises goods to come back; no money moves and nothing is reserved. Each"
        " item shows what a refund of its units would take now.",
    ),
    Operation(
        "GET", "/returns/{id}", get_return, "Read a return", "Returns", schemas.Return,
        resource="returns",
    ),
    Operation(
        "POST", "/returns/{id}", post_return_update, "Accept or update a return", "Returns",
        schemas.Return, resource="returns", body=schemas.ReturnUpdate, refusals=(409,),
        description="Accepts units that arrived, or all of them. With the last unit the return is"
        " accepted, and each acceptance request becomes one refund of what its units are worth.",
    ),
)  # fmt: skip
