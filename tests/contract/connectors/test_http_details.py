"""What the `http` protocol has and the suite of all connectors does not ask; old adapters too."""

import json
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from refundry.domain.charge import OperationKind
from refundry.processors.contract import (
    Declined,
    Forged,
    InProgress,
    NeedsInformation,
    NoticeKind,
    Outcome,
    Receipt,
    Settled,
    Submission,
    Unknown,
)
from refundry.processors.http import HttpCredentials, HttpProcessor
from refundry.processors.http_notices import read_notices
from refundry.processors.http_protocol import read_answer, read_found
from refundry.processors.signature import sign
from tests.contract.connectors.runner import TENANT
from tests.contract.servers.loopback import Answer, Loopback, Request
from tests.unit.given import currency

SECRET = "kept-between-us"
NOW = datetime.now(UTC)
REFUND = Submission(
    key="op-1",
    tenant=TENANT,
    kind=OperationKind.REFUND,
    charge_id="c1",
    amount=1351,
    currency=currency(),
    processor_reference="PAY-1",
    source_type="creditCard",
    trigger=None,
    first_attempt_at=NOW,
    now=NOW,
    attempt=1,
)
RECEIPT = {"amount": 13.51, "currency": "USD"}
LISTED = {
    "reference": "r1",
    "payment": "PAY-1",
    "state": "complete",
    "createdTime": "2024-05-03T08:00:00Z",
    **RECEIPT,
}
Answering = Callable[[Request], Answer | None]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@contextmanager
def adapter(
    session: aiohttp.ClientSession, answering: Answering, timeout_seconds: float = 2
) -> Generator[HttpProcessor]:
    with Loopback(answering) as served:
        yield HttpProcessor(
            HttpCredentials(f"{served.url}/pay?shop=1", SECRET), session, timeout_seconds
        )


def answers(body: Any, status: int = 200) -> Answering:
    return lambda _: Answer(status, json.dumps(body).encode())


def refused(_: Request) -> Answer:
    raise AssertionError("the adapter must not be asked")


async def test_a_refund_that_needs_bank_details_is_not_sent_without_them(
    session: aiohttp.ClientSession,
) -> None:
    by_bank = replace(REFUND, source_type="konbini")
    with adapter(session, refused) as processor:
        assert isinstance(await processor.submit(by_bank), NeedsInformation)
    seen: list[Request] = []

    def answering(request: Request) -> Answer:
        seen.append(request)
        return Answer(200, b'{"state":"pending"}')

    with adapter(session, answering) as processor:
        given = replace(by_bank, bank_details={"iban": "DE02"})
        assert isinstance(await processor.submit(given), InProgress)
    assert json.loads(seen[0].body)["bankDetails"] == {"iban": "DE02"}


async def test_authorisations_wait(session: aiohttp.ClientSession) -> None:
    authorised = replace(REFUND, kind=OperationKind.AUTHORIZE)
    with adapter(session, refused) as processor:
        assert await processor.submit(authorised) == InProgress()
        assert await processor.look_up(authorised) == InProgress()


async def test_requests_go_beneath_the_address_with_its_query(
    session: aiohttp.ClientSession,
) -> None:
    seen: list[tuple[str, dict[str, str], Any]] = []

    def answering(request: Request) -> Answer:
        seen.append((request.path, dict(request.query), json.loads(request.body)))
        return Answer(200, b'{"state":"complete","refunds":[]}')

    with adapter(session, answering) as processor:
        await processor.submit(REFUND)
        await processor.look_up(REFUND)
        await processor.check()
        assert not [one async for one in processor.refunds_since(NOW)]
    assert [path for path, _, _ in seen] == ["/pay", "/pay/lookup", "/pay/check", "/pay/list"]
    assert all(query == {"shop": "1"} for _, query, _ in seen)
    # An adapter that overlooks the address has nothing here that it could take for an operation.
    assert seen[1][2] == {"operationId": "op-1"}


async def test_an_adapter_of_operations_alone_leaves_look_ups_unknown(
    session: aiohttp.ClientSession,
) -> None:
    def answering(request: Request) -> Answer:
        known = request.path == "/pay"
        return Answer(200 if known else 404, b'{"state":"complete"}')

    with adapter(session, answering) as processor:
        assert await processor.submit(REFUND) == Settled()
        assert isinstance(await processor.look_up(REFUND), Unknown)
        (finding,) = await processor.check()
        assert "answered 404" in finding.problem
        with pytest.raises(OSError, match="answered 404"):
            _ = [one async for one in processor.refunds_since(NOW)]


async def test_lists_are_read_page_by_page(session: aiohttp.ClientSession) -> None:
    pages = {None: {"refunds": [LISTED], "next": "p2"},
             "p2": {"refunds": [{**LISTED, "reference": "r2"}], "next": None}}  # fmt: skip

    def answering(request: Request) -> Answer:
        return Answer(200, json.dumps(pages[json.loads(request.body)["after"]]).encode())

    with adapter(session, answering) as processor:
        listed = [one async for one in processor.refunds_since(NOW)]
    assert [(one.reference, one.key, one.amount) for one in listed] == [
        ("r1", None, 1351),
        ("r2", None, 1351),
    ]


async def test_a_list_that_goes_in_circles_ends(session: aiohttp.ClientSession) -> None:
    with adapter(session, answers({"refunds": [LISTED], "next": "p2"})) as processor:
        assert len([one async for one in processor.refunds_since(NOW)]) == 2


@pytest.mark.parametrize(
    "lacking", ["reference", "amount", "currency", "createdTime", "state", None]
)
async def test_a_list_is_read_whole_or_not_at_all(
    session: aiohttp.ClientSession, lacking: str | None
) -> None:
    refund = {name: value for name, value in LISTED.items() if name != lacking}
    if lacking is None:
        refund["createdTime"] = "2024-05-03T08:00:00"  # Of which zone?
    with (
        adapter(session, answers({"refunds": [LISTED, refund]})) as processor,
        pytest.raises(OSError, match=r"."),
    ):
        _ = [one async for one in processor.refunds_since(NOW)]


async def test_what_is_too_long_or_elsewhere_or_silent_is_unknown(
    session: aiohttp.ClientSession,
) -> None:
    elsewhere = Answer(307, b"", {"Location": "http://127.0.0.1:9/"})
    answerings: list[tuple[Answering, str]] = [
        (answers({"state": "complete", "message": "x" * 70_000}), "too long"),
        (lambda _: elsewhere, "answered 307"),
        (lambda _: None, "no answer in time"),
    ]
    for answering, why in answerings:
        with adapter(session, answering, 0.2) as processor:
            for outcome in (await processor.submit(REFUND), await processor.look_up(REFUND)):
                assert isinstance(outcome, Unknown)
                assert why in outcome.error


async def test_a_check_tells_what_is_wrong_in_words(session: aiohttp.ClientSession) -> None:
    problems: list[tuple[Answering, str]] = [
        (answers({}, 401), "compare the secret"),
        (answers({"state": "down", "message": "The bank is closed"}), "The bank is closed"),
        (answers({"state": "down"}), "'down'"),
        (answers("OK"), "whether it knows `check`"),
        (lambda _: None, "no answer in time"),
    ]
    for answering, words in problems:
        with adapter(session, answering, 0.2) as processor:
            (finding,) = await processor.check()
            assert words in finding.problem


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"reference": "b1"}, Settled(Receipt(reference="b1"))),
        (RECEIPT, Settled(Receipt(amount=1351, currency="USD"))),
        ({"amount": 1e1, "currency": "jpy"}, Settled(Receipt(amount=10, currency="JPY"))),
        ({"arn": "7485"}, Settled(Receipt(arn="7485"))),
    ],
)
def test_receipts_are_read(fields: dict[str, Any], outcome: Outcome) -> None:
    body = json.dumps({"state": "complete", **fields}).encode()
    assert read_answer(200, body) == outcome == read_found(200, body)


@pytest.mark.parametrize(
    "fields",
    [
        '"amount":13.51',
        '"currency":"USD"',
        '"amount":null,"currency":"USD"',
        '"amount":"13.51","currency":"USD"',
        '"amount":13.517,"currency":"USD"',
        '"amount":-13.51,"currency":"USD"',
        '"amount":1e99,"currency":"USD"',
        '"amount":NaN,"currency":"USD"',
        '"amount":13.51,"currency":"ABC"',
        '"amount":{},"currency":"USD"',
        '"reference":7',
    ],
)
def test_a_receipt_that_is_not_clear_is_unknown(fields: str) -> None:
    body = f'{{"state":"complete",{fields}}}'.encode()
    assert isinstance(read_answer(200, body), Unknown)
    assert isinstance(read_found(200, body), Unknown)


def test_only_the_word_says_that_there_is_nothing() -> None:
    assert isinstance(read_found(404, b'{"state":"not_found"}'), Unknown)
    assert isinstance(read_answer(200, b'{"state":"not_found"}'), Unknown)


def notice(told: Any) -> Any:
    """What a notification that is signed says."""
    body = json.dumps(told).encode()
    headers = {"refundry-signature": sign(SECRET, int(NOW.timestamp()), body)}
    (read,) = read_notices(headers, body, SECRET, NOW)
    return read


@pytest.mark.parametrize(
    ("kind", "data", "outcome"),
    [
        ("refund.complete", {}, Settled),
        ("refund.failed", {"failureReason": "account_closed", "code": "R1"}, Declined),
        ("refund.pending_information", {}, NeedsInformation),
        ("capture.complete", {}, Settled),
        ("cancel.failed", {}, Declined),
    ],
)
def test_notices_of_operations(kind: str, data: dict[str, Any], outcome: type) -> None:
    read = notice({"id": "n1", "type": kind, "data": {"operationId": "op-1", **data}})
    assert (read.id, read.kind, read.key) == ("n1", NoticeKind.OUTCOME, "op-1")
    assert isinstance(read.outcome, outcome)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("payout.made", {}),
        ("refund.celebrated", {"operationId": "op-1"}),
        ("dispute.won", {"processorReference": "d1"}),
        ("dispute.opened", {"processorReference": "d1", "chargeId": "c1", "amount": 1}),
    ],
)
def test_what_cannot_be_placed_is_taken(kind: str, data: dict[str, Any]) -> None:
    assert notice({"id": "n1", "type": kind, "data": data}).kind is NoticeKind.OTHER


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"id": "n1", "type": "refund.complete"},
        {"id": 1, "type": "refund.complete", "data": {"operationId": "op-1"}},
        {"id": "n1", "type": "refund.complete", "data": {"reference": "of nobody"}},
        {"id": "n1", "type": "refund.complete", "data": {"operationId": "op-1", "amount": 1}},
    ],
)
def test_what_is_not_of_the_form_is_refused_in_words(told: Any) -> None:
    with pytest.raises(Forged, match="form"):
        notice(told)


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(HttpCredentials("http://127.0.0.1/", SECRET))
