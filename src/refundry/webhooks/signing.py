"""The signature of a delivery (contract, webhooks, section 8)."""

import base64
import hmac
from collections.abc import Sequence

HEADER = "DigitalRiver-Signature"


def sign(tokens: Sequence[bytes], timestamp: int, body: bytes) -> str:
    """The header's value: the time, then one signature per token, in their order.

    tokens: as they are displayed, newest first. timestamp: Unix seconds, of now at each attempt.
    body: the bytes that are sent.
    """
    message = b"%d.%b" % (timestamp, body)
    signatures = [
        base64.b64encode(hmac.digest(token, message, "sha256")).decode() for token in tokens
    ]
    return ", ".join((str(timestamp), *signatures))
