"""What a person does about what does not agree, and the month that finance exports."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from refundry.access.audit_log import COMMAND_LINE
from refundry.domain.refund import RefundState
from refundry.processors.contract import Found, InProgress, Receipt, Settled, Submission
from refundry.processors.stripe import StripeProcessor
from refundry.reconciliation.exceptions import Oddity, Sort, find_oddity, list_oddities
from refundry.reconciliation.month import Month, Paid, paid_in, read_month, totals_of
from refundry.reconciliation.resolving import NotResolved, Resolver, adopt, check, deal
from refundry.tenant import Tenant
from tests.contract.connectors.stand import Plan
from tests.db.gateways.ledger import Statement
from tests.db.gateways.till import Till
from tests.support.books import findings


def resolver(till: Till) -> Resolver:
    books, tenant = till.shop.worker.books, till.shop.tenant
    return Resolver(books, tenant, COMMAND_LINE, datetime.now(UTC), timedelta(hours=1))


async def oddities(till: Till) -> list[Oddity]:
    found = await list_oddities(till.shop.database, till.shop.tenant)
    return [each for group in found.values() for each in group]


async def only(till: Till) -> Oddity:
    (found,) = await oddities(till)
    assert await find_oddity(till.shop.database, till.shop.tenant, found.id) == found
    return found


async def audited(till: Till) -> list[tuple[str, str]]:
    rows = await till.shop.database.fetch(
        "SELECT action, after->>'note' AS note FROM audit_log WHERE account_id = $1"
        " AND action LIKE 'reconciliation.%' ORDER BY seq",
        till.shop.tenant.account_id,
    )
    return [(row["action"], row["note"]) for row in rows]


async def test_an_extra_refund_is_adopted_by_one_step_and_agrees_then(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    reference = till.stripe.refund_elsewhere(payment, 700)
    await Statement(till).row("refund", reference, "7.00", charge_id=payment, fee="0.10").read()
    await adopt(resolver(till), await only(till))
    assert await oddities(till) == []
    assert (await till.shop.order(order)).refunded == 700
    asked = till.stripe.asked()
    await till.later(days=2)
    assert till.stripe.asked() == asked, "nothing is sent for it"
    assert await audited(till) == [("reconciliation.adopted", None)]
    assert await findings(till.shop.database) == []


async def test_what_fits_no_charge_is_not_adopted(till: Till) -> None:
    await Statement(till).row("refund", "re_1", "7.00", charge_id="ch_unknown").read()
    oddity = await only(till)
    with pytest.raises(NotResolved, match="No order here has a charge of this payment"):
        await adopt(resolver(till), oddity)
    assert await only(till) == oddity
    assert await audited(till) == []


async def test_what_is_more_than_the_charge_has_left_becomes_a_conflict(till: Till) -> None:
    _, payment = await till.sold_with_payment()
    await Statement(till).row("refund", "re_1", "99.00", charge_id=payment).read()
    with pytest.raises(NotResolved, match="It does not fit: "):
        await adopt(resolver(till), await only(till))
    assert {each.sort for each in await oddities(till)} == {Sort.LINE, Sort.CONFLICT}


async def test_a_conflict_is_adopted_once_it_fits_or_dealt_with(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    till.stripe.plan(Plan(fault="silence_before"))
    waiting = await till.refunded(order, "20.00")
    reference = till.stripe.refund_elsewhere(payment, 2000)
    await till.list_refunds()
    conflict = await only(till)
    assert (conflict.sort, conflict.reference) == (Sort.CONFLICT, reference)
    with pytest.raises(NotResolved, match="It does not fit: "):
        await adopt(resolver(till), conflict)
    with pytest.raises(NotResolved, match="Say in the note"):
        await deal(resolver(till), conflict, " ")
    await deal(resolver(till), conflict, "the shopper has both")
    assert await oddities(till) == []
    assert await audited(till) == [("reconciliation.dealt_with", "the shopper has both")]
    assert (await till.refund(waiting.id)).state is RefundState.PENDING


async def test_money_that_came_back_fails_the_refund_when_it_is_adopted(till: Till) -> None:
    order = await till.sold()
    refund = await till.refunded(order, "5.00")
    reference = (await till.standing(refund)).reference
    assert reference is not None
    await Statement(till).row("refund_failure", reference, "5.00").read()
    await adopt(resolver(till), await only(till))
    refund = await till.refund(refund.id)
    assert (refund.state, refund.failure_reason) == (RefundState.FAILED, "unknown")
    assert (await till.shop.order(order)).refunded == 0
    assert await oddities(till) == []
    assert await findings(till.shop.database) == []


async def test_a_chargeback_that_nobody_told_of_becomes_an_open_dispute(till: Till) -> None:
    order, payment = await till.sold_with_payment()
    await Statement(till).row("dispute", "dp_1", "27.01", charge_id=payment).read()
    await adopt(resolver(till), await only(till))
    assert await oddities(till) == []
    (dispute,) = await till.shop.database.fetch(
        "SELECT state, processor_reference, amount_minor FROM disputes WHERE order_id = $1",
        order["id"],
    )
    assert tuple(dispute) == ("open", "dp_1", 2701)


async def test_a_parked_refund_is_looked_up_again(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(fault="wrong_amount"))
    refund = await till.refunded(order, "5.00")
    parked = await only(till)
    assert parked.sort is Sort.PARKED
    await check(resolver(till), parked)
    await till.shop.settle()
    standing = await till.standing(refund)
    assert standing.checked_at is not None
    assert standing.parked == parked.why, "Stripe says the same still"
    assert await only(till) == parked
    assert await audited(till) == [("reconciliation.checked", None)]


async def test_a_parked_refund_stays_so_until_the_answer_agrees(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(fault="wrong_amount"))
    refund = await till.refunded(order, "5.00")
    parked = await only(till)
    asked = till.stripe.asked()
    till.stripe.away = True
    await check(resolver(till), parked)
    assert (await till.standing(refund)).parked == parked.why, "nobody has answered yet"
    await till.shop.settle()
    standing = await till.standing(refund)
    assert standing.found is not None
    assert standing.found.startswith("no telling")
    assert (standing.parked, standing.next_attempt) == (parked.why, None)
    assert standing.check_due_at is None, "only a person has it looked up again"
    till.stripe.away = False
    (held,) = till.stripe.books.refunds.values()
    held["amount"] = 500
    await till.later(days=3)
    assert (await till.refund(refund.id)).state is RefundState.PENDING
    await check(resolver(till), parked)
    await till.shop.settle()
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED
    assert await oddities(till) == []
    assert till.stripe.asked() == asked, "a look-up asks for no refund"


async def test_a_parked_refund_that_is_under_way_after_all_is_followed_again(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="pending", fault="wrong_amount"))
    refund = await till.refunded(order, "5.00")
    (held,) = till.stripe.books.refunds.values()
    held["amount"] = 500
    await check(resolver(till), await only(till))
    await till.shop.settle()
    standing = await till.standing(refund)
    assert (standing.parked, standing.found) == (None, "under way")
    assert standing.check_due_at is not None
    (part,) = refund.parts
    till.stripe.finish(part.operation_id, "settled", None)
    await till.later(days=1)
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED


@pytest.mark.parametrize("said", [InProgress, Settled])
async def test_an_answer_without_an_amount_settles_no_difference(
    till: Till, monkeypatch: pytest.MonkeyPatch, said: type[InProgress | Settled]
) -> None:
    """As Adyen's, whose look-ups ask nobody, and those of an adapter that names none."""
    order = await till.sold()
    till.stripe.plan(Plan(fault="wrong_amount"))
    refund = await till.refunded(order, "5.00")
    parked = await only(till)

    async def look_up(_self: object, _submission: Submission) -> Found:
        return said(receipt=Receipt("re_1"))

    monkeypatch.setattr(StripeProcessor, "look_up", look_up)
    await check(resolver(till), parked)
    await till.shop.settle()
    standing = await till.standing(refund)
    assert (standing.parked, standing.found) == (parked.why, "no telling: it names no amount")
    assert (await till.refund(refund.id)).state is RefundState.PENDING


async def test_what_fits_two_orders_by_its_names_is_adopted_by_neither(till: Till) -> None:
    first, payment = await till.sold_with_payment()
    second = await till.sold()
    await till.shop.database.execute(
        "UPDATE charges SET processor_reference = $2 WHERE order_id = $1",
        second["id"], till.stripe.books.payment(payment).charge,
    )  # fmt: skip
    till.stripe.refund_elsewhere(payment, 700)
    await till.list_refunds()
    conflict = await only(till)
    assert conflict.why.startswith("2 charges have the payment")
    with pytest.raises(NotResolved, match="2 charges have the payment"):
        await adopt(resolver(till), conflict)
    for order in (first, second):
        assert (await till.shop.order(order)).refunded == 0


async def test_what_is_missing_can_only_be_dealt_with(till: Till) -> None:
    refund = await till.refunded(await till.sold(), "5.00")
    await Statement(till).row("charge", "ch_1", "1.00").read()
    await Statement(till).later(days=3).row("charge", "ch_2", "1.00").read()
    missing = await only(till)
    assert (missing.sort, missing.order_id, missing.amount) == (Sort.MISSING, refund.order_id, 500)
    with pytest.raises(NotResolved):
        await adopt(resolver(till), missing)
    await deal(resolver(till), missing, "paid by hand")
    await Statement(till).later(days=4).row("charge", "ch_3", "1.00").read()
    assert await oddities(till) == []


async def test_a_notification_that_fits_nothing_is_tried_again_or_dealt_with(till: Till) -> None:
    await till.shop.database.execute(
        "INSERT INTO processor_notifications (connector, id, received_at, body, state)"
        " VALUES ($1, 'evt:1', now(), '', 'unmatched')",
        till.gateway.id,
    )
    notice = await only(till)
    assert (notice.sort, notice.reference) == (Sort.NOTICE, "evt:1")
    await deal(resolver(till), notice, "of another shop")
    assert await oddities(till) == []
    await till.shop.database.execute(
        "UPDATE processor_notifications SET state = 'unmatched' WHERE connector = $1",
        till.gateway.id,
    )
    await check(resolver(till), await only(till))
    row = await till.shop.database.fetchrow(
        "SELECT state, due_at IS NOT NULL AS due FROM processor_notifications WHERE connector = $1",
        till.gateway.id,
    )
    assert row is not None
    assert tuple(row) == ("waiting", True)
    await till.shop.database.execute(
        "DELETE FROM processor_notifications WHERE connector = $1", till.gateway.id
    )


async def test_exceptions_of_another_mode_and_wrong_ids_are_not_found(till: Till) -> None:
    await Statement(till).row("refund", "re_1", "7.00").read()
    oddity = await only(till)
    other = Tenant(till.shop.tenant.account_id, live=True)
    assert await find_oddity(till.shop.database, other, oddity.id) is None
    for wrong in ("line-", "line-x", "line-٣", f"line-{'9' * 30}", "lines-1", "-", "notice-x"):
        assert await find_oddity(till.shop.database, till.shop.tenant, wrong) is None


def month_of(at: datetime) -> Month:
    return Month(at.year, at.month)


async def exported(till: Till, month: Month) -> list[Paid]:
    return [
        each
        async for batch in paid_in(till.shop.database, till.shop.tenant, month)
        for each in batch
    ]


async def journal(till: Till) -> Counter[tuple[str, bool]]:
    """What went back by currency, refunds and chargebacks apart, from the cells of the journal."""
    rows = await till.shop.database.fetch(
        """
        SELECT currency, false AS chargeback, sum(refunded_minor)::bigint AS total FROM refunds
         WHERE account_id = $1 GROUP BY 1
        UNION ALL
        SELECT r.currency, true, sum(cells_sum(o.shares) + o.owed_minor)::bigint
          FROM charge_operations o
          JOIN orders r ON r.account_id = o.account_id AND r.id = o.order_id
         WHERE o.account_id = $1 AND o.dispute_id IS NOT NULL GROUP BY 1
        """,
        till.shop.tenant.account_id,
    )  # fmt: skip
    return Counter({(row["currency"], row["chargeback"]): row["total"] for row in rows})


async def test_a_months_export_adds_up_to_the_journal(till: Till) -> None:
    first_month = month_of(await till.shop.now())
    order, payment = await till.sold_with_payment()
    told = await till.refunded(order, "5.00")
    await (await Statement(till).of_refund(told, "5.00", fee="0.15")).read()
    for state in ("opened", "lost"):
        till.stripe.dispute(payment, 1000, state)
        await till.tell_all()
    failed = await till.sold()
    till.stripe.plan(Plan(end="declined", code="insufficient_funds"))
    await till.refunded(failed, "3.00")
    await till.later(days=32)
    later_month = month_of(await till.shop.now())
    await till.refunded(await till.sold(), "6.00")
    rows = [*await exported(till, first_month), *await exported(till, later_month)]
    sums = Counter[tuple[str, bool]]()
    for row in rows:
        sums[row.currency, row.dispute_id is not None] += row.amount
    assert sums == await journal(till) == {("USD", False): 1100, ("USD", True): 1000}
    closed = [(each.at, each.amount) for each in await exported(till, first_month)]
    till.stripe.finish(told.parts[0].operation_id, "failed", "lost_or_stolen_card")
    await till.tell_all()
    assert [(each.at, each.amount) for each in await exported(till, first_month)] == closed
    failed_at = await till.shop.database.fetchval(
        "SELECT updated_at FROM charge_operations WHERE id = $1", told.parts[0].operation_id
    )
    months = {first_month, later_month, month_of(failed_at)}
    rows = [each for month in months for each in await exported(till, month)]
    (back,) = [each for each in rows if each.failed_later]
    rows.remove(back)
    assert (back.at, back.amount, back.operation_id) == (
        failed_at, -500, told.parts[0].operation_id,
    )  # fmt: skip
    totals = await totals_of(till.shop.database, till.shop.tenant, month_of(failed_at))
    found = [(each.amount, each.unreported) for each in totals if each.failed_later]
    assert found == [(-500, 1)], "the report told of its payment only"
    assert sum(each.amount for each in rows if each.dispute_id is None) + back.amount == 600
    assert await journal(till) == {("USD", False): 600, ("USD", True): 1000}
    for month in (first_month, later_month):
        of_month = Counter[tuple[str, bool]]()
        for row in await exported(till, month):
            of_month[row.currency, row.dispute_id is not None] += row.amount
        totals = await totals_of(till.shop.database, till.shop.tenant, month)
        assert {(each.currency, each.chargeback): each.amount for each in totals} == of_month
    (refund,) = [row for row in rows if row.refund_ids == told.id]
    assert (refund.payout, refund.fee, refund.fee_currency, refund.gateway) == (
        "po_1", 15, "USD", "main",
    )  # fmt: skip
    assert len({row.operation_id for row in rows}) == len(rows) == 3


async def test_nothing_of_a_month_is_left_out_between_the_batches(till: Till) -> None:
    refund = await till.refunded(await till.sold(), "0.01")
    (part,) = refund.parts
    await till.shop.database.execute(
        """
        INSERT INTO charge_operations OVERRIDING USER VALUE
        SELECT (jsonb_populate_record(o, jsonb_build_object(
                  'id', 'copy-' || n, 'processor_reference', 'copy-' || n))).*
          FROM charge_operations o, generate_series(1, 1003) AS n WHERE o.id = $1
        """,
        part.operation_id,
    )
    try:
        rows = await exported(till, month_of(await till.shop.now()))
    finally:
        await till.shop.database.execute("DELETE FROM charge_operations WHERE id LIKE 'copy-%'")
    assert len(rows) == len({row.operation_id for row in rows}) == 1004


def test_months_are_read_strictly() -> None:
    assert read_month("2026-02") == Month(2026, 2)
    assert Month(2026, 12).end == datetime(2027, 1, 1, tzinfo=UTC)
    for wrong in ("", "2026", "2026-13", "2026-00", "26-01", "2026-1", "٢٠٢٦-01", "9999-12", "x-y"):
        assert read_month(wrong) is None
