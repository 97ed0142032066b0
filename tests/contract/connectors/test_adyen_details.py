"""What Adyen has and the suite of all connectors does not ask."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refundry.domain.charge import OperationKind
from refundry.processors.adyen import AdyenCredentials, AdyenProcessor, read_answer
from refundry.processors.contract import (
    Declined,
    Forged,
    InProgress,
    Notice,
    NoticeKind,
    ProcessorDispute,
    Settled,
    Unknown,
)
from tests.contract.connectors.asking import submission
from tests.contract.servers import adyen as server

CREDENTIALS = AdyenCredentials(server.API_KEY, server.MERCHANT, (server.HMAC_KEY,))
NOW = datetime.now(UTC)
Doc = dict[str, Any]


@pytest.fixture
def books() -> server.AdyenServer:
    return server.AdyenServer()


@pytest.fixture
def processor(books: server.AdyenServer) -> Iterator[AdyenProcessor]:
    with books.serve() as served:
        processor = AdyenProcessor(CREDENTIALS, 10, served.url)
        yield processor
        processor.close()


def item(event: str, success: str = "true", reason: str = "", **more: str) -> Doc:
    """An item of a webhook on a refund of 10.00 EUR, not signed yet."""
    return {
        "additionalData": more,
        "amount": {"currency": "EUR", "value": 1000},
        "eventCode": event,
        "eventDate": "2026-11-21T10:00:00+01:00",
        "merchantAccountCode": server.MERCHANT,
        "merchantReference": "operation",
        "originalReference": "PSP000000000001A",
        "pspReference": "PSP000000000002A",
        "reason": reason,
        "success": success,
    }


def message(*items: Doc, live: str = "false") -> bytes:
    wrapped = [{"NotificationRequestItem": one} for one in items]
    return json.dumps({"live": live, "notificationItems": wrapped}).encode()


def signed(*items: Doc) -> bytes:
    return message(*[server.sign(one, server.HMAC_KEY) for one in items])


async def read(processor: AdyenProcessor, body: bytes, **headers: str) -> list[Notice]:
    return list(await processor.read_notification(headers, body, NOW))


@pytest.mark.parametrize(
    ("code", "amount", "theirs"), [("ISK", 500, 50_000), ("CLP", 500, 50_000), ("IDR", 50_000, 500)]
)
async def test_amounts_are_in_adyens_units(
    books: server.AdyenServer, processor: AdyenProcessor, code: str, amount: int, theirs: int
) -> None:
    payment = books.pay(amount, code, captured=True)
    asked = submission(OperationKind.REFUND, amount, payment, code=code)
    accepted = await processor.submit(asked)
    assert isinstance(accepted, InProgress)
    assert accepted.receipt.amount == amount
    assert [one.amount for one in books.modifications] == [theirs]


async def test_an_amount_that_adyen_cannot_count_is_not_asked_for(
    books: server.AdyenServer, processor: AdyenProcessor
) -> None:
    payment = books.pay(1050, "IDR", captured=True)
    declined = await processor.submit(submission(OperationKind.REFUND, 1050, payment, code="IDR"))
    assert isinstance(declined, Declined)
    assert books.asked() == 0


@pytest.mark.parametrize("reference", [None, ""])
async def test_a_payment_without_a_reference_is_unknown(
    processor: AdyenProcessor, reference: str | None
) -> None:
    asked = submission(OperationKind.REFUND, 1000, reference)
    assert isinstance(await processor.submit(asked), Unknown)


async def test_a_part_is_not_cancelled_as_adyen_would_give_up_all(
    processor: AdyenProcessor, books: server.AdyenServer
) -> None:
    payment = books.pay(1000, "EUR", captured=False)
    part = replace(submission(OperationKind.CANCEL, 400, payment), rest=1000)
    outcome = await processor.submit(part)
    assert isinstance(outcome, Declined)
    assert outcome.failure.code == "all_or_nothing"
    assert books.asked() == 0
    assert isinstance(await processor.submit(replace(part, rest=400)), InProgress)


async def test_a_look_up_never_says_that_nothing_was_done(processor: AdyenProcessor) -> None:
    asked = submission(OperationKind.REFUND, 1000, "PSP000000000001A")
    assert isinstance(await processor.look_up(asked), Unknown)
    assert isinstance(await processor.look_up(replace(asked, reference="PSP2")), InProgress)
    with pytest.raises(OSError, match="cannot list"):
        [refund async for refund in processor.refunds_since(NOW - timedelta(days=1))]


@pytest.mark.parametrize(
    "changed",
    [
        {"reference": "another"},
        {"paymentPspReference": "PSP000000000009A"},
        {"status": "authorised"},
        {"pspReference": None},
    ],
)
def test_an_answer_about_something_else_is_no_acceptance(changed: Doc) -> None:
    asked = submission(OperationKind.REFUND, 1000, "PSP000000000001A")
    accepted = {
        "status": "received",
        "pspReference": "PSP000000000002A",
        "paymentPspReference": "PSP000000000001A",
        "reference": asked.key,
        "amount": {"value": 1000, "currency": "EUR"},
    }
    assert isinstance(read_answer(asked, accepted), InProgress)
    assert isinstance(read_answer(asked, accepted | changed), Unknown)


async def test_the_check_tells_half_a_hmac_key(books: server.AdyenServer) -> None:
    with books.serve() as served:
        for keys, words in (
            ((), "there is none"),
            (("5e" * 31,), "64 hexadecimal"),
            (("x",), "64"),
        ):
            processor = AdyenProcessor(replace(CREDENTIALS, hmac_keys=keys), 10, served.url)
            key, hmac_keys = await processor.check()
            assert not key.problem
            assert words in hmac_keys.problem
            processor.close()
        elsewhere = AdyenProcessor(replace(CREDENTIALS, merchant_account="X"), 10, served.url)
        assert "merchant account" in (await elsewhere.check())[0].problem
        elsewhere.close()


async def test_one_forged_item_spoils_a_webhook(processor: AdyenProcessor) -> None:
    good, bad = item("REFUND"), item("REFUND")
    genuine, forged = server.sign(good, server.HMAC_KEY), server.sign(bad, server.OTHER_KEY)
    assert len(await read(processor, signed(good, bad))) == 2
    with pytest.raises(Forged, match="does not match"):
        await read(processor, message(genuine, forged))


async def test_a_webhook_of_another_account_or_mode_is_refused(processor: AdyenProcessor) -> None:
    with pytest.raises(Forged, match="merchant account"):
        await read(processor, signed(item("REFUND") | {"merchantAccountCode": "Other"}))
    genuine = server.sign(item("REFUND"), server.HMAC_KEY)
    with pytest.raises(Forged, match="live"):
        await read(processor, message(genuine, live="true"))


async def test_a_colon_cannot_move_from_one_field_to_the_next(processor: AdyenProcessor) -> None:
    """The signature joins fields by colons: with one of them in a field, what is signed as two
    fields could be shown as others."""
    shifted = item("REFUND") | {
        "pspReference": "PSP000000000002A:PSP000000000001A",
        "originalReference": "",
        "merchantAccountCode": server.MERCHANT,
    }
    with pytest.raises(Forged, match="colon"):
        await read(processor, signed(shifted))
    ours = item("REFUND") | {"merchantReference": "shop:order:1"}
    assert (await read(processor, signed(ours)))[0].key == "shop:order:1"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"[" * 5000, b'{"live":"false"}', message({"eventCode": "REFUND"})],
)
async def test_what_is_no_webhook_is_refused(processor: AdyenProcessor, body: bytes) -> None:
    with pytest.raises(Forged):
        await read(processor, body)


async def test_basic_authentication_is_asked_for_where_it_is_set(books: server.AdyenServer) -> None:
    credentials = replace(CREDENTIALS, notice_user="adyen", notice_password="secret")
    with books.serve() as served:
        processor = AdyenProcessor(credentials, 10, served.url)
        body = signed(item("REFUND"))
        assert await read(processor, body, authorization="Basic YWR5ZW46c2VjcmV0")
        for header in ("", "Basic YWR5ZW46d3Jvbmc=", "Bearer x", "Basic \xfc"):
            with pytest.raises(Forged, match="wrong user"):
                await read(processor, body, authorization=header)
        processor.close()


@pytest.mark.parametrize(
    ("event", "success", "paid"),
    [
        ("REFUND", "true", True),
        ("REFUND", "false", False),
        ("REFUND_FAILED", "true", False),
        ("REFUNDED_REVERSED", "true", False),
        ("CANCEL_OR_REFUND", "true", True),
    ],
)
async def test_each_event_of_a_refund_tells_its_end(
    processor: AdyenProcessor, event: str, success: str, paid: bool
) -> None:
    (notice,) = await read(processor, signed(item(event, success, arn="74987501")))
    assert (notice.kind, notice.key) == (NoticeKind.REFUND, "operation")
    assert isinstance(notice.outcome, Settled if paid else Declined)
    assert notice.outcome.receipt.arn == "74987501"
    assert notice.refund is not None
    assert notice.refund.payment == "PSP000000000001A"


@pytest.mark.parametrize(
    ("reason", "raw", "expected"),
    [
        ("Insufficient balance on payment", "", ("REFUND", "declined")),
        ("Refused", "36 : Restricted", ("36", "account_frozen")),
        ("", "", ("REFUND", "unknown")),
    ],
)
async def test_the_reason_is_read_and_the_code_kept(
    processor: AdyenProcessor, reason: str, raw: str, expected: tuple[str, str]
) -> None:
    more = {"refusalReasonRaw": raw} if raw else {}
    (notice,) = await read(processor, signed(item("REFUND", "false", reason, **more)))
    assert isinstance(notice.outcome, Declined)
    failure = notice.outcome.failure
    assert (failure.code, failure.reason) == expected
    assert failure.message


@pytest.mark.parametrize(
    ("event", "status", "state"),
    [
        ("CHARGEBACK", "Undefended", "opened"),
        ("CHARGEBACK_REVERSED", "Pending", "opened"),
        ("CHARGEBACK_REVERSED", "Won", "won"),
        ("CHARGEBACK", "Expired", "lost"),
        ("PREARBITRATION_WON", "", "won"),
        ("PREARBITRATION_LOST", "", "lost"),
        ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "", "won"),
    ],
)
async def test_each_event_of_a_dispute_tells_its_state(
    processor: AdyenProcessor, event: str, status: str, state: str
) -> None:
    more = {"disputeStatus": status, "defensePeriodEndsAt": "2026-12-01T12:00:00+01:00"}
    (notice,) = await read(processor, signed(item(event, reason="Fraud", **more)))
    assert notice.dispute == ProcessorDispute(
        "PSP000000000002A", "PSP000000000001A", state, 1000, "EUR", "Fraud",
        datetime(2026, 12, 1, 11, tzinfo=UTC),
    )  # fmt: skip


async def test_captures_cancels_and_what_is_not_ours_to_know(processor: AdyenProcessor) -> None:
    cancelled = item("CANCEL_OR_REFUND", **{"modification.action": "cancel"})
    items = [item("CAPTURE"), item("CAPTURE_FAILED"), item("CANCELLATION"), cancelled]
    notices = await read(processor, signed(*items, item("REPORT_AVAILABLE")))
    assert [notice.kind for notice in notices] == [NoticeKind.OUTCOME] * 4 + [NoticeKind.OTHER]
    outcomes = [type(notice.outcome) for notice in notices]
    assert outcomes == [Settled, Declined, Settled, Settled, type(None)]
