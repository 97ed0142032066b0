"""Adyen passes the contract suite."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from refundry.processors.adyen import AdyenCredentials, AdyenProcessor
from tests.contract.connectors.runner import run
from tests.contract.connectors.scenario import Scenario, cases, time_out
from tests.contract.connectors.stand import Stand, Traits
from tests.contract.servers import adyen as server

TRAITS = Traits(
    at_once=False,
    looks_up=False,
    lists=False,
    confirms=False,
    replay_window=False,
    declines={"137": "declined", "138": "declined", "167": "declined"},
    failures={
        "05": "declined",
        "41": "lost_or_stolen_card",
        "43": "lost_or_stolen_card",
        "46": "account_closed",
        "51": "insufficient_funds",
        "54": "expired_or_canceled_card",
        "62": "account_frozen",
        "96": "unknown",
    },
)
CREDENTIALS = AdyenCredentials(server.API_KEY, server.MERCHANT, (server.OTHER_KEY, server.HMAC_KEY))


@pytest.fixture
def stand(scenario: Scenario) -> Iterator[Stand]:
    books = server.AdyenServer()
    seconds = time_out(scenario)
    with books.serve() as served:
        ours = AdyenProcessor(
            replace(CREDENTIALS, hmac_keys=(server.HMAC_KEY,)), seconds, served.url
        )
        stranger = AdyenProcessor(replace(CREDENTIALS, api_key="wrong"), seconds, served.url)
        yield Stand(ours, stranger, books, TRAITS)
        ours.close()
        stranger.close()
    assert books.complaints == []


@pytest.mark.parametrize("scenario", cases(TRAITS), ids=lambda scenario: scenario.name)
async def test_scenario(stand: Stand, scenario: Scenario) -> None:
    await run(stand, scenario)
