import json
from typing import Any

import pytest

from refundry.domain.returns import UnitsAsk
from refundry.errors import BadFields
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.returns.reading import (
    ReturnRequest,
    ReturnUpdate,
    read_return,
    read_return_update,
)

ADDRESS = {
    "line1": "12 Harbor St", "city": "Duluth", "postalCode": "55802", "state": "MN",
    "country": "US",
}  # fmt: skip
BODY: dict[str, Any] = {"orderId": "o1", "items": [{"itemId": "1", "quantity": 2}]}
ARRIVED: dict[str, Any] = {"itemId": "1", "quantity": 2, "state": "accepted"}


def read(body: dict[str, Any]) -> ReturnRequest:
    return read_return(Fields(read_object(json.dumps(body).encode()), []))


def read_update(body: dict[str, Any]) -> ReturnUpdate:
    document = read_object(json.dumps(body).encode())
    return read_return_update(Fields(document, []), document)


def problems(body: dict[str, Any], *, update: bool = False) -> list[tuple[str, str | None, str]]:
    """The problems with `body`: code, parameter, message."""
    with pytest.raises(BadFields) as caught:
        read_update(body) if update else read(body)
    return [(each.code, each.parameter, each.message) for each in caught.value.problems]


def missing(parameter: str) -> tuple[str, str, str]:
    return "missing_parameter", parameter, "A parameter is missing."


def bad(parameter: str, value: str) -> tuple[str, str, str]:
    return "invalid_parameter", parameter, f"'{value}' is not a valid {parameter}."


def unknown(parameter: str) -> tuple[str, str, str]:
    return "unknown_parameter", parameter, f"'{parameter}' is an unknown parameter."


def test_a_return_is_read() -> None:
    items = [{"itemId": "1", "quantity": 2}, {"skuId": "s", "quantity": "3"}]
    more = {"reason": "Damaged", "metadata": {"a": 1, "b": None}}
    assert read(BODY | more | {"items": items, "location": {"address": ADDRESS}}) == ReturnRequest(
        order_id="o1",
        items=[UnitsAsk("1", None, 2), UnitsAsk(None, "s", 3)],
        reason="Damaged",
        location=json.dumps({"address": ADDRESS}, separators=(",", ":")),
        metadata='{"a":1}',
    )


def test_what_is_not_sent_is_absent() -> None:
    nulls = {"reason": None, "location": None, "metadata": None}
    wanted = ReturnRequest("o1", [UnitsAsk("1", None, 2)], None, None, "{}")
    assert read(BODY) == read(BODY | nulls) == wanted


def test_a_location_keeps_its_members_in_the_documented_order() -> None:
    sent = {
        "email": "r@example.com", "phone": "1", "name": "Desk",
        "address": {"country": "US", "line2": "Gate 4", **ADDRESS},
    }  # fmt: skip
    location = json.loads(read(BODY | {"location": sent}).location or "")
    assert list(location) == ["address", "name", "phone", "email"]
    assert list(location["address"]) == [
        "line1", "line2", "city", "postalCode", "state", "country",
    ]  # fmt: skip


@pytest.mark.parametrize("quantity", [1, "1", 1.0, 1_000_000])
def test_a_whole_number_in_any_form_is_a_quantity(quantity: object) -> None:
    items = [{"itemId": "1", "quantity": quantity}]
    assert read(BODY | {"items": items}).items[0].quantity == int(float(str(quantity)))


BAD_RETURNS: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
    ({}, [missing("orderId"), missing("items")]),
    ({"orderId": "", "items": None}, [bad("orderId", ""), missing("items")]),
    (BODY | {"items": []}, [missing("items")]),
    (BODY | {"items": 7}, [bad("items", "7")]),
    (BODY | {"items": ["1"]}, [bad("items[0]", "1")]),
    (BODY | {"reason": ""}, [bad("reason", "")]),
    (BODY | {"reason": 65 * "x"}, [bad("reason", 65 * "x")]),
    (BODY | {"state": "accepted"}, [unknown("state")]),
    (BODY | {"metadata": {"a": []}}, [bad("metadata.a", "[]")]),
    (BODY | {"location": "Duluth"}, [bad("location", "Duluth")]),
    (BODY | {"location": {}}, [missing("location.address")]),
    (BODY | {"location": {"address": 7}}, [bad("location.address", "7")]),
    (BODY | {"location": {"address": ADDRESS, "x": 1}}, [unknown("location.x")]),
    (
        BODY | {"location": {"address": ADDRESS | {"zip": "1"}}},
        [unknown("location.address.zip")],
    ),
    (BODY | {"location": {"address": ADDRESS, "name": ""}}, [bad("location.name", "")]),
    (
        BODY | {"location": {"address": {"line2": "Gate 4"}}},
        [
            missing("location.address.line1"),
            missing("location.address.city"),
            missing("location.address.postalCode"),
            missing("location.address.state"),
            missing("location.address.country"),
        ],
    ),
    (
        BODY | {"location": {"address": ADDRESS | {"city": None, "line2": None}}},
        [missing("location.address.city")],
    ),
]


@pytest.mark.parametrize(("body", "expected"), BAD_RETURNS)
def test_what_is_wrong_with_a_return_is_named(
    body: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(body) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"quantity": 1}, [missing("items[0].itemId")]),
        ({"itemId": "1"}, [missing("items[0].quantity")]),
        ({}, [missing("items[0].itemId"), missing("items[0].quantity")]),
        ({"itemId": "1", "quantity": 0}, [bad("items[0].quantity", "0")]),
        ({"itemId": "1", "quantity": -1}, [bad("items[0].quantity", "-1")]),
        ({"itemId": "1", "quantity": 1.5}, [bad("items[0].quantity", "1.5")]),
        ({"itemId": "1", "quantity": 1_000_001}, [bad("items[0].quantity", "1000001")]),
        ({"itemId": "1", "quantity": True}, [bad("items[0].quantity", "true")]),
        ({"itemId": "", "quantity": 1}, [bad("items[0].itemId", "")]),
        ({"itemId": "1", "quantity": 1, "state": "accepted"}, [unknown("items[0].state")]),
    ],
)
def test_what_is_wrong_with_an_element_is_named(
    item: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(BODY | {"items": [item]}) == expected


def test_five_hundred_elements_are_the_most() -> None:
    items = [{"itemId": str(n), "quantity": 1} for n in range(501)]
    assert len(read(BODY | {"items": items[:500]}).items) == 500
    assert [each[1] for each in problems(BODY | {"items": items})] == ["items"]


def test_an_update_is_read() -> None:
    update = read_update(
        {
            "state": "ACCEPTED",
            "items": [ARRIVED, {"skuId": "s", "quantity": 1, "state": "accepted"}],
            "metadata": {"a": 1, "b": None},
        }
    )
    assert update.accept
    assert update.takes_units
    assert update.items == [UnitsAsk("1", None, 2), UnitsAsk(None, "s", 1)]
    assert (update.metadata is not None, update.clear_metadata) == (True, False)
    assert update.location is None


@pytest.mark.parametrize(
    ("body", "takes_units"),
    [
        ({}, False),
        ({"state": None, "items": None}, False),
        ({"items": []}, False),
        ({"metadata": {"a": 1}}, False),
        ({"location": {"address": ADDRESS}}, False),
        ({"state": "accepted"}, True),
        ({"items": [ARRIVED]}, True),
    ],
)
def test_an_update_is_about_goods_or_not(body: dict[str, Any], takes_units: bool) -> None:
    assert read_update(body).takes_units is takes_units


def test_metadata_that_is_null_is_cleared() -> None:
    update = read_update({"metadata": None})
    assert (update.metadata, update.clear_metadata) == (None, True)
    assert not read_update({}).clear_metadata


BAD_UPDATES: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
        ({"state": "closed"}, [bad("state", "closed")]),
        ({"state": "created"}, [bad("state", "created")]),
        ({"items": [{}]}, [
            missing("items[0].itemId"), missing("items[0].quantity"), missing("items[0].state"),
        ]),
        ({"items": [ARRIVED | {"state": "created"}]}, [bad("items[0].state", "created")]),
        ({"items": [ARRIVED | {"state": None}]}, [missing("items[0].state")]),
        ({"items": [ARRIVED | {"quantity": 0}]}, [bad("items[0].quantity", "0")]),
        ({"reason": "late"}, [unknown("reason")]),
        ({"orderId": "o1"}, [unknown("orderId")]),
        ({"location": {"address": {}}}, [
            missing(f"location.address.{name}") for name in ADDRESS
        ]),
    ]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BAD_UPDATES)
def test_what_is_wrong_with_an_update_is_named(
    body: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(body, update=True) == expected
