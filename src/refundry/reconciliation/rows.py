"""The rows of a CSV report, their columns found by name, and what may stand in a column."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TextIO

from refundry.domain.money import Currency, find_currency, parse_numeral, to_minor
from refundry.reconciliation.lines import BadReport

# Longer than any reference; what is longer has lost its quotation marks.
_LONGEST_REFERENCE = 200
_MOST_BYTES_OF_A_LINE = 1_000_000
_SHOWN = 60
_SEPARATORS = ",;\t|"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
# As the reports of the four processors write days; what follows a day (a time) is not looked at.
_DAYS = (
    (re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)(?!\d)"), (1, 2, 3)),
    (re.compile(r"(\d\d)/(\d\d)/(\d{4})(?!\d)"), (3, 1, 2)),
)


@dataclass(frozen=True, slots=True)
class Cells:
    """A row as it stands. number: of its last line in the file, from 1."""

    number: int
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Row:
    """A row by the names of its columns, which are compared without case, spaces and points."""

    number: int
    columns: Mapping[str, int]
    values: Sequence[str]

    def find(self, *names: str) -> str | None:
        """What stands in the first of these columns that is there and not empty."""
        for name in names:
            place = self.columns.get(plain(name))
            if place is not None and place < len(self.values):
                text = self.values[place].strip()
                if text:
                    return text
        return None

    def text(self, *names: str) -> str:
        """The same, which has to be there. Raises BadReport."""
        found = self.find(*names)
        if found is None:
            raise self.wrong(names[0], "is empty")
        return found

    def reference(self, *names: str) -> str | None:
        """A reference or other short text. Raises BadReport for what cannot be one."""
        found = self.find(*names)
        if found is not None and (len(found) > _LONGEST_REFERENCE or not found.isprintable()):
            raise self.wrong(names[0], f"{shown(found)} is no reference")
        return found

    def needed(self, *names: str) -> str:
        """A reference that has to be there. Raises BadReport."""
        found = self.reference(*names)
        if found is None:
            raise self.wrong(names[0], "is empty")
        return found

    def currency(self, *names: str) -> Currency:
        """A currency by its code. Raises BadReport."""
        code = self.text(*names)
        found = find_currency(code)
        if found is None:
            raise self.wrong(names[0], f"{shown(code)} is no currency that we know")
        return found

    def decimal(self, name: str) -> Decimal | None:
        """A number with a point, signed or not; None where the column is empty or not there."""
        text = self.find(name)
        if text is None:
            return None
        found = parse_numeral(text.removeprefix("+"))
        if found is None:
            raise self.wrong(name, f"{shown(text)} is no number like 1234.56")
        return found

    def amount(self, name: str, currency: Currency) -> int:
        """An amount in major units without its sign, as minor units. Raises BadReport."""
        found = self.decimal(name)
        if found is None:
            raise self.wrong(name, "is empty")
        return self.minor(name, abs(found), currency)

    def minor(self, name: str, value: Decimal, currency: Currency) -> int:
        """Major units, >= 0, as exact minor units. Raises BadReport."""
        found = to_minor(value, currency)
        if found is None:
            raise self.wrong(name, f"{shown(str(value))} is no amount of {currency.code}")
        return found

    def whole(self, name: str) -> int | None:
        """A whole number >= 0; None where the column is empty or not there. Raises BadReport."""
        text = self.find(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise self.wrong(name, f"{shown(text)} is no whole number")
        return int(text)

    def day(self, *names: str) -> date:
        """A day, with or without a time. Raises BadReport."""
        text = self.text(*names)
        found = read_day(text)
        if found is None:
            raise self.wrong(names[0], f"{shown(text)} is no day like 2026-05-31")
        return found

    def wrong(self, column: str, what: str) -> BadReport:
        """Something is wrong with a column of this row."""
        return BadReport(f"line {self.number}, column '{column}': {what}")


def read_day(text: str) -> date | None:
    """The day that a text begins with: 2026-05-31, 2026/05/31 or 05/31/2026."""
    for pattern, (year, month, day) in _DAYS:
        found = pattern.match(text)
        if found:
            try:
                return datetime(int(found[year]), int(found[month]), int(found[day])).date()
            except ValueError:
                return None
    return None


def read_cells(stream: TextIO) -> Iterator[Cells]:
    """The rows of a file, one by one; empty ones are left out. Raises BadReport.

    The separator is the one of comma, semicolon, tab and bar that the first line has most of.
    """
    number = 0
    reader: Iterator[list[str]] | None = None
    try:
        first = stream.readline(_MOST_BYTES_OF_A_LINE)
        separator = max(_SEPARATORS, key=first.count)
        reader = csv.reader(_lines(first, stream), delimiter=separator, strict=True)
        for values in reader:
            number = reader.line_num
            if any(value.strip() for value in values):
                yield Cells(number, values)
    except UnicodeDecodeError as error:
        raise BadReport(f"after line {number}: not UTF-8 ({error.reason})") from error
    except csv.Error as error:
        raise BadReport(f"after line {number}: {error}") from error


def _lines(first: str, stream: TextIO) -> Iterator[str]:
    line = first
    while line:
        if "\0" in line:
            raise csv.Error("this is no text file")
        yield line
        line = stream.readline(_MOST_BYTES_OF_A_LINE)


def named_rows(cells: Iterator[Cells], *needed: str) -> Iterator[Row]:
    """Rows below a line of column names. needed: columns that must be there. Raises BadReport."""
    head = next(cells, None)
    if head is None:
        raise BadReport("the file is empty")
    columns = columns_of(head, *needed)
    for each in cells:
        yield Row(each.number, columns, each.values)


def columns_of(head: Cells, *needed: str) -> dict[str, int]:
    """Where each column stands. needed: columns that must be there. Raises BadReport."""
    columns: dict[str, int] = {}
    for place, name in enumerate(head.values):
        columns.setdefault(plain(name), place)
    missing = [name for name in needed if plain(name) not in columns]
    if missing:
        raise BadReport(f"line {head.number}: there is no column '{missing[0]}'")
    return columns


def plain(name: str) -> str:
    """A column's name as it is compared: `Est. Total Fee` and `est_total_fee` are one."""
    return _NOT_IN_NAMES.sub("", name.lower())


def shown(text: str) -> str:
    """A text of a file as a message may show it."""
    kept = "".join(each if each.isprintable() else "?" for each in text[:_SHOWN])
    return f"'{kept}{'…' if len(text) > _SHOWN else ''}'"
