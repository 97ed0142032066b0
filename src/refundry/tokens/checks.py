"""Checks and tidies what a shopper types of an account: gives it as it is stored, or None."""

import re
from collections.abc import Callable

from stdnum import iban
from stdnum.br import cnpj, cpf
from stdnum.us import rtn

Check = Callable[[str], str | None]

SEPA = frozenset(
    [
        "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR",
        "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT",
        "RO", "SE", "SI", "SK", "SM",
    ]
)  # fmt: skip
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)
_BLANKS = re.compile(r"\s+")
# People copy numbers with what their bank prints between the groups.
_BETWEEN = re.compile(r"[\s./-]+")
_CPF_DIGITS, _CNPJ_DIGITS = 11, 14


def words(least: int, most: int) -> Check:
    """A name of `least` to `most` characters, blanks between words made one."""

    def check(text: str) -> str | None:
        tidy = _BLANKS.sub(" ", text).strip()
        return tidy if least <= len(tidy) <= most and tidy.isprintable() else None

    return check


def matching(pattern: str) -> Check:
    """A number that `pattern` matches as a whole once what stands between its groups is gone."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str | None:
        tidy = _BETWEEN.sub("", text).upper()
        return tidy if compiled.fullmatch(tidy) else None

    return check


def one_of(*values: str) -> Check:
    """One of `values`."""

    def check(text: str) -> str | None:
        return text if text in values else None

    return check


def kana(text: str) -> str | None:
    """A name in full-width katakana, as Japanese banks keep it."""
    tidy = _BLANKS.sub(" ", text).strip()
    return tidy if re.fullmatch("[ァ-ヶー ]{1,70}", tidy) else None


def sepa_iban(text: str) -> str | None:
    """An IBAN of a SEPA country: its length and form by the register, mod 97 = 1."""
    tidy = _BLANKS.sub("", text).upper()
    known = tidy.isascii() and tidy.isalnum() and tidy[:2] in SEPA
    return tidy if known and iban.is_valid(tidy, check_country=False) else None


def bic(text: str) -> str | None:
    """A BIC (SWIFT code) of 8 or 11 characters (ISO 9362)."""
    tidy = _BLANKS.sub("", text).upper()
    return tidy if _BIC.fullmatch(tidy) else None


def routing_number(text: str) -> str | None:
    """A routing number of the USA: nine digits with the checksum 3-7-1."""
    tidy = matching(r"\d{9}")(text)
    return tidy if tidy and rtn.is_valid(tidy) else None


def brazilian_tax_id(text: str) -> str | None:
    """A CPF of a person or a CNPJ of a company, with their check digits."""
    tidy = matching(r"\d{11}|\d{14}")(text)
    if tidy is None:
        return None
    valid = cpf.is_valid(tidy) if len(tidy) == _CPF_DIGITS else cnpj.is_valid(tidy)
    return tidy if valid else None


def masked(text: str, *, secret: bool) -> str:
    """A value that was refused, as messages show it: of a number the last four characters.

    secret: whether it was typed where an account number belongs. Elsewhere only what holds enough
    digits to be one is masked: people mistake one field for the other.
    """
    text = text[:100]
    if not secret and sum(character.isdigit() for character in text) < 6:
        return text
    # Of what is short itself, four characters would be nearly all.
    shown = min(4, len(text) // 2)
    return "*" * (len(text) - shown) + text[len(text) - shown :]
