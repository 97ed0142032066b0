"""Whatever goes wrong in whatever order: what the processor paid is what the journal says."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest

from refundry.domain.refund import RefundState
from refundry.errors import Refused
from refundry.processors.contract import Forged
from tests.contract.connectors.stand import Fault, Plan, Sent
from tests.contract.servers.stripe_books import StripeError
from tests.db.gateways.till import Till
from tests.support.books import findings
from tests.support.http import Doc

_FAULTS: tuple[Fault, ...] = (
    "none", "silence_before", "silence_after", "too_many", "error_before", "error_after",
    "malformed", "duplicate",
)  # fmt: skip
_CODES = ("lost_or_stolen_card", "expired_or_canceled_card", "declined")
_STEPS = 14


class Life:
    """Random things that happen to a shop's orders, its gateway and the processor behind it."""

    def __init__(self, till: Till, chance: random.Random) -> None:
        self.till = till
        self._chance = chance
        self._sold: list[tuple[Doc, str]] = []
        self._refunds: list[str] = []
        self._heard: list[Sent] = []

    async def begin(self) -> None:
        self._sold = [await self.till.sold_with_payment() for _ in range(2)]

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[None]]] = [
            self._ask, self._ask, self._work, self._crash, self._wait, self._end, self._tell,
            self._tell_again, self._list, self._refund_elsewhere,
        ]  # fmt: skip
        await self._chance.choice(steps)()

    async def _ask(self) -> None:
        order, _ = self._chance.choice(self._sold)
        end = self._chance.choice(("settled", "settled", "pending"))
        times = self._chance.randint(1, 3)
        self.till.stripe.plan(Plan(end=end, fault=self._chance.choice(_FAULTS), times=times))
        amount = self._chance.choice(("1.00", "2.50", "13.51"))
        with contextlib.suppress(Refused):
            self._refunds.append(await self.till.shop.ask(order, amount))

    async def _work(self) -> None:
        await self.till.shop.settle()

    async def _crash(self) -> None:
        """The worker is gone after a moment; the leases that it leaves run out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(0.0, 0.06)):
                await self.till.shop.settle()
        await self._let_leases_end()

    async def _let_leases_end(self) -> None:
        tenant = self.till.shop.tenant
        await self.till.shop.database.execute(
            "UPDATE charge_operations SET leased_until = NULL WHERE account_id = $1",
            tenant.account_id,
        )

    async def _wait(self) -> None:
        await self.till.later(minutes=self._chance.choice((1, 6, 70, 1500)))

    async def _end(self) -> None:
        """A refund that is pending there ends; or one that was paid comes back."""
        held = [
            each
            for _, payment in self._sold
            for each in self.till.stripe.held(payment)
            if each.kind == "refund" and each.key is not None and each.state != "failed"
        ]
        if not held:
            return
        each = self._chance.choice(held)
        assert each.key is not None
        if each.state == "pending" and self._chance.random() < 0.6:
            self.till.stripe.finish(each.key, "settled", None)
        else:
            self.till.stripe.finish(each.key, "failed", self._chance.choice(_CODES))

    async def _tell(self) -> None:
        sent = self.till.stripe.sent()
        self._chance.shuffle(sent)
        for each in sent:
            self._heard.append(each)
            await self.till.tell(each)

    async def _tell_again(self) -> None:
        if self._heard:
            with contextlib.suppress(Forged):  # it may be too old by now
                await self.till.tell(self._chance.choice(self._heard))
            with pytest.raises(Forged):
                await self.till.tell(self.till.stripe.forge(self._heard[0], "secret"))

    async def _list(self) -> None:
        await self.till.list_refunds()

    async def _refund_elsewhere(self) -> None:
        _, payment = self._chance.choice(self._sold)
        with contextlib.suppress(StripeError):  # there is not so much left there
            self.till.stripe.refund_elsewhere(payment, self._chance.choice((100, 700)))

    async def finish(self) -> None:
        """All goes well from now on, and everything is told."""
        self.till.stripe.plan(Plan())
        await self._let_leases_end()
        for _, payment in self._sold:
            for held in self.till.stripe.held(payment):
                if held.state == "pending" and held.key is not None:
                    self.till.stripe.finish(held.key, "settled", None)
        for _ in range(3):
            await self.till.later(days=2)
            await self._tell()
            await self.till.list_refunds()
        for refund_id in self._refunds:
            refund = await self.till.refund(refund_id)
            ended = refund.state in (RefundState.SUCCEEDED, RefundState.FAILED)
            assert ended, (refund, await self.till.standing(refund))

    async def compare(self) -> None:
        """What the processor paid back of each payment, and what the journal says."""
        for order, payment in self._sold:
            stored = await self.till.shop.order(order)
            assert self.till.paid(payment) * 100 == stored.refunded, payment
            keys = [each.key for each in self.till.stripe.held(payment) if each.key is not None]
            assert len(keys) == len(set(keys)), "an operation is held once"
        assert await findings(self.till.shop.database) == []


async def _live(till: Till, seed: int) -> None:
    life = Life(till, random.Random(seed))
    await life.begin()
    for _ in range(_STEPS):
        await life.step()
    await life.finish()
    await life.compare()


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_paid_is_what_is_booked(till: Till, seed: int) -> None:
    await _live(till, seed)


@pytest.mark.check
@pytest.mark.parametrize("seed", range(4, 64))
async def test_what_was_paid_is_what_is_booked_in_more_lives(till: Till, seed: int) -> None:
    await _live(till, seed)
