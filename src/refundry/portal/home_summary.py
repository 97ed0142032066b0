"""What a period of Home came to: summed up at most once a minute, and shown with its time.

The page and its charts read the same sums, and so does everybody of the account who looks.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.clock import Clock
from refundry.portal.home_figures import (
    InCurrency,
    Period,
    Refunded,
    find_currencies,
    find_reasons,
    find_refunded,
    median_to_success,
)
from refundry.portal.pages import Visit
from refundry.tenant import Tenant

# Short enough that nobody waits for it, long enough that looking often costs nothing.
KEPT = timedelta(minutes=1)
# A summary of a year in days takes some tens of kilobytes.
_MOST_KEPT = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """What a period came to. at: when it was summed up, on the clock of the mode."""

    at: datetime
    refunded: Refunded
    currencies: list[InCurrency]
    reasons: list[tuple[str, int]]
    median: timedelta | None


class HomeSummaries:
    """The summaries of this process. It sums up one at a time: each reads every refund of a
    period, and a crowd that opens Home at once is answered by the first one's work.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[Tenant, Period], tuple[datetime, Summary]] = OrderedDict()
        self._summing = asyncio.Lock()

    async def get(
        self, tenant: Tenant, period: Period, work: Callable[[], Awaitable[Summary]]
    ) -> Summary:
        """The kept summary of a tenant's period, or what `work` gives. Raises what that raises."""
        if found := self._fresh(tenant, period):
            return found
        async with self._summing:
            if found := self._fresh(tenant, period):
                return found
            began, summary = self._clock.now(), await work()
            self._kept[tenant, period] = began, summary
            self._kept.move_to_end((tenant, period))
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return summary

    def _fresh(self, tenant: Tenant, period: Period) -> Summary | None:
        began, summary = self._kept.get((tenant, period), (None, None))
        return summary if began is not None and self._clock.now() - began < KEPT else None


async def summary_of(visit: Visit, period: Period) -> Summary:
    """What a period came to, as of the last minute."""

    async def work() -> Summary:
        refunded = await find_refunded(visit, period)
        return Summary(
            at=visit.now,
            refunded=refunded,
            currencies=await find_currencies(visit, period, refunded.currencies),
            reasons=await find_reasons(visit, period),
            median=await median_to_success(visit, period),
        )

    return await visit.services.part(HomeSummaries).get(visit.tenant, period, work)
