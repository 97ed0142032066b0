"""How shoppers know the ways of paying, and how long money takes on each of them."""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from refundry.domain.charge import BANK_DETAIL_SOURCES
from refundry.domain.refund import Way
from refundry.http.document import raw_members
from refundry.languages.language import Language, message

# Names of their own, the same in every language.
_BRANDS = {
    "payPal": "PayPal",
    "payPalBilling": "PayPal",
    "payPalCredit": "PayPal Credit",
    "applePay": "Apple Pay",
    "googlePay": "Google Pay",
    "alipay": "Alipay",
    "alipayCn": "Alipay",
    "klarnaCredit": "Klarna",
}
_NAMES = {
    "creditCard": message("Card"),
    "customerCredit": message("Store credit"),
    "directDebit": message("Direct debit"),
} | dict.fromkeys(BANK_DETAIL_SOURCES, message("Bank transfer"))
_DIGITS = message("Card ending in %(digits)s")
_AS_PAID = message("The way you paid")

SOURCE_OF_WAY = {Way.BANK_TRANSFER: "bankTransfer", Way.STORE_CREDIT: "customerCredit"}
"""As what source a refund is paid that goes another way; of one paid by hand nobody knows."""

# Working days until the money is there at the latest, as banks and providers commonly say it.
_SLOWEST = 10
_DAYS = {"customerCredit": 0} | dict.fromkeys(_BRANDS, 5) | dict.fromkeys(BANK_DETAIL_SOURCES, 5)
_SATURDAY = 5


def method_name(language: Language, source_type: str, details: str) -> str:
    """A way of paying; details: JSON text of what is shown of the source."""
    digits = _last_digits(raw_members(details).get(source_type))
    if digits:
        return language.text(_DIGITS, digits=digits)
    if source_type in _BRANDS:
        return _BRANDS[source_type]
    return language.text(_NAMES.get(source_type, _AS_PAID))


def arrives_by(source_types: list[str], sent: date) -> date:
    """When money that was sent on a day is there at the latest, by the slowest of the ways."""
    days = max((_DAYS.get(each, _SLOWEST) for each in source_types), default=_SLOWEST)
    day = sent
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < _SATURDAY
    return day


def _last_digits(raw: msgspec.Raw | None) -> str:
    if raw is None or bytes(raw)[:1] != b"{":
        return ""
    members: Mapping[str, msgspec.Raw] = raw_members(bytes(raw).decode())
    value = members.get("lastFourDigits")
    text = bytes(value).decode().strip('"') if value is not None else ""
    return text if len(text) == 4 and text.isascii() and text.isdigit() else ""
