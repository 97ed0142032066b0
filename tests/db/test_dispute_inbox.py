"""Notifications of disputes that come too early, or say what cannot be: kept, applied once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from refundry.disputes.commands import Told, create_dispute
from refundry.disputes.reading import DisputeRequest
from refundry.operations.gateway_notices import Inbox
from refundry.operations.inbox import Data
from refundry.operations.notifications import retry_due
from refundry.operations.work import Worker
from tests.support.books import Shop, findings, open_shop
from tests.support.fixtures import order_body
from tests.support.http import Doc

SOON = timedelta(seconds=31)
DAY = timedelta(hours=24)


async def retry(shop: Shop, after: timedelta = SOON) -> None:
    """Try what is kept again, as a worker does some time later."""
    worker = shop.worker
    inbox = Inbox(worker.books, worker.settings, worker.connectors)
    await retry_due(inbox, datetime.now(UTC) + after, gateways=False)


async def state_of(shop: Shop, note: str) -> str:
    return await shop.database.fetchval(
        "SELECT state FROM processor_notifications WHERE connector = 'sandbox' AND id = $1", note
    )


async def disputes(shop: Shop) -> list[tuple[Any, ...]]:
    """State, chargeback in minor units and reference, in the order of their making."""
    rows = await shop.database.fetch(
        "SELECT state, chargeback_minor, processor_reference FROM disputes"
        " WHERE account_id = $1 ORDER BY seq",
        shop.tenant.account_id,
    )
    return [tuple(row) for row in rows]


async def types(shop: Shop) -> list[str]:
    """The dispute events of the account, in their order."""
    rows = await shop.database.fetch(
        "SELECT type FROM events WHERE account_id = $1 AND"
        " (type LIKE 'order.dispute%' OR type = 'order.chargeback') ORDER BY created_at, seq",
        shop.tenant.account_id,
    )
    return [row["type"] for row in rows]


def opened(shop: Shop, charge_id: str, amount: str = "27.01") -> Data:
    return Data(processor_reference=reference(shop), charge_id=charge_id, amount=amount)


def reference(shop: Shop) -> str:
    return f"case of {shop.tenant.account_id}"


def lost(shop: Shop, amount: str = "10.00") -> Data:
    return Data(processor_reference=reference(shop), amount=amount, fraud=True)


def with_charge(shop: Shop, **fields: object) -> tuple[Doc, str]:
    """An order's body that names its charge, and the charge's id."""
    charge_id = f"charge-{shop.tenant.account_id}"
    body = order_body("A", **fields)
    body["payment"]["charges"] = [{"id": charge_id}]
    return body, charge_id


async def test_a_dispute_may_be_told_of_before_its_charge_is_known(shop: Shop) -> None:
    body, charge_id = with_charge(shop)
    note = await shop.hear("dispute.opened", opened(shop, charge_id))
    assert (await state_of(shop, note), await disputes(shop)) == ("waiting", [])
    await retry(shop)
    assert await state_of(shop, note) == "waiting"
    order = await shop.captured(body)
    await retry(shop, 3 * SOON)
    assert await state_of(shop, note) == "applied"
    assert (await shop.order(order)).state.value == "dispute"
    for later in (4, 5):
        await retry(shop, later * SOON)
    assert await disputes(shop) == [("open", None, reference(shop))]
    assert await types(shop) == ["order.dispute"]


async def test_an_outcome_may_overtake_the_opening(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    early = await shop.hear("dispute.lost", lost(shop))
    (charge,) = (await shop.order(order)).charges
    await shop.hear("dispute.opened", opened(shop, charge.id))
    assert await state_of(shop, early) == "waiting"
    await retry(shop)
    assert await state_of(shop, early) == "applied"
    assert await disputes(shop) == [("lost", 1000, reference(shop))]
    assert await types(shop) == ["order.dispute", "order.chargeback", "order.dispute.resolved"]
    assert await findings(shop.database) == []


async def test_a_loss_above_the_limit_is_kept_and_not_booked(shop: Shop) -> None:
    order = await shop.take_in(order_body("A"))
    await shop.fulfil(order, 1)
    await shop.settle()
    (charge,) = (await shop.order(order)).charges
    await shop.hear("dispute.opened", opened(shop, charge.id))
    note = await shop.hear("dispute.lost", lost(shop, "13.52"))
    assert (await state_of(shop, note), await types(shop)) == ("waiting", ["order.dispute"])
    assert (await shop.order(order)).refunded == 0
    await retry(shop)
    assert (await state_of(shop, note), await disputes(shop)) == (
        "waiting",
        [("open", None, reference(shop))],
    )


async def test_an_order_under_review_is_left_alone(shop: Shop) -> None:
    order = await shop.take_in(order_body("A", state="in_review"))
    (charge,) = (await shop.order(order)).charges
    note = await shop.hear("dispute.opened", opened(shop, charge.id))
    assert (await state_of(shop, note), await disputes(shop)) == ("waiting", [])


async def test_what_fits_nothing_for_a_day_is_given_up(shop: Shop) -> None:
    note = await shop.hear("dispute.won", Data(processor_reference=reference(shop)))
    await retry(shop, DAY - SOON)
    assert await state_of(shop, note) == "waiting"
    await retry(shop, DAY + SOON)
    assert await state_of(shop, note) == "unmatched"


async def test_a_charge_that_two_accounts_have_is_nobodys(shop: Shop, worker: Worker) -> None:
    """Its id alone is told, so it cannot be known which of them is meant."""
    body, charge_id = with_charge(shop)
    other = await open_shop(worker)
    for each in (shop, other):
        await each.captured(body)
    note = await shop.hear("dispute.opened", opened(shop, charge_id))
    assert await state_of(shop, note) == "waiting"
    assert (await disputes(shop), await disputes(other)) == ([], [])


async def test_a_second_case_on_a_charge_waits_for_the_end_of_the_first(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    (charge,) = (await shop.order(order)).charges
    await shop.hear("dispute.opened", opened(shop, charge.id))
    other = f"second {reference(shop)}"
    second = Data(processor_reference=other, charge_id=charge.id, amount="5.00")
    note = await shop.hear("dispute.opened", second)
    assert await state_of(shop, note) == "waiting"
    await shop.hear("dispute.won", Data(processor_reference=reference(shop)))
    await retry(shop)
    assert await state_of(shop, note) == "applied"
    assert await disputes(shop) == [("won", None, reference(shop)), ("open", None, other)]


async def test_a_reference_that_another_account_copied_leads_to_the_right_dispute(
    shop: Shop, worker: Worker
) -> None:
    order = await shop.captured(order_body("A"))
    (charge,) = (await shop.order(order)).charges
    await shop.hear("dispute.opened", opened(shop, charge.id))
    copier = await open_shop(worker)
    copied = await copier.captured(order_body("A"))
    request = DisputeRequest(None, None, None, reference(shop))
    told = Told(copier.tenant, await copier.now())
    await create_dispute(copier.database, told, copied["id"], request)
    note = await shop.hear("dispute.lost", lost(shop))
    assert await state_of(shop, note) == "applied"
    assert await disputes(shop) == [("lost", 1000, reference(shop))]
    assert await disputes(copier) == [("open", None, reference(shop))]
