"""The signature of webhooks: the contract's vectors, what the service signs, refusals."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.webhooks import signing
from refundry_sync.errors import BadSignature
from refundry_sync.signature import sign, verify
from tests.support.vectors import (
    AT,
    EVENT,
    EVENT_BY_NEW,
    EVENT_BY_OLD,
    NEW,
    OLD,
    SHORT,
    SHORT_BY_NEW,
)

BODY = EVENT.encode()
BOTH = f"{AT}, {EVENT_BY_NEW}, {EVENT_BY_OLD}"


def reason(header: str | None, body: bytes, tokens: list[str], now: float = AT) -> str:
    with pytest.raises(BadSignature) as bad:
        verify(header, body, tokens, now=now)
    return bad.value.reason


def test_the_contracts_vectors() -> None:
    verify(f"{AT}, {SHORT_BY_NEW}", SHORT.encode(), [NEW], now=AT)
    for tokens in ([NEW], [OLD], [NEW, OLD], ["another", OLD]):
        verify(BOTH, BODY, tokens, now=AT)
    assert sign(BODY, [NEW, OLD], now=AT) == BOTH
    assert sign(BODY, [NEW, OLD], now=datetime.fromtimestamp(AT, UTC)) == BOTH


def test_what_is_not_ours_is_refused() -> None:
    assert reason(None, BODY, [NEW]) == "missing"
    assert reason("", BODY, [NEW]) == "missing"
    for header in ("x", str(AT), f"-{AT}, {EVENT_BY_NEW}", f"1e9, {EVENT_BY_NEW}", "٣, x", ", x",
                   f"{'9' * 5000}, x", f"{AT},{EVENT_BY_NEW}"):  # fmt: skip
        assert reason(header, BODY, [NEW]) == "malformed"
    for header in (f"{AT}, ", f"{AT}, x", f"{AT}, ä\udcff", f"{AT + 1}, {EVENT_BY_NEW}"):
        assert reason(header, BODY, [NEW]) == "mismatch"
    assert reason(BOTH, BODY + b" ", [NEW, OLD]) == "mismatch"
    assert reason(BOTH, BODY, ["another"]) == "mismatch"


def test_only_what_is_fresh_is_taken() -> None:
    for now in (AT + 300, AT - 300):
        verify(BOTH, BODY, [NEW], now=now)
    for now in (AT + 301, AT - 301):
        assert reason(BOTH, BODY, [NEW], now) == "stale"
    verify(BOTH, BODY, [NEW], now=AT + 301, window_seconds=302)
    header = sign(BODY, [NEW], now=AT * 1000 + 300_000)
    verify(header, BODY, [NEW], now=AT)
    assert reason(header, BODY, [NEW], AT - 1) == "stale"


def test_a_receiver_without_a_token_trusts_nobody() -> None:
    for tokens in ([], [""], [NEW, ""]):
        with pytest.raises(ValueError, match="token"):
            verify(BOTH, BODY, tokens, now=AT)
    with pytest.raises(TypeError):
        verify(BOTH, BODY, NEW, now=AT)
    with pytest.raises(ValueError, match="zone"):
        verify(BOTH, BODY, [NEW], now=datetime(2024, 5, 1))


@settings(max_examples=50)
@given(st.binary(), st.lists(st.text("abc123", min_size=1), min_size=1), st.integers(1, 10**11))
def test_what_the_service_signs_is_verified(body: bytes, tokens: list[str], at: int) -> None:
    header = signing.sign([each.encode() for each in tokens], at, body)
    assert sign(body, tokens, now=at) == header
    for each in tokens:
        verify(header, body, [each], now=at)


@given(st.text())
@settings(max_examples=50)
def test_no_header_breaks_it(header: str) -> None:
    with pytest.raises(BadSignature):
        verify(header, b"{}", [NEW], now=AT)
