"""Acceptance cases W-08 and W-09: the contract's signatures, byte for byte."""

import json

from refundry.webhooks.signing import HEADER, sign
from tests.support.verifier import verifies

TOKEN = b"6d0f3c2a9b7e4e15a1c84f20d7b35e98"
OLD_TOKEN = b"c41be07f52d94a7c8e63f19a0d2b7c55"
STAMP = 1714557600
SHORT = "zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU="
SHORT_OLD = "KhrjDw+7966+jHILN1NlgItRMIyJZix+UJaXqF/we8w="
LONG = "NHq3heUG5qVUR+ZTvVVd9Jv5+LN5Vq+Ix505JLPBSWg="
LONG_OLD = "NR8iWpIVJ0LBHN7glGoe0pSbFsFf5vy295363B2Zz/c="
BODY = json.dumps(
    {
        "id": "79512001-cb5c-4dad-be1f-46ce0345a86c",
        "type": "refund.complete",
        "data": {
            "object": {
                "id": "re_8e6bbb39-efd1-4baa-bd99-dc51d7d0321e",
                "amount": 13.51,
                "createdTime": "2024-05-01T09:58:12Z",
                "currency": "USD",
                "items": [],
                "orderId": "248133597195",
                "refundedAmount": 13.51,
                "state": "succeeded",
                "liveMode": False,
            }
        },
        "liveMode": False,
        "createdTime": "2024-05-01T09:59:58.120334Z",
        "webhookIds": ["5587f728-04f3-43b8-a5d0-2430d7afaf22"],
        "digitalriverVersion": "2021-12-13",
    },
    separators=(",", ":"),
).encode()


def test_w_08_the_short_vector() -> None:
    assert HEADER == "DigitalRiver-Signature"
    assert sign([TOKEN], STAMP, b"{}") == f"{STAMP}, {SHORT}"
    assert sign([TOKEN, OLD_TOKEN], STAMP, b"{}") == f"{STAMP}, {SHORT}, {SHORT_OLD}"


def test_w_09_the_worked_example() -> None:
    assert len(BODY) == 452
    assert sign([TOKEN], STAMP, BODY) == f"{STAMP}, {LONG}"
    assert sign([TOKEN, OLD_TOKEN], STAMP, BODY) == f"{STAMP}, {LONG}, {LONG_OLD}"


def test_what_is_signed_verifies() -> None:
    header = sign([TOKEN, OLD_TOKEN], STAMP, BODY)
    for token in (TOKEN, OLD_TOKEN):
        assert verifies(header, BODY, [token.decode()], STAMP)
        assert not verifies(header, BODY + b" ", [token.decode()], STAMP)
