"""One real database for the session, with its schema, and a shop in it for each test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import msgspec
import pytest

from refundry.access.passwords import Passwords
from refundry.access.signing_in import Gate
from refundry.clock import Clock
from refundry.db.database import Database, open_database
from refundry.hosting import database_ready
from refundry.operations.work import Worker
from refundry.refunds.lanes import RefundLanes
from refundry.sealing import Vault
from refundry.settings import Settings
from refundry.worker import open_worker
from tests.support.books import Shop, open_shop
from tests.support.people import QUICK, Door


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of an embedded server that this process runs."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("database"),
        pool_size=20,
        webhook_allow_networks="127.0.0.0/8",
    )
    with database_ready(settings, "the tests", lambda _text: None, exclusive=True):
        yield settings


@pytest.fixture(scope="session")
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        yield database


@pytest.fixture(scope="session")
async def worker(settings: Settings, database: Database) -> AsyncIterator[Worker]:
    async with open_worker(settings, database) as worker:
        yield worker


@pytest.fixture
async def shop(worker: Worker) -> Shop:
    return await open_shop(worker)


@pytest.fixture
async def door(shop: Shop) -> AsyncIterator[Door]:
    """The shop's account, for people who sign in."""
    passwords = Passwords(QUICK)
    gate = Gate(shop.database, passwords, Vault([bytes(32)]), Clock(), refusal_seconds=0)
    try:
        yield Door(gate, shop.tenant.account_id)
    finally:
        passwords.close()


@pytest.fixture
async def processes(settings: Settings) -> AsyncIterator[list[RefundLanes]]:
    """What three API processes have: each its own connections and its own groups."""
    async with AsyncExitStack() as stack:
        own = msgspec.structs.replace(settings, pool_size=6)
        yield [RefundLanes(await stack.enter_async_context(open_database(own))) for _ in range(3)]
