"""A refund goes through the gateway of its payment, once, and what comes back is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from refundry.access.audit_log import COMMAND_LINE
from refundry.domain.refund import RefundState
from refundry.gateways.commands import GatewayRefused, NewGateway, close_gateway, open_gateway
from refundry.operations import gateway_calls
from refundry.operations.check_store import park
from refundry.operations.store import Claimed, claim_operations
from refundry.operations.work import operate, submit_due
from refundry.processors.contract import Declined
from tests.contract.connectors.stand import Plan
from tests.db.gateways.till import CREDENTIALS, Till
from tests.support.books import findings
from tests.support.fixtures import order_body
from tests.support.http import Doc


async def test_captures_and_refunds_reach_the_processor(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    refund = await till.refunded(order, "13.51")
    assert refund.state is RefundState.SUCCEEDED
    kinds = [(held.kind, held.amount, held.state) for held in till.stripe.held(payment)]
    assert ("capture", 2701, "settled") in kinds
    assert ("refund", 1351, "settled") in kinds
    standing = await till.standing(refund)
    assert (standing.gateway, standing.processor) == ("main", "stripe")
    assert standing.reference is not None
    assert standing.reference.startswith("re_")
    assert await findings(till.shop.database) == []


async def test_payments_without_a_reference_stay_in_the_sandbox(till: Till) -> None:
    order = await till.shop.captured(order_body("A"))
    refund = await till.refunded(order, "1.00")
    assert refund.state is RefundState.SUCCEEDED
    assert (await till.standing(refund)).gateway is None
    assert till.stripe.asked() == 0


async def test_a_decline_says_why(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="declined", code="insufficient_funds"))
    refund = await till.refunded(order, "5.00")
    assert (refund.state, refund.failure_reason) == (RefundState.FAILED, "insufficient_funds")


@pytest.mark.parametrize("fault", ["silence_before", "silence_after", "error_after", "malformed"])
async def test_an_unclear_answer_is_repeated_and_pays_once(till: Till, fault: str) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.plan(Plan(fault=fault))  # type: ignore[arg-type]
    refund = await till.refunded(order, "5.00")
    assert refund.state is RefundState.PENDING
    assert (await till.standing(refund)).error
    await till.later(seconds=5)
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED
    assert till.paid(payment) == Decimal("5.00")


async def test_a_pending_refund_is_looked_up_after_an_hour_and_then_daily(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "5.00")
    assert refund.state is RefundState.PENDING
    standing = await till.standing(refund)
    assert (standing.next_attempt, standing.checked_at) == (None, None)
    assert standing.check_due_at is not None
    asked = till.stripe.asked()
    await till.later(minutes=61)
    standing = await till.standing(refund)
    assert standing.found == "under way"
    assert standing.checked_at is not None
    assert standing.check_due_at is not None
    assert (standing.check_due_at - standing.checked_at).days == 1
    (part,) = refund.parts
    till.stripe.finish(part.operation_id, "settled", None)
    await till.later(days=1)
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED
    assert till.stripe.asked() == asked, "a look-up asks for no operation"
    assert till.paid(payment) == Decimal("5.00")


async def test_an_answer_about_another_amount_waits_for_a_person(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(fault="wrong_amount"))
    refund = await till.refunded(order, "5.00")
    assert refund.state is RefundState.PENDING
    assert refund.needs_attention
    standing = await till.standing(refund)
    assert standing.parked == "the processor says 4.99 USD, and was asked for 5.00 USD"
    await till.later(days=3)
    assert (await till.refund(refund.id)).state is RefundState.PENDING
    assert await findings(till.shop.database) == []


async def test_an_open_refund_is_looked_up_before_the_next_one_of_its_charge(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    first = await till.refunded(order, "5.00")
    (part,) = first.parts
    till.stripe.finish(part.operation_id, "failed", "lost_or_stolen_card")
    await till.later(minutes=2)
    assert (await till.refund(first.id)).state is RefundState.PENDING
    second = await till.refunded(order, "1.00")
    assert second.state is RefundState.SUCCEEDED
    first = await till.refund(first.id)
    assert (first.state, first.failure_reason) == (RefundState.FAILED, "lost_or_stolen_card")


async def test_a_closed_gateway_pays_back_what_it_took_and_takes_no_more(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    now = datetime.now(UTC)
    await close_gateway(till.shop.database, till.gateway, COMMAND_LINE, now)
    refund = await till.refunded(order, "2.00")
    assert refund.state is RefundState.SUCCEEDED
    assert till.paid(payment) == Decimal("2.00")
    later = await till.sold()
    sandboxed = await till.refunded(later, "2.00")
    assert (await till.standing(sandboxed)).gateway is None


async def test_gateways_do_not_overlap_and_keep_to_their_mode(till: Till) -> None:
    shop, vault = till.shop, till.shop.worker.vault
    now = datetime.now(UTC)

    async def opened(**fields: object) -> None:
        new = NewGateway(**{"name": "other", "processor": "stripe", "credentials": CREDENTIALS,
                            **fields})  # type: ignore[arg-type]  # fmt: skip
        await open_gateway(shop.database, vault, shop.tenant, new, COMMAND_LINE, now)

    with pytest.raises(GatewayRefused, match="'main' takes these payments"):
        await opened(source_types=("payPal", "creditCard"))
    with pytest.raises(GatewayRefused, match="named 'main' exists"):
        await opened(name="main", source_types=("payPal",))
    with pytest.raises(GatewayRefused, match="for live payments"):
        await opened(credentials=CREDENTIALS.replace("_test_", "_live_"))
    with pytest.raises(GatewayRefused, match="'secret' is none of"):
        await opened(credentials='{"secret": "sk_test_1"}')
    with pytest.raises(GatewayRefused, match="none of: stripe"):
        await opened(processor="square")
    await opened()
    with pytest.raises(GatewayRefused, match="'other' takes these payments"):
        await opened(name="third")


@pytest.mark.parametrize("meanwhile", ["parked", "taken by another worker"])
async def test_what_is_no_longer_ours_is_not_sent(till: Till, meanwhile: str) -> None:
    order = await till.sold()
    shop = till.shop
    await shop.ask(order, "5.00")
    await submit_due(shop.worker, shop.tenant.account_id)
    asked = till.stripe.asked()

    async def claim() -> list[Claimed]:
        return await claim_operations(
            shop.database, now=datetime.now(UTC), lease=timedelta(),
            account_id=shop.tenant.account_id, limit=10,
        )  # fmt: skip

    (claimed,) = await claim()
    if meanwhile == "parked":
        key = claimed.submission.key
        await park(shop.database, shop.tenant, claimed.order_id, key, "a reason", datetime.now(UTC))
    else:
        assert len(await claim()) == 1
    await operate(shop.worker, [claimed])
    assert till.stripe.asked() == asked


async def partly_captured(till: Till) -> Doc:
    """An order of three units of which one was shipped and paid."""
    body = order_body("M")
    payment = till.stripe.pay(6482, "USD", captured=False)
    body["payment"]["sources"][0]["processorReference"] = payment
    order = await till.shop.take_in(body)
    await till.shop.fulfil(order, 1)
    await till.shop.settle()
    return order


async def test_a_second_capture_is_not_asked_of_a_processor_that_does_only_one(till: Till) -> None:
    shop = till.shop
    order = await partly_captured(till)
    asked = till.stripe.asked()
    await shop.fulfil(order, 2)
    await shop.settle()
    assert till.stripe.asked() == asked
    rows = await shop.database.fetch(
        "SELECT state, failure_code FROM charge_operations"
        " WHERE order_id = $1 AND kind = 'capture' ORDER BY seq",
        order["id"],
    )
    assert [tuple(row) for row in rows] == [("complete", None), ("failed", "captured_once")]
    assert await findings(shop.database) == []


async def test_a_repeated_capture_is_for_its_processor_to_judge(till: Till) -> None:
    """It may have been carried out, whatever was captured meanwhile."""
    shop = till.shop
    await shop.fulfil(await partly_captured(till), 2)
    (claimed,) = await claim_operations(
        shop.database, now=datetime.now(UTC), lease=timedelta(minutes=1),
        account_id=shop.tenant.account_id, limit=10,
    )  # fmt: skip
    asked = till.stripe.asked()
    connector = await shop.worker.connectors.find(till.gateway.id)
    for attempt, requests in ((1, 0), (2, 1)):
        submission = replace(claimed.submission, attempt=attempt)
        outcome = await gateway_calls.submit(till.desk(), connector, till.gateway.id, submission)
        assert isinstance(outcome, Declined)
        assert till.stripe.asked() == asked + requests
