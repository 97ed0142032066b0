"""The OpenAPI document under test, and validators made of its schemas."""

from typing import Any

import jsonschema_rs

from refundry.app import documented_operations
from refundry.http.openapi import openapi_document
from refundry.settings import Settings

OPERATIONS = documented_operations(Settings(test_clock=True))
DOCUMENT = openapi_document(OPERATIONS, version="9.9.9")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def described() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    return [
        (path, method, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ]


def media(content: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a body or an answer, references resolved."""
    while "$ref" in content:
        name = str(content["$ref"]).rpartition("/")[2]
        content = DOCUMENT["components"]["responses"][name]
    return content["content"]["application/json"]


def success(operation: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON of an operation's success; None if it has no body."""
    found = {status: each for status, each in operation["responses"].items() if status[0] == "2"}
    assert len(found) == 1
    if "204" in found:
        assert "content" not in found["204"]
        return None
    return media(*found.values())


def problems_of(value: object, schema: dict[str, Any]) -> list[str]:
    """What a schema of the document finds wrong with a value."""
    whole = {**schema, "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


EXAMPLES: dict[str, dict[str, Any]] = {
    path: media(operation["requestBody"])["example"]
    for path, method, operation in described()
    if method == "post"
}
"""The example body of every POST, by path."""
