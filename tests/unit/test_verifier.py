"""The tests' own verifier, against the vectors of the contract."""

import pytest

from tests.support.verifier import signature, verifies

NEW = "6d0f3c2a9b7e4e15a1c84f20d7b35e98"
OLD = "c41be07f52d94a7c8e63f19a0d2b7c55"
STAMP = 1714557600
HEADER = f"{STAMP}, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU="
OVERLAP = f"{HEADER}, KhrjDw+7966+jHILN1NlgItRMIyJZix+UJaXqF/we8w="


def test_it_signs_as_the_contract_does() -> None:
    assert signature(str(STAMP), b"{}", NEW) == "zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU="
    assert signature(str(STAMP), b"{}", OLD) == "KhrjDw+7966+jHILN1NlgItRMIyJZix+UJaXqF/we8w="


@pytest.mark.parametrize("tokens", [[NEW], [OLD], [OLD, NEW]])
def test_any_signature_under_any_trusted_token_is_enough(tokens: list[str]) -> None:
    assert verifies(OVERLAP, b"{}", tokens, STAMP)


@pytest.mark.parametrize(
    ("header", "body", "tokens"),
    [
        (HEADER, b"{}", [OLD]),
        (HEADER, b"{} ", [NEW]),
        (HEADER.replace(", ", ","), b"{}", [NEW]),
        (HEADER.replace(str(STAMP), str(STAMP + 1)), b"{}", [NEW]),
        (str(STAMP), b"{}", [NEW]),
        ("soon, later", b"{}", [NEW]),
        (HEADER, b"{}", []),
    ],
)
def test_everything_else_is_refused(header: str, body: bytes, tokens: list[str]) -> None:
    assert not verifies(header, body, tokens, STAMP)


def test_a_signature_is_good_for_five_minutes() -> None:
    for age in (-300, 0, 300):
        assert verifies(HEADER, b"{}", [NEW], STAMP + age)
    for age in (-301, 301):
        assert not verifies(HEADER, b"{}", [NEW], STAMP + age)


def test_a_timestamp_may_be_in_milliseconds() -> None:
    stamp = STAMP * 1000
    header = f"{stamp}, {signature(str(stamp), b'{}', NEW)}"
    assert verifies(header, b"{}", [NEW], STAMP + 299)
    assert not verifies(header, b"{}", [NEW], STAMP + 301)
