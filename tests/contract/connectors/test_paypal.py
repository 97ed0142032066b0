"""PayPal passes the contract suite."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from refundry.processors.paypal import PayPalProcessor
from refundry.processors.paypal_api import PayPalCredentials
from tests.contract.connectors.runner import run
from tests.contract.connectors.scenario import Scenario, cases, time_out
from tests.contract.connectors.stand import Stand, Traits
from tests.contract.servers import paypal as server
from tests.contract.servers import paypal_wire as wire

TRAITS = Traits(
    at_once=True,
    looks_up=True,
    lists=True,
    confirms=True,
    replay_window=False,
    declines={
        "PARTIAL_REFUND_NOT_ALLOWED": "declined",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "account_closed",
        "REFUND_FAILED_INSUFFICIENT_FUNDS": "insufficient_funds",
        "REFUND_NOT_ALLOWED": "declined",
        "REFUND_TIME_LIMIT_EXCEEDED": "declined",
    },
    failures={"FAILED": "unknown", "CANCELLED": "unknown"},
    late_failures=False,
    source_type="payPal",
)
CREDENTIALS = PayPalCredentials(wire.CLIENT_ID, wire.CLIENT_SECRET, wire.WEBHOOK_ID)


@pytest.fixture
def stand(scenario: Scenario) -> Iterator[Stand]:
    books = server.PayPalServer()
    seconds = time_out(scenario)
    with books.serve() as served:
        ours = PayPalProcessor(CREDENTIALS, seconds, served.url)
        stranger = PayPalProcessor(replace(CREDENTIALS, client_secret="wrong"), seconds, served.url)
        yield Stand(ours, stranger, books, TRAITS)
        ours.close()
        stranger.close()
    assert books.complaints == []


@pytest.mark.parametrize("scenario", cases(TRAITS), ids=lambda scenario: scenario.name)
async def test_scenario(stand: Stand, scenario: Scenario) -> None:
    await run(stand, scenario)
