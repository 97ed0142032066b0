"""What the clients of the stress ask for, drawn by lot, each request with a mark of its own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from bench.wire import http_request

from tests.support.http import Doc

# So many requests long the clients crowd around the same few orders.
TURN = 1000


@dataclass(frozen=True, slots=True)
class Orders:
    """Captured orders. many: each is asked for now and then. few: all clients at once, for a turn;
    then it is the next ones'. small: what they hold is soon refunded."""

    many: Sequence[Doc]
    few: Sequence[Sequence[Doc]]
    small: Sequence[Doc]


@dataclass(frozen=True, slots=True)
class Request:
    """mark: kept as the refund's reason. keyed: has an idempotency key, so it may be sent again.
    doomed: every answer but a refusal would be wrong. vanishes: the client hangs up before it is
    answered."""

    mark: str
    data: bytes
    keyed: bool
    doomed: bool
    vanishes: bool


class Requests:
    """Draws requests, always the same ones for a seed."""

    def __init__(self, seed: int, key: str, orders: Orders) -> None:
        self._chance = Random(seed)
        self._key = key
        self._orders = orders
        self._count = 0

    def next(self) -> Request:
        """Another one."""
        self._count += 1
        chance = self._chance
        mark = f"m{self._count}"
        doomed = chance.random() < 0.1
        body = self._doomed_body() if doomed else self._body()
        keyed = chance.random() < 0.15
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        if keyed:
            headers["Idempotency-Key"] = f"key-{mark}"
        text = http_request("POST", "/refunds", headers, json.dumps({**body, "reason": mark}))
        return Request(mark, text.encode(), keyed, doomed, vanishes=chance.random() < 0.03)

    @property
    def _few(self) -> Sequence[Doc]:
        return self._orders.few[(self._count // TURN) % len(self._orders.few)]

    def _body(self) -> Doc:
        """A request that has its refund, unless it is for a small order of which all is gone."""
        chance = self._chance
        drawn = chance.random()
        if drawn < 0.02:
            return _ask(chance.choice(self._orders.small), amount=5.00)
        order = chance.choice(self._few if drawn < 0.3 else self._orders.many)
        cents = chance.randint(1, 5) / 100
        if chance.random() < 0.8:
            return _ask(order, amount=cents)
        return _ask(order, items=[{"itemId": order["items"][0]["id"], "amount": cents}])

    def _doomed_body(self) -> Doc:
        chance = self._chance
        order = chance.choice(self._few if chance.random() < 0.5 else self._orders.many)
        wrong: list[Doc] = [
            _ask(order, amount=10_000_000),
            _ask(order, amount=0.001),
            _ask(order, amount=1.00, percent=10),
            _ask(order, amount=1.00, type="duty"),
            {**_ask(order, amount=1.00), "orderId": "no-such-order"},
            {**_ask(order, amount=1.00), "currency": "EUR"},
        ]
        return chance.choice(wrong)


def _ask(order: Doc, **fields: object) -> Doc:
    return {"orderId": order["id"], "currency": order["currency"], **fields}
