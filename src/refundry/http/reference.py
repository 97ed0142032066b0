"""The API reference as one HTML page without scripts, made from the OpenAPI document."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refundry.domain.event_catalogue import EMISSIONS
from refundry.http.markup import Html, paragraphs, prose, tag, together
from refundry.http.problems import TYPES
from refundry.http.reference_fields import Schemas
from refundry.http.reference_parts import (
    error_examples,
    error_rows,
    error_table,
    method_badge,
    operation_section,
    tag_anchor,
    tag_section,
)

Json = Mapping[str, Any]

_STYLE = Path(__file__).with_name("static") / "reference.css"
_STATUS = {kind: str(status) for status, kind in TYPES.items()}
_FIRST_STEPS = """\
The examples are for a shell that knows where the service is and a test key of it:
"""


def reference_page(document: dict[str, Any]) -> str:
    """The page for a document of `openapi_document`."""
    title = str(document["info"]["title"])
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="stylesheet", href="/docs/style.css"),
    )
    body = tag(
        "body",
        tag("a", "Skip to the reference", href="#content", class_="skip"),
        _navigation(document),
        tag("main", _introduction(document), *_tags(document), id="content", tabindex="-1"),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def stylesheet() -> bytes:
    """The style of the page, for `/docs/style.css`."""
    return _STYLE.read_bytes()


def _navigation(document: Json) -> Html:
    info = document["info"]
    version = tag("span", str(info["version"]), class_="version")
    home = tag("a", str(info["title"]), " ", version, href="#content", class_="home")
    groups = [
        tag("li", tag("a", name, href=f"#{tag_anchor(name)}"), _links(operations, "links"))
        for name, operations in _by_tag(document).items()
    ]
    return tag("nav", home, tag("ul", *groups), aria_label="Operations")


def _links(operations: list[tuple[str, str, Json]], kind: str) -> Html:
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag(
                    "a",
                    method_badge(method),
                    tag("span", str(operation["summary"])),
                    href=f"#{operation['operationId']}",
                ),
            )
            for _, method, operation in operations
        ),
        class_=kind,
    )


def _introduction(document: Json) -> Html:
    info = document["info"]
    lines = "export REFUNDRY_URL=...\nexport REFUNDRY_KEY=sk_test_..."
    source = tag("a", "OpenAPI document", href="/openapi.json")
    return tag(
        "section",
        tag("h1", str(info["title"])),
        tag("p", str(info.get("summary", "")), class_="lead"),
        paragraphs(str(info["description"])),
        tag("p", "This page is made from the ", source, " of the service."),
        tag("p", _FIRST_STEPS),
        tag("pre", tag("code", lines), tabindex="0", role="group", aria_label="First steps"),
        _common_errors(document),
        _event_types(),
        class_="introduction",
        aria_label="Introduction",
    )


def _common_errors(document: Json) -> Html:
    """The errors that any request may get."""
    schemas = Schemas(document)
    rows: list[Html] = []
    for response in document["components"]["responses"].values():
        (body,) = error_examples(schemas, response)
        rows += error_rows(schemas, _STATUS[body["type"]], response)
    return together(tag("h2", "Errors of any request"), error_table(rows))


def _event_types() -> Html:
    """Every event type that is sent, with what it carries and when."""
    heads = ("Type", "Resource", "When")
    rows = [
        tag("tr", tag("th", tag("code", kind), scope="row"), tag("td", each.resource.value),
            tag("td", prose(each.when)))
        for kind, each in EMISSIONS.items()
    ]  # fmt: skip
    table = tag(
        "table",
        tag("caption", "Event types"),
        tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heads))),
        tag("tbody", *rows),
        class_="errors",
    )
    summary = tag("summary", f"{len(EMISSIONS)} types, what they carry and when they are sent")
    return together(tag("h2", "Event types"), tag("details", summary, table, class_="block"))


def _by_tag(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    """Path, method and operation by tag, in the document's order."""
    found: dict[str, list[tuple[str, str, Json]]] = {t["name"]: [] for t in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append((path, method, operation))
    return found


def _tags(document: Json) -> list[Html]:
    schemas = Schemas(document)
    described = {each["name"]: each.get("description", "") for each in document["tags"]}
    return [
        tag_section(
            name,
            described[name],
            _links(operations, "links contents"),
            [operation_section(schemas, path, method, each) for path, method, each in operations],
        )
        for name, operations in _by_tag(document).items()
    ]
