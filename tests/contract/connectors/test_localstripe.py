"""The Stripe connector against localstripe, with idempotency keys kept in front of it and without.

Without them only the look-up by our own reference stands between a repeat and a second payout.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from refundry.domain.charge import OperationKind
from refundry.processors.contract import NotFound, Outcome, Settled, Submission, Unknown
from refundry.processors.stripe import StripeCredentials, StripeProcessor
from tests.contract.connectors.runner import TENANT
from tests.contract.servers.localstripe import SECRET_KEY, Fault, LocalStripe
from tests.unit.given import currency

_TIMEOUT_SECONDS = 5.0
_KILLS = 12
_NOW = datetime.now(UTC)


@pytest.fixture(scope="module", params=["keys", "no keys"])
def server(request: pytest.FixtureRequest) -> Iterator[LocalStripe]:
    with LocalStripe(keys=request.param == "keys") as server:
        yield server


@pytest.fixture(scope="module")
def keeping_server() -> Iterator[LocalStripe]:
    with LocalStripe(keys=True) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def connect(server: LocalStripe, session: aiohttp.ClientSession) -> StripeProcessor:
    credentials = StripeCredentials(SECRET_KEY, "whsec_none")
    return StripeProcessor(credentials, session, _TIMEOUT_SECONDS, server.url)


def refund(key: str, payment: str, amount: int) -> Submission:
    return Submission(
        key=key,
        tenant=TENANT,
        kind=OperationKind.REFUND,
        charge_id="c1",
        amount=amount,
        currency=currency("EUR"),
        processor_reference=payment,
        source_type="creditCard",
        trigger=None,
        first_attempt_at=_NOW,
        now=_NOW,
        attempt=1,
    )


def held(server: LocalStripe, payment: str) -> list[tuple[str, int]]:
    """Our reference and the amount of each refund there."""
    return sorted(
        (one["metadata"]["refundry_operation"], one["amount"]) for one in server.refunds(payment)
    )


async def test_refunds_are_seen_there(server: LocalStripe, session: aiohttp.ClientSession) -> None:
    payment = server.pay(2000)
    stripe = connect(server, session)
    for key in ("first", "second"):
        outcome = await stripe.submit(refund(key, payment, 750))
        assert isinstance(outcome, Settled)
        assert (outcome.receipt.amount, outcome.receipt.currency) == (750, "EUR")
        assert outcome.receipt.reference in {one["id"] for one in server.refunds(payment)}
    assert held(server, payment) == [("first", 750), ("second", 750)]


@pytest.mark.parametrize("fault", ["silence_before", "silence_after"])
async def test_a_lost_answer_is_one_refund(
    server: LocalStripe, session: aiohttp.ClientSession, fault: Fault
) -> None:
    payment = server.pay(1000)
    stripe = connect(server, session)
    asked = refund(fault, payment, 1000)
    server.plan(fault)
    assert isinstance(await stripe.submit(asked), Unknown)
    found = await stripe.look_up(asked)
    assert isinstance(found, NotFound if fault == "silence_before" else Settled)
    for attempt in range(2, 5):
        outcome = await stripe.submit(replace(asked, attempt=attempt))
        assert isinstance(outcome, Settled)
    assert held(server, payment) == [(asked.key, 1000)]


async def test_after_a_day_a_lost_refund_is_found_and_not_repeated(
    server: LocalStripe, session: aiohttp.ClientSession
) -> None:
    payment = server.pay(1000)
    stripe = connect(server, session)
    server.plan("silence_after")
    assert isinstance(await stripe.submit(refund("late", payment, 1000)), Unknown)
    before = server.asked()
    tomorrow = _NOW + timedelta(days=1)
    outcome = await stripe.submit(replace(refund("late", payment, 1000), now=tomorrow))
    assert isinstance(outcome, Settled)
    assert server.asked() == before
    assert held(server, payment) == [("late", 1000)]


async def test_calls_killed_at_any_moment_are_one_refund_each(
    server: LocalStripe, session: aiohttp.ClientSession
) -> None:
    """A call is cut anywhere between its request and its answer; as the engine does, it is asked
    again only when the first request has had its time."""
    payment = server.pay(100 * _KILLS)
    stripe = connect(server, session)
    moments = random.Random(7)
    for number in range(_KILLS):
        asked = refund(f"kill-{number}", payment, 100)
        server.plan("none", seconds=0.01)
        call = asyncio.create_task(stripe.submit(asked))
        await asyncio.sleep(moments.uniform(0, 0.025))
        call.cancel()
        await asyncio.wait([call])
        async with asyncio.timeout(10):
            while not server.is_idle():
                await asyncio.sleep(0.005)
        outcome = await stripe.submit(replace(asked, attempt=2))
        assert isinstance(outcome, Settled)
    assert held(server, payment) == sorted((f"kill-{number}", 100) for number in range(_KILLS))


async def test_with_keys_ten_calls_at_once_are_one_refund(
    keeping_server: LocalStripe, session: aiohttp.ClientSession
) -> None:
    payment = keeping_server.pay(1000)
    stripe = connect(keeping_server, session)
    calls = [stripe.submit(refund("crowd", payment, 1000)) for _ in range(10)]
    outcomes: list[Outcome] = await asyncio.gather(*calls)
    assert any(isinstance(outcome, Settled) for outcome in outcomes)
    assert all(isinstance(outcome, Settled | Unknown) for outcome in outcomes)
    assert held(keeping_server, payment) == [("crowd", 1000)]
