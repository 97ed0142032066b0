"""Settlement reports against our own records: what agrees, what is missing, extra, different."""

from datetime import UTC, datetime

import pytest

from refundry.domain.refund import RefundState
from refundry.reconciliation.commands import compare_open_lines
from refundry.reconciliation.matching import LineState
from tests.contract.connectors.stand import Plan
from tests.db.gateways.ledger import Statement, listed, why
from tests.db.gateways.till import Till
from tests.support.books import findings


async def test_a_refund_in_the_report_is_settled_with_payout_fee_and_arn(till: Till) -> None:
    refund = await till.refunded(await till.sold(), "5.00")
    statement = await Statement(till).of_refund(refund, "5.00", fee="0.15")
    summary = await statement.read()
    assert (summary.lines, summary.states[LineState.SETTLED], summary.exceptions) == (1, 1, 0)
    row = await till.shop.database.fetchrow(
        "SELECT payout, fee_minor, fee_currency, state, operation_id FROM settlement_lines"
        " WHERE gateway_id = $1", till.gateway.id,
    )  # fmt: skip
    assert row is not None
    assert tuple(row) == ("po_1", 15, "USD", "settled", refund.parts[0].operation_id)


async def test_reading_a_report_again_changes_nothing(till: Till) -> None:
    refund = await till.refunded(await till.sold(), "5.00")
    statement = (await Statement(till).of_refund(refund, "5.00")).row("refund", "re_x", "1.00")
    tables = ("settlement_lines", "settlement_files", "settlement_missing", "charge_operations")

    async def everything() -> list[object]:
        database = till.shop.database
        return [
            await database.fetchval(
                f"SELECT array_agg(t::text ORDER BY seq) FROM {table} t WHERE account_id = $1",
                till.shop.tenant.account_id,
            )
            for table in tables
        ]

    await statement.read()
    before = await everything()
    again = await statement.read()
    assert await everything() == before
    assert (again.lines, again.known, again.booked) == (2, 2, 0)


async def test_a_dry_run_says_the_same_and_writes_nothing(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "5.00")
    statement = (await Statement(till).of_refund(refund, "5.00")).row("refund", "re_x", "1.00")
    rehearsed = await statement.read(rehearsal=True)
    assert await listed(till) == []
    assert (await till.refund(refund.id)).state is RefundState.PENDING
    assert rehearsed.text() == (await statement.read()).text()


async def test_our_id_in_the_report_finds_a_refund_whose_reference_we_never_got(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(fault="silence_after"))
    refund = await till.refunded(order, "5.00")
    assert (await till.standing(refund)).reference is None
    (part,) = refund.parts
    own = {"refund_metadata[refundry_operation]": part.operation_id}
    summary = await Statement(till).row("refund", "re_1", "5.00", **own).read()
    assert (summary.booked, summary.exceptions) == (1, 0)
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED
    assert (await till.standing(refund)).reference == "re_1"
    await till.later(days=2)
    assert await findings(till.shop.database) == []


async def test_another_amount_or_state_is_for_a_person_and_books_nothing(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "5.00")
    await (await Statement(till).of_refund(refund, "4.99")).read()
    assert await why(till) == "different: the report says 4.99 USD, and we have 5.0"
    assert (await till.refund(refund.id)).state is RefundState.PENDING


async def test_a_refund_that_failed_here_and_was_paid_is_for_a_person(till: Till) -> None:
    order = await till.sold()
    till.stripe.plan(Plan(end="declined", code="insufficient_funds"))
    refund = await till.refunded(order, "5.00")
    (part,) = refund.parts
    own = {"refund_metadata[refundry_operation]": part.operation_id}
    await Statement(till).row("refund", "re_1", "5.00", **own).read()
    assert await why(till) == "different: the money was paid, and we have the refund as failed"


async def test_money_that_came_back_is_for_a_person(till: Till) -> None:
    refund = await till.refunded(await till.sold(), "5.00")
    reference = (await till.standing(refund)).reference
    assert reference is not None
    await Statement(till).row("refund_failure", reference, "5.00").read()
    assert await why(till) == "different: the money came back, and we have the refund as complete"


async def test_what_is_in_no_report_is_missing_until_one_tells_of_it(till: Till) -> None:
    told = await till.refunded(await till.sold(), "5.00")
    untold = await till.refunded(await till.sold(), "6.00")
    today = Statement(till)
    assert (await (await today.of_refund(told, "5.00")).read()).missing == 0
    later = today.later(days=3).row("charge", "ch_1", "9.00")
    assert (await later.read(rehearsal=True)).missing == 1
    assert (await later.read()).missing == 1
    missing = await till.shop.database.fetch(
        "SELECT operation_id FROM settlement_missing WHERE gateway_id = $1", till.gateway.id
    )
    assert [row["operation_id"] for row in missing] == [untold.parts[0].operation_id]
    late = await today.later(days=4).of_refund(untold, "6.00")
    await late.read()
    assert not await till.shop.database.fetch(
        "SELECT 1 FROM settlement_missing WHERE gateway_id = $1", till.gateway.id
    )


async def test_an_extra_refund_agrees_once_a_notification_brought_it(till: Till) -> None:
    _, payment = await till.sold_with_payment()
    till.stripe.sent()
    reference = till.stripe.refund_elsewhere(payment, 700)
    statement = Statement(till).row("refund", reference, "7.00", payment_intent_id=payment)
    await statement.read()
    assert await why(till) == "extra: we have no refund with this reference"
    await till.tell_all()
    await statement.read()
    assert await listed(till) == []


async def test_a_chargeback_waits_for_the_end_of_its_dispute(till: Till) -> None:
    _, payment = await till.sold_with_payment()
    till.stripe.dispute(payment, 2701, "opened")
    await till.tell_all()
    statement = Statement(till).row("dispute", "dp_any", "27.01", payment_intent_id=payment)
    assert (await statement.read()).states[LineState.WAITING] == 1
    assert await listed(till) == []
    till.stripe.dispute(payment, 2701, "lost")
    await till.tell_all()
    # The worker does it by itself, now and then.
    await compare_open_lines(till.shop.worker.books, datetime.now(UTC))
    row = await till.shop.database.fetchrow(
        "SELECT state, operation_id FROM settlement_lines WHERE gateway_id = $1", till.gateway.id
    )
    assert row is not None
    assert row["state"] == "settled"
    assert row["operation_id"] is not None
    await Statement(till).row("dispute_reversal", "dp_any", "27.01", charge_id=payment).read()
    assert await why(till) == (
        "different: the bank gave the money back, and we have the dispute as lost"
    )


async def test_a_won_dispute_needs_the_money_back(till: Till) -> None:
    _, payment = await till.sold_with_payment()
    for state in ("opened", "won"):
        till.stripe.dispute(payment, 2701, state)
        await till.tell_all()
    statement = Statement(till).row("dispute", "dp_any", "27.01", payment_intent_id=payment)
    await statement.read()
    assert await why(till) == "different: the bank took the money, and we have the dispute as won"
    await statement.row("dispute_reversal", "dp_any", "27.01", payment_intent_id=payment).read()
    assert await listed(till) == []


async def test_reports_of_one_gateway_say_nothing_of_others(till: Till) -> None:
    refund = await till.refunded(await till.sold(), "5.00")
    (part,) = refund.parts
    own = {"refund_metadata[refundry_operation]": part.operation_id}
    await till.shop.database.execute(
        "UPDATE charge_operations SET gateway_id = NULL, check_due_at = NULL WHERE id = $1",
        part.operation_id,
    )
    await Statement(till).row("refund", "re_1", "5.00", **own).read()
    assert await why(till) == "extra: we have no refund with this reference"


@pytest.mark.parametrize("together", [True, False])
async def test_a_refund_that_was_paid_twice_is_found(till: Till, together: bool) -> None:
    refund = await till.refunded(await till.sold(), "5.00")
    (part,) = refund.parts
    own = {"refund_metadata[refundry_operation]": part.operation_id}
    statement = await Statement(till).of_refund(refund, "5.00", **own)
    if not together:
        await statement.read()
    await statement.row("refund", "re_twice", "5.00", **own).read()
    first = statement.rows[0]["balance_transaction_id"]
    assert await why(till) == (
        f"different: another line ({first}) tells of this refund: it may have been paid twice"
    )
    before = await listed(till)
    await statement.read()
    assert await listed(till) == before
