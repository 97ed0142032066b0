"""What PayPal has and the suite of all connectors does not ask."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from refundry.clock import Clock
from refundry.domain.charge import OperationKind
from refundry.processors.contract import (
    Declined,
    Forged,
    NotFound,
    NoticeKind,
    Settled,
    Unknown,
)
from refundry.processors.paypal import PayPalProcessor
from refundry.processors.paypal_api import PayPalCredentials
from tests.contract.connectors.asking import submission
from tests.contract.connectors.stand import Plan
from tests.contract.servers import paypal as server
from tests.contract.servers import paypal_wire as wire

CREDENTIALS = PayPalCredentials(wire.CLIENT_ID, wire.CLIENT_SECRET, wire.WEBHOOK_ID)
NOW = datetime.now(UTC)


@pytest.fixture
def books() -> server.PayPalServer:
    return server.PayPalServer()


@pytest.fixture
def processor(books: server.PayPalServer) -> Iterator[PayPalProcessor]:
    with books.serve() as served:
        processor = PayPalProcessor(CREDENTIALS, 10, served.url)
        yield processor
        processor.close()


async def test_a_refund_finds_the_capture_of_an_authorisation(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    """The charge is known by its authorisation; PayPal refunds captures."""
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


async def test_a_part_of_an_authorisation_is_not_cancelled_with_the_rest(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    """PayPal would void all of it; after the last capture the rest is released by itself."""
    payment = books.pay(1000, "EUR", captured=False)
    part = submission(OperationKind.CANCEL, 400, payment, key="cancel")
    declined = await processor.submit(part)
    assert isinstance(declined, Declined)
    assert declined.failure.code == "all_or_nothing"
    assert books.held(payment) == []
    await processor.submit(submission(OperationKind.CAPTURE, 600, payment, key="capture"))
    assert isinstance(await processor.submit(part), Settled)
    assert [held.kind for held in books.held(payment)] == ["capture"]


async def test_a_capture_by_others_is_not_taken_for_ours(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    for payment in (books.pay(1000, "EUR", captured=True), captured_by_others(books)):
        asked = submission(OperationKind.CAPTURE, 1000, payment, key=f"capture-{payment}")
        declined = await processor.submit(asked)
        assert isinstance(declined, Declined)
        assert declined.failure.code == "AUTHORIZATION_ALREADY_CAPTURED"


async def test_a_refund_is_of_one_capture_and_of_the_right_one(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment, other = (books.pay(1000, "EUR", captured=False) for _ in range(2))
    books.authorizations[other].order = books.authorizations[payment].order
    for one in (other, payment):
        await processor.submit(submission(OperationKind.CAPTURE, 500, one, key=f"capture-{one}"))
    refund = submission(OperationKind.REFUND, 500, payment)
    assert isinstance(await processor.submit(refund), Settled)
    (again,) = (one for one in books.captures.values() if one.authorization == payment)
    books.captures["C-second"] = replace(again, id="C-second")
    several = await processor.submit(replace(refund, key="second"))
    assert isinstance(several, Unknown)
    assert "2 captures" in several.error


def captured_by_others(books: server.PayPalServer) -> str:
    payment = books.pay(1000, "EUR", captured=False)
    books.authorizations[payment].status = "CAPTURED"
    return payment


@pytest.mark.parametrize("reference", [None, "", "nowhere", "../C1"])
async def test_a_payment_that_is_none_of_paypals_is_unknown(
    processor: PayPalProcessor, reference: str | None
) -> None:
    for kind in (OperationKind.REFUND, OperationKind.CAPTURE, OperationKind.CANCEL):
        asked = submission(kind, 1000, reference)
        assert isinstance(await processor.submit(asked), Unknown)
        assert isinstance(await processor.look_up(asked), Unknown)


async def test_an_amount_that_paypal_cannot_pay_is_not_asked_for(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    """PayPal takes forints without decimals, which have two by ISO 4217."""
    payment = books.pay(1000, "HUF", captured=True)
    odd = await processor.submit(submission(OperationKind.REFUND, 12_345, payment, code="HUF"))
    assert isinstance(odd, Declined)
    assert books.asked() == 0
    even = await processor.submit(submission(OperationKind.REFUND, 12_300, payment, code="HUF"))
    assert isinstance(even, Settled)
    assert even.receipt.amount == 12_300
    assert [held.amount for held in books.held(payment)] == [123]


async def test_issues_of_the_merchants_account_fail_no_refund(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    books.plan(Plan(end="declined", code="PAYEE_ACCOUNT_RESTRICTED"))
    unknown = await processor.submit(submission(OperationKind.REFUND, 1000, payment))
    assert isinstance(unknown, Unknown)
    assert "PAYEE_ACCOUNT_RESTRICTED" in unknown.error


async def test_another_refund_of_ours_is_not_taken_for_this_one(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    key = "01a1ff06-431f-709a-a3c5-e68af7a2a537"
    first = await processor.submit(submission(OperationKind.REFUND, 400, payment, key=key))
    assert not isinstance(first, Unknown)
    asked = submission(OperationKind.REFUND, 400, payment)
    mistaken = replace(asked, reference=first.receipt.reference)
    assert isinstance(await processor.look_up(mistaken), Unknown)


async def test_a_refund_made_there_is_found_once_its_reference_is_ours(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    other = books.refund_elsewhere(payment, 400)
    asked = replace(submission(OperationKind.REFUND, 400, payment), reference=other)
    found = await processor.look_up(asked)
    assert isinstance(found, Settled)
    assert found.receipt.reference == other
    assert isinstance(await processor.look_up(replace(asked, reference=None)), NotFound)


async def test_a_duplicate_invoice_id_is_looked_into(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    """Where the account blocks them: our own refund is found, though its key was forgotten."""
    books.blocks = True
    payment = books.pay(1000, "EUR", captured=True)
    asked = submission(OperationKind.REFUND, 400, payment)
    await processor.submit(asked)
    books.advance(timedelta(days=46).total_seconds())
    assert isinstance(await processor.submit(asked), Settled)
    assert len(books.held(payment)) == 1


async def test_a_capture_without_an_order_cannot_be_looked_through(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    books.captures[payment].order = ""
    asked = submission(OperationKind.REFUND, 1000, payment)
    assert isinstance(await processor.look_up(asked), Unknown)


async def test_the_acquirer_reference_number_is_told(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    settled = await processor.submit(submission(OperationKind.REFUND, 1000, payment))
    assert isinstance(settled, Settled)
    assert settled.receipt.arn == f"7401{settled.receipt.reference}"


async def test_more_refunds_than_a_page_and_a_month_are_listed(
    books: server.PayPalServer,
) -> None:
    """A search gives 500 at a time, and spans 31 days."""
    with books.serve() as served:
        later = Clock(timedelta(days=40))
        processor = PayPalProcessor(CREDENTIALS, 10, served.url, later)
        payment = books.pay(10_000, "EUR", captured=True)
        made = {books.refund_elsewhere(payment, 1) for _ in range(501)}
        books.advance(timedelta(days=35).total_seconds())
        made.add(books.refund_elsewhere(payment, 1))
        since = NOW - timedelta(hours=1)
        assert {refund.reference async for refund in processor.refunds_since(since)} == made
        processor.close()
    assert books.complaints == []


async def test_a_connection_that_is_refused_says_why(books: server.PayPalServer) -> None:
    with books.serve() as served:
        stranger = PayPalProcessor(replace(CREDENTIALS, client_id="x"), 10, served.url)
        assert "access token" in (await stranger.check())[0].problem
        with pytest.raises(OSError, match="cannot be searched"):
            [refund async for refund in stranger.refunds_since(NOW - timedelta(hours=1))]
        stranger.close()
        elsewhere = PayPalProcessor(replace(CREDENTIALS, webhook_id="x"), 10, served.url)
        assert [finding.problem for finding in await elsewhere.check()] == [
            "", "", "the app has no webhook x",
        ]  # fmt: skip
        elsewhere.close()
    gone = PayPalProcessor(CREDENTIALS, 1, served.url)
    assert (await gone.check())[0].problem
    gone.close()


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 5000, b'{"id": "WH-1"}'])
async def test_what_is_no_webhook_is_refused(processor: PayPalProcessor, body: bytes) -> None:
    with pytest.raises(Forged):
        await processor.read_notification({}, body, NOW)


async def test_a_webhook_is_asked_for_again_while_paypal_cannot_be_asked(
    books: server.PayPalServer, processor: PayPalProcessor
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    books.dispute(payment, 1000, "opened")
    (sent,) = books.sent()
    books.disputes.clear()
    with pytest.raises(OSError, match="does not confirm"):
        await processor.read_notification(sent.headers, sent.body, NOW)
    with books.serve() as served:
        stranger = PayPalProcessor(replace(CREDENTIALS, client_id="x"), 10, served.url)
        with pytest.raises(OSError, match="does not verify"):
            await stranger.read_notification(sent.headers, sent.body, NOW)
        stranger.close()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("RESOLVED_WITH_PAYOUT", "won"),
        ("CANCELED_BY_BUYER", "won"),
        ("DENIED", "won"),
        ("ACCEPTED", "lost"),
        ("ONE_THAT_CAME_LATER", "opened"),
    ],
)
async def test_a_dispute_ends_as_it_was_resolved(
    books: server.PayPalServer, processor: PayPalProcessor, outcome: str, state: str
) -> None:
    payment = books.pay(1000, "EUR", captured=True)
    books.dispute(payment, 1000, "lost")
    (sent,) = books.sent()
    (case,) = books.disputes.values()
    case["dispute_outcome"]["outcome_code"] = outcome
    (notice,) = await processor.read_notification(sent.headers, sent.body, NOW)
    assert notice.kind is NoticeKind.DISPUTE
    assert notice.dispute is not None
    assert notice.dispute.state == state
    assert notice.dispute.respond_by is not None
