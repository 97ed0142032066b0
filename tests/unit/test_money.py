import time
from decimal import Decimal
from fractions import Fraction

import pytest

from refundry.domain.money import (
    decimal_text,
    find_currency,
    half_up,
    known_currencies,
    major_text,
    parse_numeral,
    to_major,
    to_minor,
)
from tests.unit.given import currency

NO_NUMERALS = """
    1e999 1e+100 1e-1000 NaN nan sNaN Infinity -Infinity inf 1_0 +1 .5 5. 1.e2 0x10 1,5 -- -
    1e 1e+ 1.2.3 ١٢ １２ ² ½ 1٫5 1‐2
"""


@pytest.mark.parametrize(
    ("codes", "exponent"),
    [
        ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", 0),
        ("USD EUR GBP CHF HUF MGA MRU", 2),
        ("BHD IQD JOD KWD LYD OMR TND", 3),
        ("CLF UYW", 4),
    ],
)
def test_currencies_have_their_digits(codes: str, exponent: int) -> None:
    assert {currency(code).exponent for code in codes.split()} == {exponent}


def test_currency_codes_are_found_in_either_case_and_no_others() -> None:
    assert find_currency("usd") == find_currency("USD") == currency("USD")
    for code in ("", "US", "USDX", "XXX", "U$D", "USD ", "ＵＳＤ"):
        assert find_currency(code) is None


def test_currencies_are_listed_once_by_code() -> None:
    codes = [each.code for each in known_currencies()]
    assert codes == sorted(set(codes))
    assert all(len(code) == 3 and code.isupper() for code in codes)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("27.01", "27.01"),
        ("-5", "-5"),
        ("2.0000", "2"),
        ("1e3", "1000"),
        ("1E-2", "0.01"),
        ("2.5e+1", "25"),
        ("5e-324", "5e-324"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("9" * 40 + "." + "9" * 40, "9" * 40 + "." + "9" * 40),
    ],
)
def test_numerals_are_read_exactly(text: str, value: str) -> None:
    assert parse_numeral(text) == Decimal(value)


@pytest.mark.parametrize("text", NO_NUMERALS.split())
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert parse_numeral(text) is None


@pytest.mark.parametrize("text", ["", " ", " 10 ", "10\n", "\t10", "1 0", "10\x00", "1" * 41])
def test_space_around_a_number_and_too_many_digits_make_it_none(text: str) -> None:
    assert parse_numeral(text) is None


@pytest.mark.parametrize("text", ["1" * 10**7, "0." + "1" * 10**7, "1e" + "1" * 10**7])
def test_ten_megabytes_of_digits_are_refused_at_once(text: str) -> None:
    started = time.perf_counter()
    assert parse_numeral(text) is None
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    ("text", "code", "minor"),
    [
        ("27.01", "USD", 2701),
        ("27", "USD", 2700),
        ("33.0", "JPY", 33),
        ("5.253", "BHD", 5253),
        ("0.0001", "CLF", 1),
        ("0", "USD", 0),
        ("999999999999.99", "USD", 99_999_999_999_999),
        ("53.769999999999996", "USD", 5377),
        ("0.30000000000000004", "USD", 30),
        ("10.000001", "USD", 1000),
        ("9.999999", "USD", 1000),
        ("32.999999", "JPY", 33),
        ("0.000001", "USD", 0),
    ],
)
def test_amounts_come_in_as_minor_units_without_noise(text: str, code: str, minor: int) -> None:
    assert to_minor(Decimal(text), currency(code)) == minor


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("27.011", "USD"),
        ("27.005", "USD"),
        ("10.0000011", "USD"),
        ("9.9999989", "USD"),
        ("33.5", "JPY"),
        ("33.01", "JPY"),
        ("5.2535", "BHD"),
        ("0.00011", "CLF"),
        ("-0.01", "USD"),
        ("-0.0000001", "USD"),
        ("1000000000000", "USD"),
        ("1e99", "JPY"),
    ],
)
def test_amounts_that_do_not_fit_the_currency_are_none(text: str, code: str) -> None:
    assert to_minor(Decimal(text), currency(code)) is None


@pytest.mark.parametrize(
    ("minor", "exponent", "text"),
    [
        (2701, 2, "27.01"),
        (1350, 2, "13.5"),
        (0, 2, "0.0"),
        (0, 0, "0.0"),
        (33, 0, "33.0"),
        (3300, 2, "33.0"),
        (5253, 3, "5.253"),
        (5, 4, "0.0005"),
        (1, 2, "0.01"),
        (-1350, 2, "-13.5"),
        (-1, 2, "-0.01"),
        (-7, 0, "-7.0"),
        (10**16, 2, "100000000000000.0"),
    ],
)
def test_amounts_go_out_in_the_shortest_form_with_a_fraction_digit(
    minor: int, exponent: int, text: str
) -> None:
    assert major_text(minor, exponent) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("27", "27.0"), ("1.10", "1.1"), ("1E+2", "100.0"), ("1E-7", "0.0000001"), ("0.00", "0.0")],
)
def test_any_decimal_has_the_same_form(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


def test_major_units_are_exact() -> None:
    assert to_major(99_999_999_999_999_99, currency("USD")) == Decimal("99999999999999.99")
    assert to_major(3301, currency("JPY")) == Decimal(3301)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (Fraction(27010, 20), 1351),
        (Fraction(1, 2), 1),
        (Fraction(3, 2), 2),
        (Fraction(5, 2), 3),
        (Fraction(49, 100), 0),
        (Fraction(51, 100), 1),
        (Fraction(10**30 + 1, 2), (10**30 + 2) // 2),
        (Fraction(7), 7),
    ],
)
def test_halves_are_rounded_up(value: Fraction, whole: int) -> None:
    assert half_up(value) == whole
