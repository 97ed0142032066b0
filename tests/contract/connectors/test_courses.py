"""Adyen, PayPal and Braintree in courses of events at random: paid once, whatever happens."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from refundry.processors.adyen import AdyenProcessor
from refundry.processors.braintree import BraintreeProcessor
from refundry.processors.paypal import PayPalProcessor
from tests.contract.connectors import test_adyen, test_braintree, test_paypal
from tests.contract.connectors.courses import run_course
from tests.contract.connectors.stand import Stand
from tests.contract.servers.adyen import AdyenServer
from tests.contract.servers.braintree import BraintreeServer
from tests.contract.servers.paypal import PayPalServer

NAMES = ("adyen", "paypal", "braintree")
# No answer fails to come in these courses.
TIMEOUT_SECONDS = 10


@contextmanager
def standing(name: str) -> Generator[Stand]:
    match name:
        case "adyen":
            books = AdyenServer()
            with books.serve() as served:
                ours = AdyenProcessor(test_adyen.CREDENTIALS, TIMEOUT_SECONDS, served.url)
                yield Stand(ours, ours, books, test_adyen.TRAITS)
        case "paypal":
            books = PayPalServer()
            with books.serve() as served:
                ours = PayPalProcessor(test_paypal.CREDENTIALS, TIMEOUT_SECONDS, served.url)
                yield Stand(ours, ours, books, test_paypal.TRAITS)
        case _:
            books = BraintreeServer(by_bank=True)
            with books.serve() as served:
                ours = BraintreeProcessor(test_braintree.CREDENTIALS, TIMEOUT_SECONDS, served.url)
                yield Stand(ours, ours, books, test_braintree.BY_BANK)
    ours.close()
    assert books.complaints == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", NAMES)
async def test_course(name: str, seed: int) -> None:
    with standing(name) as stand:
        await run_course(stand, seed)


@pytest.mark.check
@pytest.mark.parametrize("name", NAMES)
async def test_many_courses(name: str) -> None:
    for seed in range(100, 500):
        with standing(name) as stand:
            await run_course(stand, seed)
