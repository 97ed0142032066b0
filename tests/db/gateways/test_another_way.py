"""A failed refund is paid in another way, once, whatever its processor says afterwards."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from refundry.access.audit_log import Actor
from refundry.domain.charge import OperationState
from refundry.domain.refund import Refund, RefundAsk, RefundState, Way
from refundry.domain.refusal import (
    AmountUnavailable,
    RefundNotFailed,
    RefundPaidAfterAll,
    RefundReplaced,
)
from refundry.errors import Refused
from refundry.operations.another_way import AnotherWay, pay_another_way
from refundry.operations.information import give_information
from refundry.operations.manual import settle_by_hand
from refundry.operations.twice import doubts_of, note_dealt_with, stop
from refundry.operations.work import submit_due
from refundry.refunds.commands import RefundRequest, create_refund
from tests.contract.connectors.stand import Plan
from tests.db.gateways.till import Till
from tests.support.books import findings
from tests.support.http import Doc

ANA = Actor("user", "ana@shop.example", "user-1")
DETAILS = {"accountHolderName": "Max", "iban": "DE89370400440532013000", "country": "DE"}


async def failed(till: Till, amount: str = "5.00") -> tuple[Doc, Refund]:
    """A refund that the processor accepted and then failed, and its order."""
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, amount)
    till.stripe.finish(operation_of(refund), "failed", "lost_or_stolen_card")
    await till.tell_all()
    refund = await till.refund(refund.id)
    assert refund.state is RefundState.FAILED
    return order, refund


def operation_of(refund: Refund) -> str:
    (part,) = refund.parts
    return part.operation_id


async def pay(till: Till, refund: Refund, way: Way) -> Refund:
    """Pay a refund in another way; gives what stands in its place. Raises Refused."""
    asked = AnotherWay(way, "card lost", ANA, await till.shop.now(), datetime.now(UTC))
    worker = till.shop.worker
    return await till.refund(
        await pay_another_way(worker.books, till.shop.tenant, refund.id, asked)
    )


async def retry(till: Till, refund: Refund) -> Refund:
    """Make a new refund in the place of one, through the same payment."""
    ask = RefundAsk(refund.order_id, None, "USD", Decimal("5.00"), replaces=refund.id)
    request = RefundRequest(ask, await till.shop.now(), timedelta(), None)
    await create_refund(till.shop.database, till.shop.tenant, request)
    (replacement,) = await replacements(till, refund)
    return replacement


async def replacements(till: Till, refund: Refund) -> list[Refund]:
    rows = await till.shop.database.fetch("SELECT id FROM refunds WHERE replaces = $1", refund.id)
    return [await till.refund(row["id"]) for row in rows]


async def events_of(till: Till, order: Doc) -> list[str]:
    rows = await till.shop.database.fetch(
        "SELECT type FROM events WHERE order_id = $1 ORDER BY order_sequence", order["id"]
    )
    return [row["type"] for row in rows]


async def given_up(till: Till) -> tuple[Doc, Refund]:
    """A refund that somebody called failed while the processor was at it, and its order."""
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "5.00")
    shop = till.shop
    assert await settle_by_hand(
        shop.database, shop.worker.settings, operation_of(refund), reason="unknown", note="lost"
    )
    return order, await till.refund(refund.id)


async def pays_late(till: Till, refund: Refund) -> None:
    """The processor tells that it paid a refund which had been given up."""
    till.stripe.finish(operation_of(refund), "settled", None)
    await till.tell_all()


@pytest.mark.parametrize("way", [Way.STORE_CREDIT, Way.BY_HAND])
async def test_what_is_recorded_as_paid_succeeds_at_once(till: Till, way: Way) -> None:
    order, first = await failed(till)
    before = len(await events_of(till, order))
    asked = till.stripe.asked()
    made = await pay(till, first, way)
    assert (made.state, made.refunded, made.amount) == (RefundState.SUCCEEDED, 500, 500)
    assert (made.replaces, made.way) == (first.id, way)
    assert (await events_of(till, order))[before:] == [
        "refund.created", "refund.pending", "order.charge.refund.pending",
        "order.charge.refund.complete", "refund.complete", "order.refunded",
    ]  # fmt: skip
    await till.later(days=1)
    assert till.stripe.asked() == asked, "its processor is not asked for it"
    note = await till.shop.database.fetchval(
        "SELECT note FROM charge_operations WHERE id = $1", operation_of(made)
    )
    assert note == "ana@shop.example: card lost"
    assert (await till.refund(first.id)).state is RefundState.FAILED
    assert await findings(till.shop.database) == []


async def test_a_bank_transfer_waits_for_details_and_keeps_away_from_the_card(till: Till) -> None:
    order, first = await failed(till)
    asked = till.stripe.asked()
    made = await pay(till, first, Way.BANK_TRANSFER)
    assert made.state is RefundState.PENDING_INFORMATION
    assert (await till.shop.order(order)).available_to_refund == 2701 - 500
    shop = till.shop
    now = await shop.now()
    assert await give_information(
        shop.worker.books, shop.tenant, order["id"], made.id, DETAILS, now
    )
    await shop.settle()
    assert (await till.refund(made.id)).state is RefundState.SUCCEEDED
    assert till.stripe.asked() == asked
    assert (await till.standing(made)).gateway is None
    assert await findings(shop.database) == []


async def test_only_what_failed_is_replaced_and_only_once(till: Till) -> None:
    order, first = await failed(till)
    paid = await till.refunded(order, "1.00")
    with pytest.raises(Refused) as refused:
        await pay(till, paid, Way.BY_HAND)
    assert refused.value.refusal == RefundNotFailed(paid.id)
    second = await pay(till, first, Way.BANK_TRANSFER)
    for attempt in (pay(till, first, Way.BY_HAND), pay(till, second, Way.BY_HAND)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.refusal == RefundReplaced(first.id, second.id)
    with pytest.raises(Refused):
        await retry(till, first)
    await till.later(days=31)
    assert (await till.refund(second.id)).state is RefundState.EXPIRED
    third = await pay(till, second, Way.STORE_CREDIT)
    assert third.replaces == first.id
    assert await findings(till.shop.database) == []


async def test_of_many_at_once_one_takes_the_place(till: Till) -> None:
    _, first = await failed(till)
    ways = [pay(till, first, way) for way in Way] + [retry(till, first)]
    results = await asyncio.gather(*ways, return_exceptions=True)
    assert sum(isinstance(result, Refund) for result in results) == 1
    refusals = [result.refusal for result in results if isinstance(result, Refused)]
    assert all(isinstance(refusal, RefundReplaced) for refusal in refusals)
    assert len(refusals) == len(ways) - 1
    assert len(await replacements(till, first)) == 1


async def test_the_database_itself_holds_one_replacement(till: Till) -> None:
    _, first = await failed(till)
    made = await pay(till, first, Way.BY_HAND)
    with pytest.raises(asyncpg.UniqueViolationError):
        await till.shop.database.execute(
            """
            INSERT INTO refunds OVERRIDING USER VALUE
            SELECT (jsonb_populate_record(r, '{"id": "re_other"}')).* FROM refunds r WHERE id = $1
            """,
            made.id,
        )


async def test_another_way_takes_no_money_that_is_gone(till: Till) -> None:
    order, first = await failed(till)
    await till.refunded(order, "27.01")
    with pytest.raises(Refused) as refused:
        await pay(till, first, Way.BY_HAND)
    assert refused.value.refusal == AmountUnavailable()


async def test_a_late_success_is_not_booked_beside_another_way(till: Till) -> None:
    order, first = await given_up(till)
    made = await pay(till, first, Way.STORE_CREDIT)
    await pays_late(till, first)
    await till.list_refunds()
    known = await till.refund(first.id)
    assert (known.state, known.needs_attention) == (RefundState.FAILED, True)
    (doubt,) = await doubts_of(till.shop.database, till.shop.tenant, first)
    assert (doubt.operation_id, doubt.note) == (operation_of(first), None)
    assert (await till.refund(made.id)).needs_attention
    assert (await till.shop.order(order)).refunded == 500
    assert await findings(till.shop.database) == []


async def test_what_was_not_paid_yet_is_stopped_by_a_late_success(till: Till) -> None:
    order, first = await given_up(till)
    made = await pay(till, first, Way.BANK_TRANSFER)
    await pays_late(till, first)
    shop = till.shop
    now = await shop.now()
    assert await give_information(
        shop.worker.books, shop.tenant, order["id"], made.id, DETAILS, now
    )
    await shop.settle()
    standing = await till.standing(made)
    assert standing.parked is not None
    assert (await till.refund(made.id)).state is RefundState.PENDING
    # Somebody has got the first payment back, and pays the other one.
    assert await settle_by_hand(
        shop.database, shop.worker.settings, operation_of(made), reason=None, note="sent"
    )
    assert (await till.refund(made.id)).state is RefundState.SUCCEEDED
    assert await findings(shop.database) == []


async def test_a_retry_that_was_not_sent_yet_is_stopped_too(till: Till) -> None:
    _, first = await given_up(till)
    made = await retry(till, first)
    await pays_late(till, first)
    asked = till.stripe.asked()
    await till.later(days=2)
    assert till.stripe.asked() == asked
    made = await till.refund(made.id)
    assert (made.state, made.needs_attention) == (RefundState.PENDING, True)
    assert (await till.standing(made)).parked is not None


async def test_what_was_paid_after_all_can_only_be_recorded(till: Till) -> None:
    _, first = await given_up(till)
    await pays_late(till, first)
    for attempt in (pay(till, first, Way.STORE_CREDIT), retry(till, first)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.refusal == RefundPaidAfterAll(first.id)
    made = await pay(till, first, Way.BY_HAND)
    assert made.state is RefundState.SUCCEEDED
    (doubt,) = await doubts_of(till.shop.database, till.shop.tenant, first)
    assert doubt.note == f"recorded as {made.id}, ana@shop.example: card lost"
    assert not (await till.refund(first.id)).needs_attention
    await till.list_refunds()
    assert not (await till.refund(first.id)).needs_attention


async def test_what_somebody_has_dealt_with_may_be_paid_in_any_way(till: Till) -> None:
    _, first = await given_up(till)
    await pays_late(till, first)
    shop = till.shop

    assert await shop.database.run(
        lambda tx: note_dealt_with(tx, shop.tenant, first, "ana: the bank sent it back")
    )
    assert (await pay(till, first, Way.STORE_CREDIT)).state is RefundState.SUCCEEDED


async def test_a_retry_goes_through_the_payment_again_and_stands_in_the_place(till: Till) -> None:
    order, first = await failed(till)
    made = await retry(till, first)
    assert (made.replaces, made.way) == (first.id, None)
    await till.shop.settle()
    made = await till.refund(made.id)
    assert made.state is RefundState.SUCCEEDED
    assert (await till.standing(made)).gateway == "main"
    states = [
        operation.state
        for charge in (await till.shop.order(order)).charges
        for operation in charge.operations
        if operation.kind.value == "refund"
    ]
    assert sorted(states) == [OperationState.COMPLETE, OperationState.FAILED]


async def test_stopping_spares_what_was_asked_for_and_nothing_else(till: Till) -> None:
    _, first = await given_up(till)
    made = await retry(till, first)
    shop = till.shop
    await submit_due(shop.worker, shop.tenant.account_id)
    made = await till.refund(made.id)

    async def stopped(first_attempt_at: datetime | None) -> bool:
        # Who gave bank details after it had been asked for them begins anew, with attempts behind.
        await shop.database.execute(
            "UPDATE charge_operations SET attempts = 1, first_attempt_at = $2, parked = NULL"
            " WHERE id = $1",
            operation_of(made), first_attempt_at,
        )  # fmt: skip
        await shop.database.run(lambda tx: stop(tx, shop.tenant, made, datetime.now(UTC)))
        return (await till.standing(made)).parked is not None

    assert not await stopped(datetime.now(UTC))
    assert await stopped(None)
