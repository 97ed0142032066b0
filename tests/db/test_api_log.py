"""The API log on a real database: written beside the requests, read by filters, deleted by age."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from refundry.api_log.entry import Entry, row_of
from refundry.api_log.journal import PAUSE_SECONDS, Journal
from refundry.api_log.reading import (
    CallFilter,
    LoggedCall,
    find_call,
    find_creation,
    list_calls,
)
from refundry.api_log.store import delete_calls, write_rows
from refundry.db.database import Database
from refundry.retention import chores
from refundry.settings import Settings
from refundry.tenant import ApiKey, Tenant
from tests.support.books import Shop

DAY = timedelta(days=1)
_NO_HEADERS: dict[str, str] = {}


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def key(tenant: Tenant, name: str) -> ApiKey:
    return ApiKey("k", name, tenant, "secret", {}, "2021-12-13", "line", timedelta())


def call(tenant: Tenant, at: datetime, **own: Any) -> Entry:
    """A call that made a refund, but for what is said otherwise."""
    values: dict[str, Any] = {
        "tenant": tenant, "key": key(tenant, "Shop"), "called_at": at, "seconds": 0.004,
        "method": "POST", "path": "/refunds", "parameters": {}, "query": b"",
        "headers": _NO_HEADERS, "request_id": str(uuid.uuid4()), "request": b'{"amount":1}',
        "request_size": 12, "status": 201, "replayed": False, "answer": b'{"id":"re_1"}',
        "answer_size": 13,
    }  # fmt: skip
    return Entry(**(values | own))


async def given(shop: Shop, *calls: Entry) -> None:
    assert await write_rows(shop.database, [row_of(each) for each in calls]) == 0


async def found(shop: Shop, wanted: CallFilter) -> list[LoggedCall]:
    calls, more = await list_calls(shop.database, shop.tenant, wanted, limit=100)
    assert not more
    return calls


async def all_of(shop: Shop) -> list[LoggedCall]:
    return await found(shop, CallFilter())


@asynccontextmanager
async def paused(database: Database) -> AsyncGenerator[None]:
    """Nobody can write to the log for as long as the block runs."""
    async with database.transaction() as tx:
        await tx.execute("LOCK TABLE api_log IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def writing(journal: Journal) -> AsyncGenerator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(journal.run(stopping))
    yield
    stopping.set()
    await task


def dropped() -> float:
    return REGISTRY.get_sample_value("refundry_api_log_dropped_total") or 0


async def test_each_filter_finds_its_calls_and_no_others(shop: Shop, now: datetime) -> None:
    tenant = shop.tenant
    headers = {
        "upstream-id": "cart-7", "upstream-application-id": "shopware/6.5",
        "upstream-session-id": "s-1", "forwarded": "for=192.0.2.60",
    }  # fmt: skip
    special = call(
        tenant, now - DAY, method="PATCH", path="/webhooks/wh_1", status=404,
        key=key(tenant, "Other"), headers=headers, parameters={"id": "wh_1"},
    )  # fmt: skip
    below = call(tenant, now, path="/refundry/v1/webhooks/wh_1/test", status=500, answer_size=0)
    await given(shop, special, below, *(call(tenant, now) for _ in range(3)))
    wanted = [
        CallFilter(until=now - DAY / 2), CallFilter(status_class=4), CallFilter(method="patch"),
        CallFilter(key_name="Other"), CallFilter(upstream_id="cart-7"),
        CallFilter(application="shopware"), CallFilter(path="/webhooks"),
        CallFilter(path="/webhooks/wh_1?x=y"), CallFilter(resource_id="wh_1"),
        CallFilter(session_id="s-1"), CallFilter(shopper_address="192.0.2.60"),
        CallFilter(request_id=special.request_id),
        CallFilter(status_class=4, method="PATCH", path="/webhooks/", since=now - 2 * DAY),
    ]  # fmt: skip
    for each in wanted:
        assert [one.path for one in await found(shop, each)] == ["/webhooks/wh_1"], each
    for each in (CallFilter(status_class=5), CallFilter(path="/refundry/v1")):
        assert [one.path for one in await found(shop, each)] == [below.path], each
    assert len(await found(shop, CallFilter(since=now))) == 4
    assert len(await found(shop, CallFilter(status_class=2))) == 3
    assert not await found(shop, CallFilter(path="/webhook"))


async def test_another_account_or_mode_sees_nothing_of_it(shop: Shop, now: datetime) -> None:
    await given(shop, call(shop.tenant, now))
    (own,) = await all_of(shop)
    for tenant in (Tenant(shop.tenant.account_id, live=True), Tenant("other", live=False)):
        assert await list_calls(shop.database, tenant) == ([], False)
        assert await find_call(shop.database, tenant, own.id) is None
        assert await find_creation(shop.database, tenant, "re_1") is None


async def test_pages_go_through_all_calls_newest_first_and_back(shop: Shop, now: datetime) -> None:
    calls = [call(shop.tenant, now + timedelta(microseconds=n)) for n in range(7)]
    await given(shop, *calls)
    database, tenant = shop.database, shop.tenant
    first, more = await list_calls(database, tenant, limit=3)
    second, still = await list_calls(database, tenant, limit=3, after=first[-1].id)
    third, last = await list_calls(database, tenant, limit=3, after=second[-1].id)
    assert (more, still, last) == (True, True, False)
    listed = [one.request_id for one in (*first, *second, *third)]
    assert listed == [one.request_id for one in reversed(calls)]
    assert await list_calls(database, tenant, limit=3, before=third[0].id) == (second, True)
    assert await list_calls(database, tenant, limit=3, before=second[0].id) == (first, False)


async def test_a_refund_leads_to_the_call_that_made_it(shop: Shop, now: datetime) -> None:
    made = call(shop.tenant, now)
    replayed = call(shop.tenant, now - DAY, replayed=True)
    read = call(shop.tenant, now, method="GET", status=200, parameters={"id": "re_1"})
    await given(shop, replayed, made, read)
    record = await find_creation(shop.database, shop.tenant, "re_1")
    assert record is not None
    assert record.call.request_id == made.request_id
    assert (record.request_body, record.answer_body) == ('{"amount":1}', '{"id":"re_1"}')
    assert await find_call(shop.database, shop.tenant, record.call.id) == record
    assert len(await found(shop, CallFilter(resource_id="re_1"))) == 3


async def test_the_journal_writes_what_is_noted_and_at_its_end_what_is_left(
    shop: Shop, now: datetime
) -> None:
    journal = Journal(shop.database)
    async with writing(journal):
        for _ in range(1200):
            journal.note(call(shop.tenant, now))
        while journal.waiting:
            await asyncio.sleep(0.02)
        journal.note(call(shop.tenant, now, status=400))
    rows = await shop.database.fetchval(
        "SELECT count(*) FROM api_log WHERE account_id = $1", shop.tenant.account_id
    )
    assert rows == 1201
    assert len(await found(shop, CallFilter(status_class=4))) == 1


async def test_while_the_database_waits_the_queue_is_bounded_and_drops_are_counted(
    shop: Shop, now: datetime
) -> None:
    journal = Journal(shop.database, most_entries=5)
    before = dropped()
    async with writing(journal), paused(shop.database):
        journal.note(call(shop.tenant, now, request_id="first"))
        await asyncio.sleep(PAUSE_SECONDS + 0.2)  # by now it is on its way, and waits
        for n in range(12):
            journal.note(call(shop.tenant, now, request_id=str(n)))
        assert (journal.waiting, dropped() - before) == (6, 7)
    assert journal.waiting == 0
    written = sorted(one.request_id for one in await all_of(shop))
    assert written == ["0", "1", "2", "3", "4", "first"]


async def test_what_waits_is_bounded_in_bytes_as_well(shop: Shop, now: datetime) -> None:
    journal = Journal(shop.database, most_bytes=100)
    for _ in range(10):
        journal.note(call(shop.tenant, now))
    assert journal.waiting == 100 // 25
    async with writing(journal):
        pass
    journal.note(call(shop.tenant, now))
    assert journal.waiting == 1


async def test_a_batch_that_was_written_without_our_hearing_of_it_is_not_written_twice(
    shop: Shop, now: datetime
) -> None:
    rows = [row_of(call(shop.tenant, now)) for _ in range(20)]
    await write_rows(shop.database, rows[:10])
    assert await write_rows(shop.database, rows) == 0
    assert len(await all_of(shop)) == 20


async def test_a_row_that_the_database_refuses_does_not_stop_the_others(
    shop: Shop, now: datetime
) -> None:
    bad = call(shop.tenant, now, request_id="a\x00b")
    rows = [row_of(each) for each in (call(shop.tenant, now), bad, call(shop.tenant, now))]
    assert await write_rows(shop.database, rows) == 1
    assert len(await all_of(shop)) == 2


async def test_old_calls_go_and_younger_ones_stay(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    for age in (29, 31, 59, 61):
        await given(shop, *(call(shop.tenant, now - age * DAY) for _ in range(3)))
    longer = next(each for each in chores(Settings(retain_api_log=60), now))
    assert longer.name == "API log"
    assert await longer.count(shop.database) == 3
    assert await delete_calls(shop.database, now - 60 * DAY, 2) == 2
    assert await delete_calls(shop.database, now - 60 * DAY, 2) == 1
    assert len(await all_of(shop)) == 9
    usual = next(each for each in chores(settings, now))
    assert await usual.delete(shop.database, 1000) == 6
    assert {one.called_at for one in await all_of(shop)} == {now - 29 * DAY}
