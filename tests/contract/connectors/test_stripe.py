"""The Stripe connector against our own Stripe, through every scenario."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from refundry.processors.stripe import StripeCredentials, StripeProcessor
from tests.contract.connectors.runner import run
from tests.contract.connectors.scenario import Scenario, cases, time_out
from tests.contract.connectors.stand import Stand, Traits
from tests.contract.servers.stripe import SECRET_KEY, WEBHOOK_SECRET, StripeServer
from tests.support.service import ROOT

TRAITS = Traits(
    at_once=True,
    looks_up=True,
    lists=True,
    confirms=True,
    replay_window=True,
    declines={
        "amount_too_large": "declined",
        "amount_too_small": "declined",
        "balance_insufficient": "insufficient_funds",
        "capture_charge_authorization_expired": "declined",
        "charge_already_captured": "declined",
        "charge_already_refunded": "declined",
        "charge_disputed": "declined",
        "charge_expired_for_capture": "declined",
        "charge_not_refundable": "declined",
        "insufficient_funds": "insufficient_funds",
        "invalid_charge_amount": "declined",
        "payment_intent_unexpected_state": "declined",
        "refund_disputed_payment": "declined",
    },
    failures={
        "lost_or_stolen_card": "lost_or_stolen_card",
        "expired_or_canceled_card": "expired_or_canceled_card",
        "charge_for_pending_refund_disputed": "declined",
        "insufficient_funds": "insufficient_funds",
        "declined": "declined",
        "merchant_request": "declined",
        "unknown": "unknown",
        "one_that_came_later": "unknown",
    },
)


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with StripeServer() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def stand(server: StripeServer, session: aiohttp.ClientSession, scenario: Scenario) -> Stand:
    def connector(secret_key: str) -> StripeProcessor:
        credentials = StripeCredentials(secret_key, WEBHOOK_SECRET)
        return StripeProcessor(credentials, session, time_out(scenario), server.url)

    return Stand(connector(SECRET_KEY), connector("sk_test_of_another_account"), server, TRAITS)


@pytest.mark.parametrize("scenario", cases(TRAITS), ids=lambda scenario: scenario.name)
async def test_scenario(scenario: Scenario, stand: Stand) -> None:
    await run(stand, scenario)


def test_the_page_lists_every_code_and_its_reason() -> None:
    page = (ROOT / "docs" / "processors" / "stripe.md").read_text("utf-8")
    (table,) = re.findall(r"\| Stripe says \| Reason \|\n(.+?)\n\n", page, re.S)
    listed: dict[str, str] = {}
    for row in table.splitlines()[1:]:
        codes, reason = row.strip("|").split("|")
        (ours,) = re.findall(r"`(\w+)`", reason)
        listed |= dict.fromkeys(re.findall(r"`(\w+)`", codes), ours)
    known = {**TRAITS.declines, **TRAITS.failures}
    listed.pop("failure_reason")
    assert listed == {code: why for code, why in known.items() if why != "unknown"}
