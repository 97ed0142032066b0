import base64
import hashlib
import hmac

import pytest

from refundry.processors.signature import sign, verify

TOKEN = "6d0f3c2a9b7e4e15a1c84f20d7b35e98"
OTHER = "c41be07f52d94a7c8e63f19a0d2b7c55"
AT = 1714557600
EVENT = (
    b'{"id":"79512001-cb5c-4dad-be1f-46ce0345a86c","type":"refund.complete","data":{"object":'
    b'{"id":"re_8e6bbb39-efd1-4baa-bd99-dc51d7d0321e","amount":13.51,"createdTime":'
    b'"2024-05-01T09:58:12Z","currency":"USD","items":[],"orderId":"248133597195",'
    b'"refundedAmount":13.51,"state":"succeeded","liveMode":false}},"liveMode":false,'
    b'"createdTime":"2024-05-01T09:59:58.120334Z","webhookIds":'
    b'["5587f728-04f3-43b8-a5d0-2430d7afaf22"],"digitalriverVersion":"2021-12-13"}'
)


@pytest.mark.parametrize(
    ("token", "body", "signature"),
    [
        (TOKEN, b"{}", "zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU="),
        (OTHER, b"{}", "KhrjDw+7966+jHILN1NlgItRMIyJZix+UJaXqF/we8w="),
        (TOKEN, EVENT, "NHq3heUG5qVUR+ZTvVVd9Jv5+LN5Vq+Ix505JLPBSWg="),
        (OTHER, EVENT, "NR8iWpIVJ0LBHN7glGoe0pSbFsFf5vy295363B2Zz/c="),
    ],
)
def test_vectors_of_the_contract(token: str, body: bytes, signature: str) -> None:
    assert sign(token, AT, body) == f"{AT}, {signature}"
    assert verify(token, f"{AT}, {signature}", body, now=AT)


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
