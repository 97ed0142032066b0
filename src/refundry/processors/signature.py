"""`Refundry-Signature`: how we and a processor sign what we send each other.

Source: contract, disputes and chargebacks, section 5.
"""

import base64
import hashlib
import hmac
import re

HEADER = "Refundry-Signature"
_TOLERANCE_SECONDS = 300
_FORM = re.compile(r"(\d{1,12}), ?([A-Za-z0-9+/]{43}=)", re.ASCII)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The header for `body` at `timestamp` (Unix seconds): `<ts>, <base64 HMAC-SHA256>`."""
    message = str(timestamp).encode() + b"." + body
    digest = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    return f"{timestamp}, {base64.b64encode(digest).decode()}"


def verify(secret: str, header: str | None, body: bytes, *, now: float) -> bool:
    """Whether `header` signs `body` with `secret` and is not older or newer than 300 seconds."""
    match = _FORM.fullmatch(header or "")
    if match is None:
        return False
    expected = sign(secret, int(match[1]), body).partition(", ")[2]
    matches = hmac.compare_digest(expected, match[2])
    return matches and abs(now - int(match[1])) <= _TOLERANCE_SECONDS
