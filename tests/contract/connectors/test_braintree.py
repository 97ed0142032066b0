"""Braintree passes the contract suite: by card, and by bank, of which alone there are webhooks."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from refundry.processors.braintree import BraintreeProcessor
from refundry.processors.braintree_api import BraintreeCredentials
from tests.contract.connectors.runner import run
from tests.contract.connectors.scenario import Scenario, cases, time_out
from tests.contract.connectors.stand import Stand, Traits
from tests.contract.servers import braintree as server
from tests.contract.servers import braintree_wire as wire

BY_CARD = Traits(
    at_once=False,
    looks_up=True,
    lists=True,
    confirms=True,
    replay_window=False,
    declines={
        "2000": "declined",
        "2004": "expired_or_canceled_card",
        "2013": "lost_or_stolen_card",
        "2047": "lost_or_stolen_card",
        "2057": "account_frozen",
        "2099": "unknown",
        "91512": "declined",
        "91521": "declined",
    },
    failures={"4001": "declined", "4018": "unknown", "4025": "account_closed"},
    late_failures=False,
    tells=False,
    tells_others=False,
)
BY_BANK = replace(BY_CARD, tells=True, late_failures=True, source_type="directDebit")
CREDENTIALS = BraintreeCredentials(wire.MERCHANT, wire.PUBLIC_KEY, wire.PRIVATE_KEY)


@contextmanager
def standing(
    books: server.BraintreeServer, traits: Traits, scenario: Scenario, *, request_keys: bool = False
) -> Generator[Stand]:
    credentials = replace(CREDENTIALS, request_keys=request_keys)
    seconds = time_out(scenario)
    with books.serve() as served:
        ours = BraintreeProcessor(credentials, seconds, served.url)
        stranger = BraintreeProcessor(
            replace(credentials, private_key="wrong"), seconds, served.url
        )
        yield Stand(ours, stranger, books, traits)
        ours.close()
        stranger.close()
    assert books.complaints == []


def named(*names: str) -> list[Scenario]:
    return [scenario for scenario in cases(BY_CARD) if scenario.name in names]


def by_card() -> list[Scenario]:
    return [scenario for scenario in cases(BY_CARD) if scenario.wild is None]


def only_by_bank() -> list[Scenario]:
    """What a card has not; and the wild ones, as more may happen here."""
    names = {scenario.name for scenario in by_card()}
    return [scenario for scenario in cases(BY_BANK) if scenario.name not in names]


@pytest.mark.parametrize("scenario", by_card(), ids=lambda scenario: scenario.name)
async def test_scenario_by_card(scenario: Scenario) -> None:
    with standing(server.BraintreeServer(), BY_CARD, scenario) as stand:
        await run(stand, scenario)


@pytest.mark.parametrize("scenario", only_by_bank(), ids=lambda scenario: scenario.name)
async def test_scenario_by_bank(scenario: Scenario) -> None:
    with standing(server.BraintreeServer(by_bank=True), BY_BANK, scenario) as stand:
        await run(stand, scenario)


@pytest.mark.parametrize(
    "scenario",
    named("lost-before", "lost-after", "repeated", "capture", "cancel"),
    ids=lambda scenario: scenario.name,
)
async def test_scenario_with_request_keys(scenario: Scenario) -> None:
    books = server.BraintreeServer(request_keys=True)
    with standing(books, BY_CARD, scenario, request_keys=True) as stand:
        await run(stand, scenario)


@pytest.mark.parametrize(
    "scenario", named("lost-found", "duplicate"), ids=lambda scenario: scenario.name
)
async def test_scenario_while_the_search_lags(scenario: Scenario) -> None:
    """A search that does not know of a refund yet brings no second one: the sale does."""
    books = server.BraintreeServer(search_lags=True)
    with standing(books, BY_CARD, scenario) as stand:
        await run(stand, scenario)
