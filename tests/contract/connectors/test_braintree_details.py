"""What Braintree has and the suite of all connectors does not ask."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode

import pytest

from refundry.domain.charge import OperationKind
from refundry.processors.braintree import BraintreeProcessor
from refundry.processors.braintree_api import BraintreeCredentials
from refundry.processors.contract import (
    Declined,
    Forged,
    InProgress,
    NotFound,
    NoticeKind,
    Settled,
    Unknown,
)
from tests.contract.connectors.asking import submission
from tests.contract.connectors.stand import Plan
from tests.contract.servers import braintree as server
from tests.contract.servers import braintree_wire as wire

CREDENTIALS = BraintreeCredentials(wire.MERCHANT, wire.PUBLIC_KEY, wire.PRIVATE_KEY)
NOW = datetime.now(UTC)


@pytest.fixture
def books() -> server.BraintreeServer:
    return server.BraintreeServer(by_bank=True)


@pytest.fixture
def processor(books: server.BraintreeServer) -> Iterator[BraintreeProcessor]:
    with books.serve() as served:
        processor = BraintreeProcessor(CREDENTIALS, 10, served.url)
        yield processor
        processor.close()


async def test_a_part_of_an_authorisation_is_not_cancelled_with_the_rest(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    """Braintree would void all of it; after a capture the rest is released by itself."""
    sale = books.pay(1000, "EUR", captured=False)
    part = submission(OperationKind.CANCEL, 400, sale)
    assert isinstance(await processor.look_up(part), NotFound)
    declined = await processor.submit(part)
    assert isinstance(declined, Declined)
    assert declined.failure.code == "all_or_nothing"
    assert books.held(sale) == []
    await processor.submit(submission(OperationKind.CAPTURE, 600, sale, key="capture"))
    assert isinstance(await processor.submit(part), Settled)
    assert [held.kind for held in books.held(sale)] == ["capture"]


async def test_a_capture_by_others_is_not_taken_for_ours(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    declined = await processor.submit(submission(OperationKind.CAPTURE, 1000, sale))
    assert isinstance(declined, Declined)
    assert declined.failure.code == "91507"


async def test_a_refund_in_another_currency_than_the_sale_is_not_asked_for(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "SEK", captured=True)
    declined = await processor.submit(submission(OperationKind.REFUND, 1000, sale))
    assert isinstance(declined, Declined)
    assert declined.failure.code == "currency_mismatch"
    assert books.asked() == 0


async def test_a_sale_that_has_not_settled_yet_fails_no_refund(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    """It will have settled some day: the refund is neither done nor refused for good."""
    sale = books.pay(1000, "EUR", captured=False)
    books.sales[sale].status = "submitted_for_settlement"
    asked = submission(OperationKind.REFUND, 1000, sale)
    unknown = await processor.submit(asked)
    assert isinstance(unknown, Unknown)
    assert "91506" in unknown.error
    books.sales[sale].status = "settled"
    assert isinstance(await processor.submit(replace(asked, attempt=2)), InProgress)
    assert len(books.held(sale)) == 1


async def test_an_account_that_may_not_refund_fails_no_refund(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    books.plan(Plan(end="declined", code="91547"))
    unknown = await processor.submit(submission(OperationKind.REFUND, 1000, sale))
    assert isinstance(unknown, Unknown)
    assert "91547" in unknown.error


@pytest.mark.parametrize("reference", [None, "", "nowhere", "../sl000001"])
async def test_a_payment_that_is_none_of_braintrees_is_unknown(
    processor: BraintreeProcessor, reference: str | None
) -> None:
    asked = submission(OperationKind.REFUND, 1000, reference)
    assert isinstance(await processor.submit(asked), Unknown)
    assert isinstance(await processor.look_up(asked), Unknown)


async def test_another_refund_of_ours_is_not_taken_for_this_one(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    key = "01a1ff06-431f-709a-a3c5-e68af7a2a537"
    first = await processor.submit(submission(OperationKind.REFUND, 400, sale, key=key))
    assert not isinstance(first, Unknown)
    asked = submission(OperationKind.REFUND, 400, sale)
    mistaken = replace(asked, reference=first.receipt.reference)
    assert isinstance(await processor.look_up(mistaken), Unknown)


async def test_a_refund_made_there_is_found_once_its_reference_is_ours(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    other = books.refund_elsewhere(sale, 1000)
    asked = replace(submission(OperationKind.REFUND, 1000, sale), reference=other)
    found = await processor.look_up(asked)
    assert isinstance(found, InProgress | Settled)
    assert found.receipt.reference == other
    assert isinstance(await processor.look_up(replace(asked, reference=None)), NotFound)


async def test_two_refunds_with_our_id_are_for_a_person(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    asked = submission(OperationKind.REFUND, 400, sale)
    await processor.submit(asked)
    await processor.submit(asked)  # As if it were the first attempt again: nothing keeps a key.
    found = await processor.look_up(asked)
    assert isinstance(found, Unknown)
    assert "two refunds" in found.error


async def test_the_acquirer_reference_number_of_a_card_is_told() -> None:
    books = server.BraintreeServer()
    with books.serve() as served:
        processor = BraintreeProcessor(CREDENTIALS, 10, served.url)
        sale = books.pay(1000, "EUR", captured=True)
        asked = submission(OperationKind.REFUND, 1000, sale)
        await processor.submit(asked)
        books.finish(asked.key, "settled", None)
        settled = await processor.look_up(asked)
        assert isinstance(settled, Settled)
        assert settled.receipt.arn == f"7408{next(iter(books.refunds))[2:]}"
        processor.close()


async def test_more_refunds_than_a_page_are_listed(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(10_000, "EUR", captured=True)
    made = {books.refund_elsewhere(sale, 1 + number) for number in range(120)}
    since = NOW - timedelta(hours=1)
    listed = [refund async for refund in processor.refunds_since(since)]
    assert {refund.reference for refund in listed} == made
    assert len(listed) == 120
    assert [refund async for refund in processor.refunds_since(NOW + timedelta(hours=1))] == []


async def test_a_connection_that_is_refused_says_why(books: server.BraintreeServer) -> None:
    with books.serve() as served:
        stranger = BraintreeProcessor(replace(CREDENTIALS, public_key="x"), 10, served.url)
        assert "does not know the keys" in (await stranger.check())[0].problem
        with pytest.raises(OSError, match="cannot be searched"):
            [refund async for refund in stranger.refunds_since(NOW)]
        stranger.close()
    gone = BraintreeProcessor(CREDENTIALS, 1, served.url)
    assert "ConnectionError" in (await gone.check())[0].problem
    gone.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"bt_signature=a",
        b"bt_payload=a",
        b"bt_signature=a%7Cb&bt_payload=x&bt_payload=y",
        b"bt_signature=a%7Cb%7Cc&bt_payload=eA==",
        b"bt_signature=a%7Cb&bt_payload=%C3%BC",
        f"bt_signature={wire.PUBLIC_KEY}%7C0&bt_payload=eA==".encode(),
        b"&".join([b"bt_signature=a"] * 50),
    ],
)
async def test_what_is_no_webhook_is_refused(processor: BraintreeProcessor, body: bytes) -> None:
    with pytest.raises(Forged):
        await processor.read_notification({}, body, NOW)


async def test_a_webhook_that_cannot_be_confirmed_is_asked_for_again(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    books.dispute(sale, 1000, "opened")
    (sent,) = books.sent()
    books.disputes.clear()
    with pytest.raises(OSError, match="does not confirm"):
        await processor.read_notification(sent.headers, sent.body, NOW)


async def test_inquiries_and_what_is_not_ours_to_know_have_no_effect(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    books.dispute(sale, 1000, "opened")
    (inquiry,) = books.sent()
    (reference,) = books.disputes
    books.disputes[reference] = books.disputes[reference].replace("chargeback", "retrieval")
    settled = wire.webhook("transaction_settled", NOW, f"<transaction><id>{sale}</id>"
                           "<amount>10.00</amount></transaction>")  # fmt: skip
    check = wire.webhook("check", NOW, '<check type="boolean">true</check>')
    for sent in (inquiry, settled, check):
        (notice,) = await processor.read_notification(sent.headers, sent.body, NOW)
        assert notice.kind is NoticeKind.OTHER
    assert books.complaints == []


async def test_a_dispute_says_until_when_to_respond(
    books: server.BraintreeServer, processor: BraintreeProcessor
) -> None:
    sale = books.pay(1000, "EUR", captured=True)
    books.dispute(sale, 1000, "opened")
    (sent,) = books.sent()
    (notice,) = await processor.read_notification(sent.headers, sent.body, NOW)
    assert notice.dispute is not None
    assert notice.dispute.respond_by == datetime(2030, 1, 31, tzinfo=UTC)
    assert notice.dispute.reason == "fraud"


async def test_a_webhook_that_is_signed_and_unreadable_is_refused(
    processor: BraintreeProcessor,
) -> None:
    fields = parse_qs(wire.webhook("check", NOW, "").body.decode())
    signed = wire.resigned({"bt_payload": ["bm8geG1s\n"], "bt_signature": fields["bt_signature"]},
                           wire.PRIVATE_KEY)  # fmt: skip
    with pytest.raises(Forged, match="unreadable"):
        await processor.read_notification({}, signed.body, NOW)
    assert urlencode({"bt_payload": "bm8geG1s\n"}).encode() in signed.body
