"""A language: its messages, and how money, dates and countries are written in it.

The messages stand in `locales/`, a catalogue for each language but English, which is what the
messages themselves are written in.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import cast

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_time, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import parse_pattern
from babel.support import NullTranslations, Translations

from refundry.domain.money import Currency, to_major

LANGUAGES = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "ja": "日本語",
    "pt": "Português",
}
"""What the pages speak, each by its own name."""

# Regions that CLDR names and that are no countries of ISO 3166.
_NO_COUNTRIES = re.compile("AC|CP|CQ|DG|EA|EU|EZ|IC|QO|TA|UN|XA|XB|XK|ZZ")


def _territories(locale: Locale) -> Mapping[str, str]:
    """The names of regions by their codes; babel does not say of what its data are made."""
    return cast("Mapping[str, str]", locale.territories)


COUNTRIES: tuple[str, ...] = tuple(
    sorted(
        code
        for code in _territories(Locale("en"))
        if re.fullmatch("[A-Z]{2}", code) and not _NO_COUNTRIES.fullmatch(code)
    )
)
"""The countries of ISO 3166, by their codes of two letters."""
_COUNTRY_CODES = frozenset(COUNTRIES)

_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?"
)
_LONGEST_HEADER = 500
_TOUCHING = re.compile(r"(?<=[^\W\d_])(?=\d)")
_FEW_DAYS = 2
# More than any number of weeks or months: what is left is told in days.
_ALWAYS = 10_000.0


def message(text: str) -> str:
    """Marks a text for translation; it is translated where it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Language:
    """One of `LANGUAGES`."""

    code: str
    locale: Locale
    messages: NullTranslations

    def text(self, message: str, **values: str) -> str:
        """A message in this language, its `%(name)s` replaced by `values`."""
        found = str(self.messages.gettext(message))
        return found % values if values else found

    def money(self, minor: int, currency: Currency) -> str:
        """An amount with the currency's sign and all its digits."""
        pattern = parse_pattern(self.locale.currency_formats["standard"].pattern)
        pattern.frac_prec = (currency.exponent, currency.exponent)
        major = to_major(minor, currency)
        text = pattern.apply(major, self.locale, currency=currency.code, currency_digits=False)
        # Where a currency has no sign, its code would touch the figures.
        return _TOUCHING.sub("\xa0", text)

    def day(self, on: date) -> str:
        """A date in full."""
        return format_date(on, "long", locale=self.locale)

    def moment(self, at: datetime) -> str:
        """A time in UTC to the minute."""
        return f"{self.day(at)}, {format_time(at, 'short', locale=self.locale)} UTC"

    def until(self, left: timedelta) -> str:
        """How long from now, in whole days where there are two: `in 29 days`, `in 5 hours`."""
        if left.days < _FEW_DAYS:
            return format_timedelta(left, threshold=1, add_direction=True, locale=self.locale)
        whole = timedelta(days=left.days)
        return format_timedelta(
            whole, granularity="day", threshold=_ALWAYS, add_direction=True, locale=self.locale
        )

    def option(self, label: str) -> str:
        """A choice by its message, or by the code of the country that it stands for."""
        return self.country(label) if label in _COUNTRY_CODES else self.text(label)

    def country(self, code: str) -> str:
        """A country's name."""
        return _territories(self.locale).get(code, code)


@cache
def language(code: str) -> Language:
    """The language with a code of `LANGUAGES`."""
    assert code in LANGUAGES
    return Language(code, Locale(code), _messages(code))


def choose(wanted: str | None, accepted: str | None) -> Language:
    """The language that was chosen, else the best of an `Accept-Language` header, else English.

    wanted: a tag such as `de` or `pt-BR`; one that we do not speak counts as absent.
    """
    for tags in ([wanted] if wanted else [], _tags(accepted or "")):
        code = negotiate_locale(_with_roots(tags), list(LANGUAGES), sep="-")
        if code is not None:
            return language(code)
    return language("en")


def _tags(header: str) -> list[str]:
    """The tags of an `Accept-Language` header, best first; what cannot be read is left out."""
    weighed: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        match = _RANGE.fullmatch(part)
        if match and (weight := float(match[2] or 1)):
            weighed.append((-weight, match[1]))
    return [tag for _, tag in sorted(weighed, key=lambda each: each[0])]


def _with_roots(tags: Sequence[str]) -> list[str]:
    """Each tag and behind it its language alone: `de-AT` is served by `de`."""
    return [each.lower() for tag in tags for each in (tag, tag.partition("-")[0])]


def _messages(code: str) -> NullTranslations:
    if code == "en":
        return NullTranslations()
    name = f"locales/{code}.po"
    text = (resources.files("refundry.languages") / name).read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(text), locale=code))
    compiled.seek(0)
    return Translations(compiled)
