"""W-08 and W-09: the signature of a delivery, byte for byte as the contract's examples have it."""

from refundry.webhooks.signing import HEADER, sign
from tests.support.vectors import (
    AT,
    EVENT,
    EVENT_BY_NEW,
    EVENT_BY_OLD,
    NEW,
    OLD,
    SHORT,
    SHORT_BY_NEW,
    SHORT_BY_OLD,
)
from tests.support.verifier import verifies

TOKENS = [NEW.encode(), OLD.encode()]
BODY = EVENT.encode()


def test_w_08_the_short_vector() -> None:
    assert HEADER == "DigitalRiver-Signature"
    assert sign(TOKENS[:1], AT, SHORT.encode()) == f"{AT}, {SHORT_BY_NEW}"
    assert sign(TOKENS, AT, SHORT.encode()) == f"{AT}, {SHORT_BY_NEW}, {SHORT_BY_OLD}"


def test_w_09_the_worked_example() -> None:
    assert len(BODY) == 452
    assert sign(TOKENS[:1], AT, BODY) == f"{AT}, {EVENT_BY_NEW}"
    assert sign(TOKENS, AT, BODY) == f"{AT}, {EVENT_BY_NEW}, {EVENT_BY_OLD}"


def test_what_is_signed_verifies() -> None:
    header = sign(TOKENS, AT, BODY)
    for token in (NEW, OLD):
        assert verifies(header, BODY, [token], AT)
        assert not verifies(header, BODY + b" ", [token], AT)
