"""Retried captures on the real database: once, by whoever comes first, and the books add up."""

import json
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest

from refundry.db.database import open_database
from refundry.domain.charge import Operation
from refundry.domain.refusal import NotRetriable, RetryBar
from refundry.errors import NotFound, Refused
from refundry.operations.inbox import Data
from refundry.orders.commands import retry_operation
from refundry.orders.fulfillments import find_fulfillments
from refundry.settings import Settings
from refundry.worker import open_worker
from tests.db.racing import all_of, figures, refusals, won
from tests.support.books import Shop, findings, open_shop
from tests.support.fixtures import card, order_body, paid_by
from tests.support.http import Doc
from tests.support.service import Processor

# A capture waits until a notification says what became of it.
CAPTURE_WAITS = "4024 0071 2057 9635"


async def given_failed(shop: Shop) -> tuple[Doc, Operation]:
    """An order that is shipped as a whole, and its failed capture."""
    order = await shop.take_in(order_body("A", payment=paid_by(card(27.01, CAPTURE_WAITS))))
    await shop.fulfil(order, 2)
    await shop.settle()
    (operation,) = await operations(shop, order)
    await say(shop, operation, "failed")
    (operation,) = await operations(shop, order)
    assert operation.state.value == "failed"
    return order, operation


async def operations(shop: Shop, order: Doc) -> list[Operation]:
    return [each for charge in (await shop.order(order)).charges for each in charge.operations]


async def say(shop: Shop, operation: Operation, word: str) -> None:
    await shop.hear(f"{operation.kind}.{word}", Data(operation_id=operation.id))


async def retry(shop: Shop, order: Doc, operation: Operation) -> Doc:
    now = await shop.now()
    body = await retry_operation(shop.database, shop.tenant, order["id"], operation.id, now, None)
    return json.loads(body)


async def test_of_many_retries_at_once_one_is_made(shop: Shop) -> None:
    order, failed = await given_failed(shop)
    results = await all_of(retry(shop, order, failed) for _ in range(10))
    assert len(won(results)) == 1
    assert refusals(results) == {NotRetriable: 9}
    assert Counter(each.state.value for each in await operations(shop, order)) == {
        "failed": 1,
        "pending": 1,
    }
    assert await findings(shop.database) == []


async def test_a_retry_is_asked_for_under_its_own_id_and_captures_once(shop: Shop) -> None:
    order, failed = await given_failed(shop)
    made = await retry(shop, order, failed)
    assert (made["id"], made["orderId"], made["amount"]) == (failed.id, order["id"], 27.01)
    await shop.settle()
    _, again = await operations(shop, order)
    assert [each["id"] for each in made["retries"]] == [again.id] != [failed.id]
    assert again.fulfillment_id == failed.fulfillment_id
    assert await figures(shop, order) == (0, 0, 0)
    await say(shop, again, "complete")
    assert await figures(shop, order) == (2701, 0, 0)
    # The first one is heard of once more: it has failed for good.
    await say(shop, failed, "complete")
    assert await figures(shop, order) == (2701, 0, 0)
    after = await shop.order(order)
    assert (after.state.value, after.lines[0].captured_units) == ("complete", 2)
    assert await findings(shop.database) == []


async def test_the_units_of_a_retried_record_have_passed_to_the_retry(shop: Shop) -> None:
    order, failed = await given_failed(shop)
    await retry(shop, order, failed)
    rows = await shop.database.fetch(
        """
        SELECT id, units, state, due_at IS NOT NULL AS due FROM charge_operations
         WHERE account_id = $1 AND order_id = $2 ORDER BY seq
        """,
        shop.tenant.account_id, order["id"],
    )  # fmt: skip
    assert [(row["units"], row["state"], row["due"]) for row in rows] == [
        (0, "failed", False),
        (2, "pending", True),
    ]
    fulfillment_id = failed.fulfillment_id
    assert fulfillment_id
    (stored,) = await find_fulfillments(shop.database, shop.tenant, [fulfillment_id])
    assert stored.fulfillment.operation_ids == tuple(row["id"] for row in rows)


async def test_what_is_refused_changes_nothing(shop: Shop) -> None:
    order, failed = await given_failed(shop)
    await retry(shop, order, failed)
    before = await shop.order(order)
    with pytest.raises(Refused) as refused:
        await retry(shop, order, failed)
    assert refused.value.refusal == NotRetriable(failed.id, RetryBar.RETRIED)
    with pytest.raises(NotFound):
        await retry(shop, order | {"id": "x"}, failed)
    assert await shop.order(order) == before


async def test_a_retry_that_fails_is_retried_in_turn(shop: Shop) -> None:
    order, failed = await given_failed(shop)
    for number in range(3):
        await retry(shop, order, failed)
        await shop.settle()
        failed = (await operations(shop, order))[-1]
        await say(shop, failed, "failed" if number < 2 else "complete")
        assert await findings(shop.database) == []
    assert await figures(shop, order) == (2701, 0, 0)
    assert (await shop.order(order)).state.value == "complete"


@pytest.fixture
async def at_the_bank(settings: Settings) -> AsyncIterator[tuple[Shop, Processor]]:
    """A shop whose processor keeps books of its own."""
    with Processor() as processor:
        own = msgspec.structs.replace(
            settings, test_processor="http", test_processor_url=processor.url,
            test_processor_secret=processor.secret, pool_size=6,
        )  # fmt: skip
        async with open_database(own) as database, open_worker(own, database) as worker:
            yield await open_shop(worker), processor


async def test_both_charges_are_captured_in_full_whatever_failed_before(
    at_the_bank: tuple[Shop, Processor],
) -> None:
    """The card's part is retried first, and found on the credit, which is spent first."""
    shop, processor = at_the_bank
    order = await shop.take_in(order_body("G"))
    processor.answer("fail", "capture")
    await shop.fulfil(order, 2)
    await shop.settle()
    failed = sorted(await operations(shop, order), key=lambda each: each.amount)
    assert [(each.state.value, each.amount) for each in failed] == [
        ("failed", 689),
        ("failed", 2000),
    ]
    await retry(shop, order, failed[0])
    await shop.settle()
    processor.answer("complete")
    refused_again = (await operations(shop, order))[-1]
    for operation in (refused_again, failed[1]):
        await retry(shop, order, operation)
        await shop.settle()
    paid = Counter[str]()
    for entry in processor.paid("capture"):
        assert entry["times"] == 1
        paid[entry["chargeId"]] += round(entry["amount"] * 100)
    after = await shop.order(order)
    assert paid == {charge.id: charge.amount for charge in after.charges}
    assert (after.state.value, after.captured) == ("complete", 2689)
    assert await findings(shop.database) == []
