import base64
import hashlib
import hmac

import pytest

from refundry.processors.signature import sign, verify
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

TOKEN, OTHER = NEW, OLD


@pytest.mark.parametrize(
    ("token", "body", "signature"),
    [
        (NEW, SHORT, SHORT_BY_NEW),
        (OLD, SHORT, SHORT_BY_OLD),
        (NEW, EVENT, EVENT_BY_NEW),
        (OLD, EVENT, EVENT_BY_OLD),
    ],
)
def test_vectors_of_the_contract(token: str, body: str, signature: str) -> None:
    assert sign(token, AT, body.encode()) == f"{AT}, {signature}"
    assert verify(token, f"{AT}, {signature}", body.encode(), now=AT)


def test_the_message_is_time_dot_body() -> None:
    digest = hmac.new(b"s\xc3\xa9cret", b"7.body", hashlib.sha256).digest()
    assert sign("sécret", 7, b"body") == f"7, {base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("now", "fresh"),
    [(AT + 300, True), (AT - 300, True), (AT + 300.5, False), (AT + 301, False), (AT - 301, False)],
)
def test_a_signature_is_good_for_five_minutes(now: float, fresh: bool) -> None:
    assert verify(TOKEN, sign(TOKEN, AT, b"{}"), b"{}", now=now) is fresh


def test_another_secret_body_or_time_does_not_verify() -> None:
    header = sign(TOKEN, AT, b"{}")
    assert not verify(OTHER, header, b"{}", now=AT)
    assert not verify(TOKEN, header, b"{ }", now=AT)
    assert not verify(TOKEN, header.replace(str(AT), str(AT + 1)), b"{}", now=AT)


def test_the_space_may_be_left_out() -> None:
    assert verify(TOKEN, sign(TOKEN, AT, b"{}").replace(" ", ""), b"{}", now=AT)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ", ",
        f"{AT}",
        f"{AT}, ",
        f"{AT}, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU",
        f"{AT},  zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU=",
        f"{AT}, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU=\n",
        f"-{AT}, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU=",
        f"{AT}.0, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU=",
        "١٧١٤٥٥٧٦٠٠, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU=",
        "9" * 5000 + ", zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU=",
    ],
)
def test_other_forms_do_not_verify(header: str | None) -> None:
    assert not verify(TOKEN, header, b"{}", now=AT)
