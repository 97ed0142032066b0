"""The event reference, docs/events.md: python -m refundry.event_reference > docs/events.md"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

from refundry.app import documented_operations
from refundry.domain.event_catalogue import EMISSIONS, FLOWS, Flow, Resource
from refundry.http.openapi import openapi_document
from refundry.http.reference_fields import Schemas, type_name
from refundry.settings import Settings
from refundry.webhooks.types import SUBSCRIBABLE

_WIDTH = 100
_INTRODUCTION = """\
# Events

Every change makes an event, in the transaction of the change. Webhooks deliver it
([Receive webhooks](webhooks.md)), `GET /events` lists it for 90 days at least. This page is
made from the code: `python -m refundry.event_reference > docs/events.md`.
"""
_ENVELOPE = """\
## An event

The numbers of `sequence` begin at 1 in each order and leave none out, over all types. A change of
a charge is not always one of its order: `order.charge.cancelled`, say, brings no `order.updated`.
"""
_TYPES = """\
## Types

The resource is what `data.object` holds: as its `GET` would have shown it right after the change.
Types that end in `.updated` have `data.previousAttributes` too.
"""
_FLOWS = """\
## What follows what

In the order of their making, for an order with one card. With several sources the events of
charges come once for each. Deliveries may overtake each other; `sequence` has the order.
"""
_RESOURCES = """\
## Resources

What is marked *if any* is left out where there is nothing to say.
"""
_NEVER = """\
## Accepted, never sent

Webhooks may name these types of the service that was before, so that their definitions load
unchanged. Refundry has nothing that could send them.
"""


def event_reference() -> str:
    """The page, in Markdown."""
    schemas = Schemas(openapi_document(documented_operations(Settings()), version=""))
    roots = [resource.value for resource in Resource]
    names = _reachable(schemas, roots)
    parts = [_INTRODUCTION, _ENVELOPE, _envelope(schemas, names), _TYPES, _types(), _FLOWS]
    parts += [_flows(), _RESOURCES, *_sections(schemas, names), _NEVER, _never()]
    return "\n".join(parts)


def _types() -> str:
    rows = [
        f"| `{kind}` | [{each.resource}](#{each.resource.lower()}) | {each.when} |"
        for kind, each in EMISSIONS.items()
    ]
    return _table("| Type | Resource | When |", rows)


def _flows() -> str:
    return "\n".join(f"- **{_sentence(flow)}" for flow in FLOWS) + "\n"


def _sentence(flow: Flow) -> str:
    types = ", ".join(f"`{kind}`" for kind in flow.types)
    text = f"{flow.name}**: {types}{f'; {flow.note}' if flow.note else ''}"
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _never() -> str:
    words = ", ".join(f"`{name}`" for name in SUBSCRIBABLE if name not in EMISSIONS)
    return textwrap.fill(words, _WIDTH, break_on_hyphens=False)


def _sections(schemas: Schemas, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        told = str(_schema(schemas, name).get("description", ""))
        yield f"### {name}\n\n{textwrap.fill(told, _WIDTH)}\n"
        yield _members(schemas, name, names)


def _members(schemas: Schemas, name: str, linked: Sequence[str]) -> str:
    return _table("| Member | Type | Meaning |", list(_rows(schemas, name, linked)))


def _envelope(schemas: Schemas, linked: Sequence[str]) -> str:
    rows = [*_rows(schemas, "Event", linked), *_rows(schemas, "EventData", linked, "data.")]
    return _table("| Member | Type | Meaning |", rows)


def _rows(schemas: Schemas, name: str, linked: Sequence[str], within: str = "") -> Iterator[str]:
    """A row for each member of an object; types that have a section lead to it."""
    found = _schema(schemas, name)
    for member, schema in found["properties"].items():
        mark = "" if member in found.get("required", []) else ", *if any*"
        kind = re.sub(r"[A-Z]\w+", lambda m: _link(m[0], linked), type_name(schemas, schema))
        yield f"| `{within}{member}` | {kind}{mark} | {_meaning(schemas, schema)} |"


def _link(name: str, linked: Sequence[str]) -> str:
    return f"[{name}](#{name.lower()})" if name in linked else name


def _meaning(schemas: Schemas, schema: Any) -> str:
    """What is said of a member, or else of what it holds, and the values it may have."""
    choice = schemas.choices(schema)[0]
    text = str(schema.get("description", choice.get("description", "")))
    values = ", ".join(f"`{value}`" for value in choice.get("enum", ()))
    return " ".join(part for part in (text, f"One of {values}." if values else "") if part)


def _reachable(schemas: Schemas, roots: Sequence[str]) -> list[str]:
    """The objects that stand in the resources, each once, the resources first."""
    found = list(roots)
    for name in found:  # it grows on the way
        for schema in _schema(schemas, name)["properties"].values():
            for inner in _inner(schemas, schema):
                if inner not in found:
                    found.append(inner)
    return found


def _inner(schemas: Schemas, schema: Any) -> Iterator[str]:
    for choice in schemas.choices(schema):
        if choice.get("type") == "array":
            yield from _inner(schemas, choice.get("items", {}))
        elif choice.get("properties"):
            yield str(choice["title"])


def _schema(schemas: Schemas, name: str) -> Any:
    return schemas.resolve({"$ref": f"#/components/schemas/{name}"})


def _table(head: str, rows: Sequence[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows, ""])


if __name__ == "__main__":
    click.echo(event_reference())
