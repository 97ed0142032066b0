"""Returns as the API shows them."""

from typing import Any

import msgspec

from refundry.domain.event import Draft
from refundry.domain.order import Order
from refundry.domain.returns import Return, ReturnItem
from refundry.http.document import money, seconds, to_json_text
from refundry.orders.recording import Rendered

View = dict[str, Any]


def return_view(goods: Return, order: Order, *, live: bool) -> View:
    """The Return resource; order: for the amounts, which are estimates until acceptance."""
    view: View = {
        "id": goods.id,
        "createdTime": seconds(goods.created_at),
        "updatedTime": seconds(goods.updated_at),
        "currency": order.currency.code,
        "items": [_item_view(goods, item, order) for item in goods.items],
        "orderId": goods.order_id,
    }
    if goods.reason is not None:
        view["reason"] = goods.reason
    if goods.location is not None:
        view["location"] = msgspec.Raw(goods.location.encode())
    view["state"] = goods.state.value
    if goods.refund_ids:
        view["refundIds"] = list(goods.refund_ids)
    if goods.metadata != "{}":
        view["metadata"] = msgspec.Raw(goods.metadata.encode())
    return view | {"liveMode": live}


def _item_view(goods: Return, item: ReturnItem, order: Order) -> View:
    line = order.lines[item.position]
    view: View = {
        "itemId": line.id,
        "amount": money(goods.amount_of(item, order), order.currency.exponent),
        "quantity": item.quantity,
        "quantityAccepted": item.accepted,
    }
    if line.sku_id is not None:
        view["skuId"] = line.sku_id
    return view | {"state": item.state.value}


def render_return(draft: Draft, *, live: bool) -> Rendered | None:
    """A return's event."""
    if draft.goods is None:
        return None
    view = return_view(draft.goods, draft.order, live=live)
    if draft.goods_before is None:
        return Rendered(to_json_text(view))
    old = return_view(draft.goods_before, draft.order, live=live)
    changed = [name for name in draft.changed if old.get(name) != view.get(name)]
    previous = {name: old.get(name, {}) for name in changed}
    return Rendered(to_json_text(view), to_json_text(previous))
