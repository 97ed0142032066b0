"""The dashboard of the session's service, and people of the account who visit it."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.http import Api
from tests.support.portal import Visitor
from tests.support.service import Account, Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def account(service: Service) -> Account:
    return service.open_account()


@pytest.fixture
def api(service: Service, account: Account) -> Api:
    """The account's secret test key."""
    return service.api(account.secret_test)


SignIn = Callable[..., Visitor]


@pytest.fixture
def sign_in(service: Service, account: Account) -> Iterator[SignIn]:
    """Somebody of a role who is signed in."""
    visitors: list[Visitor] = []

    def enter(role: str = "administrator", *, in_refund_set: bool = False) -> Visitor:
        email = account.create_user(role, in_refund_set=in_refund_set)
        visitors.append(Visitor.signed_in(service, email))
        return visitors[-1]

    yield enter
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def admin(sign_in: SignIn) -> Visitor:
    """An administrator who is signed in."""
    return sign_in()
