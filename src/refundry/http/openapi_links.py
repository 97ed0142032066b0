"""The links of the OpenAPI document: which operations go on with what an answer shows.

Most follow from the table of operations: an answer has an id that stands in other paths, or names
another object, or lists filter by it. What else one does next is told here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from refundry.http.call import Operation
from refundry.http.openapi_schemas import subject_of

Json = dict[str, Any]

_SHOWN = "$response.body#"
_ID = f"{_SHOWN}/id"
_FIRST_LINE = {
    "itemId": f"{_SHOWN}/items/0/id",
    "quantity": f"{_SHOWN}/items/0/quantity",
}


@dataclass(frozen=True, slots=True)
class _Step:
    """What can be done with an object that an answer shows. body, parameters: of the request."""

    shown: str
    name: str
    to: str
    description: str
    body: Json | None = None
    parameters: Json | None = None


_STEPS = (
    _Step(
        "Order", "fulfil", "createFulfillment", "Ships the first line, which captures its amount.",
        {"orderId": _ID, "items": [_FIRST_LINE]},
    ),
    _Step(
        "Order", "giveUp", "createFulfillment", "Gives a unit of the first line up.",
        {"orderId": _ID, "items": [{"itemId": _FIRST_LINE["itemId"], "cancelQuantity": 1}]},
    ),
    _Step(
        "Order", "refund", "createRefund", "Refunds all that was captured.",
        {"orderId": _ID, "currency": f"{_SHOWN}/currency", "percent": 100},
    ),
    _Step(
        "Order", "refundPart", "createRefund", "Refunds a part of what was captured.",
        {"orderId": _ID, "currency": f"{_SHOWN}/currency", "percent": 10},
    ),
    _Step(
        "Order", "refundLine", "createRefund", "Refunds the first line.",
        {
            "orderId": _ID,
            "currency": f"{_SHOWN}/currency",
            "items": [_FIRST_LINE | {"percent": 100}],
        },
    ),
    _Step(
        "Order", "return", "createReturn", "Lets the first line come back.",
        {"orderId": _ID, "items": [_FIRST_LINE]},
    ),
    _Step(
        "Order", "getCharge", "getCharge", "Its first charge.",
        parameters={"id": f"{_SHOWN}/payment/charges/0/id"},
    ),
    _Step(
        "Order", "getSource", "getSource", "Its first source.",
        parameters={"id": f"{_SHOWN}/payment/sources/0/id"},
    ),
    _Step(
        "Return", "accept", "updateReturn", "Accepts what came back, which refunds it.",
        {"state": "accepted"}, {"id": _ID},
    ),
    _Step(
        "Return", "getRefund", "getRefund", "The first refund that came of it.",
        parameters={"id": f"{_SHOWN}/refundIds/0"},
    ),
    _Step(
        "Dispute", "win", "updateDispute", "Notes that the bank decided for the shop.",
        {"outcome": "won"}, {"id": _ID},
    ),
    _Step(
        "Dispute", "lose", "updateDispute", "Notes that the bank took what was disputed.",
        {"outcome": "lost", "amount": f"{_SHOWN}/amount", "fraud": False}, {"id": _ID},
    ),
    _Step("Fulfillment", "settle", "postAdvance", "Lets the sandbox answer.", {"seconds": 60}),
    _Step("Refund", "settle", "postAdvance", "Lets the sandbox answer.", {"seconds": 60}),
)  # fmt: skip


def links(operation: Operation, named: Mapping[str, Operation]) -> Json:
    """Where the success of an operation leads, by name. named: all operations by operationId."""
    shape, place = _shown(operation)
    if shape is None:
        return {}
    found: Json = {}
    for name, target in named.items():
        if target is operation:
            if target.paged:
                text = "What comes behind the first one."
                same = {"id": "$request.path.id"} if "{id}" in operation.path else {}
                found["goOn"] = _link(name, text, same | {"startingAfter": f"{place}/id"})
        elif given := _given(shape, place, target):
            parameter, value = given
            text = f"By its `{value.rpartition('/')[2]}`."
            found[name] = _link(name, text, {parameter: value})
    for step in _STEPS:
        if step.shown == shape.__name__ and place == _SHOWN and step.to in named:
            found[step.name] = _link(step.to, step.description, step.parameters, step.body)
    return found


def _shown(operation: Operation) -> tuple[Any, str]:
    """The Struct with an id that an answer shows, or a list of which shows, and where it stands."""
    answer = operation.answer
    if get_origin(answer) is list:
        return get_args(answer)[0], f"{_SHOWN}/0"
    if answer is None:
        return None, ""
    if operation.paged:
        inner = get_args(_members(answer)["data"])[0]
        return (inner, f"{_SHOWN}/data/0") if "id" in _members(inner) else (None, "")
    return (answer, _SHOWN) if "id" in _members(answer) else (None, "")


def _given(shape: Any, place: str, target: Operation) -> tuple[str, str] | None:
    """The parameter of an operation that a Struct has a value for, and where that stands."""
    if "{id}" in target.path:
        subject = subject_of(target)
        reference: str = subject.__name__.lower() + "_id"
        if subject is shape:
            return "id", f"{place}/id"
        if target.method == "GET" and target.answer is subject and reference in _members(shape):
            return "id", f"{place}/{subject.__name__.lower()}Id"
    name = f"{shape.__name__.lower()}Id"
    if any(each.name == name for each in target.filters):
        return name, f"{place}/id"
    return None


def _members(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape)


def _link(to: str, description: str, parameters: Json | None, body: Json | None = None) -> Json:
    link: Json = {"operationId": to, "description": description}
    if parameters:
        link["parameters"] = parameters
    if body is not None:
        link["requestBody"] = body
    return link
