"""Shops that order, fulfil, refund, take goods back, and try again when no answer comes."""

import asyncio
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Any

from tests.simulation.bank import Bank
from tests.simulation.clock import moment
from tests.simulation.loop import Loop, Process
from tests.simulation.network import Lost, Network
from tests.simulation.processes import Reply
from tests.support.fixtures import FIXTURES

Doc = dict[str, Any]
_ORDERS = ("A", "B", "D", "E", "F", "G", "H", "L", "N", "V")  # all of two decimals
# Busy, in use, out of order: worth another try. Every other answer is final.
_TRY_AGAIN = frozenset({409, 429, 500, 502, 503, 504})
_MOST_TRIES = 6


@dataclass(slots=True)
class Intention:
    """Something that a client wants once. key: with which it asks. answers: final ones.

    sent: how many times it asked.
    """

    path: str
    key: str | None
    sent: int = 0
    answers: list[Reply] = field(default_factory=list[Reply])


@dataclass(slots=True)
class Clients:
    """All clients. intentions: what they wanted; a refund carries its number in its metadata."""

    loop: Loop
    process: Process
    network: Network
    bank: Bank
    random: Random
    api_key: str
    intentions: list[Intention] = field(default_factory=list[Intention])
    tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    def begin(self, orders: int) -> None:
        for _ in range(orders):
            self._spawn(self._shop())

    async def finish(self) -> None:
        """Return when no client wants anything any more. Raises what one of them raised."""
        for task in self.tasks:  # grows meanwhile
            await task

    def _spawn(self, work: Any) -> None:
        self.tasks.append(self.loop.spawn(self.process, work))

    async def send(self, path: str, body: Doc, *, keyed: bool, tries: int = _MOST_TRIES) -> Doc:
        """Want something, and ask until there is a final answer; {} if there is none."""
        number = len(self.intentions)
        intention = Intention(path, f"key-{number}" if keyed else None)
        self.intentions.append(intention)
        if path == "/refunds":
            body = {**body, "metadata": {"intention": str(number)}}
        for attempt in range(tries):
            intention.sent += 1
            try:
                reply = await self.network.request(
                    "POST", path, json.dumps(body).encode(), self._headers(intention)
                )
            except Lost:
                continue
            if reply.status < 300:
                intention.answers.append(reply)
                return json.loads(reply.body)
            if reply.status not in _TRY_AGAIN:
                return {}
            await asyncio.sleep(self.random.uniform(0.1, 2.0) * (attempt + 1))
        return {}

    def _headers(self, intention: Intention) -> Mapping[str, str]:
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Content-Type": "application/json",
            "X-Request-Id": f"request-{len(self.intentions)}",
        }
        return headers | ({"Idempotency-Key": intention.key} if intention.key else {})

    async def _shop(self) -> None:
        """An order, and all that people want of it at the same time."""
        await self._wait(3.0)
        order = await self.send("/orders", _order(self.random), keyed=True)
        if not order:
            return
        self._spawn(self._fulfil(order))
        for _ in range(self.random.randint(4, 10)):
            self._spawn(self._refund(order))
        match self.random.randrange(6):
            case 0:
                self._spawn(self._return(order))
            case 1 | 2:
                self._spawn(self._dispute(order))
            case _:
                pass  # refunds alone: nothing takes the money that they race for

    async def _wait(self, longest: float) -> None:
        await asyncio.sleep(moment(self.random, self.loop.time(), longest))

    async def _fulfil(self, order: Doc) -> None:
        left = {item["id"]: item["quantity"] for item in order["items"]}
        whole = self.random.random() < 0.8
        while any(left.values()):
            name = "quantity" if self.random.random() < 0.92 else "cancelQuantity"
            units = {k: n if whole else self.random.randint(0, n) for k, n in left.items()}
            items = [{"itemId": k, name: n} for k, n in units.items() if n]
            if not items:
                continue
            if not await self.send(
                "/fulfillments", {"orderId": order["id"], "items": items}, keyed=True
            ):
                return
            left = {k: n - units[k] for k, n in left.items()}
            await self._wait(6.0)

    async def _refund(self, order: Doc) -> None:
        await asyncio.sleep(3.0)  # so that some money has been captured
        await self._wait(18.0)
        body = {"orderId": order["id"], "currency": order["currency"], **self._what(order)}
        keyed = self.random.random() < 0.5
        refund = await self.send("/refunds", body, keyed=keyed)
        if refund and self.random.random() < 0.2:
            note = {"metadata": {"note": str(self.random.randrange(10))}}
            await self.send(f"/refunds/{refund['id']}", note, keyed=False)

    def _what(self, order: Doc) -> Doc:
        """What to refund: mostly a small amount; else a part, a type, or lines."""
        chance = self.random.random()
        if chance < 0.1:
            return {"percent": self.random.choice((5, 33.3, 100))}
        if chance < 0.15:
            return {"type": self.random.choice(("shipping", "fees", "duty")), "percent": 50}
        if chance < 0.3:
            chosen = self.random.sample(order["items"], self.random.randint(1, len(order["items"])))
            return {"items": [{"itemId": item["id"], "percent": 20} for item in chosen]}
        return {"amount": _part(order["totalAmount"], self.random.randint(1, 10))}

    async def _return(self, order: Doc) -> None:
        await self._wait(15.0)
        item = self.random.choice(order["items"])
        body = {"orderId": order["id"], "items": [{"itemId": item["id"], "quantity": 1}]}
        goods = await self.send("/returns", body, keyed=True)
        if goods:
            await self._wait(5.0)
            await self.send(f"/returns/{goods['id']}", {"state": "accepted"}, keyed=True)

    async def _dispute(self, order: Doc) -> None:
        """A shopper complains to the bank, which sooner or later decides."""
        await asyncio.sleep(10.0)
        await self._wait(8.0)
        charge = order["payment"]["charges"][0]
        known = {"processorReference": f"dispute-{order['id']}"}
        left = self.bank.left(charge["id"])
        if not left:
            return
        about = {"chargeId": charge["id"], "amount": left / 100, "reason": "fraud"}
        self.bank.dispute("opened", known | about)
        await self._wait(4.0)
        if self.random.random() < 0.2:
            self.bank.dispute("won", known)
            return
        # While refunds are on their way the bank takes more than is free, and is owed it.
        amount = self.bank.left(charge["id"]) / 100
        if amount:
            fraud = self.random.random() < 0.5
            self.bank.dispute("lost", known | {"amount": amount, "fraud": fraud})


def _part(whole: float, percent: int) -> float:
    """A part of an amount in major units, a cent at least."""
    exact = Decimal(str(whole)) * percent / 100
    return float(max(exact.quantize(Decimal("0.01"), ROUND_DOWN), Decimal("0.01")))


def _order(random: Random) -> Doc:
    body = copy.deepcopy(FIXTURES[random.choice(_ORDERS)])
    for source in body["payment"]["sources"]:
        source.get("creditCard", {}).pop("number", None)  # live mode takes none
    return body
