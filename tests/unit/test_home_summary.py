"""Sums of Home are kept for a minute, by account, mode and period, and made one at a time."""

import asyncio
from datetime import date, timedelta

import pytest

from refundry.clock import Clock
from refundry.portal.home_figures import Period, Refunded
from refundry.portal.home_summary import KEPT, HomeSummaries, Summary
from refundry.tenant import Tenant

MAY = Period(date(2024, 5, 1), date(2024, 5, 31))
SHOP = Tenant("shop", live=True)


class Sums:
    """Counts how often something was summed up, and how many at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.summaries = HomeSummaries(self.clock)
        self.count = 0
        self.running = 0

    async def work(self) -> Summary:
        self.running += 1
        assert self.running == 1
        await asyncio.sleep(0)
        self.running -= 1
        self.count += 1
        return Summary(self.clock.now(), Refunded([], {}), [], [], None)

    async def get(self, tenant: Tenant = SHOP, period: Period = MAY) -> Summary:
        return await self.summaries.get(tenant, period, self.work)


async def test_a_summary_is_kept_for_a_minute() -> None:
    sums = Sums()
    first = await sums.get()
    sums.clock.shift += KEPT - timedelta(seconds=1)
    assert await sums.get() is first
    sums.clock.shift += timedelta(seconds=1)
    assert (await sums.get()).at > first.at
    assert sums.count == 2


async def test_whoever_comes_at_once_is_answered_by_one_sum() -> None:
    sums = Sums()
    found = await asyncio.gather(*(sums.get() for _ in range(10)))
    assert sums.count == 1
    assert all(each is found[0] for each in found)


async def test_accounts_modes_and_periods_are_kept_apart() -> None:
    sums = Sums()
    june = Period(date(2024, 6, 1), date(2024, 6, 30))
    others = [(Tenant("shop", live=False), MAY), (Tenant("other", live=True), MAY), (SHOP, june)]
    found = [await sums.get(), *[await sums.get(*other) for other in others]]
    assert len({id(each) for each in found}) == sums.count == 4


async def test_what_is_kept_does_not_grow() -> None:
    sums = Sums()
    for n in range(300):
        await sums.get(Tenant(f"shop-{n}", live=True))
    await sums.get(Tenant("shop-299", live=True))
    assert sums.count == 300
    await sums.get(Tenant("shop-0", live=True))
    assert sums.count == 301


async def test_a_sum_that_fails_is_not_kept() -> None:
    sums = Sums()

    async def fail() -> Summary:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await sums.summaries.get(SHOP, MAY, fail)
    await sums.get()
    assert sums.count == 1
