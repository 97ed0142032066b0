"""The OpenAPI document of the service, made from the table of its operations."""

import inspect
from collections.abc import Sequence
from typing import Any

from refundry.http.call import Operation
from refundry.http.openapi_answers import HEADERS, RESPONSES, answers
from refundry.http.openapi_links import links
from refundry.http.openapi_parameters import parameters
from refundry.http.openapi_schemas import ERROR, reference_to, schemas, subject_of

_DESCRIPTION = """\
Refunds for orders that were paid elsewhere: take an order in, fulfil it, refund it, and follow
what the payment processor makes of it.

**Keys.** Every operation but the processors' wants `Authorization: Bearer <key>`. The key fixes
account and mode: a test key (`sk_test_...`) never moves real money. A restricted key needs Read for
GET and for previews, and Write for everything else, on the resource.

**Bodies** are JSON objects in UTF-8 of at most 1 MiB, nested at most 64 deep, without NUL
characters. A member that is null counts as absent, except inside `metadata`. Numbers may be sent as
strings; enumerated values in either case. Unknown members are refused, but ignored for orders.

**Money** is in major units of its currency, exact to its minor unit: a JSON number such as `13.51`.
**Times** are ISO-8601 in UTC with `Z`; in queries also a date alone.

**Lists** come newest first, `limit` at a time: `hasMore` tells whether `startingAfter` the last id
gives more. Range filters take an operator in brackets, as `createdTime[gte]=2024-05-01`; several
are combined. A filter for several values takes `ids=a&ids=b`, `ids=a,b` and `ids[]=a`. Unknown
parameters are ignored.

**Safe retries.** A POST with an `Idempotency-Key` is carried out once: for 24 hours the same
request gets the stored answer, marked `Idempotent-Replayed: true`. After a 5xx or a 429 it is
carried out afresh.

**Limits.** 250 requests per second for a live key, 25 for a test key, unless the server says
otherwise; beyond them comes a 429 with `Retry-After`.

**Errors** have a `type` by status and at least one element with a `message`, most with a `code` and
the `parameter` in question. A body's bad fields are all reported at once; a rule's refusal alone. A
path without an operation is a 404, another method a 405 with `Allow`.
"""

_TAGS = {
    "Orders": "What was bought and how it is paid, taken in from the shop.",
    "Charges": "The money taken from a payment source, with its captures, cancels and refunds.",
    "Sources": "The means of payment of an order.",
    "Fulfillments": "Units shipped or given up: what captures and cancels follow from.",
    "Refunds": "Money on its way back to a shopper.",
    "Returns": "Goods on their way back, and the refunds that they bring.",
    "Disputes": "The bank's case on a charge, and what it takes if the case is lost.",
    "Sales transactions": "What chargebacks took, line by line.",
    "Events": "Every change, as it was when it was made; kept for 90 days at least.",
    "Webhooks": "Addresses that are told of events, and how that went.",
    "Bank details": "What a shopper gives so that a refund can be paid to a bank account.",
    "Processors": "What payment processors tell by themselves.",
    "Sandbox": "Helps for test mode.",
}

_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key: `sk_` or `rk_`, `test_` or `live_`, and 32 hexadecimal digits.",
}


def openapi_document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The document, OpenAPI 3.1; version: of the service."""
    shown = [operation for operation in operations if operation.documented]
    components = schemas(shown)
    tags = list(dict.fromkeys(operation.tag for operation in shown))
    named = {_operation_id(operation): operation for operation in shown}
    paths: dict[str, dict[str, Any]] = {}
    for name, operation in named.items():
        path = paths.setdefault(operation.path, {})
        described = path[operation.method.lower()] = _operation(name, operation, components)
        if found := links(operation, named):
            described["responses"][str(operation.status)]["links"] = found
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Refundry API",
            "version": version,
            "summary": "A self-hosted refund system.",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/", "description": "This service"}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag, "description": _TAGS.get(tag, "")} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": components | {"Error": ERROR},
            "responses": RESPONSES,
            "headers": HEADERS,
            "securitySchemes": {"bearer": _KEY},
        },
    }


def _operation(name: str, operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "description": operation.description or inspect.getdoc(operation.handler) or "",
        "tags": [operation.tag],
        "parameters": parameters(operation),
    }
    if operation.open:
        described["security"] = []
    if operation.body is not None:
        described["requestBody"] = _body(operation)
    described["responses"] = answers(operation, components)
    return described


def _operation_id(operation: Operation) -> str:
    """listOrders, createOrder, getOrder, updateOrder, deleteOrder; else after the handler."""
    noun: str = subject_of(operation).__name__
    if operation.paged:
        return f"list{operation.answer.__name__.removesuffix('List')}s"
    if operation.method == "GET":
        return f"get{noun}" if operation.path.endswith("}") else f"list{noun}s"
    if operation.method == "DELETE":
        return f"delete{noun}"
    if operation.status == 201:
        return f"create{operation.answer.__name__}"
    if "{id}" in operation.path and operation.subject is None:
        return f"update{noun}"
    first, *rest = operation.handler.__name__.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _body(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": reference_to(operation.body)}
    example = operation.example or getattr(operation.body, "EXAMPLE", None)
    if example is not None:
        content["example"] = example
    return {"required": True, "content": {"application/json": content}}
