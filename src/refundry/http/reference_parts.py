"""An operation in the API reference: what it does, its parameters, examples and errors."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from refundry.http.markup import Html, paragraphs, prose, tag, together
from refundry.http.reference_fields import Schemas, field_table, parameter_table

Json = Mapping[str, Any]

_PLACES = (("path", "Path"), ("query", "Query"), ("header", "Headers"))
_ANYWHERE = frozenset({"concurrent_update", "idempotency_key_reused", "idempotency_key_in_use"})
_STATUS_WORDS = {"200": "OK", "201": "Created", "204": "No Content"}


def operation_section(schemas: Schemas, path: str, method: str, operation: Json) -> Html:
    """One operation, under the anchor of its operationId."""
    anchor = str(operation["operationId"])
    title = tag("h3", operation["summary"], id=f"{anchor}-title")
    address = tag("p", method_badge(method), " ", tag("code", path), class_="address")
    description = str(operation.get("description", ""))
    repeats = description.rstrip(".") == operation["summary"]
    about = [] if repeats else [paragraphs(description)]
    if operation.get("security") == []:
        about.append(tag("p", "No key is needed.", class_="limits"))
    words = tag(
        "div",
        *about,
        *_parameters(schemas, operation),
        *_body(schemas, operation),
        _answer(schemas, operation),
        _errors(schemas, operation),
        class_="words",
    )
    return tag(
        "section",
        tag("header", title, address),
        words,
        tag("div", *_examples(schemas, path, method, operation), class_="examples"),
        id=anchor,
        class_="operation",
        aria_labelledby=f"{anchor}-title",
    )


def method_badge(method: str) -> Html:
    """The method, coloured by what it does."""
    return tag("span", method.upper(), class_=f"method {method.lower()}")


def _parameters(schemas: Schemas, operation: Json) -> list[Html]:
    found: list[Html] = []
    for place, title in _PLACES:
        some = [each for each in operation["parameters"] if each["in"] == place]
        if not some:
            continue
        heading = f"{title} parameters" if place != "header" else title
        table = parameter_table(schemas, some, heading)
        if place == "header":
            # They are nearly the same everywhere.
            found.append(tag("details", tag("summary", heading), table, class_="block"))
        else:
            found += [tag("h4", heading), table]
    return found


def _body(schemas: Schemas, operation: Json) -> list[Html]:
    if "requestBody" not in operation:
        return []
    schema = _media(operation["requestBody"])["schema"]
    resolved = schemas.resolve(schema)
    note = tag("p", prose(resolved.get("description", "")))
    return [tag("h4", "Body"), note, field_table(schemas, schema, "Fields of the body", sent=True)]


def _answer(schemas: Schemas, operation: Json) -> Html:
    status, answer = _success(operation)
    if "content" not in answer:
        return tag("p", f"The answer {status} has no body.", class_="limits")
    schema = _media(answer)["schema"]
    array = schema.get("type") == "array"
    shape = schema["items"] if array else schema
    resolved = schemas.resolve(shape)
    title = resolved.get("title", "it")
    whole = f"an array; fields of each {title}" if array else f"fields of {title}"
    summary = tag("summary", f"Answer {status}: {whole}")
    note = tag("p", prose(resolved.get("description", "")))
    table = field_table(schemas, shape, f"Fields of the answer {status}", sent=False)
    return tag("details", summary, note, table, class_="block")


def _errors(schemas: Schemas, operation: Json) -> Html:
    rows: list[Html] = []
    statuses: list[str] = []
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            continue
        statuses.append(status)
        rows += error_rows(schemas, status, response)
    summary = tag("summary", f"Errors: {', '.join(statuses)}")
    return tag("details", summary, error_table(rows), class_="block")


def error_table(rows: Sequence[Html]) -> Html:
    """A table of errors."""
    heads = ("Status", "Code, parameter", "Message")
    head = tag("tr", *(tag("th", each, scope="col") for each in heads))
    return tag(
        "table",
        tag("caption", "Errors"),
        tag("thead", head),
        tag("tbody", *rows),
        class_="errors",
    )


def error_rows(schemas: Schemas, status: str, response: Json) -> list[Html]:
    """A row for each example of an error."""
    rows: list[Html] = []
    for body in error_examples(schemas, response):
        error: Json = body["errors"][0]
        code, parameter = error.get("code"), error.get("parameter")
        rows.append(
            tag(
                "tr",
                tag("th", status, " ", tag("span", body["type"], class_="type"), scope="row"),
                tag("td", *(tag("code", each) for each in (code, parameter) if each)),
                tag("td", error["message"]),
            )
        )
    return rows


def error_examples(schemas: Schemas, response: Json) -> list[Json]:
    """The bodies that stand as examples of an error."""
    media = _media(schemas.resolve(response))
    if "examples" in media:
        return [example["value"] for example in media["examples"].values()]
    return [media["example"]]


def _examples(schemas: Schemas, path: str, method: str, operation: Json) -> list[Html]:
    body = _media(operation["requestBody"]).get("example") if "requestBody" in operation else None
    signed = operation.get("security") == []
    found = [_code("Request", curl(path, method, operation, body, signed=signed))]
    status, answer = _success(operation)
    example = _media(answer).get("example") if "content" in answer else None
    if example is not None:
        words = f"{status} {_STATUS_WORDS.get(status, '')}".strip()
        found.append(_code(f"Answer {words}", json.dumps(example, indent=2)))
    refused = _shown_error(schemas, operation)
    if refused:
        found.append(_code(f"Answer {refused[0]}", json.dumps(refused[1], indent=2)))
    return found


def _shown_error(schemas: Schemas, operation: Json) -> tuple[str, Any] | None:
    """The error that tells most of the operation: none that any operation may give."""
    for status in ("404", "409", "400"):
        if status not in operation["responses"]:
            continue
        own = [
            body
            for body in error_examples(schemas, operation["responses"][status])
            if body["errors"][0].get("code") not in _ANYWHERE
            and body["errors"][0].get("parameter") != "digitalriver-version"
        ]
        if own:
            return status, own[0 if status == "409" else -1]
    return None


def curl(path: str, method: str, operation: Json, body: Any, *, signed: bool) -> str:
    """The request as a line for a shell, where URL and key are variables."""
    for each in operation["parameters"]:
        if each["in"] == "path":
            path = path.replace("{" + each["name"] + "}", str(each["example"]))
    query = "?limit=10" if any(e["name"] == "limit" for e in operation["parameters"]) else ""
    lines = [f'curl "$REFUNDRY_URL{path}{query}"']
    if method in ("patch", "delete"):
        lines.append(f"-X {method.upper()}")
    if signed:
        lines.append('-H "Refundry-Signature: $SIGNATURE"')
    else:
        lines.append('-H "Authorization: Bearer $REFUNDRY_KEY"')
    if method.upper() == "POST" and not signed:
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if body is not None:
        lines.append('-H "Content-Type: application/json"')
        lines.append(f"-d {shlex.quote(json.dumps(body, indent=2))}")
    return " \\\n  ".join(lines)


def _code(title: str, text: str) -> Html:
    pre = tag("pre", tag("code", text), tabindex="0", role="group", aria_label=title)
    return tag("figure", tag("figcaption", title), pre)


def _media(content: Json) -> Json:
    return content["content"]["application/json"]


def _success(operation: Json) -> tuple[str, Json]:
    return next((s, r) for s, r in operation["responses"].items() if s.startswith("2"))


def tag_section(name: str, description: str, links: Html, sections: Sequence[Html]) -> Html:
    """The operations of one tag. links: to them, for where the navigation has no room."""
    anchor = tag_anchor(name)
    return tag(
        "section",
        tag("h2", name, id=f"{anchor}-title"),
        together(*([tag("p", prose(description))] if description else [])),
        links,
        *sections,
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def tag_anchor(name: str) -> str:
    """The anchor of a tag."""
    return f"tag-{name.lower().replace(' ', '-')}"
