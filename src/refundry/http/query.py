"""Query strings: pages, filters and their operators."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from fnmatch import fnmatchcase
from glob import escape
from typing import Any
from urllib.parse import parse_qsl

from refundry.db.listing import Bound, Condition, Page
from refundry.domain.money import parse_numeral
from refundry.errors import BadFields, FieldProblem
from refundry.http.document import storable_text
from refundry.http.fields import parse_timestamp

_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_MOST_VALUES = 1000
# LIKE's own signs in the argument are taken literally; only * is a wildcard.
WILDCARD = (
    r"LIKE replace(replace(replace(replace({}::text, '\', '\\'), '_', '\_'),"
    r" '%', '\%'), '*', '%')"
)
"""What follows an expression that is compared with a pattern of event types."""

_BRACKETS = re.compile(r"(?P<name>[^\[\]]+)\[(?P<op>[^\[\]]*)\]")


class Kind(Enum):
    """How a filter compares."""

    EQUAL = "equality"
    ANY = "multi-value"
    TIME = "time range"
    NUMBER = "number range"


@dataclass(frozen=True, slots=True)
class Filter:
    """A documented filter. sql: the expression it compares, or a whole condition with `{}`.

    values: what an enum filter takes; fold: compare without case. wild: every value that a row can
    have, where `*` in the argument is a wildcard. most: how many values a multi-value filter takes;
    spread: read each of its values by an index that has them in the order of the list.
    since: of a time, the earlier one that the list is ordered by; its sql takes the sign and the
    argument as `{sign}` and `{{}}`. walk: see Condition.
    """

    name: str
    kind: Kind
    sql: str
    values: tuple[str, ...] = ()
    fold: bool = False
    wild: tuple[str, ...] = ()
    most: int | None = None
    spread: bool = False
    since: Bound | None = None
    walk: bool = False


class Query:
    """The parameters of a request, in their order."""

    def __init__(self, query_string: bytes) -> None:
        text = query_string.decode("utf-8", "replace")
        self.pairs = parse_qsl(text, keep_blank_values=True)

    def one(self, name: str) -> str | None:
        """The last value of a parameter; None if it was not sent."""
        found = [value for key, value in self.pairs if key == name]
        if found and not storable_text(found[-1]):
            raise invalid(name, found[-1].replace("\x00", ""))
        return found[-1] if found else None

    def flag(self, name: str) -> bool:
        """Whether a parameter is `true`."""
        return (self.one(name) or "").lower() == "true"


def invalid(parameter: str, value: str, message: str | None = None) -> BadFields:
    """The one answer to a bad parameter."""
    text = message or f"'{value}' is not a valid {parameter}."
    return BadFields([FieldProblem("invalid_parameter", parameter, text)])


def read_page(query: Query, *, most: int = 100, default: int = 10) -> Page:
    """limit, startingAfter and endingBefore. Raises BadFields."""
    limit = default
    sent = query.one("limit")
    if sent is not None:
        if not re.fullmatch(r"\d{1,9}", sent, re.ASCII) or not 1 <= int(sent) <= most:
            raise invalid("limit", sent)
        limit = int(sent)
    after, before = query.one("startingAfter"), query.one("endingBefore")
    if after is not None and before is not None:
        message = "Only one of startingAfter and endingBefore may be provided."
        raise invalid("endingBefore", before, message)
    return Page(limit, after, before)


def refuse_type_with_types(query: Query) -> None:
    """Of two filters that exclude each other only one may be sent. Raises BadFields."""
    named = {key.split("[")[0] for key, _ in query.pairs}
    if {"type", "types"} <= named:
        raise invalid("types", "", "Only one of type and types may be provided.")


def bad_cursor(page: Page) -> BadFields:
    """The answer to a cursor that names no object of the list."""
    if page.after is not None:
        return invalid("startingAfter", page.after)
    return invalid("endingBefore", page.before or "")


def read_filters(query: Query, filters: Sequence[Filter]) -> list[Condition]:
    """The conditions that the request's parameters ask for; unknown parameters are ignored.

    Where a parameter comes twice with the same operator the last one counts: a query cannot be
    made to grow without end.
    """
    by_name = {each.name: each for each in filters}
    several = [each for each in filters if each.kind is Kind.ANY]
    many: dict[str, list[str]] = {}
    conditions: dict[tuple[str, str], Condition] = {}
    for key, value in query.pairs:
        match = _BRACKETS.fullmatch(key)
        name, operator = (match["name"], match["op"]) if match else (key, None)
        if name.isdecimal() and name.isascii() and [each.name for each in several] == ["ids"]:
            name, operator = "ids", ""  # 0=a&1=b, as the PHP client writes an array.
        each = by_name.get(name)
        if each is None:
            continue
        if not storable_text(value):
            raise invalid(name, value.replace("\x00", ""))
        if each.kind is Kind.ANY:
            many.setdefault(name, []).extend(part for part in value.split(",") if part)
        else:
            conditions[name, operator or "eq"] = _condition(each, operator, value)
    return [*conditions.values(), *(_any_of(by_name[name], many[name]) for name in many)]


def _any_of(each: Filter, values: list[str]) -> Condition:
    if not (1 if each.most else 0) <= len(values) <= (each.most or _MOST_VALUES):
        raise invalid(each.name, ",".join(values))
    return _among(each, list(dict.fromkeys(values)), spread=each.spread)


def _among(each: Filter, values: list[str], *, spread: bool) -> Condition:
    sql = each.sql if "{" in each.sql else f"{each.sql} = ANY ({{}}::text[])"
    return Condition(sql, values, each=each.sql if spread else None)


def _condition(each: Filter, operator: str | None, value: str) -> Condition:
    sign = _OPERATORS.get("eq" if operator is None else operator)
    if sign is None or (each.kind is Kind.EQUAL and sign != "="):
        raise invalid(each.name, "", f"'{operator}' is not a valid {each.name} operator.")
    if each.kind is Kind.EQUAL:
        return _equality(each, value)
    argument: Any
    if each.kind is Kind.TIME:
        argument = parse_timestamp(value)
        if argument is None:
            raise invalid(each.name, value, f"{value} is not a valid timestamp.")
        sql = f"{each.sql} {sign} {{}}::timestamptz"
        return Condition(sql, argument, bound=_bound(each, sign), walk=each.walk)
    argument = parse_numeral(value)
    if argument is None or abs(argument) >= Decimal(10) ** 18:
        raise invalid(each.name, value)
    return Condition(f"{each.sql} {sign} {{}}::numeric", argument, walk=each.walk)


def _bound(each: Filter, sign: str) -> Bound | None:
    """What a time that is no later than its argument says about the earlier one."""
    if each.since is None or sign not in ("<", "<=", "="):
        return None
    sign = "<=" if sign == "=" else sign
    return replace(each.since, sql=each.since.sql.format(sign=sign))


def _equality(each: Filter, value: str) -> Condition:
    if each.values:
        for known in each.values:
            if known.lower() == value.lower():
                return Condition(f"{each.sql} = {{}}::text", known)
        raise invalid(each.name, value)
    if "{" in each.sql:
        return Condition(each.sql, value)
    if each.wild and "*" in value:
        pattern = "*".join(escape(part) for part in value.split("*"))
        known = [kind for kind in each.wild if fnmatchcase(kind, pattern)]
        return _among(each, known, spread=True)
    if each.fold:
        return Condition(f"lower({each.sql}) = lower({{}}::text)", value)
    return Condition(f"{each.sql} = {{}}::text", value)
