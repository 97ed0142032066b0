import json
from dataclasses import replace

import pytest

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.contract import (
    Declined,
    InProgress,
    NeedsInformation,
    Outcome,
    Settled,
    Submission,
    Unknown,
)
from refundry.processors.http_protocol import failure_of, read_answer, request_body
from refundry.tenant import Tenant
from tests.unit.given import NOW, currency

REFUND = Submission(
    key="op-1",
    tenant=Tenant("a1", live=True),
    kind=OperationKind.REFUND,
    charge_id="c1",
    amount=1350,
    currency=currency(),
    processor_reference="pi_1",
    source_type="creditCard",
    trigger=None,
    first_attempt_at=NOW,
    now=NOW,
    attempt=3,
)
REASONS = """
    expired_or_canceled_card lost_or_stolen_card account_closed account_frozen
    insufficient_funds declined invalid_bank_details unknown
"""


def test_an_operation_is_written_in_major_units() -> None:
    assert request_body(REFUND) == (
        b'{"operationId":"op-1","kind":"refund","chargeId":"c1","processorReference":"pi_1",'
        b'"amount":13.5,"currency":"USD"}'
    )
    dinar = replace(REFUND, amount=5253, currency=currency("BHD"), kind=OperationKind.CAPTURE)
    assert json.loads(request_body(dinar))["amount"] == 5.253


def test_bank_details_go_along_once_they_are_known() -> None:
    body = json.loads(request_body(replace(REFUND, bank_details={"iban": "DE02"})))
    assert body["bankDetails"] == {"iban": "DE02"}


def test_a_repeat_is_word_for_word_the_same() -> None:
    assert request_body(replace(REFUND, attempt=9)) == request_body(REFUND)


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ('{"state":"complete"}', Settled()),
        ('{"state":"complete","more":1}', Settled()),
        ('{"state":"pending"}', InProgress()),
        ('{"state":"pending_information"}', NeedsInformation()),
        ('{"state":"failed"}', Declined(Failure(reason="unknown"))),
        (
            '{"state":"failed","code":"R1","message":"No.","failureReason":"account_closed"}',
            Declined(Failure("R1", "No.", "account_closed")),
        ),
    ],
)
def test_the_four_states_are_read(status: int, body: str, outcome: Outcome) -> None:
    assert read_answer(status, body.encode()) == outcome


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b'{"state":"complete"}'),
        (400, b'{"state":"failed"}'),
        (404, b""),
        (500, b'{"state":"failed"}'),
        (302, b""),
        (200, b""),
        (200, b"OK"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"state":"done"}'),
        (200, b'{"state":"FAILED"}'),
        (200, b'{"state":true}'),
        (200, b'{"state":"complete"'),
        (200, b'{"state":"\xff"}'),
        (200, b'{"state":"failed","code":7}'),
        (200, b'{"x":' * 5000),
    ],
)
def test_whatever_is_not_clear_is_unknown_and_never_a_failure(status: int, body: bytes) -> None:
    assert isinstance(read_answer(status, body), Unknown)


@pytest.mark.parametrize("reason", REASONS.split())
def test_reasons_of_the_contract_are_kept(reason: str) -> None:
    assert failure_of(None, None, reason).reason == reason


@pytest.mark.parametrize("reason", ["partially_refunded", "information_not_provided", "bad luck"])
def test_other_reasons_are_not_a_processors_to_give(reason: str) -> None:
    assert failure_of(None, None, reason).reason == "unknown"


def test_a_failure_has_defaults_and_a_limit() -> None:
    assert failure_of(None, "", None) == Failure(
        "failed-request", "Failed to operate on charge", "unknown"
    )
    long = failure_of("c" * 1000, "m" * 1000, None)
    assert (len(long.code), len(long.message)) == (200, 500)
