"""Braintree passes the contract suite: by card, and by bank, of which alone there are webhooks."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from refundry.domain.charge import OperationKind
from refundry.domain.money import find_currency
from refundry.processors.braintree import BraintreeProcessor
from refundry.processors.braintree_api import BraintreeCredentials
from refundry.processors.contract import Declined, InProgress, Settled, Submission, Unknown
from tests.contract.connectors.runner import TENANT, run
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


def only_by_bank() -> list[Scenario]:
    by_card = {scenario.name for scenario in cases(BY_CARD)}
    return [scenario for scenario in cases(BY_BANK) if scenario.name not in by_card]


@pytest.mark.parametrize("scenario", cases(BY_CARD), ids=lambda scenario: scenario.name)
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


async def test_a_part_of_an_authorisation_is_not_cancelled_with_the_rest() -> None:
    """Braintree would void all of it; after a capture the rest is released by itself."""
    books = server.BraintreeServer()
    with books.serve() as served:
        processor = BraintreeProcessor(CREDENTIALS, 10, served.url)
        sale = books.pay(1000, "EUR", captured=False)
        part = submission(OperationKind.CANCEL, 400, sale, key="cancel")
        declined = await processor.submit(part)
        assert isinstance(declined, Declined)
        assert declined.failure.code == "all_or_nothing"
        assert books.held(sale) == []
        await processor.submit(submission(OperationKind.CAPTURE, 600, sale, key="capture"))
        assert isinstance(await processor.submit(part), Settled)
        assert [held.kind for held in books.held(sale)] == ["capture"]
        processor.close()


async def test_a_capture_by_others_is_not_taken_for_ours() -> None:
    books = server.BraintreeServer()
    with books.serve() as served:
        processor = BraintreeProcessor(CREDENTIALS, 10, served.url)
        sale = books.pay(1000, "EUR", captured=True)
        asked = submission(OperationKind.CAPTURE, 1000, sale, key="capture")
        assert isinstance(await processor.submit(asked), Declined)
        processor.close()


async def test_a_refund_in_another_currency_than_the_sale_is_not_asked_for() -> None:
    books = server.BraintreeServer()
    with books.serve() as served:
        processor = BraintreeProcessor(CREDENTIALS, 10, served.url)
        sale = books.pay(1000, "SEK", captured=True)
        declined = await processor.submit(submission(OperationKind.REFUND, 1000, sale, key="a"))
        assert isinstance(declined, Declined)
        assert declined.failure.code == "currency_mismatch"
        assert books.asked() == 0
        processor.close()


async def test_a_sale_that_has_not_settled_yet_fails_no_refund() -> None:
    """It will have settled some day: the refund is neither done nor refused for good."""
    books = server.BraintreeServer()
    with books.serve() as served:
        processor = BraintreeProcessor(CREDENTIALS, 10, served.url)
        sale = books.pay(1000, "EUR", captured=False)
        books.sales[sale].status = "submitted_for_settlement"
        asked = submission(OperationKind.REFUND, 1000, sale, key="refund")
        unknown = await processor.submit(asked)
        assert isinstance(unknown, Unknown)
        assert "91506" in unknown.error
        books.sales[sale].status = "settled"
        assert isinstance(await processor.submit(replace(asked, attempt=2)), InProgress)
        assert len(books.held(sale)) == 1
        processor.close()


def submission(kind: OperationKind, amount: int, sale: str, *, key: str) -> Submission:
    currency = find_currency("EUR")
    assert currency is not None
    now = datetime.now(UTC)
    return Submission(
        key, TENANT, kind, "charge", amount, currency, sale, "creditCard", None, now, now, 1
    )
