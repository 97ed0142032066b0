"""One service for the session, one account for each test; the service's log where a test fails."""

from collections.abc import Generator, Iterator

import pytest

from tests.support.certificates import Authority
from tests.support.http import Api
from tests.support.mailbox import Mailbox
from tests.support.service import Account, Service
from tests.support.webhooks import webhook_environment

# The service a test uses, and how long its log was before.
LOG_START = pytest.StashKey[tuple[Service, int]]()


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="session")
def webhook_service(authority: Authority, mailbox: Mailbox) -> Iterator[Service]:
    """A service that may deliver to loopback; modules on delivery take it as their `service`."""
    mail = {"REFUNDRY_SMTP_URL": mailbox.url, "REFUNDRY_MAIL_FROM": "refunds@shop.example"}
    with Service(env=webhook_environment(authority) | mail) as service:
        yield service


@pytest.fixture
def account(service: Service, request: pytest.FixtureRequest) -> Account:
    request.node.stash[LOG_START] = (service, service.log_size())
    return service.open_account()


@pytest.fixture
def api(service: Service, account: Account) -> Api:
    """The account's secret test key."""
    return service.api(account.secret_test)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    start = item.stash.get(LOG_START, None)
    if report.failed and start is not None:
        service, size = start
        report.sections.append(("service log", service.log_since(size)))
    return report
