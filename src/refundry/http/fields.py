"""Reads the fields of a body one by one and collects everything that is wrong with them."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar, cast

from refundry.domain.money import Currency, parse_numeral, to_minor
from refundry.errors import BadFields, FieldProblem
from refundry.http.document import JsonValue, Numeral, shown, to_json_text

E = TypeVar("E", bound=StrEnum)

_TIMESTAMP = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z)?", re.ASCII)
_PERCENT_MESSAGE = "The value must be between 0.01 and 100.00 inclusive."
_ZERO = ("0.0", "0", "0.00")
MAX_METADATA_KEYS = 50
_MAX_METADATA_KEY = 40
_MAX_METADATA_TEXT = 500


def parse_timestamp(text: str) -> datetime | None:
    """An instant from ISO-8601 in UTC with `Z`, or from a date alone (midnight)."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}")
    except ValueError:
        return None
    return moment.replace(microsecond=int((fraction or "0").ljust(6, "0")[:6]), tzinfo=UTC)


def number_of(value: JsonValue) -> Decimal | None:
    """The decimal in a JSON number or a numeric string; None for everything else."""
    if isinstance(value, Numeral):
        return parse_numeral(value.text)
    if isinstance(value, str) and "e" not in value.lower():
        return parse_numeral(value)
    return None


class Fields:
    """The members of one JSON object. Problems go into a list that all parts of a body share.

    A member that is null counts as absent. Each reader gives None for absent or bad members;
    what is bad is in `problems`.
    """

    def __init__(
        self, members: Mapping[str, JsonValue], problems: list[FieldProblem], path: str = ""
    ) -> None:
        self._members = members
        self._read: set[str] = set()
        self.problems = problems
        self.path = path

    def at(self, name: str) -> str:
        """The path of a member, as errors name it."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether the member was sent and is not null."""
        return self._members.get(name) is not None

    def value(self, name: str) -> JsonValue:
        """The member as it stands; None if absent."""
        self._read.add(name)
        return self._members.get(name)

    def missing(self, name: str) -> None:
        """Report a required member as absent."""
        self.problems.append(
            FieldProblem("missing_parameter", self.at(name), "A parameter is missing.")
        )

    def invalid(self, name: str, value: JsonValue) -> None:
        """Report a member whose value cannot be taken."""
        path = self.at(name)
        self.wrong(name, f"'{shown(value)}' is not a valid {path}.")

    def wrong(self, name: str, message: str) -> None:
        """Report a member with a message of its own."""
        self.problems.append(FieldProblem("invalid_parameter", self.at(name), message))

    def unknown(self) -> None:
        """Report every member that nobody has read; null is the same as absent."""
        for name, value in self._members.items():
            if name not in self._read and value is not None:
                self.unknown_field(self.at(name))

    def unknown_field(self, path: str) -> None:
        """Report one member that must not be sent."""
        self.problems.append(
            FieldProblem("unknown_parameter", path, f"'{path}' is an unknown parameter.")
        )

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        most: int = 255,
        pattern: "re.Pattern[str] | None" = None,
    ) -> str | None:
        """A string of 1 to `most` characters."""
        value = self._present(name, required=required)
        if value is None:
            return None
        fits = isinstance(value, str) and 1 <= len(value) <= most
        if not fits or (pattern and not pattern.fullmatch(value)):
            self.invalid(name, value)
            return None
        return cast(str, value)

    def enum(self, name: str, kind: type[E], allowed: Sequence[E] | frozenset[E] = ()) -> E | None:
        """A member of `kind` (or of `allowed`), matched in any case."""
        value = self._present(name)
        if value is None:
            return None
        for member in allowed or kind:
            if isinstance(value, str) and member.value.lower() == value.lower():
                return member
        self.invalid(name, value)
        return None

    def flag(self, name: str) -> bool | None:
        """A JSON boolean."""
        value = self._present(name)
        if value is not None and not isinstance(value, bool):
            self.invalid(name, value)
            return None
        return value

    def integer(self, name: str, *, least: int, most: int, required: bool = False) -> int | None:
        """A whole number from `least` to `most`; `2.0000` counts as one."""
        value = self._present(name, required=required)
        if value is None:
            return None
        number = number_of(value)
        if number is None or number != number.to_integral_value() or not least <= number <= most:
            self.invalid(name, value)
            return None
        return int(number)

    def decimal(self, name: str, fits: Callable[[Decimal], bool]) -> Decimal | None:
        """A number that `fits`."""
        value = self._present(name)
        if value is None:
            return None
        number = number_of(value)
        if number is None or not fits(number):
            self.invalid(name, value)
            return None
        return number

    def percent(self, name: str) -> Decimal | None:
        """A number from 0.01 to 100."""
        value = self._present(name)
        if value is None:
            return None
        number = number_of(value)
        if number is None:
            self.invalid(name, value)
            return None
        if not Decimal("0.01") <= number <= 100:
            self.wrong(name, _PERCENT_MESSAGE)
            return None
        return number

    def minor(self, name: str, currency: Currency | None, *, required: bool = False) -> int | None:
        """An amount in minor units of `currency`; with an unknown currency only read past."""
        value = self._present(name, required=required)
        if value is None:
            return None
        if currency and isinstance(value, Numeral) and value.text in _ZERO:
            return 0  # as half of the amounts of an order are
        number = number_of(value)
        minor = to_minor(number, currency) if number is not None and currency else None
        if number is None or (currency and minor is None):
            self.invalid(name, value)
        return minor

    def time(self, name: str) -> datetime | None:
        """An instant, kept in whole seconds as resources are."""
        value = self._present(name)
        if value is None:
            return None
        moment = parse_timestamp(value) if isinstance(value, str) else None
        if moment is None:
            self.invalid(name, value)
            return None
        return moment.replace(microsecond=0)

    def object(self, name: str, *, required: bool = False) -> "Fields | None":
        """A JSON object, as fields with their own path."""
        value = self._present(name, required=required)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.invalid(name, value)
            return None
        return Fields(cast("dict[str, JsonValue]", value), self.problems, self.at(name))

    def objects(
        self, name: str, *, most: int, required: bool = False, least: int = 0
    ) -> "list[Fields] | None":
        """An array of `least` to `most` JSON objects, each as fields with its path."""
        value = self._present(name, required=required)
        if value is None:
            return None
        if not isinstance(value, list):
            self.invalid(name, value)
            return None
        items = cast("list[JsonValue]", value)
        if not least <= len(items) <= most:
            self.invalid(name, items)
            return None
        found: list[Fields] = []
        for index, item in enumerate(items):
            path = f"{name}[{index}]"
            if isinstance(item, dict):
                members = cast("dict[str, JsonValue]", item)
                found.append(Fields(members, self.problems, self.at(path)))
            else:
                self.invalid(path, item)
        return found

    def metadata(self, name: str = "metadata") -> dict[str, JsonValue] | None:
        """A flat object of strings, booleans and numbers; a null inside stands for "remove"."""
        value = self._present(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.invalid(name, value)
            return None
        members = cast("dict[str, JsonValue]", value)
        if len(members) > MAX_METADATA_KEYS:
            self.invalid(name, members)
        for key, item in members.items():
            fits_key = 1 <= len(key) <= _MAX_METADATA_KEY
            if not fits_key or not _is_metadata(item):
                self.invalid(f"{name}.{key}", item)
        return members

    def rest(self, *, without: frozenset[str] = frozenset()) -> dict[str, JsonValue]:
        """Every member that was not read and is not null: what is passed through."""
        return {
            name: value
            for name, value in self._members.items()
            if value is not None and name not in self._read and name not in without
        }

    def finish(self) -> None:
        """Raise BadFields if anything was wrong."""
        if self.problems:
            raise BadFields(self.problems)

    def _present(self, name: str, *, required: bool = False) -> JsonValue:
        value = self.value(name)
        if value is None and required:
            self.missing(name)
        return value


def _is_metadata(value: JsonValue) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_METADATA_TEXT
    return value is None or isinstance(value, bool | Numeral)


def metadata_text(members: Mapping[str, JsonValue] | None) -> str | None:
    """Metadata as JSON text without its nulls; None if nothing is left."""
    kept = {key: value for key, value in (members or {}).items() if value is not None}
    return to_json_text(kept) if kept else None
