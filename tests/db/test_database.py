"""A database that goes away: whether something may have been done is always known."""

import asyncio

import msgspec
import pytest

from refundry.db.database import Database, NothingDone, Unreachable, asking, open_database
from refundry.settings import Settings

END_ITSELF = "SELECT pg_terminate_backend(pg_backend_pid())"


async def test_no_free_connection_means_that_nothing_was_done(settings: Settings) -> None:
    one = msgspec.structs.replace(settings, pool_size=1)
    async with open_database(one, patience_seconds=0.05) as database:
        async with database.connection():
            with pytest.raises(NothingDone):
                await database.execute("SELECT 1")
        assert await database.fetchval("SELECT 1") == 1


async def test_a_transaction_that_was_not_told_to_commit_has_done_nothing(
    database: Database,
) -> None:
    with pytest.raises(NothingDone):
        async with database.transaction() as tx:
            await tx.execute(END_ITSELF)
    assert await database.fetchval("SELECT 1") == 1


async def test_a_statement_of_its_own_may_have_been_done(database: Database) -> None:
    with pytest.raises(Unreachable) as caught:
        await database.execute(END_ITSELF)
    assert not isinstance(caught.value, NothingDone)


async def test_asking_changes_nothing(database: Database) -> None:
    with pytest.raises(NothingDone), asking():
        await database.execute(END_ITSELF)


async def test_a_transaction_ends_where_its_statement_takes_too_long(settings: Settings) -> None:
    async with open_database(settings, patience_seconds=0.2, statement_seconds=0.2) as database:
        async with asyncio.timeout(5):
            with pytest.raises(NothingDone):
                async with database.transaction() as tx:
                    await tx.execute("SELECT pg_sleep(30)")
            assert await database.fetchval("SELECT 1") == 1


async def test_what_is_no_fault_of_the_database_stays_as_it_is(database: Database) -> None:
    with pytest.raises(LookupError):
        async with database.transaction():
            raise LookupError
