"""Languages: chosen as browsers ask for them, with every message translated whole."""

import re
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from refundry.domain.money import find_currency
from refundry.errors import required
from refundry.languages.language import COUNTRIES, LANGUAGES, choose, language
from tests.support.service import ROOT

TRANSLATED = [code for code in LANGUAGES if code != "en"]
PLACES = re.compile(r"%\(\w+\)s")


def messages() -> set[str]:
    """Every message that the code and the templates show."""
    package = ROOT / "src" / "refundry"
    found: set[str] = set()
    for path in (*package.glob("tokens/*.py"), *package.glob("shopper/*.py")):
        found |= marked("python", path, "message")
    for path in package.glob("shopper/templates/*.html"):
        found |= marked("jinja2.ext:babel_extract", path, "_")
    return found


def marked(method: str, path: Path, keyword: str) -> set[str]:
    return {str(each[1]) for each in extract_from_file(method, path, keywords={keyword: None})}


def catalogue(code: str) -> Catalog:
    path = resources.files("refundry.languages") / f"locales/{code}.po"
    with path.open("rb") as file:
        return read_po(file, locale=code)


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_and_none_is_left_over(code: str) -> None:
    entries = {str(each.id): each for each in catalogue(code) if each.id}
    assert entries.keys() == messages()
    for message, entry in entries.items():
        translation = str(entry.string)
        assert translation.strip(), message
        assert not entry.fuzzy
        assert sorted(PLACES.findall(translation)) == sorted(PLACES.findall(message)), message


def test_there_are_messages() -> None:
    assert len(messages()) > 60


@pytest.mark.parametrize(
    ("wanted", "accepted", "code"),
    [
        (None, None, "en"),
        (None, "", "en"),
        (None, "*", "en"),
        (None, "de-AT,de;q=0.9,en;q=0.5", "de"),
        (None, "nl, pt-BR;q=0.5, fr;q=0.9", "fr"),
        (None, "ja;q=0, es", "es"),
        (None, "x" * 10_000, "en"),
        (None, "de;q=nonsense", "en"),
        ("pt-BR", "de", "pt"),
        ("en-US", "de", "en"),
        ("xx", "de", "de"),
        ("../../etc", "de", "de"),
    ],
)
def test_the_language_of_a_request(wanted: str | None, accepted: str | None, code: str) -> None:
    assert choose(wanted, accepted).code == code


@pytest.mark.parametrize(
    ("code", "currency", "minor", "shown"),
    [
        ("en", "JPY", 3301, "¥3,301"),
        ("de", "EUR", 2975, "29,75\xa0€"),
        ("en", "BHD", 10505, "BHD\xa010.505"),
        ("fr", "USD", 123456, "1\u202f234,56\xa0$US"),
    ],
)
def test_money_has_all_its_digits(code: str, currency: str, minor: int, shown: str) -> None:
    assert language(code).money(minor, required(find_currency(currency))) == shown


def test_times_and_countries() -> None:
    german = language("de")
    assert german.day(date(2024, 5, 31)) == "31. Mai 2024"
    assert german.moment(datetime(2024, 5, 31, 10, 20, tzinfo=UTC)) == "31. Mai 2024, 10:20 UTC"
    assert german.until(timedelta(days=29, hours=23)) == "in 29 Tagen"
    assert language("en").until(timedelta(days=1, hours=1)) == "in 1 day"
    assert language("en").until(timedelta(hours=5)) == "in 5 hours"
    assert german.option("JP") == "Japan"
    assert german.option("Savings account") == "Sparkonto"
    assert len(COUNTRIES) == 249
