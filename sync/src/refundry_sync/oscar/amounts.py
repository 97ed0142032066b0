"""How an amount is written."""

from decimal import Decimal

from refundry_sync.oscar.mapping import WHOLE_CURRENCIES


def plain(amount: Decimal, currency: str) -> str:
    """With the digits of the currency's minor unit: `27.10`, `3301`; three where there are."""
    exponent = amount.normalize().as_tuple().exponent
    digits = max(0 if currency in WHOLE_CURRENCIES else 2, -int(exponent))
    return f"{amount:.{digits}f}"
