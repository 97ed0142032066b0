"""Money: integer minor units inside, exact decimals at the border, and the currencies we know."""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

# ISO 4217 active codes. Digits after the point are two unless a table below says otherwise.
_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN "
    "BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
    "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP "
    "LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UZS VED VES WST XCD XCG YER ZAR ZMW "
    "ZWG"
)
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"
_CODES = {2: _TWO_DIGITS, 0: _NO_DIGITS, 3: _THREE_DIGITS, 4: _FOUR_DIGITS}
_EXPONENTS = {code: digits for digits, codes in _CODES.items() for code in codes.split()}

# Clients send sums made with binary floats; noise up to this size (major units) is theirs.
_NOISE = Fraction(1, 1_000_000)
_LIMIT = Decimal(10) ** 12

# A plain or JSON number. Of a positive exponent at most two digits: "1e999" must not be expanded;
# the smallest binary floats have three negative ones.
_NUMERAL = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE](?:\+?\d{1,2}|-\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency; `exponent` is the number of digits of its minor unit."""

    code: str
    exponent: int


_CURRENCIES = {code: Currency(code, exponent) for code, exponent in _EXPONENTS.items()}


def find_currency(code: str) -> Currency | None:
    """The currency of an ISO 4217 code in either case; None if we do not know it."""
    return _CURRENCIES.get(code.upper())


def known_currencies() -> list[Currency]:
    """Every currency, by code."""
    return [_CURRENCIES[code] for code in sorted(_CURRENCIES)]


def parse_numeral(text: str) -> Decimal | None:
    """The decimal that a JSON number or a numeric string denotes, exactly; None if it is none."""
    return Decimal(text) if _NUMERAL.fullmatch(text) else None


def to_minor(amount: Decimal, currency: Currency) -> int | None:
    """`amount` (major units) in minor units; None if it does not fit the currency.

    Noise up to 0.000001 is snapped to the nearest minor unit. Bounds: 0 <= amount < 10^12.
    """
    if not 0 <= amount < _LIMIT:
        return None
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -currency.exponent:
        # At most sixteen digits: nothing is rounded, and it takes a tenth of the time.
        return int(amount.scaleb(currency.exponent))
    # Fractions, as Decimal's own arithmetic rounds to the context's precision.
    scale = 10**currency.exponent
    scaled = Fraction(amount) * scale
    nearest = half_up(scaled)
    return nearest if abs(scaled - nearest) <= _NOISE * scale else None


def to_major(minor: int, currency: Currency) -> Decimal:
    """`minor` units as an exact decimal of major units."""
    return Decimal(minor).scaleb(-currency.exponent)


def major_text(minor: int, exponent: int) -> str:
    """`minor` units as the shortest exact decimal with at least one fraction digit: 1350 -> 13.5.

    This is the one form in which money leaves (contract, HTTP conventions, money).
    """
    sign = "-" if minor < 0 else ""
    if exponent == 0:
        return f"{sign}{abs(minor)}.0"
    whole, part = divmod(abs(minor), 10**exponent)
    digits = f"{part:0{exponent}d}".rstrip("0") or "0"
    return f"{sign}{whole}.{digits}"


def decimal_text(value: Decimal) -> str:
    """Any finite decimal in the output form of money: 27 -> 27.0, 1.10 -> 1.1."""
    text = format(value, "f")
    if "." not in text:
        return text + ".0"
    whole, digits = text.split(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"


def half_up(value: Fraction) -> int:
    """The nearest integer; halves away from zero upwards, as every published figure needs it."""
    return half_up_ratio(value.numerator, value.denominator)


def half_up_ratio(numerator: int, denominator: int) -> int:
    """`half_up` of a ratio, without making it a fraction. denominator: > 0."""
    return (2 * numerator + denominator) // (2 * denominator)
