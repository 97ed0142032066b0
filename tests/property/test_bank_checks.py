"""Check digits find every mistake that they are made for, and masks show no more than they may."""

import string

from hypothesis import given
from hypothesis import strategies as st

from refundry.tokens.checks import brazilian_tax_id, masked, routing_number, sepa_iban

DIGITS = st.text(string.digits, min_size=18, max_size=18)


def german_iban(account: str) -> str:
    """The IBAN of a bank code and account number of 18 digits, by the rule of ISO 13616."""
    rest = int(f"{account}131400") % 97  # D is 13, E is 14, and 00 for the digits to come
    return f"DE{98 - rest:02d}{account}"


@given(DIGITS)
def test_ibans_with_right_digits_pass(account: str) -> None:
    iban = german_iban(account)
    assert sepa_iban(iban) == iban
    assert sepa_iban(" ".join(iban[i : i + 4] for i in range(0, 22, 4)).lower()) == iban


@given(DIGITS, st.integers(2, 21), st.integers(1, 9))
def test_one_wrong_digit_of_an_iban_is_found(account: str, place: int, by: int) -> None:
    iban = german_iban(account)
    wrong = str((int(iban[place]) + by) % 10)
    assert sepa_iban(iban[:place] + wrong + iban[place + 1 :]) is None


@given(DIGITS, st.integers(4, 20))
def test_two_swapped_digits_of_an_iban_are_found(account: str, place: int) -> None:
    iban = german_iban(account)
    swapped = iban[:place] + iban[place + 1] + iban[place] + iban[place + 2 :]
    assert sepa_iban(swapped) == (iban if swapped == iban else None)


@given(st.text(string.digits, min_size=8, max_size=8), st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_of_a_routing_number_is_found(start: str, place: int, by: int) -> None:
    weights = (3, 7, 1) * 3
    last = -sum(w * int(d) for w, d in zip(weights, start, strict=False)) % 10
    number = f"{start}{last}"
    assert routing_number(number) == number
    wrong = str((int(number[place]) + by) % 10)
    assert routing_number(number[:place] + wrong + number[place + 1 :]) is None


@given(st.text(string.digits, min_size=9, max_size=9).filter(lambda text: int(text) > 0))
def test_a_cpf_has_one_pair_of_check_digits(start: str) -> None:
    valid = [f"{start}{n:02d}" for n in range(100) if brazilian_tax_id(f"{start}{n:02d}")]
    assert len(valid) == 1


@given(st.text(), st.booleans())
def test_masks_show_the_end_at_most(text: str, secret: bool) -> None:
    shown = masked(text, secret=secret)
    assert len(shown) == min(len(text), 100)
    many = sum(character.isdigit() for character in text[:100]) >= 6
    if secret or many:
        hidden = shown[: len(shown) - 4]
        assert set(hidden) <= {"*"}
    else:
        assert shown == text[:100]
