"""The parameters of an operation in the OpenAPI document."""

from typing import Any

from refundry.http.call import Operation
from refundry.http.openapi_schemas import subject_of
from refundry.http.query import Filter, Kind
from refundry.http.shapes import ID, NO_NUL, TIMESTAMP
from refundry.processors.signature import HEADER
from refundry.tenant import VERSIONS

_COMPARISONS = {
    "": "Equal to this",
    "eq": "Equal to this",
    "gt": "Greater than this",
    "gte": "Greater than this, or equal",
    "lt": "Less than this",
    "lte": "Less than this, or equal",
}
_TIME_COMPARISONS = _COMPARISONS | {
    "gt": "After this",
    "gte": "At this or after it",
    "lt": "Before this",
    "lte": "At this or before it",
}
_TEXT = {"type": "string", "pattern": NO_NUL}
# Bigger than any amount; the reader of queries refuses more.
_FAR = 10**18


def parameters(operation: Operation) -> list[dict[str, Any]]:
    """Path, query and headers, in this order."""
    found: list[dict[str, Any]] = []
    if "{id}" in operation.path:
        found.append(_path_id(operation))
    if "{token}" in operation.path:
        found.append(_path_token())
    if operation.paged:
        found += _paging(operation.most)
    if operation.expands:
        text = "`true` adds `productDetails.physical` and `productDetails.metadata`."
        found.append(_query("expand", text, _TEXT, "true"))
    for each in operation.filters:
        found += _filter(each)
    return found + _headers(operation)


def _path_id(operation: Operation) -> dict[str, Any]:
    subject = subject_of(operation)
    example: dict[str, Any] = getattr(subject, "EXAMPLE", {})
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": f"The id of the {subject.__name__.lower()}.",
        "schema": {"type": "string", "pattern": ID},
        "example": example.get("id", "256469221483"),
    }


def _path_token() -> dict[str, Any]:
    return {
        "name": "token",
        "in": "path",
        "required": True,
        "description": "`tokenInformation.token` of a refund that waits for bank details.",
        "schema": {"type": "string", "pattern": ID},
        "example": "3f2b7c1e-5d4a-4b8f-9a6c-0e1d2c3b4a59",
    }


def _query(name: str, description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": schema,
        "example": example,
    }


def _paging(most: int) -> list[dict[str, Any]]:
    limit = {"type": "integer", "minimum": 1, "maximum": most, "default": 10}
    after = "The id of an object of the list: gives those after it, which are older."
    before = "The id of an object of the list: gives those right before it, which are newer."
    # No examples: an id that is not there is refused.
    return [
        _query("limit", "How many objects to give at most.", limit, 10),
        {"name": "startingAfter", "in": "query", "description": after, "schema": _TEXT},
        {
            "name": "endingBefore",
            "in": "query",
            "description": f"{before} Not with `startingAfter`.",
            "schema": _TEXT,
        },
    ]


def _filter(each: Filter) -> list[dict[str, Any]]:
    match each.kind:
        case Kind.TIME:
            schema = {"type": "string", "pattern": TIMESTAMP}
            return _range(each, schema, "2024-05-01T00:00:00Z", _TIME_COMPARISONS)
        case Kind.NUMBER:
            schema = {"type": "number", "exclusiveMinimum": -_FAR, "exclusiveMaximum": _FAR}
            return _range(each, schema, 20.99, _COMPARISONS)
        case Kind.ANY:
            return [_several(each)]
        case Kind.EQUAL:
            return [_equal(each)]


def _range(
    each: Filter, schema: dict[str, Any], example: Any, comparisons: dict[str, str]
) -> list[dict[str, Any]]:
    return [
        _query(f"{each.name}[{sign}]" if sign else each.name, f"{text}.", schema, example)
        for sign, text in comparisons.items()
    ]


def _several(each: Filter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": _TEXT}
    text = "Any of these."
    if each.most is not None:
        items = {"type": "string", "pattern": r"^[^\x00,]+$"}
        schema = {"type": "array", "items": items, "minItems": 1, "maxItems": each.most}
        text = f"Any of these, {each.most} at most."
    return {
        "name": each.name,
        "in": "query",
        "description": text,
        "style": "form",
        "explode": True,
        "schema": schema,
    }


def _equal(each: Filter) -> dict[str, Any]:
    if each.values:
        values = {"type": "string", "enum": list(each.values)}
        return _query(each.name, "Exactly this, in either case.", values, each.values[0])
    text = "Exactly this, in either case." if each.fold else "Exactly this."
    if " LIKE " in each.sql:
        text = "Exactly this; `*` stands for any text, as in `refund.*`. Not with `types`."
    return {"name": each.name, "in": "query", "description": text, "schema": _TEXT}


def _headers(operation: Operation) -> list[dict[str, Any]]:
    found = [
        _header(
            "digitalriver-version",
            "The API version, in place of the key's.",
            {"type": "string", "enum": list(VERSIONS), "default": VERSIONS[0]},
        ),
        _header(
            "X-Request-Id",
            "Names the request in answer and logs: 1 to 128 visible ASCII characters, or one is"
            " made up.",
            {"type": "string"},
        ),
    ]
    if operation.method == "POST" and not operation.open:
        found.append(
            _header(
                "Idempotency-Key",
                "Makes a retry safe: with the same key and body the stored answer is given.",
                {"type": "string", "pattern": "^[ -~]{1,255}$"},
            )
        )
    if operation.method == "POST" and operation.open and "{token}" not in operation.path:
        text = 'Unix seconds, a comma, and the Base64 HMAC-SHA256 of "<seconds>.<body>".'
        found.append(_header(HEADER, text, {"type": "string"}) | {"required": True})
    return found


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}
