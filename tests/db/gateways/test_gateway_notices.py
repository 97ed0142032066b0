"""What processors tell by themselves, through gateways."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from refundry.access.audit_log import COMMAND_LINE
from refundry.domain.charge import Failure
from refundry.domain.order import OrderState
from refundry.domain.refund import RefundState
from refundry.gateways.commands import NewGateway, close_gateway, open_gateway
from refundry.operations import external_store, janitor
from refundry.operations.adopting import hear_refund
from refundry.processors.contract import Declined, Forged, InProgress, ProcessorRefund, Settled
from tests.contract.connectors.stand import Plan
from tests.db.gateways.till import CREDENTIALS, Till
from tests.support.books import findings


async def test_a_notification_ends_a_pending_refund_once(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "5.00")
    till.stripe.sent()
    (part,) = refund.parts
    till.stripe.finish(part.operation_id, "settled", None)
    (sent,) = till.stripe.sent()
    with pytest.raises(Forged):
        await till.tell(till.stripe.forge(sent, "secret"))
    assert (await till.refund(refund.id)).state is RefundState.PENDING
    assert await till.tell(sent)
    assert not await till.tell(sent)
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED


async def test_a_late_failure_is_heard(till: Till) -> None:
    order = await till.sold()
    refund = await till.refunded(order, "5.00")
    assert refund.state is RefundState.SUCCEEDED
    (part,) = refund.parts
    till.stripe.finish(part.operation_id, "failed", "expired_or_canceled_card")
    await till.tell_all()
    refund = await till.refund(refund.id)
    assert (refund.state, refund.failure_reason) == (
        RefundState.FAILED, "expired_or_canceled_card",
    )  # fmt: skip
    assert (await till.shop.order(order)).refunded == 0


@pytest.mark.parametrize("how", ["told", "listed"])
async def test_a_refund_made_at_the_processor_is_adopted_once(till: Till, how: str) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.sent()
    reference = till.stripe.refund_elsewhere(payment, 700)
    if how == "told":
        await till.tell_all()
    for _ in range(2):
        await till.list_refunds()
    after = await till.shop.order(order)
    assert after.refunded == 700
    assert after.available_to_refund == 2001
    found = await external_store.find(till.shop.database, till.gateway, reference)
    assert found is not None
    assert (found.state, found.order_id) == ("adopted", order["id"])
    assert found.refund_id is not None
    refund = await till.refund(found.refund_id)
    assert (refund.state, refund.reason, refund.amount) == (
        RefundState.SUCCEEDED, "refunded_at_processor", 700,
    )  # fmt: skip
    asked = till.stripe.asked()
    await till.later(days=2)
    assert till.stripe.asked() == asked, "nothing is sent for it"
    assert till.paid(payment) == Decimal("7.00")
    assert await findings(till.shop.database) == []


async def test_a_refund_that_does_not_fit_waits_for_a_person(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.plan(Plan(fault="silence_before"))
    waiting = await till.refunded(order, "20.00")
    assert waiting.state is RefundState.PENDING
    reference = till.stripe.refund_elsewhere(payment, 2000)
    await till.list_refunds()
    (conflict,) = await external_store.conflicts(till.shop.database, till.shop.tenant)
    assert (conflict.reference, conflict.amount) == (reference, 2000)
    assert conflict.why == "the charge has less left to be refunded, or refunds of it are open"
    assert (await till.shop.order(order)).refunded == 0


@pytest.mark.parametrize("prefix", ["pi_", "ch_"])
async def test_a_payment_is_known_by_either_of_its_names(till: Till, prefix: str) -> None:
    order, payment = await till.sold_with_payment()
    named = payment if prefix == "pi_" else till.stripe.books.payment(payment).charge
    assert named.startswith(prefix)
    database = till.shop.database
    await database.execute(
        "UPDATE charges SET processor_reference = $2 WHERE order_id = $1", order["id"], named
    )
    reference = till.stripe.refund_elsewhere(payment, 700)
    await till.list_refunds()
    found = await external_store.find(database, till.gateway, reference)
    assert found is not None
    assert (found.state, found.payment) == ("adopted", named)
    till.stripe.dispute(payment, 2001, "opened")
    await till.tell_all()
    assert (await till.shop.order(order)).state is OrderState.DISPUTE
    till.stripe.dispute(payment, 2001, "won")
    await till.tell_all()
    refund = await till.refunded(order, "3.00")
    assert refund.state is RefundState.SUCCEEDED
    assert till.paid(payment) == Decimal("10.00")
    assert (await till.shop.order(order)).refunded == 1000
    assert await findings(database) == []


async def test_our_own_refunds_are_not_adopted(till: Till) -> None:
    order = await till.sold()
    await till.refunded(order, "5.00")
    await till.tell_all()
    await till.list_refunds()
    assert await external_store.conflicts(till.shop.database, till.shop.tenant) == []
    assert (await till.shop.order(order)).refunded == 500


async def test_listing_brings_outcomes_that_nobody_told(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "5.00")
    (part,) = refund.parts
    till.stripe.finish(part.operation_id, "settled", None)
    await till.list_refunds()
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED


async def test_disputes_are_heard_from_opening_to_loss(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.dispute(payment, 2701, "opened")
    await till.tell_all()
    assert (await till.shop.order(order)).state is OrderState.DISPUTE
    till.stripe.dispute(payment, 2701, "lost")
    await till.tell_all()
    after = await till.shop.order(order)
    assert after.state is not OrderState.DISPUTE
    assert after.refunded == 2701


@pytest.mark.parametrize(
    ("key", "state"),
    [
        ("the shop's own 4711", "adopted"),
        ("01a1ff06-431f-709a-a3c5-e68af7a2a537", "conflict"),
    ],
)
async def test_only_our_own_reference_makes_a_refund_ours(till: Till, key: str, state: str) -> None:
    order, payment = await till.sold_with_payment()
    now = datetime.now(UTC)
    refund = ProcessorRefund("re_of_another", payment, key, 100, "USD", now, Settled())
    books = till.shop.worker.books
    for _ in range(2):
        await hear_refund(books, till.gateway, refund, timedelta(hours=1), now)
    found = await external_store.find(till.shop.database, till.gateway, "re_of_another")
    assert found is not None
    assert found.state == state
    assert (await till.shop.order(order)).refunded == (100 if state == "adopted" else 0)


async def test_a_refund_told_by_many_at_once_is_adopted_once(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.sent()
    till.stripe.refund_elsewhere(payment, 500)
    (sent, *_) = till.stripe.sent()
    now = datetime.now(UTC)
    refund = ProcessorRefund("re_by_many", payment, None, 500, "USD", now, Settled())
    books = till.shop.worker.books
    await asyncio.gather(
        *(hear_refund(books, till.gateway, refund, timedelta(hours=1), now) for _ in range(6))
    )
    assert (await till.shop.order(order)).refunded == 500
    assert await till.tell(sent)


async def test_two_gateways_to_one_account_adopt_nothing_twice(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    new = NewGateway("second", "stripe", CREDENTIALS, ("payPal",), till.stripe.url)
    now = datetime.now(UTC)
    vault = till.shop.worker.vault
    second = await open_gateway(till.shop.database, vault, till.shop.tenant, new, COMMAND_LINE, now)
    await till.refunded(order, "5.00")
    reference = till.stripe.refund_elsewhere(payment, 700)
    await till.list_refunds()
    await replace(till, gateway=second).list_refunds()
    assert (await till.shop.order(order)).refunded == 1200
    assert await external_store.conflicts(till.shop.database, till.shop.tenant) == []
    found = await external_store.find(till.shop.database, till.gateway, reference)
    other = await external_store.find(till.shop.database, second, reference)
    assert [each and each.state for each in (found, other)].count("adopted") == 1


async def test_a_second_refund_under_our_id_is_shown_to_a_person(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    refund = await till.refunded(order, "5.00")
    (part,) = refund.parts
    now = datetime.now(UTC)
    twin = ProcessorRefund("re_twin", payment, part.operation_id, 500, "USD", now, Settled())
    books = till.shop.worker.books
    assert await hear_refund(books, till.gateway, twin, timedelta(hours=1), now)
    (conflict,) = await external_store.conflicts(till.shop.database, till.shop.tenant)
    assert conflict.why is not None
    assert part.operation_id in conflict.why
    declined = Declined(Failure())
    stale = ProcessorRefund("re_old", payment, part.operation_id, 500, "USD", now, declined)
    assert not await hear_refund(books, till.gateway, stale, timedelta(hours=1), now)
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED


async def test_a_dispute_that_was_lost_while_we_were_away_is_booked(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.dispute(payment, 2701, "opened")
    till.stripe.sent()
    till.stripe.dispute(payment, 2701, "lost")
    await till.tell_all()
    assert (await till.shop.order(order)).refunded == 2701


async def test_a_pending_refund_that_was_adopted_ends_by_a_look_up(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    reference = till.stripe.refund_elsewhere(payment, 700)
    now = datetime.now(UTC)
    pending = ProcessorRefund(reference, payment, None, 700, "USD", now, InProgress())
    await hear_refund(till.shop.worker.books, till.gateway, pending, timedelta(hours=1), now)
    assert (await till.shop.order(order)).refunded == 0
    await till.later(hours=2)
    assert (await till.shop.order(order)).refunded == 700


async def test_a_closed_gateway_is_listed_once_a_day(till: Till) -> None:
    await till.sold()
    await close_gateway(till.shop.database, till.gateway, COMMAND_LINE, datetime.now(UTC))

    async def listed(ago: timedelta) -> int:
        await till.shop.database.execute(
            "UPDATE gateways SET listed_until = $2, leased_until = NULL WHERE id = $1",
            till.gateway.id, datetime.now(UTC) - ago,
        )  # fmt: skip
        return await janitor.list_due(till.desk(), till.shop.worker.books)

    assert await listed(timedelta(hours=23)) == 0
    assert await listed(timedelta(hours=25)) == 1
