"""The API reference's tables: parameters, and the fields of bodies and answers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from refundry.http.markup import Html, prose, tag, together
from refundry.http.shapes import NO_NUL, TIMESTAMP

Json = Mapping[str, Any]

# More values than these are folded away.
_FEW = 12
# Longer patterns are for machines.
_SHORT_PATTERN = 32
# Patterns that the type or the introduction says in words.
_SPOKEN = ("", NO_NUL, TIMESTAMP)


class Schemas:
    """The schemas of a document, by reference."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def resolve(self, schema: Json) -> Json:
        """The schema itself, where `schema` only refers to it; what it adds is kept."""
        found: dict[str, Any] = dict(schema)
        while "$ref" in found:
            target: Any = self._document
            for part in str(found.pop("$ref")).removeprefix("#/").split("/"):
                target = target[part]
            found = {**target, **found}
        return found

    def choices(self, schema: Json) -> list[Json]:
        """What a value may be: the alternatives without null, resolved."""
        found = self.resolve(schema)
        if "type" not in found and "anyOf" in found:
            several = [choice for each in found["anyOf"] for choice in self.choices(each)]
            return [each for each in several if each.get("type") != "null"]
        return [found]


def type_name(schemas: Schemas, schema: Json) -> str:
    """A type in words: `number or string`, `array of RefundItem`."""
    names = [_one_name(schemas, each) for each in schemas.choices(schema)]
    return " or ".join(dict.fromkeys(names))


def _one_name(schemas: Schemas, schema: Json) -> str:
    kind = schema.get("type")
    if kind == "array":
        return f"array of {type_name(schemas, schema.get('items', {}))}"
    if kind == "object":
        return schema.get("title", "object")
    if kind == "string":
        timely = schema.get("format") == "date-time" or schema.get("pattern") == TIMESTAMP
        return "time" if timely else "string"
    if kind is None:
        return "string" if "enum" in schema else "any JSON"
    return str(kind)


def limits(schemas: Schemas, schema: Json) -> Html:
    """What a value must keep to, in words."""
    choice = schemas.choices(schema)[0]
    found = [
        *_range(choice, "minimum", "maximum", ""),
        *_range(choice, "minLength", "maxLength", " characters"),
        *_range(choice, "minItems", "maxItems", " elements"),
        *_range(choice, "minProperties", "maxProperties", " keys"),
    ]
    pattern = choice.get("pattern", "")
    if pattern not in _SPOKEN and len(pattern) <= _SHORT_PATTERN:
        found.append(f"pattern `{pattern}`")
    if "default" in choice:
        found.append(f"`{_text(choice['default'])}` by default")
    words = "; ".join(found)
    line = [tag("p", prose(f"{words[0].upper()}{words[1:]}."), class_="limits")] if found else []
    items = schemas.resolve(choice.get("items", {}))
    return together(*line, _values(choice if "enum" in choice else items))


def _range(schema: Json, low: str, high: str, unit: str) -> list[str]:
    """The bounds of a number, or of a size in some unit."""
    least, most = schema.get(low), schema.get(high)
    if least is not None and most is not None:
        return [f"from {_number(least)} to {_number(most)}{unit}"]
    found = [f"at least {_number(least)}{unit}"] if least is not None else []
    found += [f"at most {_number(most)}{unit}"] if most is not None else []
    below = schema.get(f"exclusive{high.capitalize()}")
    if below is not None:
        found.append(f"below {_number(below)}")
    return [", ".join(found)] if found else []


def _number(value: float) -> str:
    """A limit: powers of ten from a million on are written as such."""
    text = f"{value:f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    digits = text.lstrip("-")
    if len(digits) > 6 and digits.startswith("1") and not digits[1:].strip("0"):
        return f"{'-' if value < 0 else ''}10^{len(digits) - 1}"
    return text


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _values(schema: Json) -> Html:
    values: Sequence[object] = schema.get("enum", ())
    listed = together(*(tag("li", tag("code", _text(value))) for value in values))
    if not values:
        return Html("")
    if len(values) <= _FEW:
        return tag("ul", listed, class_="values")
    summary = tag("summary", f"{len(values)} values")
    return tag("details", summary, tag("ul", listed, class_="values"))


def parameter_table(schemas: Schemas, parameters: Sequence[Json], caption: str) -> Html:
    """Parameters of one place. The operators of a range stand in the row of its name."""
    operators: dict[str, list[str]] = {}
    for each in parameters:
        name, bracket, sign = str(each["name"]).partition("[")
        operators.setdefault(name, []).extend([f"{bracket}{sign}"] if bracket else [])
    rows = [
        _parameter_row(schemas, each, operators[each["name"]])
        for each in parameters
        if each["name"] in operators
    ]
    return _table(caption, rows)


def _parameter_row(schemas: Schemas, parameter: Json, operators: list[str]) -> Html:
    kind = type_name(schemas, parameter["schema"])
    mark = _mark(bool(parameter.get("required")), sent=True)
    if operators:
        signs = together(*(together(" ", tag("code", sign)) for sign in operators))
        notes = tag("p", "A range, with", signs)
        return _row(str(parameter["name"]), f"{kind}, range", mark=mark, notes=notes)
    text = tag("p", prose(str(parameter.get("description", ""))))
    notes = together(text, limits(schemas, parameter["schema"]))
    return _row(str(parameter["name"]), kind, mark=mark, notes=notes)


def field_table(
    schemas: Schemas, schema: Json, caption: str, *, sent: bool, path: tuple[str, ...] = ()
) -> Html:
    """The members of an object; objects in it are folded away below their row.

    sent: by a client, so that what must be there is marked; in answers, what may be missing is.
    path: the objects that this one stands in.
    """
    found = schemas.resolve(schema)
    required = found.get("required", [])
    rows: list[Html] = []
    for name, member in found.get("properties", {}).items():
        notes = together(tag("p", prose(_description(schemas, member))), limits(schemas, member))
        kind = type_name(schemas, member)
        mark = _mark(name in required, sent=sent)
        rows.append(_row(name, kind, mark=mark, notes=notes))
        rows += _nested(schemas, name, member, sent=sent, path=path)
    return _table(caption, rows)


def _description(schemas: Schemas, member: Json) -> str:
    """What is said of a member, or else of what it holds."""
    if "description" in member:
        return str(member["description"])
    return str(schemas.choices(member)[0].get("description", ""))


def _nested(
    schemas: Schemas, name: str, member: Json, *, sent: bool, path: tuple[str, ...]
) -> list[Html]:
    for each in schemas.choices(member):
        inner = schemas.choices(each["items"])[0] if each.get("type") == "array" else each
        title = str(inner.get("title", ""))
        if inner.get("properties") and title not in path:
            label = f"{name}[]" if inner is not each else name
            summary = tag("summary", "Fields of ", tag("code", label))
            table = field_table(
                schemas, inner, f"Fields of {label}", sent=sent, path=(*path, title)
            )
            cell = tag("td", tag("details", summary, table), colspan="2")
            return [tag("tr", cell, class_="nested")]
    return []


def _table(caption: str, rows: Sequence[Html]) -> Html:
    head = tag("tr", tag("th", "Name", scope="col"), tag("th", "Meaning", scope="col"))
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", head),
        tag("tbody", *rows),
        class_="fields",
    )


def _mark(required: bool, *, sent: bool) -> Html:
    if sent:
        return tag("span", "required", class_="required") if required else Html("")
    return Html("") if required else tag("span", "if any", class_="type")


def _row(name: str, kind: str, *, mark: Html, notes: Html) -> Html:
    head = tag("th", tag("code", name), tag("span", kind, class_="type"), mark, scope="row")
    return tag("tr", head, tag("td", notes))
