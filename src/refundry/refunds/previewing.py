"""Previews of refunds: read an order, ask the rules, and show what they say. Writes nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from refundry.db.database import Database, Session
from refundry.domain.cells import COMPONENT_NAMES, EMPTY, Cells, add
from refundry.domain.charge import Shares
from refundry.domain.order import Line
from refundry.domain.preview import LeftOut, Outside, Preview, Share, preview_refund, type_of
from refundry.domain.refund import Element, RefundAsk
from refundry.domain.refusal import OrderUnknown
from refundry.errors import Refused
from refundry.http.document import JsonValue, money
from refundry.http.problems import error_of
from refundry.orders.store import find_order
from refundry.refunds.commands import find_order_id
from refundry.refunds.limits import Excess, Rule
from refundry.tenant import Tenant

View = dict[str, Any]


async def preview_of_order(
    database: Database, tenant: Tenant, ask: RefundAsk, now: datetime
) -> Preview:
    """What a request would come to on the order that it names. Raises Refused if none is."""
    order_id = await find_order_id(database, tenant, ask)
    stored = await find_order(database, tenant, order_id)
    if stored is None:
        raise Refused(OrderUnknown(order_id))
    waiting = await unsubmitted_amount(database, tenant, order_id)
    return preview_refund(stored.order, ask, waiting=waiting, now=now)


async def unsubmitted_amount(session: Session, tenant: Tenant, order_id: str) -> int:
    """What accepted refunds of an order hold that no charge was asked for yet, in minor units."""
    return await session.fetchval(
        """
        SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND submit_due_at IS NOT NULL
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip


def preview_view(
    preview: Preview, over: Excess | None, *, live: bool
) -> Mapping[str, JsonValue]:  # fmt: skip
    """The RefundPreview resource. over: why the refund would wait for an approval."""
    order, refund = preview.before, preview.refund
    exponent = order.currency.exponent
    shares: Shares = refund.shares if refund else {}
    whole = EMPTY
    for cells in shares.values():
        whole = add(whole, cells)
    after = preview.after.available_to_refund
    view: View = {
        "orderId": order.id,
        "currency": order.currency.code,
        "allowed": refund is not None,
        "refusals": [error_of(refusal) for refusal in preview.refusals],
        "amount": money(refund.amount if refund else 0, exponent),
        "mostAmount": money(preview.base, exponent),
        "components": _cells_view(whole, exponent),
        "items": [_item_view(e, exponent) for e in refund.elements] if refund else [],
        "lines": [
            _line_view(before, left, shares.get(before.position, EMPTY), exponent)
            for before, left in zip(order.lines, preview.after.lines, strict=True)
        ],
        "charges": [_share_view(share, exponent) for share in preview.shares],
        "notIncluded": [_left_out_view(each, exponent) for each in preview.left_out],
        "availableToRefundAmount": money(order.available_to_refund, exponent),
        "availableAfterwards": money(after, exponent),
        "liveMode": live,
    }
    missing = sum(whole) - sum(share.amount for share in preview.shares)
    if missing:
        view["uncoveredAmount"] = money(missing, exponent)
    return view | ({"approval": _approval_view(over)} if over else {})


def _approval_view(over: Excess) -> View:
    view: View = {"rule": over.rule.value, "message": over.words}
    if over.limit is None:
        return view
    exponent = over.currency.exponent
    view["limit"] = money(over.limit, exponent)
    return view | ({"spent": money(over.spent, exponent)} if over.rule is Rule.PER_DAY else {})


def _cells_view(cells: Cells, exponent: int) -> View:
    pairs = zip(COMPONENT_NAMES, cells, strict=True)
    return {name: money(minor, exponent) for name, minor in pairs}


def _item_view(element: Element, exponent: int) -> View:
    view: View = {"itemId": element.item_id}
    if element.sku_id is not None:
        view["skuId"] = element.sku_id
    if element.type:
        view["type"] = element.type.value
    return view | {"quantity": element.quantity, "amount": money(element.amount, exponent)}


def _line_view(before: Line, after: Line, cells: Cells, exponent: int) -> View:
    view: View = {"itemId": before.id}
    if before.sku_id is not None:
        view["skuId"] = before.sku_id
    return view | {
        "amount": money(sum(cells), exponent),
        "components": _cells_view(cells, exponent),
        "availableToRefundAmount": money(before.available_to_refund, exponent),
        "availableAfterwards": money(after.available_to_refund, exponent),
        "left": _cells_view(after.available, exponent),
    }


def _share_view(share: Share, exponent: int) -> View:
    charge = share.charge
    return {
        "id": charge.id,
        "sourceId": charge.source_id,
        "sourceType": charge.source_type,
        "amount": money(share.amount, exponent),
    }


def _left_out_view(each: LeftOut, exponent: int) -> View:
    view: View = {
        "component": COMPONENT_NAMES[each.component],
        "amount": money(each.amount, exponent),
        "reason": each.reason.value,
    }
    kind = type_of(each.component)
    if kind is not None:
        view["type"] = kind.value
    if each.reason is Outside.OTHER_ITEMS:
        return view | {"message": "It belongs to items that the request does not name."}
    way = f"of type {kind.value}" if kind else "without a type"
    return view | {"message": f"It is paid back by a refund {way}."}
