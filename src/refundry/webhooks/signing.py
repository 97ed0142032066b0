"""The signature of a delivery (contract, webhooks, section 8)."""

from collections.abc import Sequence

from refundry.signing import signature

HEADER = "DigitalRiver-Signature"


def sign(tokens: Sequence[bytes], timestamp: int, body: bytes) -> str:
    """The header's value: the time, then one signature per token, in their order.

    tokens: as they are displayed, newest first. timestamp: Unix seconds, of now at each attempt.
    body: the bytes that are sent.
    """
    return ", ".join([str(timestamp), *(signature(token, timestamp, body) for token in tokens)])
