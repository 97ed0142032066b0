"""Checks of account numbers, by examples that banks publish, and what messages show of them."""

import pytest

from refundry.errors import BadFields
from refundry.tokens.checks import (
    bic,
    brazilian_tax_id,
    kana,
    masked,
    matching,
    routing_number,
    sepa_iban,
    words,
)
from refundry.tokens.countries import fixed_country, form_for
from refundry.tokens.reading import read_details


@pytest.mark.parametrize(
    "text",
    [
        "DE89370400440532013000", "fr14 2004 1010 0505 0001 3m02 606", "NL91ABNA0417164300",
        "NO9386011117947", "CH9300762011623852957", "MT84MALT011000012345MTLCAST001S",
        "GB29NWBK60161331926819",
    ],
)  # fmt: skip
def test_ibans(text: str) -> None:
    """Those of the register; the United Kingdom's is one, but no SEPA form of ours is for it."""
    expected = None if text.startswith("GB") else text.replace(" ", "").upper()
    assert sepa_iban(text) == expected


@pytest.mark.parametrize(
    "text", ["DE89370400440532013001", "DE8937040044053201300", "DE00", "", "DE89 3704 0044 ٠", "X"]
)
def test_no_ibans(text: str) -> None:
    assert sepa_iban(text) is None


def test_numbers_with_check_digits() -> None:
    assert routing_number("021000021") == "021000021"
    assert routing_number("0210 0002 1") == "021000021"
    assert routing_number("021000022") is None
    assert routing_number("02100002") is None
    assert brazilian_tax_id("390.533.447-05") == "39053344705"
    assert brazilian_tax_id("39053344706") is None
    assert brazilian_tax_id("16.727.230/0001-97") == "16727230000197"
    assert brazilian_tax_id("16.727.230.0001-98") is None
    assert brazilian_tax_id("1672723000019") is None


def test_codes_and_names() -> None:
    assert bic("cobadeff") == "COBADEFF"
    assert bic("COBADEFFXXX") == "COBADEFFXXX"
    assert bic("COBADEFFXX") is None
    assert bic("C0BADEFF") is None
    assert matching(r"\d{6}")("20-00-00") == "200000"
    assert matching(r"\d{6}")("２０００００") is None
    assert words(2, 70)("  Max   Muster ") == "Max Muster"
    assert words(2, 70)("M") is None
    assert words(2, 70)("x" * 71) is None
    assert words(2, 70)("Max\x07") is None
    assert kana("ヤマダ　タロー") == "ヤマダ タロー"
    assert kana("やまだ") is None
    assert kana("ﾔﾏﾀﾞ") is None


@pytest.mark.parametrize(
    ("text", "secret", "shown"),
    [
        ("DE89370400440532013001", True, "*" * 18 + "3001"),
        ("1234", True, "**34"),
        ("7", True, "*"),
        ("", True, ""),
        ("Max", False, "Max"),
        ("DE89370400440532013001", False, "*" * 18 + "3001"),
        ("x" * 1000, False, "x" * 100),
    ],
)
def test_what_messages_show(text: str, secret: bool, shown: str) -> None:
    assert masked(text, secret=secret) == shown


GOOD = {
    "DE": {"accountHolderName": "Max Muster", "iban": "DE89370400440532013000"},
    "US": {"accountHolderName": "Ana", "routingNumber": "021000021", "accountNumber": "1234",
           "accountType": "savings"},
    "GB": {"accountHolderName": "Ana", "sortCode": "200000", "accountNumber": "55779911"},
    "CA": {"accountHolderName": "Ana", "institutionNumber": "003", "transitNumber": "00123",
           "accountNumber": "1234567"},
    "AU": {"accountHolderName": "Ana", "bsb": "062000", "accountNumber": "12345"},
    "JP": {"bankCode": "0001", "branchCode": "123", "accountType": "ordinary",
           "accountNumber": "1234567", "accountHolderNameKana": "ヤマダ タロー"},
    "BR": {"accountHolderName": "Ana", "taxId": "39053344705", "bankCode": "001",
           "branchCode": "1234", "accountNumber": "12345X"},
    "ZA": {"accountHolderName": "Ana", "bankName": "Absa", "accountNumber": "4048195297",
           "swiftBic": "ABSAZAJJ", "bankCountry": "ZA"},
}  # fmt: skip


@pytest.mark.parametrize("country", GOOD)
def test_each_form_takes_its_fields_and_misses_each(country: str) -> None:
    fields, values = form_for(country), GOOD[country]
    assert read_details(fields, values) == values
    for name in values:
        without = {key: value for key, value in values.items() if key != name}
        for lacking in (without, without | {name: " "}, without | {name: None}):
            with pytest.raises(BadFields) as caught:
                read_details(fields, lacking)
            assert [(p.code, p.parameter) for p in caught.value.problems] == [
                ("missing_parameter", f"fields.{name}")
            ]
        for wrong in ("\x00", 7, "1" * 500, ["x"]):
            with pytest.raises(BadFields) as caught:
                read_details(fields, without | {name: wrong})
            assert [(p.code, p.parameter) for p in caught.value.problems] == [
                ("invalid_parameter", f"fields.{name}")
            ]


def test_methods_that_exist_in_one_country_alone() -> None:
    assert [fixed_country(each) for each in ("konbini", "codJapan")] == ["JP", "JP"]
    assert fixed_country("wireTransfer") is None
    assert form_for(None) == form_for("ZA")
