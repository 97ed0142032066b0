"""What a careful receiver does with `DigitalRiver-Signature`, written from the contract alone.

Contract, events and webhooks, section 8.3. Shares no code with the service, which signs.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

TOLERANCE_SECONDS = 300
# A timestamp from here on is in milliseconds.
_MILLISECONDS_FROM = 10**12


def verifies(header: str, body: bytes, tokens: Sequence[str], now: float) -> bool:
    """Whether one of the header's signatures is that of a token over the raw body, and fresh.

    header: `<ts>, <signature>[, <signature>]`. now: Unix time in seconds.
    """
    stamp, *given = header.split(", ")
    if not (stamp.isascii() and stamp.isdigit()):
        return False
    if abs(now - _seconds(int(stamp))) > TOLERANCE_SECONDS:
        return False
    wanted = [signature(stamp, body, token).encode() for token in tokens]
    # A list, so that every pair is compared whichever of them is right.
    matches = [hmac.compare_digest(w, g.encode()) for w in wanted for g in given]
    return any(matches)


def signature(stamp: str, body: bytes, token: str) -> str:
    """The base64 HMAC-SHA256 of `<stamp>.<body>`; the key is the token as it is displayed."""
    message = stamp.encode() + b"." + body
    return base64.b64encode(hmac.digest(token.encode(), message, hashlib.sha256)).decode()


def _seconds(stamp: int) -> float:
    return stamp / 1000 if stamp >= _MILLISECONDS_FROM else stamp
