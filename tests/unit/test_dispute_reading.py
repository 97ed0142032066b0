import json
from decimal import Decimal
from typing import Any

import pytest

from refundry.disputes.reading import (
    DisputeRequest,
    Resolution,
    read_dispute,
    read_resolution,
)
from refundry.errors import BadFields
from refundry.http.document import read_object
from refundry.http.fields import Fields

LOST: dict[str, Any] = {"outcome": "lost", "fraud": True}


def fields(body: dict[str, Any]) -> Fields:
    return Fields(read_object(json.dumps(body).encode()), [])


def problems(body: dict[str, Any], *, resolution: bool) -> list[tuple[str, str | None, str]]:
    """The problems with `body`: code, parameter, message."""
    with pytest.raises(BadFields) as caught:
        read_resolution(fields(body)) if resolution else read_dispute(fields(body))
    return [(each.code, each.parameter, each.message) for each in caught.value.problems]


def missing(parameter: str) -> tuple[str, str, str]:
    return "missing_parameter", parameter, "A parameter is missing."


def bad(parameter: str, value: str) -> tuple[str, str, str]:
    return "invalid_parameter", parameter, f"'{value}' is not a valid {parameter}."


def unknown(parameter: str) -> tuple[str, str, str]:
    return "unknown_parameter", parameter, f"'{parameter}' is an unknown parameter."


def test_a_dispute_is_read() -> None:
    body = {"chargeId": "c1", "amount": 27.01, "reason": "fraud", "processorReference": "dsp_1"}
    assert read_dispute(fields(body)) == DisputeRequest(
        "c1", Decimal("27.01"), "fraud", "dsp_1", "27.01"
    )


def test_a_dispute_needs_no_field_at_all() -> None:
    nothing = DisputeRequest(None, None, None, None, "null")
    assert read_dispute(fields({"amount": None})) == nothing
    bare = read_dispute(Fields({}, []))
    assert (bare.charge_id, bare.amount, bare.reason, bare.processor_reference) == 4 * (None,)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"amount": -5}, [bad("amount", "-5")]),
        ({"amount": 0}, [bad("amount", "0")]),
        ({"amount": "x"}, [bad("amount", "x")]),
        ({"amount": 10**12}, [bad("amount", str(10**12))]),
        ({"chargeId": ""}, [bad("chargeId", "")]),
        ({"reason": 256 * "x"}, [bad("reason", 256 * "x")]),
        ({"processorReference": 7}, [bad("processorReference", "7")]),
        ({"outcome": "won"}, [unknown("outcome")]),
    ],
)
def test_what_is_wrong_with_a_dispute_is_named(
    body: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(body, resolution=False) == expected


@pytest.mark.parametrize(
    ("body", "resolution"),
    [
        ({"outcome": "won"}, Resolution(lost=False)),
        ({"outcome": "WON", "amount": None, "fraud": None}, Resolution(lost=False)),
        (LOST | {"amount": 10.5}, Resolution(True, Decimal("10.5"), True, "10.5")),
        (
            {"outcome": "lost", "fraud": False, "amount": "10.50"},
            Resolution(True, Decimal("10.50"), False, "10.50"),
        ),
    ],
)
def test_a_resolution_is_read(body: dict[str, Any], resolution: Resolution) -> None:
    assert read_resolution(fields(body)) == resolution


def test_a_lost_dispute_may_leave_the_amount_open() -> None:
    resolution = read_resolution(fields(LOST))
    assert (resolution.lost, resolution.amount, resolution.fraud) == (True, None, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [missing("outcome")]),
        ({"outcome": "lost"}, [missing("fraud")]),
        ({"outcome": "lost", "fraud": None}, [missing("fraud")]),
        ({"outcome": "drawn"}, [bad("outcome", "drawn")]),
        ({"outcome": "lost", "fraud": "yes"}, [bad("fraud", "yes")]),
        (LOST | {"amount": 0}, [bad("amount", "0")]),
        (LOST | {"amount": "1e3"}, [bad("amount", "1e3")]),
        ({"outcome": "won", "amount": 1}, [unknown("amount")]),
        ({"outcome": "won", "fraud": False}, [unknown("fraud")]),
        (LOST | {"chargeId": "c1"}, [unknown("chargeId")]),
    ],
)
def test_what_is_wrong_with_a_resolution_is_named(
    body: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(body, resolution=True) == expected
