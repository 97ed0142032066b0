"""Running commands at once, and what came of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable

from refundry.domain.refund import RefundState
from refundry.errors import Refused
from refundry.orders.store import find_order
from tests.support.books import Shop
from tests.support.http import Doc


async def all_of(jobs: Iterable[Awaitable[object]]) -> list[object]:
    """Run jobs at once; gives what each returned or raised. Only refusals may be raised."""
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refused):
            raise result
    return list(results)


def won(results: list[object]) -> list[object]:
    return [result for result in results if not isinstance(result, Refused)]


def refusals(results: list[object]) -> Counter[type[object]]:
    return Counter(type(each.refusal) for each in results if isinstance(each, Refused))


async def figures(shop: Shop, order: Doc) -> tuple[int, int, int]:
    """What the cells of an order hold: captured, held, refunded; minor units."""
    stored = await find_order(shop.database, shop.tenant, order["id"])
    assert stored is not None
    lines = stored.order.lines
    sums = [sum(sum(getattr(each, name)) for each in lines)
            for name in ("captured", "held", "refunded")]  # fmt: skip
    return sums[0], sums[1], sums[2]


async def states(shop: Shop, refund_ids: Iterable[str]) -> Counter[RefundState]:
    return Counter([(await shop.find(refund_id)).refund.state for refund_id in refund_ids])
