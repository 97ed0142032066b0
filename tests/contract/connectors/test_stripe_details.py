"""What Stripe has and the suite of all connectors does not ask."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from refundry.domain.charge import OperationKind
from refundry.processors.contract import (
    Declined,
    Forged,
    InProgress,
    NotFound,
    NoticeKind,
    Settled,
    Submission,
    Unknown,
)
from refundry.processors.stripe import StripeCredentials, StripeProcessor
from tests.contract.connectors.runner import TENANT
from tests.contract.connectors.stand import Plan
from tests.contract.servers.stripe import SECRET_KEY, WEBHOOK_SECRET, StripeServer
from tests.unit.given import currency

_NOW = datetime.now(UTC)
_TIMEOUT = 1.0


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with StripeServer() as server:
        yield server


@pytest.fixture
async def processor(server: StripeServer) -> AsyncIterator[StripeProcessor]:
    async with aiohttp.ClientSession() as session:
        credentials = StripeCredentials(SECRET_KEY, WEBHOOK_SECRET)
        yield StripeProcessor(credentials, session, _TIMEOUT, server.url)


def asked(
    payment: str | None,
    amount: int = 1000,
    kind: OperationKind = OperationKind.REFUND,
    code: str = "EUR",
    key: str = "op-1",
) -> Submission:
    return Submission(
        key=key,
        tenant=TENANT,
        kind=kind,
        charge_id="c1",
        amount=amount,
        currency=currency(code),
        processor_reference=payment,
        source_type="creditCard",
        trigger=None,
        first_attempt_at=_NOW,
        now=_NOW,
        attempt=1,
    )


def signed(body: bytes, *secrets: str) -> dict[str, str]:
    """The header of Stripe's webhooks, with a signature by each secret."""
    seconds = int(_NOW.timestamp())
    message = f"{seconds}.".encode() + body
    parts = [f"t={seconds}"] + [
        f"v1={hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()}" for secret in secrets
    ]
    return {"stripe-signature": ",".join(parts)}


@pytest.mark.parametrize("reference", [None, "", "PAY-1", "sub_1"])
async def test_what_is_no_payment_of_stripe_is_declined_without_asking(
    server: StripeServer, processor: StripeProcessor, reference: str | None
) -> None:
    outcome = await processor.submit(asked(reference))
    assert isinstance(outcome, Declined)
    assert outcome.failure.code == "unsupported_reference"
    assert server.asked() == 0


async def test_a_payment_may_be_named_by_its_charge(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.pay(1000, "EUR", captured=True)
    by_charge = asked(server.books.payment(payment).charge)
    assert isinstance(await processor.look_up(by_charge), NotFound)
    assert isinstance(await processor.submit(by_charge), Settled)
    assert isinstance(await processor.look_up(asked(payment)), Settled)


@pytest.mark.parametrize(
    ("code", "amount", "units"),
    [("ISK", 10, 1000), ("JPY", 10, 10), ("KWD", 12340, 12340), ("MGA", 500, 5)],
)
async def test_amounts_are_in_stripes_own_units(
    server: StripeServer, processor: StripeProcessor, code: str, amount: int, units: int
) -> None:
    payment = server.books.pay(units, code.lower(), captured=True)
    outcome = await processor.submit(asked(payment.id, amount, code=code))
    assert isinstance(outcome, Settled)
    assert outcome.receipt.amount == amount
    assert [refund["amount"] for refund in server.books.refunds.values()] == [units]


@pytest.mark.parametrize(("code", "amount"), [("UGX", 1000), ("MGA", 150)])
async def test_amounts_that_stripe_cannot_be_told_are_declined_without_asking(
    server: StripeServer, processor: StripeProcessor, code: str, amount: int
) -> None:
    outcome = await processor.submit(asked("pi_1", amount, code=code))
    assert isinstance(outcome, Declined)
    assert server.asked() == 0


async def test_more_than_is_left_is_declined(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.pay(1000, "EUR", captured=True)
    outcome = await processor.submit(asked(payment, 1001))
    assert isinstance(outcome, Declined)
    assert "greater than unrefunded amount" in outcome.failure.message


async def test_a_payment_that_the_key_does_not_see_fails_nothing(
    processor: StripeProcessor,
) -> None:
    assert isinstance(await processor.submit(asked("pi_of_another_account")), Unknown)


async def test_a_request_that_is_still_executing_is_unknown(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.pay(1000, "EUR", captured=True)
    server.books.executing.add("op-1")
    assert isinstance(await processor.submit(asked(payment)), Unknown)
    server.books.executing.clear()
    assert isinstance(await processor.submit(replace(asked(payment), attempt=2)), Settled)


async def test_another_refund_in_the_answer_is_unknown(
    server: StripeServer, processor: StripeProcessor
) -> None:
    """As when a key was used for another refund before."""
    payment = server.pay(1000, "EUR", captured=True)
    assert isinstance(await processor.submit(asked(payment, 400)), Settled)
    refund = server.books.stored["op-1"].body
    refund["metadata"] = {"refundry_operation": "op-of-another"}
    outcome = await processor.submit(asked(payment, 400))
    assert isinstance(outcome, Unknown)
    assert refund["id"] in outcome.error


async def test_two_refunds_under_our_reference_are_for_a_person(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.books.pay(1000, "eur", captured=True)
    ours = {"refundry_operation": "op-1"}
    twice = [server.books.refund(payment, 300, ours, pending=False)["id"] for _ in range(2)]
    outcome = await processor.submit(replace(asked(payment.id, 300), attempt=2))
    assert isinstance(outcome, Unknown)
    assert all(refund in outcome.error for refund in twice)
    assert server.asked() == 0


async def test_lists_are_read_to_their_end(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.books.pay(100_000, "eur", captured=True)
    ours = {"refundry_operation": "op-1"}
    server.books.refund(payment, 7, ours, pending=False)
    for _ in range(249):
        server.books.refund(payment, 1, {}, pending=False)
    listed = [refund async for refund in processor.refunds_since(_NOW - timedelta(hours=1))]
    assert len({refund.reference for refund in listed}) == 250
    assert [refund.amount for refund in listed if refund.key == "op-1"] == [7]
    outcome = await processor.look_up(asked(payment.id, 7))
    assert isinstance(outcome, Settled)


async def test_lists_begin_where_they_are_asked_to(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.books.pay(1000, "eur", captured=True)
    server.books.refund(payment, 1, {}, pending=False)
    server.advance(7200)
    server.books.refund(payment, 2, {}, pending=False)
    since = _NOW + timedelta(hours=1)
    assert [refund.amount async for refund in processor.refunds_since(since)] == [2]


async def test_a_list_that_cannot_be_had_is_an_error(server: StripeServer) -> None:
    async with aiohttp.ClientSession() as session:
        stranger = StripeProcessor(
            StripeCredentials("sk_test_other", "whsec_"), session, _TIMEOUT, server.url
        )
        with pytest.raises(OSError, match="Invalid API Key"):
            _ = [refund async for refund in stranger.refunds_since(_NOW)]


async def test_the_arn_comes_when_stripe_has_it(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.pay(1000, "EUR", captured=True)
    server.plan(Plan(end="pending"))
    assert isinstance(await processor.submit(asked(payment)), InProgress)
    (refund,) = server.books.refunds.values()
    known = refund["destination_details"]
    cases: list[tuple[dict[str, Any] | None, str | None]] = [
        (None, None),
        ({"type": "card", "card": {"reference_status": "pending"}}, None),
        ({"type": "card", "card": {**known["card"], "reference_type": "other"}}, None),
        ({"type": "us_bank_transfer", "us_bank_transfer": {}}, None),
        (known, known["card"]["reference"]),
    ]
    for details, arn in cases:
        refund["destination_details"] = details
        found = await processor.look_up(asked(payment))
        assert isinstance(found, InProgress)
        assert found.receipt.arn == arn


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("requires_action", InProgress), ("canceled", Declined), ("of_tomorrow", Unknown)],
)
async def test_statuses_of_refunds(
    server: StripeServer, processor: StripeProcessor, status: str, outcome: type
) -> None:
    payment = server.pay(1000, "EUR", captured=True)
    await processor.submit(asked(payment))
    (refund,) = server.books.refunds.values()
    refund["status"] = status
    assert isinstance(await processor.look_up(asked(payment)), outcome)


async def test_a_part_is_captured_and_the_rest_is_found_released(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.pay(1000, "EUR", captured=False)
    captured = await processor.submit(asked(payment, 600, OperationKind.CAPTURE))
    assert isinstance(captured, Settled)
    assert captured.receipt.amount == 600
    rest = await processor.submit(asked(payment, 400, OperationKind.CANCEL, key="op-2"))
    assert isinstance(rest, Settled)
    again = await processor.submit(asked(payment, 400, OperationKind.CAPTURE, key="op-3"))
    assert isinstance(again, Declined)


async def test_a_part_of_an_authorisation_is_not_cancelled(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.pay(1000, "EUR", captured=False)
    outcome = await processor.submit(asked(payment, 400, OperationKind.CANCEL))
    assert isinstance(outcome, Declined)
    assert outcome.failure.code == "all_or_nothing"
    assert server.books.payment(payment).status == "requires_capture"


async def test_an_authorisation_is_seen(server: StripeServer, processor: StripeProcessor) -> None:
    payment = server.pay(1000, "EUR", captured=False)
    authorised = asked(payment, kind=OperationKind.AUTHORIZE)
    assert isinstance(await processor.submit(authorised), Settled)
    assert isinstance(await processor.submit(asked(payment, kind=OperationKind.CANCEL)), Settled)
    assert isinstance(await processor.look_up(authorised), Declined)
    assert isinstance(await processor.submit(replace(authorised, processor_reference=None)),
                      InProgress)  # fmt: skip


async def test_while_a_secret_is_rolled_either_signature_counts(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.books.pay(1000, "eur", captured=True)
    server.books.refund(payment, 300, {}, pending=False)
    body = json.dumps(server.books.events[-1]).encode()
    for secrets in (("whsec_old", WEBHOOK_SECRET), (WEBHOOK_SECRET, "whsec_old")):
        (notice,) = await processor.read_notification(signed(body, *secrets), body, _NOW)
        assert notice.kind is NoticeKind.REFUND
    with pytest.raises(Forged):
        await processor.read_notification(signed(body, "whsec_old"), body, _NOW)


async def test_a_refund_that_stripe_does_not_confirm_is_unknown(
    server: StripeServer, processor: StripeProcessor
) -> None:
    payment = server.books.pay(1000, "eur", captured=True)
    refund = server.books.refund(payment, 300, {"refundry_operation": "op-1"}, pending=False)
    body = json.dumps(server.books.events[-1]).encode()
    del server.books.refunds[refund["id"]]
    (notice,) = await processor.read_notification(signed(body, WEBHOOK_SECRET), body, _NOW)
    assert notice.key == "op-1"
    assert isinstance(notice.outcome, Unknown)


@pytest.mark.parametrize(
    "event",
    [
        {"id": "evt_1", "type": "customer.created", "data": {"object": {"id": "cus_1"}}},
        {"id": "evt_1", "type": "refund.updated", "data": {"object": {"id": "re_1"}}},
    ],
)
async def test_other_events_are_taken(processor: StripeProcessor, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    (notice,) = await processor.read_notification(signed(body, WEBHOOK_SECRET), body, _NOW)
    assert (notice.id, notice.kind) == ("evt_1", NoticeKind.OTHER)


async def test_an_event_without_its_object_tells_nothing(processor: StripeProcessor) -> None:
    body = b'{"id":"evt_1","object":"v2.core.event","type":"v1.billing.meter.no_meter_found"}'
    assert await processor.read_notification(signed(body, WEBHOOK_SECRET), body, _NOW) == []


async def test_nothing_is_verified_without_a_secret(server: StripeServer) -> None:
    async with aiohttp.ClientSession() as session:
        credentials = StripeCredentials(SECRET_KEY, "")
        processor = StripeProcessor(credentials, session, _TIMEOUT, server.url)
        with pytest.raises(Forged, match="no webhook secret"):
            await processor.read_notification(signed(b"{}", ""), b"{}", _NOW)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("warning_needs_response", "opened"),
        ("under_review", "opened"),
        ("warning_closed", "won"),
        ("prevented", "won"),
        ("lost", "lost"),
    ],
)
async def test_states_of_disputes(
    server: StripeServer, processor: StripeProcessor, status: str, state: str
) -> None:
    payment = server.books.pay(1000, "eur", captured=True)
    server.books.dispute(payment, 1000, status)
    body = json.dumps(server.books.events[-1]).encode()
    (notice,) = await processor.read_notification(signed(body, WEBHOOK_SECRET), body, _NOW)
    assert notice.dispute is not None
    assert (notice.dispute.state, notice.dispute.reason) == (state, "fraudulent")
    assert notice.dispute.respond_by is not None
    assert notice.dispute.respond_by > _NOW


async def test_a_check_moves_nothing(server: StripeServer, processor: StripeProcessor) -> None:
    server.pay(1000, "EUR", captured=True)
    findings = await processor.check()
    assert [finding.problem for finding in findings] == [""] * len(findings)
    assert server.books.refunds == {}
    assert server.books.events == []


async def test_a_check_tells_what_is_wrong_in_words(server: StripeServer) -> None:
    async with aiohttp.ClientSession() as session:
        elsewhere = StripeProcessor(
            StripeCredentials(SECRET_KEY, WEBHOOK_SECRET), session, _TIMEOUT, "http://127.0.0.1:9"
        )
        assert any("check that the key is whole" in one.problem for one in await elsewhere.check())
        unset = StripeProcessor(StripeCredentials(SECRET_KEY, ""), session, _TIMEOUT, server.url)
        (problem,) = [one.problem for one in await unset.check() if one.problem]
        assert "whsec_" in problem


def test_secrets_are_not_shown() -> None:
    shown = repr(StripeCredentials(SECRET_KEY, WEBHOOK_SECRET))
    assert SECRET_KEY not in shown
    assert WEBHOOK_SECRET not in shown
