"""Webhooks in the database: what is dropped, sent again and recovered, and tokens in rotation."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from refundry.db.listing import Condition, Page
from refundry.domain.refusal import EventUnknown, WebhookDisabled
from refundry.errors import NotFound, Refused
from refundry.operations.work import tidy
from refundry.outbox.store import NewEvent, append_events
from refundry.sealing import Vault
from refundry.webhooks import commands, store
from refundry.webhooks.attempts import list_attempts
from refundry.webhooks.reading import WebhookAsk
from refundry.webhooks.store import Webhook
from refundry.webhooks.types import Transport
from tests.support.books import Shop

VAULT = Vault([bytes(32)])
START = datetime(2024, 5, 1, 9, tzinfo=UTC)
NOW = START + timedelta(hours=5)
NOTHING = WebhookAsk(None, None, None, None, None, None, None, None)
TYPE, OTHER = "refund.complete", "refund.failed"
Row = tuple[str, int, str, bool]


async def given_webhook(shop: Shop, *types: str) -> Webhook:
    ask = replace(NOTHING, types=types or (TYPE,), address="https://shop.example")
    await commands.create_webhook(shop.database, VAULT, shop.tenant, ask, START, None)
    (newest, *_) = await store.list_webhooks(shop.database, shop.tenant, [])
    return newest


async def given_events(shop: Shop, *types: str, after: timedelta = timedelta()) -> list[str]:
    """Events of one order, a second apart; gives their ids."""
    start = await shop.database.fetchval(
        "SELECT count(*) FROM events WHERE account_id = $1", shop.tenant.account_id
    )
    events = [
        NewEvent(
            shop.tenant, "o1", start + n + 1, START + after + timedelta(seconds=start + n),
            f"e{start + n}", kind, "{}",
        )
        for n, kind in enumerate(types)
    ]  # fmt: skip
    async with shop.database.transaction() as tx:
        await append_events(tx, events)
    return [event.id for event in events]


async def deliveries(shop: Shop, webhook: Webhook) -> list[Row]:
    """event, number, state, single: in the order of their making."""
    rows = await shop.database.fetch(
        "SELECT event_id, number, state, single FROM deliveries"
        " WHERE account_id = $1 AND webhook_id = $2"
        " ORDER BY length(event_id), event_id, number",
        shop.tenant.account_id, webhook.id,
    )  # fmt: skip
    return [(row["event_id"], row["number"], row["state"], row["single"]) for row in rows]


async def end(shop: Shop, event_id: str, state: str) -> None:
    """What the deliverer does when it is through with an event."""
    await shop.database.execute(
        "UPDATE deliveries SET state = $3, due_at = NULL WHERE account_id = $1 AND event_id = $2",
        shop.tenant.account_id, event_id, state,
    )  # fmt: skip


async def patch(shop: Shop, webhook: Webhook, ask: WebhookAsk) -> Webhook:
    def read(_transport: Transport) -> WebhookAsk:
        return ask

    await commands.update_webhook(shop.database, VAULT, shop.tenant, webhook.id, read, NOW)
    found = await store.find_webhook(shop.database, shop.tenant, webhook.id)
    assert found is not None
    return found


async def recover(shop: Shop, webhook: Webhook, since: datetime = START) -> int:
    return await commands.recover(shop.database, shop.tenant, webhook.id, since, NOW)


async def test_a_stored_webhook_is_read_as_it_was_written(shop: Shop) -> None:
    webhook = await given_webhook(shop, TYPE, OTHER)
    whole = replace(
        webhook, enabled=False, sealed_old_token=b"old", old_token_until=NOW,
        last_success_at=START, failing_since=NOW, warned_at=NOW, disabled_at=NOW,
        disabled_reason="why",
    )  # fmt: skip
    async with shop.database.transaction() as tx:
        await store.save_webhook(tx, whole)
    assert await store.find_webhooks(shop.database, shop.tenant, [webhook.id, "x"]) == [whole]
    assert await store.find_everywhere(shop.database, webhook.id) == [whole]


async def test_disabling_drops_what_is_outstanding_and_enabling_brings_nothing_back(
    shop: Shop,
) -> None:
    webhook, other = await given_webhook(shop), await given_webhook(shop)
    await given_events(shop, TYPE, TYPE)
    await end(shop, "e0", "succeeded")
    off = await patch(shop, webhook, replace(NOTHING, enabled=False))
    assert not off.enabled
    assert await deliveries(shop, webhook) == [
        ("e0", 0, "succeeded", False),
        ("e1", 0, "dropped", False),
    ]
    assert (await deliveries(shop, other))[1] == ("e1", 0, "pending", False)
    await given_events(shop, TYPE)
    await patch(shop, webhook, replace(NOTHING, enabled=True))
    assert len(await deliveries(shop, webhook)) == 2


async def test_deleting_drops_what_is_outstanding_and_the_lane(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    await given_events(shop, TYPE)
    await shop.database.execute(
        "INSERT INTO webhook_lanes VALUES ($1, $2, $3, 'w', $4)",
        shop.tenant.account_id, shop.tenant.live, webhook.id, NOW,
    )  # fmt: skip
    await commands.delete_webhook(shop.database, shop.tenant, webhook.id)
    assert await deliveries(shop, webhook) == [("e0", 0, "dropped", False)]
    assert await store.find_webhook(shop.database, shop.tenant, webhook.id) is None
    lanes = "SELECT count(*) FROM webhook_lanes WHERE webhook_id = $1"
    assert await shop.database.fetchval(lanes, webhook.id) == 0
    with pytest.raises(NotFound):
        await commands.delete_webhook(shop.database, shop.tenant, webhook.id)


async def test_any_event_can_be_sent_again_as_one_attempt(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    await given_events(shop, TYPE, OTHER)
    asks = [
        commands.resend(shop.database, shop.tenant, event_id, webhook.id, NOW)
        for event_id in ("e0", "e1", "e0", "e0")
    ]
    await asyncio.gather(*asks)
    assert await deliveries(shop, webhook) == [
        ("e0", 0, "pending", False),
        ("e0", 1, "pending", True),
        ("e0", 2, "pending", True),
        ("e0", 3, "pending", True),
        ("e1", 0, "pending", True),
    ]


async def test_only_what_is_there_and_on_can_be_sent_to(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    await given_events(shop, TYPE)
    with pytest.raises(Refused) as caught:
        await commands.resend(shop.database, shop.tenant, "e9", webhook.id, NOW)
    assert caught.value.refusal == EventUnknown("e9")
    with pytest.raises(NotFound):
        await commands.resend(shop.database, shop.tenant, "e0", "nobody", NOW)
    await patch(shop, webhook, replace(NOTHING, enabled=False))
    for ask in (
        commands.resend(shop.database, shop.tenant, "e0", webhook.id, NOW),
        recover(shop, webhook),
    ):
        with pytest.raises(Refused) as caught:
            await ask
        assert caught.value.refusal == WebhookDisabled(webhook.id)


async def test_recovery_queues_what_neither_arrived_nor_is_on_its_way(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    await given_events(shop, TYPE, TYPE, TYPE, TYPE, OTHER)
    await end(shop, "e0", "succeeded")
    await end(shop, "e1", "exhausted")
    await end(shop, "e2", "dropped")
    late = await given_webhook(shop)
    assert await recover(shop, webhook) == 2
    wanted = [
        ("e0", 0, "succeeded", False),
        ("e1", 0, "exhausted", False),
        ("e1", 1, "pending", False),
        ("e2", 0, "dropped", False),
        ("e2", 1, "pending", False),
        ("e3", 0, "pending", False),
    ]
    assert await deliveries(shop, webhook) == wanted
    assert await recover(shop, webhook) == 0
    assert await deliveries(shop, webhook) == wanted
    # A webhook that came later missed everything of its types.
    assert await recover(shop, late) == 4


async def test_what_a_resend_delivered_was_not_missed(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    await given_events(shop, TYPE)
    await end(shop, "e0", "exhausted")
    await commands.resend(shop.database, shop.tenant, "e0", webhook.id, NOW)
    assert await recover(shop, webhook) == 0
    await shop.database.execute(
        "UPDATE deliveries SET state = 'exhausted', due_at = NULL WHERE webhook_id = $1", webhook.id
    )
    assert await recover(shop, webhook) == 1
    assert (await deliveries(shop, webhook))[-1] == ("e0", 2, "pending", False)


async def test_recovery_begins_at_its_time_inclusively(shop: Shop) -> None:
    await given_events(shop, TYPE, TYPE, TYPE)
    webhook = await given_webhook(shop)
    assert await recover(shop, webhook, START + timedelta(seconds=1)) == 2
    assert [row[0] for row in await deliveries(shop, webhook)] == ["e1", "e2"]


async def test_recovery_goes_through_many_events_in_stretches(shop: Shop) -> None:
    await given_events(shop, *[TYPE] * 2300)
    webhook = await given_webhook(shop)
    asks = [recover(shop, webhook) for _ in range(3)]
    assert sum(await asyncio.gather(*asks)) == 2300
    assert {row[1:] for row in await deliveries(shop, webhook)} == {(0, "pending", False)}


async def test_rotation_keeps_two_tokens_at_most_and_the_old_one_for_its_overlap(
    shop: Shop,
) -> None:
    webhook = await given_webhook(shop)

    async def rotate(hours: str) -> commands.Tokens:
        return await commands.rotate_token(
            shop.database, VAULT, shop.tenant, webhook.id, commands.OVERLAPS[hours], NOW
        )

    async def revealed(now: datetime) -> commands.Tokens:
        return await commands.reveal_token(shop.database, VAULT, shop.tenant, webhook.id, now)

    first = await revealed(NOW)
    assert len(first.current) == 64
    assert (first.old, first.old_until) == (None, None)
    second = await rotate("12h")
    assert second == commands.Tokens(second.current, first.current, NOW + timedelta(hours=12))
    third = await rotate("1h")
    assert third.old == second.current
    assert len({first.current, second.current, third.current}) == 3
    assert await revealed(NOW + timedelta(minutes=59)) == third
    assert await revealed(NOW + timedelta(hours=1)) == commands.Tokens(third.current, None, None)
    last = await rotate("now")
    assert (last.old, last.old_until) == (None, None)
    with pytest.raises(NotFound):
        await commands.reveal_token(shop.database, VAULT, shop.tenant, "nobody", NOW)


async def test_every_webhook_has_a_token_of_its_own(shop: Shop) -> None:
    made = [await given_webhook(shop) for _ in range(3)]
    assert len({VAULT.open(each.sealed_token) for each in made}) == 3


async def given_attempts(shop: Shop, webhook: Webhook) -> None:
    """Two attempts of e0, at the same time as the first of e1."""
    for event_id, attempt, seconds in (("e0", 1, 0), ("e0", 2, 5), ("e1", 1, 0)):
        await shop.database.execute(
            "INSERT INTO attempts (account_id, live, webhook_id, event_id, number, attempt,"
            " started_at, duration_ms, status, response)"
            " VALUES ($1, $2, $3, $4, 0, $5, $6, 7, 500, 'no')",
            shop.tenant.account_id, shop.tenant.live, webhook.id, event_id, attempt,
            START + timedelta(seconds=seconds),
        )  # fmt: skip


async def test_attempts_are_paged_newest_first_in_both_directions(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    other = await given_webhook(shop)
    await given_events(shop, TYPE, TYPE)
    await given_attempts(shop, webhook)
    await end(shop, "e1", "exhausted")

    async def listed(page: Page, *conditions: Condition) -> tuple[list[str], bool]:
        found = await list_attempts(shop.database, shop.tenant, webhook.id, conditions, page)
        assert found is not None
        return [each.id for each in found[0]], found[1]

    newest, middle, oldest = "e0.0.2", "e1.0.1", "e0.0.1"
    assert await listed(Page(10)) == ([newest, middle, oldest], False)
    assert await listed(Page(2)) == ([newest, middle], True)
    assert await listed(Page(2, after=newest)) == ([middle, oldest], False)
    assert await listed(Page(1, after=newest)) == ([middle], True)
    assert await listed(Page(1, before=oldest)) == ([middle], True)
    assert await listed(Page(2, before=oldest)) == ([newest, middle], False)
    assert await listed(Page(9), Condition("d.state = {}::text", "exhausted")) == ([middle], False)
    assert await listed(Page(9), Condition("a.event_id = {}::text", "e0")) == (
        [newest, oldest],
        False,
    )
    (first, *_), _ = await list_attempts(shop.database, shop.tenant, webhook.id, [], Page(1)) or (
        [],
        False,
    )
    assert (first.event_type, first.status, first.response) == (TYPE, 500, b"no")
    assert (first.state, first.due_at) == ("pending", START)
    foreign = Page(1, after=newest)
    assert await list_attempts(shop.database, shop.tenant, other.id, [], foreign) is None


async def test_what_is_written_while_a_webhook_is_disabled_is_not_delivered_later(
    shop: Shop,
) -> None:
    """The event saw an enabled webhook; its delivery is committed after the others are dropped."""
    webhook = await given_webhook(shop)
    async with shop.database.transaction() as tx:
        await append_events(tx, [NewEvent(shop.tenant, "o1", 1, START, "e0", TYPE, "{}")])
        await patch(shop, webhook, replace(NOTHING, enabled=False))
    assert await deliveries(shop, webhook) == [("e0", 0, "pending", False)]
    await patch(shop, webhook, replace(NOTHING, enabled=True))
    assert await deliveries(shop, webhook) == [("e0", 0, "dropped", False)]


async def test_what_is_written_while_a_webhook_is_deleted_is_dropped_in_time(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    async with shop.database.transaction() as tx:
        await append_events(tx, [NewEvent(shop.tenant, "o1", 1, START, "e0", TYPE, "{}")])
        await commands.delete_webhook(shop.database, shop.tenant, webhook.id)
    await tidy(shop.worker)
    assert await deliveries(shop, webhook) == [("e0", 0, "dropped", False)]


async def test_a_long_backlog_is_dropped_to_its_end(shop: Shop) -> None:
    webhook = await given_webhook(shop)
    await shop.database.execute(
        "INSERT INTO deliveries (account_id, live, webhook_id, event_id, due_at)"
        " SELECT $1, $2, $3, 'e' || n, now() FROM generate_series(1, 10001) AS n",
        shop.tenant.account_id, shop.tenant.live, webhook.id,
    )  # fmt: skip
    await store.drop_deliveries(shop.database, shop.tenant, webhook.id)
    assert {state for _, _, state, _ in await deliveries(shop, webhook)} == {"pending"}
    await patch(shop, webhook, replace(NOTHING, enabled=False))
    assert {state for _, _, state, _ in await deliveries(shop, webhook)} == {"dropped"}
