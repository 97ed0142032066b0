"""The reference of the client, docs/client.md: python tools/client_reference.py > docs/client.md

Needs refundry_sync; made from its docstrings and signatures.
"""

import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import click
import msgspec

from refundry_sync import errors, models, signature
from refundry_sync.client import AsyncClient, CallReport, Client, filters
from refundry_sync.client.call import Call, Listing
from refundry_sync.client.settings import Options

_WIDTH = 100
# Stands for a blank at which no line ends.
_GLUE = "\x1f"
_SINCE = datetime(2024, 5, 1, tzinfo=UTC)
_ROOTS = ("Part", "Resource", "Struct", "object")
_INTRODUCTION = """\
# The client

`refundry_sync.client` calls the whole API, of Refundry or of any other server that speaks Digital
River's: only the address and the key differ. It is a part of `refundry-sync`, which a shop
installs; it needs nothing of the server. This page is made from its code:
`python tools/client_reference.py > docs/client.md`.

```python
from decimal import Decimal

from refundry_sync.client import Client
from refundry_sync.errors import BadRequest

with Client(URL, KEY) as client:
    order = next(client.orders.list(state="complete"))
    body = {"orderId": order.id, "currency": order.currency, "amount": Decimal("1.50")}
    refund = client.refunds.create(body, idempotency_key="shop-refund-1")
    assert refund.state == "pending"

    try:
        client.refunds.create({**body, "amount": order.total_amount + 1})
    except BadRequest as refused:
        print(refused.problems[0].parameter, refused.problems[0].message)

    for refund in client.refunds.list(order_id=order.id, created_time_gte="2024-05-01"):
        print(refund.id, refund.state, refund.amount, refund.failure_reason)
```

`AsyncClient` is the same for asyncio: methods are awaited, lists read with `async for`.

```python
import asyncio

from refundry_sync.client import AsyncClient


async def failed() -> list[str]:
    async with AsyncClient(URL, KEY) as client:
        return [refund.id async for refund in client.refunds.list(state="failed")]


asyncio.run(failed())
```

## What it does by itself

- **Amounts** are Decimal in both directions; a float in a body is a TypeError. Times have a zone.
- **Bodies** are dicts in the API's own names. **Answers** are frozen objects with names in Python's
  style; `document` is the JSON as it came, with what the model does not know. Fields that a server
  leaves out are None, or zero for amounts that Digital River leaves out while they are zero.
- **Lists** are iterators that ask for each page when they reach it. With `ending_before` they go
  from that object towards the newest, oldest first: all that has come since.
- **Every POST has an idempotency key**, given or made, and every attempt of it the same. An attempt
  is repeated after a 5xx, a 408, a 429, and where no answer came; with growing pauses and jitter,
  never sooner than `Retry-After` says. If that is more than 300 seconds, the error comes at once
  and carries it. A 409 `idempotency_key_in_use` is waited out. A DELETE that is answered with 404
  when it is repeated has worked.
- **A server that does not know `Idempotency-Key`** would carry a repeated POST out twice. For one,
  `repeat_posts=False` repeats a POST only where nothing had been done: after a 429, or without a
  connection.
- **Time-outs** hold for each attempt: for connecting, for each wait, and for the answer as a whole.
  An answer of more than 64 MiB is not read to its end.
- **Secrets** are masked in what `on_call` is given, and no object shows them in its `repr`. (The
  logger `httpx` writes addresses as they are, at level INFO: those of refund tokens are secret.)
"""

_HOOK = """\
## Logging

`on_call` is given a `CallReport` after each attempt. Keys, passwords, tokens, card numbers and bank
details are masked in it. What the hook raises is logged, and does not disturb the call.

```python
import logging

from refundry_sync.client import CallReport, Client


def log(report: CallReport) -> None:
    logging.getLogger("shop").info(
        "%s: %s in %.3f s", report.operation, report.status or report.error, report.seconds
    )


with Client(URL, KEY, on_call=log, application="shop/1.4") as client:
    client.webhooks.list()
```
"""

_ERRORS = """\
## Errors

All are below `SyncError`, in `refundry_sync.errors`. The `message` of a problem is for staff.
"""

_RECEIVING = """\
## Signatures and endpoints

`refundry_sync.signature` has the rule of [webhooks](webhooks.md#verify-the-signature).

```python
import time

from refundry_sync.errors import BadSignature
from refundry_sync.signature import sign, verify

tokens = ["6d0f3c2a9b7e4e15a1c84f20d7b35e98"]
header = sign(b"{}", tokens, now=time.time())
verify(header, b"{}", tokens, now=time.time())
try:
    verify(header, b"{ }", tokens, now=time.time())
except BadSignature as bad:
    assert bad.reason == "mismatch"
```

`refundry_sync.receiving` has an endpoint for every kind of web framework. Each is made over one
function, which gets the headers by lower-case name and the raw body, and says what to answer:

```python
from collections.abc import Mapping

from refundry_sync.receiving import Reception, asgi, wsgi


def receive(headers: Mapping[str, str], body: bytes) -> Reception:
    return Reception(202)


application = asgi.endpoint(receive)  # for Starlette, FastAPI, uvicorn ...
application = wsgi.endpoint(receive)  # for Flask, gunicorn ...
```

In Django it is a view: `path("webhooks/digitalriver", django.endpoint(receive))`, with
`refundry_sync.receiving.django`. All take POST alone and bodies to 1 MiB. What `receive` raises
goes up to the framework, whose 500 makes the event come again.
"""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the client. call: one that it could make; what it is given is made up."""

    resource: str
    name: str
    function: Callable[..., Any]
    call: Call[Any]

    @property
    def operation(self) -> str:
        return f"{self.call.method} {self.call.template}"

    @property
    def filters(self) -> list[str]:
        """The filters of a list, as arguments."""
        parameters = inspect.signature(self.function).parameters.values()
        packed = [each for each in parameters if each.kind is inspect.Parameter.VAR_KEYWORD]
        if not packed:
            return []
        (unpacked,) = typing.get_args(typing.get_type_hints(self.function)[packed[0].name])
        return list(typing.get_type_hints(unpacked))


def methods(client: Client | AsyncClient) -> Iterator[Method]:
    """Every method of every resource of a client."""
    for resource, holder in vars(client).items():
        # What is the client's own has no methods of operations.
        named = cast("dict[str, Callable[..., Any]]", {} if resource[0] == "_" else vars(holder))
        for name, method in named.items():
            function = inspect.unwrap(method)
            made: Call[Any] | Listing[Any] = function(**_made_up(function))
            call = cast("Call[Any]", made if isinstance(made, Call) else made.first)
            yield Method(resource, name, function, call)


def client_reference() -> str:
    """The page, in Markdown."""
    with Client("https://refunds.shop.example", "") as client:
        found = list(methods(client))
    parts = [
        _INTRODUCTION, _options(), _methods(found), _filters(found), _HOOK, _report(), _ERRORS,
        _errors(), _RECEIVING, _functions(), *_models(),
    ]  # fmt: skip
    return "\n".join(part.rstrip("\n") + "\n" for part in parts).rstrip("\n")


def _made_up(function: Callable[..., Any]) -> dict[str, Any]:
    """Values for all that a function must be given."""
    values: dict[str, Any] = {"body": {}, "seconds": 0, "now": 0.0, "since": _SINCE}
    needed = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    return {name: values.get(name, name) for name in needed}


def _options() -> str:
    called = _signature("Client", Client.__init__, Options).replace(", attempts", ",\n  attempts")
    heads = ["## Making one", "", f"```text\n{called}\n```", ""]
    return "\n".join([*heads, _prose(Client), "", _prose(Options)])


def _methods(found: list[Method]) -> str:
    rows = ["## Methods", "", "| Method | Operation | Does |", "|---|---|---|"]
    for each in found:
        called = _signature(f"{each.resource}.{each.name}", each.function, None)
        does = " ".join((each.function.__doc__ or "").split())
        rows.append(f"| `{called}` | `{each.operation}` | {does} |")
    return "\n".join(rows)


def _filters(found: list[Method]) -> str:
    """The filters of each list; of a range only its name, with `[...]` for the operators."""
    head = """\
## Filters

Of the ones marked … there are five: with `_gt`, `_gte`, `_lt` or `_lte` at the end, or plain for
equality. Times are datetime with a zone, date, or a text in the API's own form; numbers Decimal or
int; those of several values any collection of texts.
"""
    rows = [head, "| List | Filters |", "|---|---|"]
    for each in found:
        names = each.filters
        if names:
            ranges = {name.removesuffix("_gte") for name in names if name.endswith("_gte")}
            shown = [f"`{name}`" + ("…" if name in ranges else "") for name in names if plain(name)]
            rows.append(f"| `{each.resource}.{each.name}` | {', '.join(shown)} |")
    return "\n".join([*rows, "", _prose(filters.Paging)])


def plain(name: str) -> bool:
    """Whether an argument is not one of a range with its operator."""
    return re.search(r"_(gt|lt)e?$", name) is None


def _report() -> str:
    return _of_class(CallReport, _fields(CallReport.__annotations__))


def _errors() -> str:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    own = [each for each in kinds if each.__module__ == errors.__name__]
    rows = ["| Error | When |", "|---|---|"]
    for each in own:
        base = "" if each.__base__ in (object, Exception, None) else f" ({each.__base__.__name__})"
        rows.append(f"| `{each.__name__}`{base} | {' '.join((each.__doc__ or '').split())} |")
    return "\n".join(rows)


def _functions() -> str:
    return "\n\n".join(
        f"### {each.__name__}\n\n`{_signature(each.__name__, each, None)}`\n\n{_prose(each)}"
        for each in (signature.verify, signature.sign)
    )


def _models() -> Iterator[str]:
    yield "## Models\n\nIn `refundry_sync.models`; amounts are in major units."
    for name in models.__all__:
        kind = getattr(models, name)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and name not in _ROOTS:
            yield _of_class(kind, _fields(_own_annotations(kind)))


def _own_annotations(kind: type) -> dict[str, Any]:
    """Those of a model without `document`, which every resource has."""
    bases = [base for base in reversed(kind.__mro__) if base.__name__ not in _ROOTS]
    found: dict[str, Any] = {}
    for base in bases:
        found |= inspect.get_annotations(base)
    return {name: each for name, each in found.items() if not name.startswith("__")}


def _fields(annotations: dict[str, Any]) -> str:
    return ", ".join(
        f"`{name}: {_type_name(kind)}`".replace(" ", _GLUE)
        for name, kind in annotations.items()
        if not name.startswith("_")
    )


def _of_class(kind: type, fields: str) -> str:
    return f"### {kind.__name__}\n\n{_prose(kind)}\n\n" + _wrapped(fields)


def _type_name(kind: Any) -> str:
    text = kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text)
    return text.replace("dict[str, Any]", "dict")


def _signature(name: str, function: Callable[..., Any], packed: type | None) -> str:
    """As it is called: without types, filters as `...`; packed: whose names stand for options."""
    shown: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            options: list[str] = list(typing.get_type_hints(packed)) if packed else []
            shown += [f"{option}=" for option in options] or ["..."]
        elif parameter.default is parameter.empty:
            shown.append(parameter.name)
        else:
            shown.append(f"{parameter.name}={parameter.default!r}")
    return f"{name}({', '.join(shown)})"


def _prose(documented: Any) -> str:
    """A docstring as paragraphs of the page's width."""
    paragraphs = (inspect.getdoc(documented) or "").split("\n\n")
    return "\n\n".join(_wrapped(" ".join(each.split())) for each in paragraphs)


def _wrapped(text: str) -> str:
    filled = textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return filled.replace(_GLUE, " ")


if __name__ == "__main__":
    click.echo(client_reference())
