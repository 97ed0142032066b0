"""The signature of a delivery, byte for byte as the contract's worked example has it."""

from refundry.webhooks.signing import HEADER, sign

TOKEN = b"6d0f3c2a9b7e4e15a1c84f20d7b35e98"
OLD_TOKEN = b"c41be07f52d94a7c8e63f19a0d2b7c55"
AT = 1714557600
BODY = (
    b'{"id":"79512001-cb5c-4dad-be1f-46ce0345a86c","type":"refund.complete","data":{"object":'
    b'{"id":"re_8e6bbb39-efd1-4baa-bd99-dc51d7d0321e","amount":13.51,"createdTime":'
    b'"2024-05-01T09:58:12Z","currency":"USD","items":[],"orderId":"248133597195",'
    b'"refundedAmount":13.51,"state":"succeeded","liveMode":false}},"liveMode":false,'
    b'"createdTime":"2024-05-01T09:59:58.120334Z","webhookIds":'
    b'["5587f728-04f3-43b8-a5d0-2430d7afaf22"],"digitalriverVersion":"2021-12-13"}'
)


def test_a_signature_is_that_of_the_example() -> None:
    assert len(BODY) == 452
    assert sign([TOKEN], AT, BODY) == "1714557600, NHq3heUG5qVUR+ZTvVVd9Jv5+LN5Vq+Ix505JLPBSWg="


def test_two_tokens_sign_side_by_side_the_newest_first() -> None:
    assert sign([TOKEN, OLD_TOKEN], AT, BODY) == (
        "1714557600, NHq3heUG5qVUR+ZTvVVd9Jv5+LN5Vq+Ix505JLPBSWg=, "
        "NR8iWpIVJ0LBHN7glGoe0pSbFsFf5vy295363B2Zz/c="
    )


def test_short_bodies_are_signed_as_in_the_example() -> None:
    assert sign([TOKEN], AT, b"{}") == "1714557600, zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU="
    assert sign([OLD_TOKEN], AT, b"{}") == (
        "1714557600, KhrjDw+7966+jHILN1NlgItRMIyJZix+UJaXqF/we8w="
    )


def test_the_header_is_the_one_that_receivers_read() -> None:
    assert HEADER == "DigitalRiver-Signature"
