"""Files for spreadsheets: what is text stays text."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from refundry.portal.csv_export import csv_lines


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_text_becomes_a_formula(first: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_lines([[f"{first}1+1", "a"]]).decode(), newline=""))
    assert row == [f"'{first}1+1", "a"]


def test_numbers_and_times_stay_what_they_are() -> None:
    at = datetime(2024, 5, 1, 10, 20, 5, tzinfo=UTC)
    cells = [-3, Decimal("-10.00"), Decimal("1E+3"), at, None]
    assert csv_lines([cells]) == b"-3,-10.00,1000,2024-05-01T10:20:05Z,\r\n"


def test_signs_of_the_format_in_a_text_survive() -> None:
    cells = ['a "b", c\r\nd', "ü", "a=b"]
    (row,) = csv.reader(io.StringIO(csv_lines([cells]).decode(), newline=""))
    assert row == cells
