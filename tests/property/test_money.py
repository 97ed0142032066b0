"""Money in is money out: every amount survives the way over the wire, in every currency."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.domain.money import (
    Currency,
    decimal_text,
    half_up,
    known_currencies,
    major_text,
    parse_numeral,
    to_major,
    to_minor,
)
from refundry.http.document import Numeral, money, read_object, to_json

bounded = settings(max_examples=300, deadline=None)
currencies = st.sampled_from(known_currencies())
NOISE = Decimal("0.000001")


@st.composite
def amounts(draw: st.DrawFn) -> tuple[int, Currency]:
    """A currency and any amount that it can hold, in minor units."""
    currency = draw(currencies)
    limit = 10 ** (12 + currency.exponent)
    small = st.integers(0, 10 ** (currency.exponent + 1))
    return draw(st.one_of(small, st.integers(0, limit - 1))), currency


@bounded
@given(amounts())
def test_every_amount_goes_out_and_comes_back(amount: tuple[int, Currency]) -> None:
    minor, currency = amount
    body = to_json({"amount": money(minor, currency.exponent)})
    numeral = read_object(body)["amount"]
    assert isinstance(numeral, Numeral)
    value = parse_numeral(numeral.text)
    assert value is not None
    assert value == to_major(minor, currency)
    assert to_minor(value, currency) == minor
    assert to_json({"amount": money(minor, currency.exponent)}) == body


@bounded
@given(amounts())
def test_output_is_the_shortest_exact_decimal_with_a_fraction_digit(
    amount: tuple[int, Currency],
) -> None:
    minor, currency = amount
    text = major_text(minor, currency.exponent)
    whole, _, digits = text.partition(".")
    assert Decimal(text) * 10**currency.exponent == minor
    assert whole == str(int(whole))
    assert 1 <= len(digits) <= max(1, currency.exponent)
    assert len(digits) == 1 or not digits.endswith("0")
    assert decimal_text(Decimal(text)) == text


@bounded
@given(
    st.sampled_from([0, 2, 3, 4]),
    st.lists(st.integers(0, 10**7), min_size=1, max_size=30),
    st.lists(st.integers(0, 10**6), max_size=5),
)
def test_sums_made_with_binary_floats_are_taken_for_what_they_mean(
    exponent: int, added: list[int], taken: list[int]
) -> None:
    scale = 10**exponent
    taken = taken if sum(taken) <= sum(added) else []
    noisy = sum(minor / scale for minor in added)
    for minor in taken:
        noisy -= minor / scale
    value = parse_numeral(repr(abs(noisy)))
    assert value is not None
    assert to_minor(value, Currency("XXX", exponent)) == sum(added) - sum(taken)


@bounded
@given(amounts(), st.decimals("-0.000001", "0.000001", places=12))
def test_noise_up_to_a_millionth_is_snapped(amount: tuple[int, Currency], noise: Decimal) -> None:
    minor, currency = amount
    value = to_major(minor, currency) + noise
    if value >= 0 and value < 10**12:
        assert to_minor(value, currency) == minor


@bounded
@given(amounts(), st.decimals("0.000001000001", "0.000049", places=12), st.booleans())
def test_more_than_noise_is_refused(
    amount: tuple[int, Currency], excess: Decimal, upwards: bool
) -> None:
    # The excess stays under half of the smallest unit, 0.0001, so no multiple is near.
    minor, currency = amount
    value = to_major(minor, currency) + (excess if upwards else -excess)
    assert to_minor(value, currency) is None


@bounded
@given(currencies, st.decimals(allow_nan=False, allow_infinity=False))
def test_what_is_taken_is_near_and_in_bounds(currency: Currency, value: Decimal) -> None:
    minor = to_minor(value, currency)
    if minor is not None:
        assert 0 <= Fraction(value) < 10**12
        assert abs(Fraction(value) - Fraction(minor, 10**currency.exponent)) <= Fraction(NOISE)


@bounded
@given(st.integers(0, 10**15), st.integers(0, 12), st.integers(0, 12))
def test_half_up_is_what_decimal_calls_half_up(numerator: int, twos: int, fives: int) -> None:
    # Denominators of twos and fives only: their quotients are exact decimals.
    denominator = 2**twos * 5**fives
    exact = Decimal(numerator * 5**twos * 2**fives).scaleb(-(twos + fives))
    expected = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert half_up(Fraction(numerator, denominator)) == expected


@bounded
@given(st.fractions(min_value=0, max_value=10**12))
def test_half_up_is_the_nearest_integer_and_the_higher_of_two(value: Fraction) -> None:
    assert -Fraction(1, 2) < half_up(value) - value <= Fraction(1, 2)
