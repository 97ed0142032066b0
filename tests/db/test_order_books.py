"""Orders through random lives, by the real commands: an audit finds nothing after any step."""

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from refundry.disputes.commands import Told, create_dispute, resolve_dispute
from refundry.disputes.reading import DisputeRequest, Resolution
from refundry.domain.charge import Operation, OperationState
from refundry.domain.fulfillment import FulfillmentAsk
from refundry.domain.order import Line, Order
from refundry.domain.refund import Refund, RefundAsk
from refundry.domain.returns import UnitsAsk
from refundry.errors import Refused
from refundry.operations.inbox import Data
from refundry.orders.commands import FulfillmentRequest, create_fulfillment, retry_operation
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.returns.commands import ReturnDesk, create_return, update_return
from refundry.returns.reading import ReturnRequest, ReturnUpdate
from tests.support.books import Shop, findings_of
from tests.support.fixtures import card, credit, order_body, paid_by
from tests.support.http import Doc
from tests.support.order_books import assert_books

STEPS = 40
# Captured at once, refunded at once; pending and then failed; failed at once; captures that are
# pending and then fail; captures that wait for what is said of them, of two charges; bank details
# needed; two charges, one of which cannot pay back.
BODIES: tuple[Callable[[], Doc], ...] = (
    lambda: order_body("B"),
    lambda: order_body("E"),
    lambda: order_body("S"),
    lambda: order_body("S"),
    lambda: order_body("R"),
    lambda: order_body("J"),
    lambda: order_body("A", payment=paid_by(card(27.01, "4485 9517 8852 1565"))),
    lambda: order_body("G", payment=paid_by(card(6.89, "4024 0071 2057 9635"), credit(20.00))),
    lambda: order_body("G"),
    lambda: order_body("H", payment=paid_by(card(15.89, "4556 6025 6424 0839"), credit(11.00))),
    lambda: order_body("G", payment=paid_by(card(6.89), credit(20.00, "RefundFail"))),
)


class Life:
    """One order, what may happen to it, and how often each of it did."""

    def __init__(self, shop: Shop, dice: random.Random, taken_in: Doc) -> None:
        self.shop = shop
        self.dice = dice
        self.doc = taken_in
        self.id: str = taken_in["id"]
        self.returns: list[str] = []
        self.disputes: list[str] = []
        self.done: Counter[str] = Counter()

    async def order(self) -> Order:
        return await self.shop.order(self.doc)

    async def step(self) -> None:
        """Something that may or may not be allowed at present."""
        steps: list[tuple[int, Callable[[], Awaitable[object]]]] = [
            (4, self.fulfil), (6, self.refund), (5, self.settle), (2, self.pass_time),
            (4, self.hear), (4, self.fail_late), (4, self.ask_return), (6, self.accept),
            (2, self.open), (8, self.close), (4, self.retry),
        ]  # fmt: skip
        weights = [weight for weight, _ in steps]
        _, chosen = self.dice.choices(steps, weights)[0]
        try:
            happened = await chosen()
        except Refused:
            happened = False
        self.done[chosen.__name__] += happened is not False

    async def fulfil(self) -> bool:
        asks: list[FulfillmentAsk] = []
        for line in (await self.order()).lines:
            units = self.dice.randint(0, line.units_left)
            gone = self.dice.choice([0, 0, line.units_left - units])
            if units or gone:
                asks.append(FulfillmentAsk(line.id, None, units, gone))
        if not asks:
            return False
        request = FulfillmentRequest(self.id, asks, [{} for _ in asks], {}, "{}")
        now = await self.shop.now()
        await create_fulfillment(self.shop.database, self.shop.tenant, request, now, None)
        return True

    async def retry(self) -> bool:
        """A failed capture or cancel once more, whether it may be or not."""
        failed = [
            operation
            for charge in (await self.order()).charges
            for operation in charge.operations
            if operation.state is OperationState.FAILED and operation.fulfillment_id
        ]
        if not failed:
            return False
        chosen = self.dice.choice(failed).id
        now = await self.shop.now()
        await retry_operation(self.shop.database, self.shop.tenant, self.id, chosen, now, None)
        return True

    async def refund(self) -> None:
        percent = Decimal(self.dice.choice([100, 33, 20, 10]))
        ask = RefundAsk(self.id, None, self.doc["currency"], percent=percent)
        request = RefundRequest(ask, await self.shop.now(), timedelta(), None)
        await create_refund(self.shop.database, self.shop.tenant, request)

    async def settle(self) -> None:
        await self.shop.settle()

    async def pass_time(self) -> None:
        await self.shop.advance(timedelta(seconds=self.dice.choice([30, 61, 31 * 24 * 3600])))

    async def hear(self) -> bool:
        """The processor answers to something that it has not answered yet."""
        return await self._tell(OperationState.PENDING, self.dice.choice(["complete", "failed"]))

    async def fail_late(self) -> bool:
        return await self._tell(OperationState.COMPLETE, "failed", kinds=("refund",))

    async def _tell(
        self, state: OperationState, word: str, kinds: tuple[str, ...] = ("capture", "refund")
    ) -> bool:
        """Also of chargebacks, to which it does nothing."""
        operations: list[Operation] = [
            operation
            for charge in (await self.order()).charges
            for operation in charge.operations
            if operation.state is state and operation.kind.value in kinds
        ]
        if not operations:
            return False
        operation = self.dice.choice(operations)
        await self.shop.hear(f"{operation.kind}.{word}", Data(operation_id=operation.id))
        return True

    async def ask_return(self) -> bool:
        asks = self._units((await self.order()), lambda line: line.fulfilled_units)
        if not asks:
            return False
        request = ReturnRequest(self.id, asks, "worn", None, "{}")
        now = await self.shop.now()
        body = await create_return(self.shop.database, self.shop.tenant, request, now, None)
        self.returns.append(json.loads(body)["id"])
        return True

    async def accept(self) -> bool:
        if not self.returns:
            return False
        everything = self.dice.random() < 0.7
        asks = self._units((await self.order()), lambda _line: 2)[:1]
        update = ReturnUpdate(everything, [] if everything else asks, None, None, False)
        if not update.takes_units:
            return False
        desk = ReturnDesk(self.shop.database, self.shop.worker.vault, timedelta())
        chosen = self.dice.choice(self.returns[-2:])
        now = await self.shop.now()
        await update_return(desk, self.shop.tenant, chosen, update, now, None)
        return True

    def _units(self, order: Order, most: Callable[[Line], int]) -> list[UnitsAsk]:
        units = [(line.id, self.dice.randint(0, most(line))) for line in order.lines]
        return [UnitsAsk(line_id, None, count) for line_id, count in units if count]

    async def open(self) -> None:
        charge = self.dice.choice((await self.order()).charges)
        told = Told(self.shop.tenant, await self.shop.now())
        request = DisputeRequest(charge.id, None, None, None)
        body = await create_dispute(self.shop.database, told, self.id, request)
        self.disputes.append(json.loads(body)["id"])

    async def close(self) -> bool:
        if not self.disputes:
            return False
        amount = self.dice.choice([None, None, Decimal(1), Decimal(5), Decimal(20)])
        resolution = Resolution(self.dice.random() < 0.7, amount, sent_amount=str(amount))
        told = Told(self.shop.tenant, await self.shop.now())
        dispute_id = self.dice.choice(self.disputes[-2:])
        await resolve_dispute(self.shop.database, told, dispute_id, resolution)
        return True

    async def refunds(self) -> list[Refund]:
        rows = await self.shop.database.fetch(
            "SELECT id FROM refunds WHERE account_id = $1 AND order_id = $2",
            self.shop.tenant.account_id, self.id,
        )  # fmt: skip
        return [(await self.shop.find(row["id"])).refund for row in rows]

    async def assert_books(self) -> None:
        assert await findings_of(self.shop) == []
        order = await self.order()
        assert_books(order, await self.refunds())
        assert (order.state.value == "dispute") is bool(
            await self._sum("(state = 'open')::int", "disputes")
        )
        taken = await self._sum("chargeback_minor", "disputes")
        sold = await self._sum("amount_minor", "sales_transactions")
        assert taken == -sold == sum(record.amount for record in order.chargebacks)
        await self._assert_events(order)

    async def _assert_events(self, order: Order) -> None:
        sequences = await self.shop.database.fetch(
            "SELECT order_sequence FROM events WHERE account_id = $1 AND order_id = $2"
            " ORDER BY created_at, seq",
            self.shop.tenant.account_id, self.id,
        )  # fmt: skip
        numbers = [row["order_sequence"] for row in sequences]
        assert numbers == list(range(1, order.event_sequence + 1))

    async def _sum(self, figure: str, table: str) -> int:
        return await self.shop.database.fetchval(
            f"SELECT coalesce(sum({figure}), 0)::bigint FROM {table}"
            " WHERE account_id = $1 AND order_id = $2",
            self.shop.tenant.account_id, self.id,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
async def test_any_life_of_an_order_keeps_the_books(shop: Shop, seed: int) -> None:
    dice = random.Random(seed)
    life = Life(shop, dice, await shop.take_in(BODIES[seed % len(BODIES)]()))
    if seed % 3:
        await shop.fulfil(life.doc, *(item["quantity"] for item in life.doc["items"]))
        await shop.settle()
    for number in range(STEPS):
        await life.step()
        try:
            await life.assert_books()
        except AssertionError as error:
            error.add_note(f"seed {seed}, step {number}, so far {dict(life.done)}")
            raise
