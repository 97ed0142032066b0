"""Returns and disputes made by the product's own commands, on a real database without HTTP."""

import json
from datetime import timedelta
from decimal import Decimal

from refundry.disputes.commands import Told, create_dispute, resolve_dispute
from refundry.disputes.reading import DisputeRequest, Resolution
from refundry.domain.returns import UnitsAsk
from refundry.returns.commands import ReturnDesk, create_return, update_return
from refundry.returns.reading import ReturnRequest, ReturnUpdate
from tests.support.books import Shop
from tests.support.http import Doc


def _asks(order: Doc, units: tuple[int, ...]) -> list[UnitsAsk]:
    """units: one figure per line, 0 leaves the line out."""
    return [UnitsAsk(item["id"], None, count)
            for item, count in zip(order["items"], units, strict=True) if count]  # fmt: skip


async def authorise_return(shop: Shop, order: Doc, *units: int) -> Doc:
    """POST /returns. Raises Refused."""
    request = ReturnRequest(order["id"], _asks(order, units), "Too small", None, "{}")
    now = await shop.now()
    return json.loads(await create_return(shop.database, shop.tenant, request, now, None))


async def accept_return(shop: Shop, order: Doc, goods: Doc, *units: int) -> Doc:
    """POST /returns/{id}: these units, or without any all of it. Raises Refused."""
    update = ReturnUpdate(not units, _asks(order, units) if units else [], None, None, False)
    desk = ReturnDesk(shop.database, shop.worker.vault, timedelta())
    now = await shop.now()
    return json.loads(await update_return(desk, shop.tenant, goods["id"], update, now, None))


async def open_dispute(
    shop: Shop, order: Doc, *, charge_id: str | None = None, reference: str | None = None
) -> Doc:
    """POST /refundry/v1/orders/{id}/disputes. Raises Refused."""
    request = DisputeRequest(charge_id, None, None, reference)
    told = Told(shop.tenant, await shop.now())
    return json.loads(await create_dispute(shop.database, told, order["id"], request))


async def lose_dispute(shop: Shop, dispute: Doc, amount: str | None = None) -> Doc:
    """POST /refundry/v1/disputes/{id}: lost; amount: major units. Raises Refused."""
    taken = None if amount is None else Decimal(amount)
    return await _resolve(shop, dispute, Resolution(True, taken, True, amount or ""))


async def win_dispute(shop: Shop, dispute: Doc) -> Doc:
    """POST /refundry/v1/disputes/{id}: won. Raises Refused."""
    return await _resolve(shop, dispute, Resolution(False))


async def _resolve(shop: Shop, dispute: Doc, resolution: Resolution) -> Doc:
    told = Told(shop.tenant, await shop.now())
    return json.loads(await resolve_dispute(shop.database, told, dispute["id"], resolution))
