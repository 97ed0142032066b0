"""The building blocks of the API's schemas: text, numbers, times and metadata as they are taken.

A schema says what the readers of bodies do: what it allows is read, what it forbids is refused.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from msgspec import Meta, UnsetType

T = TypeVar("T")

Sent = T | None | UnsetType
"""An optional member of a body; null counts as absent."""

Shown = T | UnsetType
"""A member of a resource that is left out where it has no value."""

# PostgreSQL's text cannot hold NUL.
NO_NUL = r"^[^\x00]*$"
ID = r"^[A-Za-z0-9_-]{1,64}$"
_DATE = (
    r"(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
TIMESTAMP = rf"^{_DATE}(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,9}})?Z)?$"
_FRACTION = r"(?:\.[0-9]{1,40})?"
# Amounts end before 10^12 major units.
_LIMIT = 10**12
# What lies nearer to zero is taken for zero, as floats' noise.
_SMALLEST = 0.000001


def about(description: str, *examples: Any) -> Meta:
    """What the reference says of a member."""
    return Meta(description=description, examples=list(examples) or None)


def text(most: int = 255, *, least: int = 1) -> Meta:
    """A string of `least` to `most` characters."""
    return Meta(min_length=least, max_length=most, pattern=NO_NUL)


def either(*schemas: Mapping[str, Any]) -> Meta:
    """Any of these JSON schemas, in place of what the Python type says."""
    return Meta(extra_json_schema={"anyOf": list(schemas)})


def whole(least: int, most: int) -> Meta:
    """A whole number from `least` (0 or 1) to `most`, or a string that holds one."""
    some = "(?=.*[1-9])" if least else ""
    pattern = rf"^{some}0{{0,30}}{_up_to(most)}(?:\.0{{1,40}})?$"
    return either(
        {"type": "integer", "minimum": least, "maximum": most},
        {"type": "string", "pattern": pattern},
    )


def decimal(most: int) -> Meta:
    """A number from 0 to `most`, or a string that holds one."""
    pattern = rf"^0{{0,30}}(?:{_up_to(most - 1)}{_FRACTION}|{most}(?:\.0{{1,40}})?)$"
    return either(
        {"type": "number", "minimum": 0, "maximum": most}, {"type": "string", "pattern": pattern}
    )


def _up_to(most: int) -> str:
    """A pattern for the numerals from 0 to `most` without leading zeros, and for nothing else."""
    digits = str(most)
    parts = [rf"[0-9]{{1,{len(digits) - 1}}}"] if len(digits) > 1 else []
    for index, digit in enumerate(digits):
        low = 1 if index == 0 and len(digits) > 1 else 0
        if int(digit) > low:
            rest = len(digits) - index - 1
            tail = rf"[0-9]{{{rest}}}" if rest else ""
            parts.append(f"{digits[:index]}[{low}-{int(digit) - 1}]{tail}")
    return f"(?:{'|'.join([*parts, digits])})"


def given(name: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The rule that a member is there and not null; schema: what more it must be."""
    return {"required": [name], "properties": {name: schema or {"not": {"type": "null"}}}}


def above_zero(name: str) -> dict[str, Any]:
    """The rule that a member is there, and neither null nor 0."""
    zeros: dict[str, Any] = {"type": "string", "pattern": "^[0.]*$"}
    return given(name, {"not": {"anyOf": [{"type": "null"}, {"const": 0}, zeros]}})


Text = Annotated[str, text()]
Id = Annotated[str, Meta(pattern=ID)]
Timestamp = Annotated[str, Meta(pattern=TIMESTAMP)]
Time = Annotated[datetime, Meta(tz=True)]
Made = Annotated[Time, about("When it was made.")]
Money = Annotated[Decimal, Meta(extra_json_schema={"type": "number"})]
Amount = Annotated[
    Decimal,
    either(
        {"type": "number", "minimum": 0, "exclusiveMaximum": _LIMIT},
        {"type": "string", "pattern": rf"^0{{0,20}}[0-9]{{1,12}}{_FRACTION}$"},
    ),
]
PositiveAmount = Annotated[
    Decimal,
    either(
        {"type": "number", "minimum": _SMALLEST, "exclusiveMaximum": _LIMIT},
        {"type": "string", "pattern": rf"^(?=.*[1-9])0{{0,20}}[0-9]{{1,12}}{_FRACTION}$"},
    ),
]
Percent = Annotated[
    Decimal,
    either(
        {"type": "number", "minimum": 0.01, "maximum": 100},
        {
            "type": "string",
            "pattern": (
                rf"^0{{0,30}}(?:[1-9][0-9]?{_FRACTION}|100(?:\.0{{1,40}})?"
                r"|0\.(?:[1-9][0-9]{0,39}|0[1-9][0-9]{0,38}))$"
            ),
        },
    ),
]
_Key = Annotated[str, Meta(min_length=1, max_length=40, pattern=NO_NUL)]
_Value = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
Metadata = Annotated[
    dict[_Key, _Value | bool | float | None],
    Meta(max_length=50, examples=[{"ticket": "CS-881"}]),
]
ShownMetadata = dict[str, str | bool | float]
