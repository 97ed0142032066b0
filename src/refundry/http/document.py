"""JSON at the border: read without losing a digit, written in the contract's form."""

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn, cast

import msgspec

from refundry.domain.money import major_text
from refundry.errors import BadFields, FieldProblem

MAX_BODY_BYTES = 1 << 20
_MAX_DEPTH = 64

JsonValue = Any
"""None, bool, str, `Numeral`, or a list or dict of these."""


class Numeral:
    """A number as it stood in the document, not yet read: JSON floats would lose digits."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numeral) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def bad_format() -> BadFields:
    """The one answer to a body that is no JSON object in UTF-8."""
    return BadFields(
        [FieldProblem("invalid_format", None, "The format of your request is invalid.")]
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_decoder = json.JSONDecoder(
    parse_float=Numeral, parse_int=Numeral, parse_constant=_no_constant, strict=True
)


def read_object(body: bytes) -> dict[str, JsonValue]:
    """The JSON object in `body`; raises BadFields (`invalid_format`) for anything else."""
    try:
        document = _decoder.decode(body.decode("utf-8"))
        too_deep = (
            body.count(b"[") + body.count(b"{") > _MAX_DEPTH and _depth(document) > _MAX_DEPTH
        )
    except (ValueError, RecursionError) as error:
        raise bad_format() from error
    if not isinstance(document, dict) or too_deep:
        raise bad_format()
    # PostgreSQL's text holds neither NUL nor half a character; only escapes can bring them in.
    if b"\\u" in body and not _storable(document):
        raise bad_format()
    return cast("dict[str, JsonValue]", document)


def _parts(value: JsonValue) -> list[JsonValue]:
    """The members of an object, or the elements of an array."""
    if isinstance(value, dict):
        return list(cast("dict[str, JsonValue]", value).values())
    return cast("list[JsonValue]", value) if isinstance(value, list) else []


def _depth(value: JsonValue) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, _parts(value)), default=0)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable_text(text: str) -> bool:
    """Whether PostgreSQL can keep `text`."""
    return _UNSTORABLE.search(text) is None


def _storable(value: JsonValue) -> bool:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        names = list(cast("dict[str, JsonValue]", value))
        return all(map(storable_text, names)) and all(map(_storable, _parts(value)))
    return all(map(_storable, _parts(value)))


def _encode_other(value: object) -> msgspec.Raw:
    if isinstance(value, Numeral):
        return msgspec.Raw(value.text.encode())
    raise TypeError(type(value))


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)
_sorting_encoder = msgspec.json.Encoder(enc_hook=_encode_other, order="sorted")
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def to_json(value: object) -> bytes:
    """`value` as compact JSON; `Numeral` and `msgspec.Raw` are written as they are."""
    return _encoder.encode(value)


def to_json_text(value: object) -> str:
    """`to_json` as text, for a column."""
    return _encoder.encode(value).decode()


def canonical_json(value: JsonValue) -> bytes:
    """`value` with sorted keys and no white space, for comparing two requests."""
    return _sorting_encoder.encode(value)


def raw_members(text: str) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each as it stands in the text."""
    return {} if text == "{}" else _raw_object.decode(text)


@lru_cache(maxsize=8192)
def money(minor: int, exponent: int) -> msgspec.Raw:
    """An amount on the wire: a JSON number of major units."""
    return msgspec.Raw(major_text(minor, exponent).encode())


def seconds(moment: datetime) -> str:
    """A time of a resource: whole seconds, `Z`."""
    return f"{_to_the_second(moment)}Z"


def milliseconds(moment: datetime) -> str:
    """A time with three digits after the second, `Z`."""
    return f"{_to_the_second(moment)}.{moment.microsecond // 1000:03d}Z"


def microseconds(moment: datetime) -> str:
    """A time of an event: up to six digits after the second, trailing zeros cut, `Z`."""
    text = _to_the_second(moment)
    digits = f"{moment.microsecond:06d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


@lru_cache(maxsize=8192)
def _to_the_second(moment: datetime) -> str:
    """A time in UTC. strftime takes twenty times as long, and each event has the same ones again:
    those of its order."""
    return moment.isoformat(timespec="seconds")[:19]


def ascii_json(text: str) -> str:
    """JSON text with every character above ASCII escaped."""
    return text if text.isascii() else _NON_ASCII.sub(lambda m: json.dumps(m[0])[1:-1], text)


_NON_ASCII = re.compile("[^\x00-\x7f]")


def shown(value: JsonValue) -> str:
    """A value as messages show it: as sent; structures as JSON, cut to 100 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value
    elif isinstance(value, Numeral):
        text = value.text
    else:
        text = to_json_text(value)[:100]
    return _CARD_NUMBER.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    """A card number but for its last four digits; other long numbers as they are."""
    digits = [int(digit) for digit in found[0] if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    if (sum(digits[-1::-2]) + sum(doubled)) % 10:
        return found[0]
    return "*" * (len(found[0]) - 4) + found[0][-4:]


# What may be a card number is not repeated in a message, which is stored and logged by others.
_CARD_NUMBER = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])", re.ASCII)
