"""Real requests for refunds over HTTP to a real service, and what is in its database afterwards."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

import uvloop

from tests.stress.callers import Callers, Told
from tests.stress.requests import TURN, Orders, Requests
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import card, fulfil, get_order, given_accepted, line, paid_by
from tests.support.http import Api, Doc
from tests.support.processes import eventually
from tests.support.service import Service

CLIENTS = 32
# An order is asked for about a hundred times: its settling reads all its records, so that one with
# thousands of refunds, which no shop has, would be all that is measured.
MANY_OF, FEW, SMALL = 100, 3, 20
# Long enough for a lock of five seconds, far too short for a lost wake-up.
PATIENCE_SECONDS = 30.0
_SETTLED_SECONDS = 600.0
# Enough cents for hundreds of thousands of refunds of one order.
_LARGE: Doc = {
    "items": [line(90_000.00, 0, 2)],
    "shippingChoice": None,
    "totalAmount": 90_000.00,
    "payment": paid_by(card(90_000.00)),
}
# Nobody is refused for having waited: on a busy machine that would be all that is found.
_ENVIRONMENT = {
    "REFUNDRY_SANDBOX_DELAY": "0",
    "REFUNDRY_LOG_LEVEL": "warning",
    "REFUNDRY_QUEUE_TIMEOUT": "20",
}
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found in order. written_unheard: refunds of clients that had hung up."""

    counts: Counter[str]
    seconds: float
    slowest_seconds: float
    created: int
    written_unheard: int
    splits: int


def stress_refunds(count: int, seed: int, say: Say) -> Report:
    """Make `count` requests and look at what came of them. Raises AssertionError."""
    with Service("serve", _ENVIRONMENT) as service:
        account = service.open_account()
        api = service.api(account.secret_test)
        say("taking in orders ...")
        orders = _given_orders(api, count)
        requests = Requests(seed, account.secret_test, orders)
        begun = time.monotonic()
        try:
            told = uvloop.run(_call(requests, service.port, seed, count, say))
        except AssertionError as error:
            error.add_note(service.log_since(0)[-4000:])
            raise
        seconds = time.monotonic() - begun
        say("waiting until every refund is settled ...")
        assert eventually(lambda: not _pending(service), _SETTLED_SECONDS)
        unheard = _compare(told, orders, _stored(service))
        audited = said(refundry("audit", data_dir=service.data_dir))
        assert audited.endswith(" orders audited, 0 do not add up."), audited
        splits = service.log_since(0).count("group_split")
    return Report(told.counts, seconds, told.slowest_seconds, len(told.created), unheard, splits)


async def _call(requests: Requests, port: int, seed: int, count: int, say: Say) -> Told:
    callers = Callers(requests, port, seed, count)

    async def report() -> None:
        while True:
            say(f"{callers.done} of {count} requests done, the slowest took"
                f" {callers.told.slowest_seconds:.2f} s")  # fmt: skip
            await asyncio.sleep(1)

    reporting = asyncio.create_task(report())
    try:
        return await callers.run(CLIENTS, PATIENCE_SECONDS)
    finally:
        reporting.cancel()


def _given_orders(api: Api, count: int) -> Orders:
    few = FEW * (count // TURN + 1)
    large = [given_accepted(api, "A", **_LARGE) for _ in range(count // MANY_OF + few)]
    small = [given_accepted(api, "A") for _ in range(SMALL)]
    for order in large + small:
        fulfil(api, order, 2)
    for order in large + small:
        assert eventually(lambda order=order: get_order(api, order)["state"] == "complete")
    turns = [large[n : n + FEW] for n in range(0, few, FEW)]
    return Orders(large[few:], turns, small)


def _pending(service: Service) -> bool:
    rows = run_sql(
        service.data_dir, "SELECT EXISTS (SELECT 1 FROM refunds WHERE state = 'pending') AS pending"
    )
    return bool(rows[0]["pending"])


def _stored(service: Service) -> list[Any]:
    return run_sql(
        service.data_dir,
        "SELECT id, order_id, amount_minor, refunded_minor, state, reason FROM refunds",
    )


def _compare(told: Told, orders: Orders, rows: list[Any]) -> int:
    """Each 201 is there once, nothing is there that was not told; gives how many nobody heard of.

    Only a client that hung up may have a refund that it does not know of, and one at most.
    """
    stored: dict[str, list[str]] = {}
    for row in rows:
        stored.setdefault(row["reason"], []).append(row["id"])
    assert {row["state"] for row in rows} <= {"succeeded"}
    twice = {mark: ids for mark, ids in stored.items() if len(ids) > 1}
    assert not twice, f"written twice: {twice}"
    for mark, ids in told.created.items():
        assert stored.get(mark) == list(set(ids)), f"{mark}: told {ids}, has {stored.get(mark)}"
    contradictory = told.refused & told.created.keys()
    assert not contradictory, f"created and refused: {contradictory}"
    refused = told.refused & stored.keys()
    assert not refused, f"refused and written: {refused}"
    unheard = stored.keys() - told.created.keys()
    assert unheard <= told.vanished, f"written and not told: {unheard - told.vanished}"
    unanswered = told.sent - told.created.keys() - told.refused - told.vanished
    assert not unanswered, f"without an answer: {unanswered}"
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["order_id"]] += row["amount_minor"]
    for order in (*chain.from_iterable(orders.few), *orders.many, *orders.small):
        assert totals[order["id"]] <= Decimal(str(order["totalAmount"])) * 100
    return len(unheard)
