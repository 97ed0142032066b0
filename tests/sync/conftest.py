"""One service for the tests of the shop's side, one account and one client for each of them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from refundry_sync.client import AsyncClient, Client
from tests.support.http import Api
from tests.support.service import Account, Service
from tests.support.webhooks import LOOPBACK


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service(env={"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}) as service:
        yield service


@pytest.fixture
def account(service: Service) -> Account:
    return service.open_account()


@pytest.fixture
def api(service: Service, account: Account) -> Api:
    """The account's secret test key."""
    return service.api(account.secret_test)


@pytest.fixture
def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture
def client(url: str, account: Account) -> Iterator[Client]:
    with Client(url, account.secret_test) as client:
        yield client


@pytest.fixture
async def async_client(url: str, account: Account) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url, account.secret_test) as client:
        yield client
