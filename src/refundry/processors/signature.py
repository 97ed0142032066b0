"""`Refundry-Signature`: how we and a processor sign what we send each other.

Source: contract, disputes and chargebacks, section 5.
"""

import hmac
import re

from refundry.signing import signature

HEADER = "Refundry-Signature"
_TOLERANCE_SECONDS = 300
_FORM = re.compile(r"(\d{1,12}), ?([A-Za-z0-9+/]{43}=)", re.ASCII)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The header for `body` at `timestamp` (Unix seconds): `<ts>, <base64 HMAC-SHA256>`."""
    return f"{timestamp}, {signature(secret.encode(), timestamp, body)}"


def verify(secret: str, header: str | None, body: bytes, *, now: float) -> bool:
    """Whether `header` signs `body` with `secret` and is not older or newer than 300 seconds."""
    match = _FORM.fullmatch(header or "")
    if match is None:
        return False
    expected = signature(secret.encode(), int(match[1]), body)
    matches = hmac.compare_digest(expected, match[2])
    return matches and abs(now - int(match[1])) <= _TOLERANCE_SECONDS
