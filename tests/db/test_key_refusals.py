"""What a refused key costs says nothing of the key: neither whether it exists nor whose it is.

A key is looked up by its SHA-256: whatever is compared in the database has nothing in common with
the text that was sent, so what a comparison costs cannot be steered towards a key.
"""

import gc
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from refundry.access.commands import create_key
from refundry.access.guards import KeyRing
from refundry.access.store import key_hash
from refundry.clock import Clock
from refundry.db.database import Database
from tests.support.books import Shop

Find = Callable[[str], Awaitable[object]]
# A median of so many is steady to a few hundredths, on a machine that does other things too.
SAMPLES = 1500
# Of the median: what the network adds to it would hide a tenth from anybody.
MOST = 0.10


async def given_keys(shop: Shop) -> dict[str, str]:
    """Keys by why they are refused: each as a text to be sent."""
    account, now = shop.tenant.account_id, datetime.now(UTC)
    ended = await create_key(shop.database, account, live=False, now=now)
    live_ended = await create_key(shop.database, account, live=True, now=now)
    valid = await create_key(
        shop.database, account, live=False, now=now, old_key_lives=timedelta(seconds=-1)
    )
    await create_key(
        shop.database, account, live=True, now=now, old_key_lives=timedelta(seconds=-1)
    )
    head = len("sk_test_")
    return {
        "unknown": f"sk_test_{secrets.token_hex(16)}",
        "unknown, of the other mode": f"sk_live_{secrets.token_hex(16)}",
        "unknown, of another kind": f"rk_test_{secrets.token_hex(16)}",
        "right but for its last half": valid[: head + 16] + secrets.token_hex(8),
        "right but for its last digit": valid[:-1] + ("0" if valid[-1] != "0" else "1"),
        "ended": ended,
        "ended, of the other mode": live_ended,
    }


async def test_every_refusal_takes_the_same_one_statement(shop: Shop) -> None:
    """Structure first: the same statement, once, and never a row."""
    keys = await given_keys(shop)
    seen: dict[str, list[str]] = {}
    async with shop.database.transaction() as tx:
        connection: Any = tx
        for why, text in keys.items():
            said: list[str] = []
            heard = hearing(said)
            connection.add_query_logger(heard)
            ring = KeyRing(connection, Clock(), remember=False)
            assert await ring.find(f"Bearer {text}") is None, why
            connection.remove_query_logger(heard)
            seen[why] = said
    assert {len(said) for said in seen.values()} == {1}, seen
    assert len({said[0] for said in seen.values()}) == 1


def hearing(said: list[str]) -> Callable[[Any], None]:
    def hear(record: asyncpg.connection.LoggedQuery) -> None:
        said.append(record.query)

    return hear


async def spreads(find: Find, keys: dict[str, str]) -> dict[str, float]:
    """How much longer each key takes than an unknown one, as a share of that.

    The keys take turns in an order that changes, so that what slows the machine slows them all; of
    each the median counts.
    """
    taken: dict[str, list[int]] = {why: [] for why in keys}
    names = list(keys)
    gc.collect()
    gc.disable()
    try:
        for turn in range(SAMPLES):
            for why in names[turn % len(names) :] + names[: turn % len(names)]:
                start = time.perf_counter_ns()
                await find(keys[why])
                taken[why].append(time.perf_counter_ns() - start)
    finally:
        gc.enable()
    medians = {why: statistics.median(times) for why, times in taken.items()}
    return {why: median / medians["unknown"] - 1 for why, median in medians.items()}


@pytest.mark.check
async def test_no_refusal_takes_longer_than_another(shop: Shop, database: Database) -> None:
    keys = await given_keys(shop)
    ring = KeyRing(database, Clock(), remember=False)

    async def find(text: str) -> object:
        return await ring.find(f"Bearer {text}")

    found = await spreads(find, keys)
    assert max(map(abs, found.values())) < MOST, found


@pytest.mark.check
async def test_a_second_question_about_a_known_key_would_be_seen(
    shop: Shop, database: Database
) -> None:
    """What the test above is able to find: a lookup that asks again where the key is known."""
    keys = await given_keys(shop)
    ring = KeyRing(database, Clock(), remember=False)

    async def find(text: str) -> object:
        known = "SELECT account_id FROM api_keys WHERE secret_hash = $1"
        await ring.find(f"Bearer {text}")
        if account := await database.fetchval(known, key_hash(text)):
            await database.fetchval("SELECT name FROM accounts WHERE id = $1", account)
        return None

    found = await spreads(find, keys)
    assert found["ended"] > MOST, found
    assert abs(found["right but for its last digit"]) < MOST, found


@pytest.mark.check
async def test_a_comparison_digit_by_digit_would_be_seen(shop: Shop) -> None:
    """The other way to go wrong: keys kept as text, and compared until they differ."""
    keys = await given_keys(shop)
    kept = [keys["ended"]] * 200

    async def find(text: str) -> object:
        return [one for one in kept if all(a == b for a, b in zip(one, text, strict=True))]

    almost = keys["ended"][:-1] + "x"
    found = await spreads(find, {"unknown": keys["unknown"], "almost": almost})
    assert found["almost"] > MOST, found
