"""What becomes of connections and keys when the database does not answer, or not as it should."""

import asyncio
import time
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from refundry import idempotency
from refundry.db.database import Database, NothingDone, open_database
from refundry.errors import Refused
from refundry.settings import Settings
from tests.support.books import Shop

STATEMENT_SECONDS = 0.3
SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = $1"
)


async def test_a_statement_given_up_is_stopped_and_its_transaction_not_waited_for(
    settings: Settings, database: Database
) -> None:
    async with open_database(settings, statement_seconds=STATEMENT_SECONDS) as hasty:
        began = time.monotonic()
        with pytest.raises(NothingDone):
            async with hasty.transaction() as tx:
                await tx.execute("SELECT pg_sleep(30)")
        assert time.monotonic() - began < STATEMENT_SECONDS + 2
        assert await database.fetchval(SLEEPING, "active") == 0
        assert await hasty.fetchval("SELECT 1") == 1


async def test_a_connection_that_leads_to_a_standby_is_not_kept(settings: Settings) -> None:
    async with open_database(msgspec.structs.replace(settings, pool_size=1)) as single:
        await single.execute("SET default_transaction_read_only = on")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await single.execute("DELETE FROM workers WHERE id = 'none'")
        assert await single.execute("DELETE FROM workers WHERE id = 'none'") == "DELETE 0"


async def test_the_key_of_a_request_that_was_cut_off_is_given_back_once_that_works(
    shop: Shop, settings: Settings
) -> None:
    """Its row is locked at first, by what the request had begun, for longer than a try lasts."""
    async with open_database(settings, statement_seconds=STATEMENT_SECONDS) as hasty:
        releases = idempotency.Releases(hasty)
        receipt = await take(shop, releases)
        assert isinstance(receipt, idempotency.Receipt)
        async with shop.database.transaction() as begun:
            await begun.execute(
                "SELECT 1 FROM idempotency_keys WHERE owner = $1 FOR UPDATE", receipt.owner
            )
            await releases.add(receipt)
        async with asyncio.timeout(5):
            while not isinstance(await take_if_free(shop, releases), idempotency.Receipt):
                await asyncio.sleep(0.05)


async def take(shop: Shop, releases: idempotency.Releases) -> object:
    now = datetime.now(UTC)
    return await idempotency.reserve(
        shop.database, shop.worker.vault, shop.tenant, releases,
        method="POST", path="/refunds", key="k", body=b"{}", now=now, real_now=now,
    )  # fmt: skip


async def take_if_free(shop: Shop, releases: idempotency.Releases) -> object:
    """None while the key is in use."""
    try:
        return await take(shop, releases)
    except Refused:
        return None
