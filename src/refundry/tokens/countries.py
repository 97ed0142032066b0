"""Which fields name a bank account in which country."""

from dataclasses import dataclass
from functools import cache

from refundry.languages.language import COUNTRIES, message
from refundry.tokens import checks
from refundry.tokens.checks import SEPA, Check, matching, words


@dataclass(frozen=True, slots=True)
class Option:
    """A choice of a select field. label: the message to be translated, or a country's code."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form. label, hint: messages to be translated. most: characters.

    pattern: of HTML, a little wider than the check, which tidies first. secret: an account number,
    of which nobody is shown more than the end.
    """

    name: str
    label: str
    check: Check
    pattern: str = ""
    most: int = 70
    required: bool = True
    options: tuple[Option, ...] = ()
    secret: bool = False
    hint: str = ""

    @property
    def kind(self) -> str:
        """`select` where there is a choice, else `text`."""
        return "select" if self.options else "text"


# Konbini and cash on delivery exist in Japan alone.
_JAPANESE_METHODS = frozenset({"konbini", "codJapan"})
# Room for blanks and dashes between the groups of a number.
_ROOM = 2


def _number(
    name: str, label: str, pattern: str, digits: int, *, check: Check | None = None, hint: str = ""
) -> Field:
    """A number of at most `digits` characters; `pattern`: what is left without separators."""
    return Field(
        name, label, check or matching(pattern), r"[0-9A-Za-z.\/ \-]+", digits * _ROOM,
        secret=True, hint=hint,
    )  # fmt: skip


def _choice(name: str, label: str, *options: Option) -> Field:
    check = checks.one_of(*(option.value for option in options))
    return Field(name, label, check, most=40, options=options)


_HOLDER = Field(
    "accountHolderName", message("Account holder"), words(2, 70), ".{2,70}",
    hint=message("As your bank knows the name"),
)  # fmt: skip
_BIC_PATTERN = "[A-Za-z]{6}[A-Za-z0-9]{2}([A-Za-z0-9]{3})?"
_BANK_CODE = message("Bank code")
_BRANCH_CODE = message("Branch code")
_ACCOUNT = message("Account number")
_TYPE = message("Type of account")

_SEPA_FORM = (
    _HOLDER,
    Field(
        "iban", message("IBAN"), checks.sepa_iban, "[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{11,40}", 42,
        secret=True, hint=message("Begins with two letters for the country"),
    ),
    Field("bic", message("BIC"), checks.bic, _BIC_PATTERN, 11, required=False),
)  # fmt: skip
_FORMS: dict[str, tuple[Field, ...]] = dict.fromkeys(SEPA, _SEPA_FORM) | {
    "US": (
        _HOLDER,
        _number("routingNumber", message("Routing number"), r"\d{9}", 9,
                check=checks.routing_number, hint=message("Nine digits, on your checks")),
        _number("accountNumber", _ACCOUNT, r"\d{4,17}", 17),
        _choice("accountType", _TYPE, Option("checking", message("Checking account")),
                Option("savings", message("Savings account"))),
    ),
    "GB": (
        _HOLDER,
        _number("sortCode", message("Sort code"), r"\d{6}", 6, hint=message("Six digits")),
        _number("accountNumber", _ACCOUNT, r"\d{8}", 8, hint=message("Eight digits")),
    ),
    "CA": (
        _HOLDER,
        _number("institutionNumber", message("Institution number"), r"\d{3}", 3,
                hint=message("Three digits")),
        _number("transitNumber", message("Transit number"), r"\d{5}", 5,
                hint=message("Five digits")),
        _number("accountNumber", _ACCOUNT, r"\d{7,12}", 12),
    ),
    "AU": (
        _HOLDER,
        _number("bsb", message("BSB"), r"\d{6}", 6, hint=message("Six digits")),
        _number("accountNumber", _ACCOUNT, r"\d{5,9}", 9),
    ),
    "JP": (
        _number("bankCode", _BANK_CODE, r"\d{4}", 4, hint=message("Four digits")),
        _number("branchCode", _BRANCH_CODE, r"\d{3}", 3, hint=message("Three digits")),
        _choice("accountType", _TYPE, Option("ordinary", message("Ordinary account")),
                Option("checking", message("Current account"))),
        _number("accountNumber", _ACCOUNT, r"\d{7}", 7, hint=message("Seven digits")),
        Field("accountHolderNameKana", message("Account holder in katakana"), checks.kana,
              "[ァ-ヶー 　]{1,70}", 70, hint=message("In full-width katakana")),
    ),
    "BR": (
        _HOLDER,
        _number("taxId", message("CPF or CNPJ"), r"\d{11}|\d{14}", 14,
                check=checks.brazilian_tax_id),
        _number("bankCode", _BANK_CODE, r"\d{3}", 3, hint=message("Three digits")),
        _number("branchCode", _BRANCH_CODE, r"\d{4,5}", 5),
        _number("accountNumber", _ACCOUNT, r"\d{4,13}X?", 14),
    ),
}  # fmt: skip


@cache
def _other_form() -> tuple[Field, ...]:
    countries = (Option(code, code) for code in COUNTRIES)
    return (
        _HOLDER,
        Field("bankName", message("Name of the bank"), words(1, 100), ".{1,100}", 100),
        _number("accountNumber", message("Account number or IBAN"), r"[0-9A-Z]{4,34}", 34),
        Field("swiftBic", message("BIC (SWIFT code)"), checks.bic, _BIC_PATTERN, 11),
        _choice("bankCountry", message("Country of the bank"), *countries),
    )


def form_for(country: str | None) -> tuple[Field, ...]:
    """The fields of a country; without one, those that do anywhere."""
    return _FORMS.get(country or "") or _other_form()


def fixed_country(method: str) -> str | None:
    """The country that a payment method is bound to, if it is."""
    return "JP" if method in _JAPANESE_METHODS else None
