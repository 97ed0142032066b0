"""Bulk refunds on the real database: each line once, whoever makes it and whatever breaks."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from refundry.access.audit_log import COMMAND_LINE as ACTOR
from refundry.access.audit_log import AuditFilter, list_audit
from refundry.bulk import commands, running, store
from refundry.bulk.commands import BulkRefused, Moment
from refundry.bulk.reading import BadSheet
from refundry.bulk.results import result_rows
from refundry.bulk.store import Run
from refundry.bulk.verdicts import LineState, totals_text
from refundry.clock import Clock
from refundry.errors import NotFound, required
from refundry.ids import new_uuid
from refundry.refunds.store import refunds_of_order
from refundry.tenant import Tenant
from tests.support.books import Shop, findings
from tests.support.fixtures import order_body
from tests.support.http import Doc


def csv_of(order: Doc, *amounts: str) -> bytes:
    lines = "".join(f"{order['id']},{amount},USD,{new_uuid()}\n" for amount in amounts)
    return f"order_id,amount,currency,reason\n{lines}".encode()


async def moment(shop: Shop) -> Moment:
    return Moment(await shop.now(), Clock().now())


async def save(shop: Shop, content: bytes, *, with_duplicates: bool = True) -> str:
    at = await moment(shop)
    checked = await commands.check_file(
        shop.database, shop.tenant, "a.csv", content, at.now, with_duplicates=with_duplicates
    )
    return await commands.save_run(shop.database, shop.tenant, ACTOR, checked, at)


async def find(shop: Shop, run_id: str) -> Run:
    return required(await store.find_run(shop.database, shop.tenant, run_id))


async def counts(shop: Shop, run_id: str) -> dict[LineState, int]:
    tallies = await store.tallies_of(shop.database, await find(shop, run_id))
    return {state: tally.count for state, tally in tallies.items() if tally.count}


async def start(shop: Shop, run_id: str) -> None:
    tally = (await store.tallies_of(shop.database, await find(shop, run_id)))[LineState.READY]
    at = await moment(shop)
    typed = totals_text(tally.totals)
    await commands.start_run(shop.database, shop.tenant, run_id, ACTOR, typed, at)


def runner(shop: Shop) -> running.Runner:
    return running.Runner(shop.database, Clock(), timedelta())


async def refunds(shop: Shop, order: Doc) -> Sequence[str]:
    return await refunds_of_order(shop.database, shop.tenant, order["id"])


async def test_a_run_makes_its_lines_and_ends(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, "5.00", "6.00", "99.00"))
    assert await counts(shop, run_id) == {LineState.READY: 2, LineState.REFUSED: 1}
    await running.drain(runner(shop), shop.tenant.account_id)
    assert await refunds(shop, order) == [], "nothing before it is confirmed"
    await start(shop, run_id)
    await running.drain(runner(shop), shop.tenant.account_id)
    run = await find(shop, run_id)
    assert run.state == "finished"
    assert run.finished_at is not None
    assert await counts(shop, run_id) == {LineState.MADE: 2, LineState.REFUSED: 1}
    lines = await store.lines_of(shop.database, run, limit=10)
    assert {line.refund_id for line in lines} - {None} == set(await refunds(shop, order))
    assert (await shop.order(order)).available_to_refund == 2701 - 1100


async def test_racing_runners_make_each_line_once(shop: Shop) -> None:
    orders = [await shop.captured(order_body("A")) for _ in range(3)]
    body = b"".join(csv_of(order, *["1.00"] * 20).partition(b"\n")[2] for order in orders)
    run_id = await save(shop, b"order_id,amount,currency,reason\n" + body)
    await start(shop, run_id)
    run = await find(shop, run_id)
    lines = await store.lines_of(shop.database, run, limit=100)
    # Past the lease: every runner holds the same lines and makes them at the same time.
    make = running._make_lines  # pyright: ignore[reportPrivateUsage]
    await asyncio.gather(*(make(runner(shop), run, lines) for _ in range(3)))
    assert await counts(shop, run_id) == {LineState.MADE: 60}
    assert [len(await refunds(shop, order)) for order in orders] == [20, 20, 20]
    assert await findings(shop.database) == []


async def test_a_runner_that_is_cut_off_anywhere_loses_and_doubles_nothing(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, *["0.01"] * 120))
    await start(shop, run_id)
    for cut in range(1, 13):
        mine = runner(shop)
        step = asyncio.create_task(running.step(mine, run_id=run_id))
        await asyncio.wait([step], timeout=0.004 * cut)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        made = (await counts(shop, run_id)).get(LineState.MADE, 0)
        assert len(await refunds(shop, order)) == made
        # The lease of who is gone has ended.
        await shop.database.execute(
            "UPDATE bulk_runs SET leased_until = now() WHERE id = $1", run_id
        )
    await running.drain(runner(shop), shop.tenant.account_id)
    assert await counts(shop, run_id) == {LineState.MADE: 120}
    assert len(await refunds(shop, order)) == 120


async def test_a_lease_keeps_others_away_until_it_ends(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, *["0.01"] * 30))
    await start(shop, run_id)
    assert await running.step(runner(shop), run_id=run_id) == 24
    assert await running.step(runner(shop), run_id=run_id) == 0
    await shop.database.execute("UPDATE bulk_runs SET leased_until = now() WHERE id = $1", run_id)
    assert await running.step(runner(shop), run_id=run_id) == 6


async def test_a_stop_holds_lines_that_a_runner_has_already(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, *["0.01"] * 30))
    await start(shop, run_id)
    run = await find(shop, run_id)
    lines = await store.lines_of(shop.database, run, limit=100)
    await commands.stop_run(shop.database, shop.tenant, run_id, ACTOR, await moment(shop))
    await running._make_lines(runner(shop), run, lines)  # pyright: ignore[reportPrivateUsage]
    assert await refunds(shop, order) == []
    assert await counts(shop, run_id) == {LineState.READY: 30}
    await commands.resume_run(shop.database, shop.tenant, run_id, ACTOR, await moment(shop))
    await running.drain(runner(shop), shop.tenant.account_id)
    assert len(await refunds(shop, order)) == 30


async def test_what_is_confirmed_is_what_is_paid_or_nothing(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    content = f"order_id,percent,currency\n{order['id']},50,USD\n".encode()
    run_id = await save(shop, content)
    await start(shop, run_id)
    await shop.ask(order, "1.00")
    await running.drain(runner(shop), shop.tenant.account_id)
    (line,) = await store.lines_of(shop.database, await find(shop, run_id), limit=10)
    assert line.state is LineState.FAILED
    assert "changed after the check" in line.remark
    assert len(await refunds(shop, order)) == 1


async def test_a_wrong_total_starts_nothing(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, "5.00"))
    with pytest.raises(BulkRefused, match=r"Type the total, 5.00 USD"):
        await commands.start_run(
            shop.database, shop.tenant, run_id, ACTOR, "5.01", await moment(shop)
        )
    assert (await find(shop, run_id)).state == "checked"


async def test_the_same_file_is_the_same_run_for_ever(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    content = csv_of(order, "5.00")
    first, second = await asyncio.gather(save(shop, content), save(shop, content))
    assert first == second
    await start(shop, first)
    await start(shop, first)
    await running.drain(runner(shop), shop.tenant.account_id)
    await shop.advance(timedelta(days=60))
    assert await save(shop, content) == first
    assert (await find(shop, first)).state == "finished"
    assert len(await refunds(shop, order)) == 1


async def test_a_new_check_sees_what_happened_since(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, "5.00", "5.00"), with_duplicates=False)
    assert await counts(shop, run_id) == {LineState.READY: 1, LineState.DUPLICATE: 1}
    await shop.ask(order, "5.00")
    at = await moment(shop)
    again = commands.recheck_run
    await again(shop.database, shop.tenant, run_id, at, with_duplicates=False)
    assert await counts(shop, run_id) == {LineState.DUPLICATE: 2}
    await shop.advance(timedelta(hours=25))
    at = await moment(shop)
    await again(shop.database, shop.tenant, run_id, at, with_duplicates=False)
    assert await counts(shop, run_id) == {LineState.READY: 1, LineState.DUPLICATE: 1}
    await start(shop, run_id)
    with pytest.raises(BulkRefused, match="running already"):
        await again(shop.database, shop.tenant, run_id, at, with_duplicates=True)
    with pytest.raises(BulkRefused, match="running already"):
        await commands.discard_run(shop.database, shop.tenant, run_id, ACTOR, at)


async def test_a_file_that_is_discarded_leaves_nothing(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, "5.00"))
    at = await moment(shop)
    await commands.discard_run(shop.database, shop.tenant, run_id, ACTOR, at)
    with pytest.raises(NotFound):
        await commands.stop_run(shop.database, shop.tenant, run_id, ACTOR, at)
    assert (
        await shop.database.fetchval("SELECT count(*) FROM bulk_lines WHERE run_id = $1", run_id)
        == 0
    )


async def test_another_mode_or_account_sees_no_run(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, "5.00"))
    live = Tenant(shop.tenant.account_id, live=True)
    assert await store.find_run(shop.database, live, run_id) is None
    at = await moment(shop)
    with pytest.raises(NotFound):
        await commands.start_run(shop.database, live, run_id, ACTOR, "5.00", at)


async def test_everything_stands_in_the_audit_log_and_the_result(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    run_id = await save(shop, csv_of(order, "5.00", "77.00"))
    await start(shop, run_id)
    await running.drain(runner(shop), shop.tenant.account_id)
    entries = await list_audit(shop.database, shop.tenant.account_id, AuditFilter())
    assert [e.change.action for e in entries if e.change.object_type in ("bulk", "refund")] == [
        "bulk.finish", "refund.create", "bulk.start", "bulk.upload",
    ]  # fmt: skip
    (made,) = await refunds(shop, order)
    run = await find(shop, run_id)
    head, first, second = [row async for rows in result_rows(shop.database, run) for row in rows]
    assert head[-5:] == ["line", "result", "refund_id", "refund_amount", "remark"]
    assert first[:3] == [order["id"], "5.00", "USD"]
    assert first[-5:-1] == [2, "refunded", made, first[-2]]
    assert str(first[-2]) == "5.00"
    assert second[-5:-2] == [3, "refused", None]


async def test_a_file_that_is_no_sheet_leaves_nothing(shop: Shop) -> None:
    with pytest.raises(BadSheet):
        await save(shop, b"hello")
    assert (
        await shop.database.fetchval(
            "SELECT count(*) FROM bulk_runs WHERE account_id = $1", shop.tenant.account_id
        )
        == 0
    )
