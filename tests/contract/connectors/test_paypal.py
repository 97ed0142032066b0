"""PayPal passes the contract suite."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from refundry.domain.charge import OperationKind
from refundry.domain.money import find_currency
from refundry.processors.contract import Declined, Settled, Submission, Unknown
from refundry.processors.paypal import PayPalProcessor
from refundry.processors.paypal_api import PayPalCredentials
from tests.contract.connectors.runner import TENANT, run
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


async def test_a_refund_finds_the_capture_of_an_authorisation() -> None:
    """The charge is known by its authorisation; PayPal refunds captures."""
    books = server.PayPalServer()
    with books.serve() as served:
        processor = PayPalProcessor(CREDENTIALS, 10, served.url)
        payment = books.pay(1000, "EUR", captured=False)
        refund = submission(OperationKind.REFUND, 600, payment, key="refund")
        early = await processor.submit(refund)
        assert isinstance(early, Unknown)
        assert "0 captures" in early.error
        capture = submission(OperationKind.CAPTURE, 600, payment, key="capture")
        assert isinstance(await processor.submit(capture), Settled)
        assert isinstance(await processor.look_up(capture), Settled)
        assert isinstance(await processor.submit(replace(refund, attempt=2)), Settled)
        assert [held.kind for held in books.held(payment)] == ["capture", "refund"]
        processor.close()


async def test_a_part_of_an_authorisation_is_not_cancelled_with_the_rest() -> None:
    """PayPal would void all of it; after the last capture the rest is released by itself."""
    books = server.PayPalServer()
    with books.serve() as served:
        processor = PayPalProcessor(CREDENTIALS, 10, served.url)
        payment = books.pay(1000, "EUR", captured=False)
        part = submission(OperationKind.CANCEL, 400, payment, key="cancel")
        declined = await processor.submit(part)
        assert isinstance(declined, Declined)
        assert declined.failure.code == "all_or_nothing"
        assert books.held(payment) == []
        await processor.submit(submission(OperationKind.CAPTURE, 600, payment, key="capture"))
        assert isinstance(await processor.submit(part), Settled)
        assert [held.kind for held in books.held(payment)] == ["capture"]
        processor.close()


async def test_a_capture_by_others_is_not_taken_for_ours() -> None:
    books = server.PayPalServer()
    with books.serve() as served:
        processor = PayPalProcessor(CREDENTIALS, 10, served.url)
        for payment in (books.pay(1000, "EUR", captured=True), captured_by_others(books)):
            asked = submission(OperationKind.CAPTURE, 1000, payment, key=f"capture-{payment}")
            declined = await processor.submit(asked)
            assert isinstance(declined, Declined)
            assert declined.failure.code == "AUTHORIZATION_ALREADY_CAPTURED"
        processor.close()


def captured_by_others(books: server.PayPalServer) -> str:
    payment = books.pay(1000, "EUR", captured=False)
    books.authorizations[payment].status = "CAPTURED"
    return payment


def submission(kind: OperationKind, amount: int, payment: str, *, key: str) -> Submission:
    currency = find_currency("EUR")
    assert currency is not None
    now = datetime.now(UTC)
    return Submission(
        key, TENANT, kind, "charge", amount, currency, payment, "payPal", None, now, now, 1
    )
