"""Amounts between our minor units and those of a processor that counts otherwise."""

from collections.abc import Mapping

from refundry.domain.money import Currency, find_currency


def processor_units(amount: int, currency: Currency, exponents: Mapping[str, int]) -> int | None:
    """`amount` (our minor units) as the processor counts it; None if that is not a whole number."""
    theirs = exponents.get(currency.code, currency.exponent)
    return _rescaled(amount, currency.exponent, theirs)


def our_units(amount: int, code: str, exponents: Mapping[str, int]) -> int | None:
    """`amount` (the processor's minor units) in ours; None if that is not a whole number.

    A currency that we do not know is left as it is.
    """
    currency = find_currency(code)
    if currency is None:
        return amount
    return _rescaled(amount, exponents.get(currency.code, currency.exponent), currency.exponent)


def _rescaled(amount: int, given: int, wanted: int) -> int | None:
    if wanted >= given:
        return amount * 10 ** (wanted - given)
    whole, rest = divmod(amount, 10 ** (given - wanted))
    return None if rest else whole
