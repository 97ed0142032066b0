"""The dashboard of the session's service, and people of the account who visit it."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.http import Api
from tests.support.portal import Visitor
from tests.support.service import Account, Service
from tests.support.webhooks import LOOPBACK


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service(env={"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}, quick=True) as service:
        yield service


@pytest.fixture
def account(service: Service) -> Account:
    return service.open_account()


@pytest.fixture
def api(service: Service, account: Account) -> Api:
    """The account's secret test key."""
    return service.api(account.secret_test)


Stranger = Callable[[], Visitor]
SignIn = Callable[..., Visitor]


@pytest.fixture
def stranger(service: Service) -> Iterator[Stranger]:
    """A browser in which nobody is signed in, as many as are asked for."""
    visitors: list[Visitor] = []

    def come() -> Visitor:
        visitors.append(Visitor(service))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def sign_in(account: Account, stranger: Stranger) -> SignIn:
    """Somebody of a role who is signed in."""

    def enter(role: str = "administrator", *, in_refund_set: bool = False) -> Visitor:
        visitor = stranger()
        screen = visitor.sign_in(account.create_user(role, in_refund_set=in_refund_set))
        assert screen.path != "/dashboard/login", screen.text
        return visitor

    return enter


@pytest.fixture
def admin(sign_in: SignIn) -> Visitor:
    """An administrator who is signed in."""
    return sign_in()
