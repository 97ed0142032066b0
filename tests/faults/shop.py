"""A shop on the real service with the counting processor, and the judgement over it at the end."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import httpx

from refundry.db.database import connect_arguments
from refundry.settings import load_settings
from tests.faults.load import Load, load
from tests.support.command import refundry, said
from tests.support.fixtures import card, fulfil, get_order, given_accepted, line, paid_by
from tests.support.http import Api, Doc, expect, money
from tests.support.processes import eventually
from tests.support.service import Processor, Service

LARGE, SMALL = 6, 2
# A worker that dies keeps its lease on an operation for five seconds more than this.
PROCESSOR_SECONDS = 1
REST_SECONDS = 60.0


@dataclass
class Shop:
    """The service, its processor, and an account with captured orders.

    Two of the orders are so small that the callers want more of them than was captured.
    """

    service: Service
    processor: Processor
    api: Api
    orders: list[Doc]

    @contextmanager
    def load(self) -> Generator[Load]:
        """Callers who ask for refunds of the orders for as long as the block runs."""
        assert self.api.key is not None
        url = f"http://127.0.0.1:{self.service.port}"
        with load(url, self.api.key, [order["id"] for order in self.orders]) as calling:
            yield calling

    def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of a statement on the service's database."""
        settings = load_settings(self.service.environment, {"data_dir": self.service.data_dir})

        async def run() -> list[Any]:
            connection = await asyncpg.connect(**connect_arguments(settings))
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(run())

    def judge(self, load: Load, expected: set[str]) -> None:
        """What must hold after every fault. expected: of `load.others`, what may have come."""
        assert set(load.others) <= expected, load.others
        self.rest()
        refunds = everything(self.api, "/refunds")
        judge_answers(load, refunds)
        judge_payments(self.processor.ledger(), refunds)
        self.judge_books(refunds)

    def rest(self) -> None:
        """Wait until every refund has come to its end."""
        assert eventually(lambda: not self._pending(), REST_SECONDS), "some refunds stay pending"

    def judge_books(self, refunds: list[Doc]) -> None:
        """The orders say what the refunds say, events have no gap, and the audit is clean."""
        orders = [get_order(self.api, order) for order in self.orders]
        refunded = sum((order["refundedAmount"] for order in orders), Decimal())
        assert refunded == sum((refund["refundedAmount"] for refund in refunds), Decimal())
        rows = self.sql(
            "SELECT array_agg(order_sequence ORDER BY order_sequence) AS numbers"
            " FROM events GROUP BY order_id"
        )
        for row in rows:
            assert row["numbers"] == list(range(1, len(row["numbers"]) + 1))
        env = {k: v for k, v in self.service.environment.items() if k.startswith("REFUNDRY_")}
        audited = said(refundry("audit", data_dir=self.service.data_dir, env=env))
        assert audited.endswith(" orders audited, 0 do not add up.")

    def _pending(self) -> bool:
        try:
            response = self.api.get("/refunds?state=pending&limit=1")
        except httpx.TransportError:
            return True
        return response.status_code != 200 or bool(response.json()["data"])


def judge_answers(load: Load, refunds: list[Doc]) -> None:
    """Every 201 is there; what was asked under one key, or once, was done once, or not at all."""
    by_id = {refund["id"]: refund for refund in refunds}
    assert len(by_id) == len(refunds)
    done = Counter(refund["metadata"]["ask"] for refund in refunds)
    assert not [name for name, times in done.items() if times != 1]
    for name, accepted in load.accepted.items():
        told = accepted.refund
        kept = by_id[told["id"]]
        assert kept["metadata"]["ask"] == name
        for field in ("id", "orderId", "amount", "currency", "createdTime"):
            assert kept[field] == told[field]
    assert not load.refused & set(done)
    assert load.keyed == load.keyed & (load.accepted.keys() | load.refused)


def judge_payments(ledger: Mapping[str, Doc], refunds: list[Doc]) -> None:
    """The processor paid each refund once, what it was, and no charge more than it captured."""
    assert {entry["times"] for entry in ledger.values()} == {1}
    assert {refund["state"] for refund in refunds} == {"succeeded"}
    assert all(refund["refundedAmount"] == refund["amount"] for refund in refunds)
    paid = [entry for entry in ledger.values() if entry["kind"] == "refund"]
    amounts = Counter(money(str(entry["amount"])) for entry in paid)
    assert amounts == Counter(Decimal(refund["amount"]) for refund in refunds)
    balance: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in ledger.values():
        sign = {"capture": 1, "refund": -1, "cancel": 0}[entry["kind"]]
        balance[entry["chargeId"]] += sign * money(str(entry["amount"]))
    assert min(balance.values()) >= 0


@contextmanager
def open_shop(service: Service, processor: Processor) -> Generator[Shop]:
    """A shop on a service that is started, and ended, here."""
    with service:
        api = service.api(service.open_account().secret_test)
        yield fill_shop(service, processor, api)


def fill_shop(service: Service, processor: Processor, api: Api) -> Shop:
    """Captured orders for an account that has none."""
    orders = [_given_order(api, 90_000.00) for _ in range(LARGE)]
    orders += [_given_order(api, 0.50) for _ in range(SMALL)]
    for order in orders:
        fulfil(api, order, 2)
    for order in orders:
        assert eventually(lambda o=order: get_order(api, o)["state"] == "complete")
    return Shop(service, processor, api, orders)


def environment(processor: Processor) -> dict[str, str | None]:
    """What a service of a shop is started with."""
    timeout = {"REFUNDRY_PROCESSOR_TIMEOUT": str(PROCESSOR_SECONDS)}
    return {**processor.environment(), **timeout, "REFUNDRY_LOG_LEVEL": "warning"}


def everything(api: Api, path: str) -> list[Doc]:
    """Every object of a list, page by page."""
    page = expect(api.get(f"{path}?limit=100"))
    found: list[Doc] = page["data"]
    while page["hasMore"]:
        page = expect(api.get(f"{path}?limit=100&startingAfter={found[-1]['id']}"))
        found += page["data"]
    return found


def _given_order(api: Api, total: float) -> Doc:
    fields: Doc = {
        "items": [line(total, 0, 2)],
        "shippingChoice": None,
        "totalAmount": total,
        "payment": paid_by(card(total)),
    }
    return given_accepted(api, "A", **fields)
