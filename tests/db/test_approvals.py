"""Limits and approvals on the real database: who may, once, and only what was asked for."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from refundry.access.audit_log import COMMAND_LINE, Actor
from refundry.access.people import NewUser, create_user
from refundry.access.rights import Role
from refundry.bulk import commands as bulk
from refundry.bulk import running
from refundry.clock import Clock
from refundry.domain.refund import AmountBasis, ElementAsk, RefundAsk, RefundType
from refundry.domain.refusal import ApprovalRequired, ConcurrentUpdate
from refundry.errors import NotFound, Refused, required
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.refunds import drafts
from refundry.refunds.approving import Decider, NotApproved, approve, decline
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.lanes import RefundLanes
from refundry.refunds.limits import Limit, Requester, Rule, foresee, set_limits
from refundry.refunds.previewing import preview_of_order
from refundry.refunds.store import refunds_of_order
from refundry.returns import commands as returns
from refundry.returns.reading import ReturnUpdate, read_return
from refundry.tenant import Tenant
from tests.db.racing import all_of
from tests.support.books import Shop, findings
from tests.support.fixtures import order_body
from tests.support.http import Doc

ANN = Requester(Actor("user", "Ann", "usr_ann"), "customer_service")
BO = Actor("user", "Bo", "usr_bo")
CY = Actor("user", "Cy", "usr_cy")
WINDOW = timedelta()


async def limit(shop: Shop, per_refund: int | None = 500, per_day: int | None = None) -> None:
    limits = [Limit("customer_service", "USD", per_refund, per_day)]
    now = Clock().now()
    await shop.database.run(lambda tx: set_limits(tx, shop.tenant, limits, BO, now))


async def ask(
    shop: Shop, order: Doc, amount: str, requester: Requester | None = ANN,
    lanes: RefundLanes | None = None,
) -> bytes:  # fmt: skip
    wanted = RefundAsk(order["id"], None, order["currency"], amount=Decimal(amount))
    request = RefundRequest(wanted, await shop.now(), WINDOW, None, requester=requester)
    if lanes is not None:
        return await lanes.create(shop.tenant, request)
    return await create_refund(shop.database, shop.tenant, request)


async def draft_of(work: Awaitable[object]) -> str:
    """The draft that a request above a limit becomes."""
    with pytest.raises(Refused) as raised:
        await work
    refusal = raised.value.refusal
    assert isinstance(refusal, ApprovalRequired)
    return required(refusal.draft_id)


async def decider(shop: Shop, actor: Actor = BO) -> Decider:
    return Decider(actor, await shop.now(), Clock().now())


async def approved(shop: Shop, draft_id: str, actor: Actor = BO) -> str:
    by = await decider(shop, actor)
    return await approve(shop.database, shop.tenant, draft_id, by, WINDOW)


async def find(shop: Shop, draft_id: str) -> drafts.RefundDraft:
    return required(await drafts.find_draft(shop.database, shop.tenant, draft_id))


async def count(shop: Shop, order: Doc) -> int:
    return len(await refunds_of_order(shop.database, shop.tenant, order["id"]))


async def test_without_limits_nothing_waits(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await ask(shop, order, "27.01")
    assert await count(shop, order) == 1


async def test_above_the_limit_a_refund_waits_for_somebody_else(
    shop: Shop, processes: list[RefundLanes]
) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    await ask(shop, order, "5.00")
    for lanes in (None, processes[0]):
        draft_id = await draft_of(ask(shop, order, "5.01", lanes=lanes))
    assert await count(shop, order) == 1
    assert (await shop.order(order)).available_to_refund == 2201, "a draft holds nothing"
    refund_id = await approved(shop, draft_id)
    found = await shop.find(refund_id)
    assert (found.refund.amount, found.refund.order_id) == (501, order["id"])
    draft = await find(shop, draft_id)
    assert (draft.state, draft.refund_id, draft.decider_name) == ("approved", refund_id, "Bo")


async def test_the_requester_never_approves(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    draft_id = await draft_of(ask(shop, order, "6.00"))
    with pytest.raises(NotApproved, match="Somebody else"):
        await approved(shop, draft_id, ANN.actor)
    by = await decider(shop, ANN.actor)
    with pytest.raises(NotApproved, match="Somebody else"):
        await decline(shop.database, shop.tenant, draft_id, by, "changed my mind")
    draft = await find(shop, draft_id)
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.database.execute(
            """
            UPDATE refund_drafts SET state = 'declined', decided_at = now(), decider_id = $2
             WHERE id = $1
            """,
            draft.id, ANN.actor.id,
        )  # fmt: skip
    assert await count(shop, order) == 0


async def test_of_many_who_decide_at_once_one_does(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    draft_id = await draft_of(ask(shop, order, "6.00"))

    async def no(actor: Actor) -> None:
        await decline(shop.database, shop.tenant, draft_id, await decider(shop, actor), "no")

    work = [*(approved(shop, draft_id, actor) for actor in (BO, CY) * 4), no(BO), no(CY)]
    results: list[Any] = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(each, NotApproved) for each in results) == 9
    draft = await find(shop, draft_id)
    assert await count(shop, order) == (1 if draft.state == "approved" else 0)
    assert await findings(shop.database) == []


async def test_an_approval_is_for_the_amount_that_was_asked_for(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    half = RefundAsk(order["id"], None, "USD", percent=Decimal(50))
    request = RefundRequest(half, await shop.now(), WINDOW, None, requester=ANN)
    draft_id = await draft_of(create_refund(shop.database, shop.tenant, request))
    await ask(shop, order, "1.00", None)
    with pytest.raises(Refused) as raised:
        await approved(shop, draft_id)
    assert isinstance(raised.value.refusal, ConcurrentUpdate)
    assert (await find(shop, draft_id)).state == "waiting"
    assert await count(shop, order) == 1


async def test_a_request_expires_and_may_be_asked_again(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    first = await draft_of(ask(shop, order, "6.00"))
    await shop.advance(drafts.DRAFT_LIFE)
    with pytest.raises(NotApproved, match="expired"):
        await approved(shop, first)
    assert (await find(shop, first)).state_at(await shop.now()) == "expired"
    assert await drafts.count_waiting(shop.database, shop.tenant, await shop.now()) == 0
    second = await draft_of(ask(shop, order, "6.00"))
    assert second != first
    assert await drafts.count_waiting(shop.database, shop.tenant, await shop.now()) == 1


async def test_the_same_request_is_one_draft(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    ids = await asyncio.gather(*(draft_of(ask(shop, order, "6.00")) for _ in range(5)))
    assert len(set(ids)) == 1
    assert await draft_of(ask(shop, order, "6.01")) not in ids


async def test_a_draft_keeps_the_exact_request(shop: Shop) -> None:
    order = await shop.captured(order_body("B"))
    await limit(shop, per_refund=0)
    items = tuple(
        ElementAsk(item["id"], None, 1, Decimal("1.10"), None, None, "1.10")
        for item in order["items"]
    )
    full = RefundAsk(
        order["id"], None, "USD", items=items, reason="ä", metadata='{"k":1.50}',
        basis=AmountBasis.UNIT,
    )  # fmt: skip
    for wanted in (full, RefundAsk(order["id"], None, "USD", percent=Decimal(100),
                                   type=RefundType.TAX)):  # fmt: skip
        request = RefundRequest(wanted, await shop.now(), WINDOW, None, requester=ANN)
        draft_id = await draft_of(create_refund(shop.database, shop.tenant, request))
        assert (await find(shop, draft_id)).ask == wanted


async def test_a_day_has_its_limit_however_many_ask_at_once(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop, per_refund=None, per_day=1000)
    results = await all_of(ask(shop, order, "3.00") for _ in range(8))
    assert sum(isinstance(each, bytes) for each in results) == 3
    await ask(shop, order, "1.00")
    await ask(shop, order, "3.00", replace(ANN, actor=CY))
    await draft_of(ask(shop, order, "0.01"))
    await shop.advance(timedelta(days=1))
    await ask(shop, order, "3.00")


async def test_what_waits_does_not_use_up_the_day(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop, per_refund=500, per_day=1000)
    await draft_of(ask(shop, order, "9.00"))
    for _ in range(2):
        await ask(shop, order, "5.00")


async def test_a_limit_in_one_currency_is_one_in_all(shop: Shop) -> None:
    order = await shop.captured(order_body("J"))
    await limit(shop)
    await draft_of(ask(shop, order, "1"))
    await ask(shop, order, "1", replace(ANN, role="administrator"))


async def test_declining_needs_a_reason_and_is_final(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    draft_id = await draft_of(ask(shop, order, "6.00"))
    by = await decider(shop)
    with pytest.raises(NotApproved, match="Say why"):
        await decline(shop.database, shop.tenant, draft_id, by, "")
    await decline(shop.database, shop.tenant, draft_id, by, "not ours")
    with pytest.raises(NotApproved):
        await approved(shop, draft_id, CY)
    live = Tenant(shop.tenant.account_id, live=True)
    with pytest.raises(NotFound):
        await approve(shop.database, live, draft_id, by, WINDOW)


async def test_lines_of_a_file_are_under_the_limits_of_who_confirmed(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    content = f"order_id,amount,currency\n{order['id']},4.00,USD\n{order['id']},6.00,USD\n"
    now = Clock().now()
    at = bulk.Moment(await shop.now(), now)
    new = NewUser(f"{order['id']}@shop.example", Role.CUSTOMER_SERVICE)
    account_id = shop.tenant.account_id
    user = (await create_user(shop.database, COMMAND_LINE, account_id, new, now)).user
    checked = await bulk.check_file(shop.database, shop.tenant, "a.csv", content.encode(), at.now)
    run_id = await bulk.save_run(shop.database, shop.tenant, user.actor, checked, at)
    await bulk.start_run(shop.database, shop.tenant, run_id, user.actor, "10.00", at)
    await running.drain(running.Runner(shop.database, Clock(), WINDOW), account_id)
    assert await count(shop, order) == 1
    assert await drafts.count_waiting(shop.database, shop.tenant, at.now) == 1
    remark = await shop.database.fetchval(
        "SELECT remark FROM bulk_lines WHERE run_id = $1 AND state = 'failed'", run_id
    )
    assert remark.startswith("The refund needs an approval. It waits as 'draft_")


async def test_an_acceptance_above_the_limit_is_refused(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    await limit(shop)
    body = f'{{"orderId": "{order["id"]}", "items": [{{"itemId": "{order["items"][0]["id"]}",'
    request = read_return(Fields(read_object(f'{body} "quantity": 1}}]}}'.encode()), []))
    made = await returns.create_return(shop.database, shop.tenant, request, await shop.now(), None)
    return_id = read_object(made)["id"]
    update = ReturnUpdate(accept=True, items=[], location=None, metadata=None, clear_metadata=False)
    vault = shop.worker.vault
    for who, refused in ((ANN, True), (replace(ANN, role="administrator"), False)):
        desk = returns.ReturnDesk(shop.database, vault, WINDOW, who)
        work = returns.update_return(desk, shop.tenant, return_id, update, await shop.now(), None)
        if not refused:
            await work
            continue
        with pytest.raises(Refused) as raised:
            await work
        assert raised.value.refusal == ApprovalRequired()
    assert await count(shop, order) == 1


async def foreseen(shop: Shop, order: Doc, amount: str) -> Rule | None:
    """The rule by which a refund by Ann would wait."""
    wanted = RefundAsk(order["id"], None, order["currency"], amount=Decimal(amount))
    preview = await preview_of_order(shop.database, shop.tenant, wanted, await shop.now())
    over = await foresee(shop.database, shop.tenant, ANN, required(preview.refund))
    return over.rule if over else None


@pytest.mark.parametrize(
    ("per_refund", "per_day", "amount", "rule"),
    [
        (500, None, "5.00", None),
        (500, None, "5.01", Rule.PER_REFUND),
        (0, None, "0.01", Rule.PER_REFUND),
        (None, 1000, "6.00", None),
        (None, 1000, "6.01", Rule.PER_DAY),
        (500, 1000, "5.01", Rule.PER_REFUND),
        (None, 400, "4.01", Rule.PER_DAY),
    ],
)
async def test_what_is_foreseen_is_what_happens(
    shop: Shop, per_refund: int | None, per_day: int | None, amount: str, rule: Rule | None
) -> None:
    """After 4.00 of the same day; looking any number of times counts nothing."""
    order = await shop.captured(order_body("A"))
    await limit(shop, 400, per_day)
    await ask(shop, order, "4.00")
    await limit(shop, per_refund, per_day)
    for _ in range(3):
        assert await foreseen(shop, order, amount) is rule
    if rule is None:
        await ask(shop, order, amount)
    else:
        await draft_of(ask(shop, order, amount))


async def test_a_currency_without_a_limit_is_foreseen_to_wait(shop: Shop) -> None:
    order = await shop.captured(order_body("J"))
    assert order["currency"] != "USD"
    assert await foreseen(shop, order, "1") is None, "nobody has limits"
    await limit(shop)
    assert await foreseen(shop, order, "1") is Rule.NO_LIMIT
    await draft_of(ask(shop, order, "1"))
