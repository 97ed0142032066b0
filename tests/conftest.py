"""What tests of several folders need: receivers of webhooks and of mail, and their authority."""

from collections.abc import Iterator

import pytest

from tests.support.certificates import Authority
from tests.support.mailbox import Mailbox
from tests.support.receiver import Receiver


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the services of the webhook tests trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "tests")


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Endpoints over http."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def secure_receiver(authority: Authority) -> Iterator[Receiver]:
    """Endpoints over https, with a certificate of the authority."""
    with Receiver(authority) as receiver:
        yield receiver


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    """Where the mails to administrators go."""
    with Mailbox() as mailbox:
        yield mailbox
