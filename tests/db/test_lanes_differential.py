"""The same random requests one by one and in groups: the same answers, and the same books."""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.domain.refund import AmountBasis
from refundry.errors import BadFields, Refused
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.operations.work import Worker
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.lanes import RefundLanes
from refundry.refunds.reading import read_refund
from tests.support.books import Shop, open_shop
from tests.support.fixtures import order_body
from tests.support.http import Doc

# Shipping, fees, per-line shipping, duties in another currency, two sources, and a processor that
# declines refunds later on.
FIXTURES = ("A", "E", "F", "D", "G", "R")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
# Of charges, records and sources, which exist on both sides in the same places.
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BOOKS = """
    SELECT r.order_id, r.id, r.amount_minor, r.currency, r.type, r.elements, r.state, r.reason,
           r.metadata, r.share_lines, r.shares, r.refunded_minor, r.refunded_shares,
           r.failure_reason, r.sku_ids
      FROM refunds r WHERE account_id = $1 ORDER BY r.seq
"""
_EVENTS = """
    SELECT order_id, order_sequence, type, object FROM events
     WHERE account_id = $1 AND type LIKE 'refund.%' ORDER BY order_id, order_sequence
"""


Result = bytes | Refused


@dataclass(frozen=True, slots=True)
class Drawn:
    """A request before the ids of orders are known. order: place among the orders, one past the
    last for an unknown one. lines: for each element, the place of its line, too large for an
    unknown one; fields are those of the request's body."""

    order: int
    fields: Doc
    lines: tuple[int, ...] = ()
    by_sku: bool = False


# Much that fits, and now and then what does not.
small_amounts = st.integers(1, 200).map(lambda cents: cents / 100)
amounts = st.one_of(
    small_amounts,
    small_amounts,
    small_amounts,
    st.integers(200, 3000).map(lambda cents: cents / 100),
    st.sampled_from([0.001, 10_000_000.0]),
)
percents = st.one_of(
    st.sampled_from([100, 50, 0.01]), st.integers(1, 1000).map(lambda share: share / 100)
)
how_much = st.one_of(
    amounts.map(lambda amount: {"amount": amount}), percents.map(lambda share: {"percent": share})
)
whole_types = st.sampled_from([*[None] * 9, "shipping", "duty", "tax", "importer_tax", "fees"])
item_types = st.sampled_from([*[None] * 6, "shipping", "duty", "fees"])


def _without_none(fields: Doc) -> Doc:
    return {name: value for name, value in fields.items() if value is not None}


@st.composite
def drawn(draw: st.DrawFn, orders: int) -> Drawn:
    """Any request that is well formed, most of them for an order that is there."""
    extras = {
        "reason": draw(st.sampled_from([None, None, "Too small"])),
        "metadata": draw(st.sampled_from([None, None, {"ticket": "7"}])),
        "currency": "JPY" if draw(st.integers(1, 15)) == 15 else None,
    }
    known = draw(st.integers(1, 15)) < 15
    order = draw(st.integers(0, orders - 1)) if known else orders
    if draw(st.integers(0, 2)):
        fields = {"type": draw(whole_types), **draw(how_much), **extras}
        return Drawn(order, _without_none(fields))
    lines = tuple(draw(st.lists(st.sampled_from([*[0] * 6, 1, 9]), min_size=1, max_size=2)))
    quantities = st.sampled_from([*[None] * 6, 1, 2, 99])
    items = [
        _without_none({"type": draw(item_types), "quantity": draw(quantities), **draw(how_much)})
        for _ in lines
    ]
    fields = {**_without_none(extras), "items": items}
    return Drawn(order, fields, lines, draw(st.booleans()))


Scenario = tuple[Sequence[str], list[list[Drawn]]]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """The fixtures of the orders, and bursts of requests on them."""
    names = draw(st.lists(st.sampled_from(FIXTURES), min_size=1, max_size=3))
    bursts = st.lists(drawn(len(names)), min_size=5, max_size=40)
    return names, draw(st.lists(bursts, min_size=1, max_size=3))


def to_request(each: Drawn, orders: list[Doc], now: datetime) -> RefundRequest:
    """The request that the pipeline would make of it. Raises BadFields."""
    known = each.order < len(orders)
    order = orders[each.order] if known else orders[0]
    body = {"currency": order["currency"], **each.fields, "orderId": order["id"]}
    if not known:
        body["orderId"] = "no-such-order"
    name = "skuId" if each.by_sku else "itemId"
    key = "skuId" if each.by_sku else "id"
    items = order["items"]
    if each.lines:
        body["items"] = [
            {name: items[place][key] if place < len(items) else "no-such", **element}
            for place, element in zip(each.lines, each.fields["items"], strict=True)
        ]
    fields = Fields(read_object(json.dumps(body).encode()), [])
    return RefundRequest(read_refund(fields, AmountBasis.LINE), now, timedelta(), None)


def is_well_formed(each: Drawn, orders: list[Doc]) -> bool:
    try:
        to_request(each, orders, datetime.min)
    except BadFields:
        return False
    return True


class Side:
    """One way of serving, with a shop of its own; what it gives has no ids and times of its own."""

    def __init__(self, shop: Shop, orders: list[Doc]) -> None:
        self.shop = shop
        self.orders = orders
        self._names: dict[str, str] = {}
        self._numbers = itertools.count(1)
        for place, order in enumerate(orders):
            self._names[order["id"]] = f"order {place}"
            for line, item in enumerate(order["items"]):
                self._names[item["id"]] = f"line {place} {line}"

    def answer(self, result: Result) -> str:
        """What somebody was told."""
        if isinstance(result, Refused):
            refusal = result.refusal
            return self._plain(f"{type(refusal).__name__} {asdict(refusal)}")
        self._names[json.loads(result)["id"]] = f"refund {next(self._numbers)}"
        return self._plain(result.decode())

    def requests(self, asked: list[Drawn], now: datetime) -> list[RefundRequest]:
        return [to_request(each, self.orders, now) for each in asked]

    async def books(self) -> list[str]:
        """Orders, refunds and their events as they are stored."""
        database, account = self.shop.database, self.shop.tenant.account_id
        stored = [await self.shop.order(order) for order in self.orders]
        orders = [
            (order.version, order.event_sequence, order.state, order.available_to_refund,
             [(line.held, line.refunded, line.captured) for line in order.lines])
            for order in stored
        ]  # fmt: skip
        rows = [tuple(row) for row in await database.fetch(_BOOKS, account)]
        events = [tuple(row) for row in await database.fetch(_EVENTS, account)]
        plain = [self._plain(repr(each)) for each in events]
        return [*map(repr, orders), *(self._plain(repr(row)) for row in rows), *sorted(plain)]

    def _plain(self, text: str) -> str:
        for known, name in self._names.items():
            text = text.replace(known, name)
        return _ID.sub("<id>", _TIME.sub("<time>", text))


async def one_by_one(shop: Shop, requests: list[RefundRequest]) -> list[Result]:
    return [await _caught(create_refund(shop.database, shop.tenant, each)) for each in requests]


async def in_groups(shop: Shop, requests: list[RefundRequest]) -> list[Result]:
    """One lane: what comes at once goes as one group."""
    lanes = RefundLanes(shop.database, most_lanes=1)
    work = [asyncio.create_task(lanes.create(shop.tenant, each)) for each in requests]
    return [await _caught(each) for each in work]


async def _caught(work: Awaitable[bytes]) -> Result:
    try:
        return await work
    except Refused as refused:
        return refused


async def serve_both_ways(worker: Worker, names: Sequence[str], bursts: list[list[Drawn]]) -> None:
    alone, grouped = [await given_side(worker, names) for _ in range(2)]
    for burst in bursts:
        asked = [each for each in burst if is_well_formed(each, alone.orders)]
        now = await alone.shop.now()
        singles = await one_by_one(alone.shop, alone.requests(asked, now))
        together = await in_groups(grouped.shop, grouped.requests(asked, now))
        assert [alone.answer(each) for each in singles] == [
            grouped.answer(each) for each in together
        ]
    assert await alone.books() == await grouped.books()
    for side in (alone, grouped):
        await side.shop.settle()
    assert await alone.books() == await grouped.books()


async def given_side(worker: Worker, names: Sequence[str]) -> Side:
    shop = await open_shop(worker)
    return Side(shop, [await shop.captured(order_body(name)) for name in names])


@settings(max_examples=12, deadline=None)
@given(scenario=scenarios())
async def test_groups_answer_and_write_as_single_requests_do(
    worker: Worker, scenario: Scenario
) -> None:
    await serve_both_ways(worker, *scenario)


@pytest.mark.check
@settings(max_examples=300, deadline=None)
@given(scenario=scenarios())
async def test_groups_answer_and_write_as_single_requests_do_many_times(
    worker: Worker, scenario: Scenario
) -> None:
    await serve_both_ways(worker, *scenario)
