"""Home: what needs a person now, and how refunds went over a period, in figures and charts."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from refundry.access.rights import Right
from refundry.domain.refund import RefundState
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.portal.charts import Look, Series, image, lying_bars, stacked_bars
from refundry.portal.home_figures import (
    MOST_COUNTED,
    SPANS,
    Period,
    find_tasks,
    in_words,
    most_first,
    read_period,
)
from refundry.portal.home_summary import summary_of
from refundry.portal.navigation import first_page
from refundry.portal.pages import Page, Visit
from refundry.portal.refund_rows import STATES

_TONES = {
    RefundState.PENDING: "info",
    RefundState.PENDING_INFORMATION: "warn",
    RefundState.SUCCEEDED: "ok",
    RefundState.FAILED: "bad",
    RefundState.EXPIRED: "quiet",
}


async def show_home(visit: Visit) -> Answer:
    """The page; who may not see orders goes to the first page that they may see."""
    if not visit.may(Right.VIEW_ORDERS):
        return visit.go(first_page(visit.user.rights))
    period = read_period(visit)
    summary = await summary_of(visit, period)
    median = summary.median
    return visit.show(
        "home.html",
        tasks=await find_tasks(visit),
        most=MOST_COUNTED,
        period=period,
        spans=SPANS,
        today=visit.now.date(),
        as_of=summary.at,
        refunded=summary.refunded,
        states=STATES,
        currencies=summary.currencies,
        rated=most_first(summary.currencies),
        reasons=summary.reasons,
        median=in_words(median) if median is not None else "",
    )


async def show_chart(visit: Visit) -> Answer:
    """One chart of the page as an image. Drawing takes a while and leaves the loop to others."""
    find = _CHARTS.get(visit.path["name"])
    if find is None:
        raise NotFound("Chart", visit.path["name"])
    draw = await find(visit, read_period(visit))
    return image(
        await asyncio.to_thread(draw, Look(_chosen(visit, "dark"), _chosen(visit, "narrow")))
    )


def _chosen(visit: Visit, name: str) -> bool:
    return visit.query.one(name) == "1"


Draw = Callable[[Look], bytes]


async def _states(visit: Visit, period: Period) -> Draw:
    """Refunds by day, or week, and state; a state that no refund is in has no bars."""
    refunded = (await summary_of(visit, period)).refunded
    series = [
        Series(STATES[state.value], _TONES[state], [bar.counts[place] for bar in refunded.bars])
        for place, (state, count) in enumerate(refunded.by_state)
        if count
    ]
    labels = [f"{bar.begins.day} {bar.begins:%b}" for bar in refunded.bars]
    return partial(stacked_bars, labels, series)


async def _rates(visit: Visit, period: Period) -> Draw:
    """The refund rate by currency, in percent."""
    rated = most_first((await summary_of(visit, period)).currencies)
    values = [(each.permille or 0) / 10 for each in rated]
    series = Series("Refund rate in percent", "accent", values)
    labels = [f"{each.currency.code} · {each.rate}" for each in rated]
    return partial(lying_bars, labels, series)


async def _reasons(visit: Visit, period: Period) -> Draw:
    """The most frequent reasons."""
    found = (await summary_of(visit, period)).reasons
    series = Series("Refunds", "accent", [count for _, count in found])
    labels = [f"{count} · {reason}" for reason, count in found]
    return partial(lying_bars, labels, series)


_CHARTS: dict[str, Callable[[Visit, Period], Awaitable[Draw]]] = {
    "states.svg": _states,
    "rates.svg": _rates,
    "reasons.svg": _reasons,
}

PAGES = (
    Page("GET", "", show_home),
    Page("GET", "/home/{name}", show_chart, Right.VIEW_ORDERS),
)
