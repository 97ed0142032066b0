"""The schemas of the OpenAPI document: what msgspec says of the Structs, set right."""

from collections.abc import Iterator, Sequence
from typing import Any, cast, get_args, get_origin, get_type_hints

import msgspec

from refundry.http.call import Operation
from refundry.http.problems import TYPES

_PREFIX = "#/components/schemas/"

ONLY_NULL: dict[str, Any] = {"type": "null"}
"""What a body that refuses unknown members lets them be."""

ERROR: dict[str, Any] = {
    "title": "Error",
    "description": "Why a request was not carried out.",
    "type": "object",
    "properties": {
        "type": {"enum": list(TYPES.values()), "description": "By the status of the answer."},
        "errors": {
            "description": "Every bad field of a body, or the one rule that refused.",
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "code": {"type": "string", "examples": ["invalid_parameter"]},
                    "parameter": {
                        "type": "string",
                        "description": "The path of the field, such as `items[0].quantity`.",
                        "examples": ["currency"],
                    },
                    "message": {
                        "type": "string",
                        "examples": ["Currency EUR is not supported."],
                    },
                },
                "required": ["message"],
            },
        },
    },
    "required": ["type", "errors"],
}


def schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    """The schema of every shape that the operations take or give, by name."""
    shapes = [s for operation in operations for s in (operation.body, operation.answer) if s]
    _, components = msgspec.json.schema_components(shapes, ref_template=_PREFIX + "{name}")
    rules = {struct.__name__: getattr(struct, "RULES", {}) for struct in _structs(shapes, set())}
    return {name: _true(schema) | rules.get(name, {}) for name, schema in components.items()}


def reference_to(shape: Any) -> dict[str, Any]:
    """A reference to the schema of a Struct, or an array of what a list holds."""
    if get_origin(shape) is list:
        return {"type": "array", "items": reference_to(get_args(shape)[0])}
    return {"$ref": _PREFIX + shape.__name__}


def subject_of(operation: Operation) -> Any:
    """The Struct that an operation is about: whose id stands in its path, if one does."""
    shape = operation.subject or operation.answer
    return get_args(shape)[0] if get_origin(shape) is list else shape


def error_reference() -> dict[str, str]:
    """A reference to the schema of errors."""
    return {"$ref": _PREFIX + "Error"}


def _structs(hints: Sequence[Any], seen: set[type]) -> Iterator[type]:
    """The Structs in type hints, and in their members."""
    for hint in hints:
        yield from _structs(get_args(hint), seen)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in seen:
            seen.add(hint)
            yield hint
            yield from _structs(list(get_type_hints(hint).values()), seen)


def _true(schema: Any) -> Any:
    """The schema with what msgspec cannot know: a Decimal is a number, `anyOf` has the last word,
    an unknown member that is null counts as absent.

    `shapes.either` puts an `anyOf` beside the type that a member has in Python.
    """
    if isinstance(schema, list):
        return [_true(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    members = {name: _true(value) for name, value in cast("dict[str, Any]", schema).items()}
    if members.get("format") == "decimal":
        del members["format"]
        members["type"] = "number"
    if isinstance(members.get("anyOf"), list):
        members.pop("type", None)
        members["anyOf"] = [each for choice in members["anyOf"] for each in _choices(choice)]
    if members.get("additionalProperties") is False:
        members["additionalProperties"] = ONLY_NULL
    if members.get("required") == []:
        del members["required"]
    return members


def _choices(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a nested `anyOf` in its place."""
    return choice["anyOf"] if choice.keys() == {"anyOf"} else [choice]
