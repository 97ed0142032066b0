"""What outlives its use is deleted, in chunks, and nothing else is."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from refundry.db.database import Database
from refundry.retention import Chore, chores, run_chore
from refundry.settings import Settings
from tests.support.books import Shop

YEAR = timedelta(days=365)
DAY = timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def chore(settings: Settings, name: str, now: datetime) -> Chore:
    return next(each for each in chores(settings, now) if each.name == name)


async def run(database: Database, chore: Chore, limit: int = 1000) -> list[int]:
    """How many rows each chunk took, once everything that is older already is gone."""
    return [taken async for taken in run_chore(database, chore, limit)]


async def given_events(shop: Shop, first: datetime, count: int, *webhooks: str) -> list[str]:
    """Events a second apart, with a delivery to each of `webhooks` that succeeded."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    tenant = shop.tenant
    await shop.database.execute(
        """
        INSERT INTO events (account_id, live, id, created_at, type, order_id, order_sequence,
                            object, webhook_ids)
        SELECT $1, $2, e.id, $4::timestamptz + e.place * interval '1 second', 'refund.created',
               e.id, 1, '{}', $5
          FROM unnest($3::text[]) WITH ORDINALITY AS e (id, place)
        """,
        tenant.account_id, tenant.live, ids, first, list(webhooks),
    )  # fmt: skip
    for webhook in webhooks:
        await given_deliveries(shop, webhook, ids, "succeeded", None)
    return ids


async def given_deliveries(
    shop: Shop, webhook: str, ids: list[str], state: str, due_at: datetime | None, number: int = 0
) -> None:
    await shop.database.execute(
        """
        INSERT INTO deliveries (account_id, live, webhook_id, event_id, number, state, due_at)
        SELECT $1, $2, $3, id, $7, $5, $6 FROM unnest($4::text[]) AS id
        """,
        shop.tenant.account_id, shop.tenant.live, webhook, ids, state, due_at, number,
    )  # fmt: skip


async def left(shop: Shop, table: str, column: str) -> set[str]:
    rows = await shop.database.fetch(
        f"SELECT {column} FROM {table} WHERE account_id = $1", shop.tenant.account_id
    )
    return {row[column] for row in rows}


async def test_old_events_go_with_their_deliveries_and_younger_ones_stay(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    old = await given_events(shop, now - YEAR - DAY, 5, "wh-1", "wh-2")
    young = await given_events(shop, now - YEAR + DAY, 5, "wh-1")
    # Sent by a person to a webhook that the event itself was not for.
    await given_deliveries(shop, "wh-3", old[:1], "exhausted", None, number=1)
    await run(shop.database, chore(settings, "events", now))
    assert await left(shop, "events", "id") == set(young)
    assert await left(shop, "deliveries", "event_id") == set(young)


async def test_an_old_event_that_is_on_its_way_stays(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    ids = await given_events(shop, now - 2 * YEAR, 3, "wh-1")
    await given_deliveries(shop, "wh-2", ids[1:2], "pending", now, number=1)
    await run(shop.database, chore(settings, "events", now), limit=1)
    assert await left(shop, "events", "id") == {ids[1]}
    assert await left(shop, "deliveries", "webhook_id") == {"wh-1", "wh-2"}


async def test_the_setting_says_how_long_events_are_kept(shop: Shop, now: datetime) -> None:
    await given_events(shop, now - 100 * DAY, 1)
    await run(shop.database, chore(Settings(retain_events=101), "events", now))
    assert len(await left(shop, "events", "id")) == 1
    await run(shop.database, chore(Settings(retain_events=99), "events", now))
    assert not await left(shop, "events", "id")


async def test_chunks_are_bounded_and_the_work_can_be_left_and_taken_up_again(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    events = chore(settings, "events", now)
    await run(shop.database, events)
    await given_events(shop, now - 2 * YEAR, 25, "wh-1")
    assert await events.count(shop.database) == 25
    async for taken in run_chore(shop.database, events, 10):
        assert taken == 10
        break
    assert await events.count(shop.database) == 15
    assert await run(shop.database, events, 10) == [10, 5]
    assert await events.count(shop.database) == 0


async def test_attempts_go_after_a_month_and_their_deliveries_stay(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    ids = await given_events(shop, now - 40 * DAY, 2, "wh-1")
    for event_id, age in zip(ids, (31, 29), strict=True):
        await shop.database.execute(
            """
            INSERT INTO attempts (account_id, live, webhook_id, event_id, number, attempt,
                                  started_at, duration_ms)
            VALUES ($1, $2, 'wh-1', $3, 0, 1, $4, 5)
            """,
            shop.tenant.account_id, shop.tenant.live, event_id, now - age * DAY,
        )  # fmt: skip
    attempts = chore(settings, "attempts", now)
    assert await attempts.count(shop.database) == 1
    assert await run(shop.database, attempts) == [1]
    assert await left(shop, "attempts", "event_id") == {ids[1]}
    assert await left(shop, "deliveries", "event_id") == set(ids)


async def test_the_delivery_of_a_sample_event_goes_with_its_attempt(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    for name, age, sample in (("old", 31, True), ("young", 29, True), ("real", 31, False)):
        await shop.database.execute(
            """
            WITH delivery AS (
                INSERT INTO deliveries (account_id, live, webhook_id, event_id, state, attempts,
                                        first_attempt_at, single, sample_type)
                VALUES ($1, $2, 'wh-1', $3, 'succeeded', 1, $4, true, $5)
            )
            INSERT INTO attempts (account_id, live, webhook_id, event_id, number, attempt,
                                  started_at, duration_ms)
            VALUES ($1, $2, 'wh-1', $3, 0, 1, $4, 5)
            """,
            shop.tenant.account_id, shop.tenant.live, name, now - age * DAY,
            "refund.complete" if sample else None,
        )  # fmt: skip
    await run(shop.database, chore(settings, "attempts", now), limit=1)
    assert await left(shop, "deliveries", "event_id") == {"young", "real"}
    assert await left(shop, "attempts", "event_id") == {"young"}


async def test_requests_for_an_approval_go_when_they_expired_long_ago_undecided(
    shop: Shop, now: datetime
) -> None:
    cases = (
        ("old", 91, "waiting"), ("young", 89, "waiting"), ("declined", 400, "declined"),
        ("waits", -1, "waiting"),
    )  # fmt: skip
    for name, age, state in cases:
        decided = now if state == "declined" else None
        await shop.database.execute(
            """
            INSERT INTO refund_drafts (account_id, live, id, created_at, expires_at,
                requester_kind, requester_id, requester_name, order_id, request, digest,
                amount_minor, currency, exponent, state, decided_at, decider_id)
            VALUES ($1, $2, $3, $4::timestamptz - interval '3 days', $4, 'user', 'ann', 'Ann', 'o',
                    '{}', decode(repeat('00', 32), 'hex'), 1, 'USD', 2, $5, $6, $7)
            """,
            shop.tenant.account_id, shop.tenant.live, name, now - age * DAY, state, decided,
            "bo" if decided else None,
        )  # fmt: skip
    drafts = chore(Settings(), "expired approvals", now)
    assert await drafts.count(shop.database) == 1
    assert await run(shop.database, drafts, limit=1) == [1]
    assert await left(shop, "refund_drafts", "id") == {"young", "declined", "waits"}
    await run(shop.database, chore(Settings(retain_drafts=30), "expired approvals", now))
    assert await left(shop, "refund_drafts", "id") == {"declined", "waits"}


async def given_run(shop: Shop, name: str, state: str, at: datetime, lines: int = 3) -> None:
    ended = at if state == "finished" else None
    await shop.database.execute(
        """
        WITH run AS (
            INSERT INTO bulk_runs (account_id, live, id, created_at, name, digest, head,
                with_duplicates, checked_at, state, actor_kind, actor_name, started_at, finished_at)
            VALUES ($1, $2, $3, $4, $3, sha256($3::text::bytea), '{}', false, $4, $5, 'command',
                    'x', $6, $7)
        )
        INSERT INTO bulk_lines (account_id, live, run_id, number, cells, state, remark)
        SELECT $1, $2, $3, n, '{}', 'refused', '' FROM generate_series(2, $8::integer + 1) AS n
        """,
        shop.tenant.account_id, shop.tenant.live, name, at, state,
        None if state == "checked" else at, ended, lines,
    )  # fmt: skip


async def test_lines_of_finished_files_go_run_by_run_and_the_runs_stay(
    shop: Shop, now: datetime
) -> None:
    for name, state, age in (
        ("old", "finished", 366), ("older", "finished", 500), ("young", "finished", 364),
        ("stopped", "stopped", 500), ("checked", "checked", 364), ("forgotten", "checked", 366),
    ):  # fmt: skip
        await given_run(shop, name, state, now - age * DAY)
    lines = chore(Settings(), "bulk lines", now)
    assert await lines.count(shop.database) == 6
    assert await run(shop.database, lines, limit=1) == [3, 3], "a run at a time, whole"
    files = chore(Settings(), "unconfirmed files", now)
    assert await files.count(shop.database) == 1
    assert await run(shop.database, files) == [1]
    with_lines = {"young", "stopped", "checked"}
    assert await left(shop, "bulk_lines", "run_id") == with_lines
    assert await left(shop, "bulk_runs", "id") == with_lines | {"old", "older"}
    await run(shop.database, chore(Settings(retain_bulk=30), "bulk lines", now))
    assert await left(shop, "bulk_lines", "run_id") == {"stopped", "checked"}


async def test_notifications_go_unless_they_wait(
    database: Database, settings: Settings, now: datetime
) -> None:
    connector = str(uuid.uuid4())
    for name, age, due in (("old", 31, None), ("waits", 31, now), ("young", 29, None)):
        await database.execute(
            """
            INSERT INTO processor_notifications (connector, id, received_at, body, state, due_at)
            VALUES ($1, $2, $3, '{}', CASE WHEN $4::timestamptz IS NULL THEN 'applied'
                                           ELSE 'waiting' END, $4)
            """,
            connector, name, now - age * DAY, due,
        )  # fmt: skip
    notifications = chore(settings, "notifications", now)
    assert await notifications.count(database) == 1
    assert await run(database, notifications) == [1]
    rows = await database.fetch(
        "SELECT id FROM processor_notifications WHERE connector = $1", connector
    )
    assert {row["id"] for row in rows} == {"waits", "young"}


async def test_mails_go_unless_they_are_still_to_be_sent(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    cases = (("sent", 31, now, None), ("given up", 31, None, None), ("due", 31, None, now),
             ("young", 29, now, None))  # fmt: skip
    for name, age, sent_at, due_at in cases:
        await shop.database.execute(
            """
            INSERT INTO mails (id, account_id, created_at, recipients, subject, body, sent_at,
                               due_at)
            VALUES ($1, $2, $3, '{}', $4, '', $5, $6)
            """,
            str(uuid.uuid4()), shop.tenant.account_id, now - age * DAY, name, sent_at, due_at,
        )  # fmt: skip
    mails = chore(settings, "mails", now)
    assert await mails.count(shop.database) == 2
    assert await run(shop.database, mails) == [2]
    assert await left(shop, "mails", "subject") == {"due", "young"}


async def test_idempotency_keys_go_when_their_life_is_over(
    shop: Shop, settings: Settings, now: datetime
) -> None:
    keys = chore(settings, "idempotency keys", now)
    await run(shop.database, keys)
    for name, age in (("old", keys.kept + DAY), ("young", keys.kept - DAY / 24)):
        await shop.database.execute(
            """
            INSERT INTO idempotency_keys (account_id, live, method, path, key, body_hash, owner,
                                          created_at, started_at)
            VALUES ($1, $2, 'POST', '/refunds', $3, '', '', $4, $4)
            """,
            shop.tenant.account_id, shop.tenant.live, name, now - age,
        )  # fmt: skip
    assert await keys.count(shop.database) == 1
    assert await run(shop.database, keys) == [1]
    assert await left(shop, "idempotency_keys", "key") == {"young"}
