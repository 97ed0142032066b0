"""The answers of an operation in the OpenAPI document: the success, and every error there can be.

Examples are made by the code that answers, so they are its very words.
"""

from typing import Any

import msgspec

from refundry.domain import refusal as no
from refundry.errors import FieldProblem, NotFound
from refundry.http import problems
from refundry.http.answer import Answer
from refundry.http.call import Operation
from refundry.http.openapi_schemas import ONLY_NULL, error_reference, reference_to, subject_of
from refundry.http.query import Kind

Json = dict[str, Any]

_REQUEST_ID = {"$ref": "#/components/headers/X-Request-Id"}
_RETRY_AFTER = {"$ref": "#/components/headers/Retry-After"}
_REPLAYED = {"$ref": "#/components/headers/Idempotent-Replayed"}
_INVALID = "invalid_parameter"
_SUCCESSES = {201: "Created.", 204: "Done; there is nothing to show."}

HEADERS: Json = {
    "X-Request-Id": {
        "description": "As it was sent, or made up.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotent-Replayed": {
        "description": "There if this is the stored answer to an earlier request.",
        "schema": {"type": "string", "const": "true"},
    },
    "Allow": {
        "description": "The methods that the path has.",
        "required": True,
        "schema": {"type": "string"},
        "example": "GET, POST",
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
}


def _error(description: str, *found: Answer, headers: Json | None = None) -> Json:
    """The answer to an error, with an example for each."""
    media: Json = {"schema": error_reference()}
    bodies = [msgspec.json.decode(answer.body) for answer in found]
    if len(bodies) == 1:
        media["example"] = bodies[0]
    else:
        media["examples"] = {
            f"{number}-{body['errors'][0]['code']}": {
                "summary": body["errors"][0]["message"],
                "value": body,
            }
            for number, body in enumerate(bodies, 1)
        }
    return {
        "description": description,
        "headers": {"X-Request-Id": _REQUEST_ID} | (headers or {}),
        "content": {"application/json": media},
    }


_COMMON: dict[int, tuple[str, str, Json]] = {
    401: (
        "Unauthorized",
        "No valid key: missing, malformed, unknown, deleted or past its time.",
        {"WWW-Authenticate": {"$ref": "#/components/headers/WWW-Authenticate"}},
    ),
    403: ("Forbidden", "The key does not permit this operation.", {}),
    405: (
        "MethodNotAllowed",
        "The path has no such method.",
        {"Allow": {"$ref": "#/components/headers/Allow"}},
    ),
    406: ("NotAcceptable", "`Accept` does not allow JSON.", {}),
    408: ("RequestTimeout", "The body did not arrive within 30 seconds.", {}),
    429: (
        "TooManyRequests",
        "The rate limit of the key, or of the token.",
        {"Retry-After": _RETRY_AFTER},
    ),
    500: ("InternalServerError", "A fault of the service; it is logged.", {}),
    503: (
        "ServiceUnavailable",
        "The service has too much in hand, or the database cannot be reached or is too slow."
        " Nothing was done.",
        {"Retry-After": _RETRY_AFTER},
    ),
    504: (
        "GatewayTimeout",
        "The database did not answer. Whether the request took effect is not known: send it again"
        " with the same `Idempotency-Key`, or look first.",
        {},
    ),
}
RESPONSES: Json = {
    name: _error(text, problems.problem(status), headers=headers)
    for status, (name, text, headers) in _COMMON.items()
}


def answers(operation: Operation, components: Json) -> Json:
    """Every answer of an operation, by status."""
    keyed = operation.method == "POST" and not operation.open
    replayed: Json = {"Idempotent-Replayed": _REPLAYED} if keyed else {}
    found: dict[int, Json] = {operation.status: _success(operation, replayed)}
    bad = _bad_requests(operation, components)
    found[400] = _error("The request is wrong.", *bad, headers=replayed)
    statuses = [401, 406, 500, 503]
    if not operation.open:
        statuses += [403, 429]
    if operation.body is not None:
        statuses.append(408)
    if operation.method != "GET":
        statuses.append(504)
    if "{id}" in operation.path:
        noun: str = subject_of(operation).__name__
        missing = problems.not_found(NotFound(noun, _unknown_id(operation)))
        found[404] = _error(f"No such {noun.lower()} in the key's account and mode.", missing,
                            headers=replayed)  # fmt: skip
    if "{token}" in operation.path:
        found |= _of_tokens()
        statuses.append(429)
    if keyed or 409 in operation.refusals:
        found[409] = _error("It conflicts with the state of things.", *_conflicts(operation),
                            headers=replayed)  # fmt: skip
    for status in statuses:
        found[status] = {"$ref": f"#/components/responses/{_COMMON[status][0]}"}
    return {str(status): found[status] for status in sorted(found)}


def _of_tokens() -> dict[int, Json]:
    unknown = FieldProblem("not_found", "token", "Refund token not found.")
    dead = FieldProblem("refund_token_expired", "token", "The refund token is no longer valid.")
    return {
        404: _error("There was never such a token.", problems.problem(404, unknown)),
        410: _error("It was used, or has ended.", problems.problem(410, dead)),
    }


def _unknown_id(operation: Operation) -> str:
    example: Json = getattr(subject_of(operation), "EXAMPLE", {})
    known = str(example.get("id", "x"))
    return known.partition("_")[0] + "_x" if "_" in known else known


def _success(operation: Operation, headers: Json) -> Json:
    found: Json = {
        "description": _SUCCESSES.get(operation.status, "As asked."),
        "headers": {"X-Request-Id": _REQUEST_ID} | headers,
    }
    if operation.answer is None:
        return found
    media: Json = {"schema": reference_to(operation.answer)}
    example = operation.answer_example or getattr(operation.answer, "EXAMPLE", None)
    if example is not None:
        media["example"] = example
    return found | {"content": {"application/json": media}}


def _refusals(operation: Operation) -> list[Answer]:
    """The rules that may refuse the body."""
    refusals: tuple[no.Refusal, ...] = getattr(operation.body, "REFUSALS", ())
    return [problems.refused(refusal) for refusal in refusals]


def _conflicts(operation: Operation) -> list[Answer]:
    keys = () if operation.open else (no.KeyReused(), no.KeyInUse())
    found = [answer for answer in _refusals(operation) if answer.status == 409]
    return found + [problems.refused(refusal) for refusal in keys]


def _bad_requests(operation: Operation, components: Json) -> list[Answer]:
    found = [*_bad_body(operation, components), *_bad_query(operation)]
    version = "'2019-01-01' is not a valid digitalriver-version."
    found.append(FieldProblem(_INVALID, "digitalriver-version", version))
    refused = [answer for answer in _refusals(operation) if answer.status == 400]
    return [problems.problem(400, each) for each in found] + refused


def _bad_body(operation: Operation, components: Json) -> list[FieldProblem]:
    if operation.body is None:
        return []
    found = [
        FieldProblem("invalid_format", None, "The format of your request is invalid."),
    ]
    schema = components[operation.body.__name__]
    for name in schema.get("required", [])[:1]:
        found.append(FieldProblem("missing_parameter", name, "A parameter is missing."))
    if schema.get("additionalProperties") == ONLY_NULL:
        message = "'colour' is an unknown parameter."
        found.append(FieldProblem("unknown_parameter", "colour", message))
    found += getattr(operation.body, "MISTAKES", ())
    return found


def _bad_query(operation: Operation) -> list[FieldProblem]:
    found: list[FieldProblem] = []
    if operation.paged:
        only = "Only one of startingAfter and endingBefore may be provided."
        found = [
            FieldProblem(_INVALID, "limit", f"'{5 * operation.most}' is not a valid limit."),
            FieldProblem(_INVALID, "startingAfter", "'x' is not a valid startingAfter."),
            FieldProblem(_INVALID, "endingBefore", only),
        ]
    for each in operation.filters:
        if each.kind is Kind.TIME and each.name == "createdTime":
            wrong = "'before' is not a valid createdTime operator."
            found += [
                FieldProblem(_INVALID, each.name, "yesterday is not a valid timestamp."),
                FieldProblem(_INVALID, each.name, wrong),
            ]
        if each.kind is Kind.EQUAL and each.name == "state":
            found.append(FieldProblem(_INVALID, "state", "'done' is not a valid state."))
        if each.most is not None:
            both = "Only one of type and types may be provided."
            found.append(FieldProblem(_INVALID, each.name, both))
    return found
