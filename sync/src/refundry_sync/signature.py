"""The header `DigitalRiver-Signature`: whether a webhook comes from whom it says, and is fresh."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from refundry_sync.errors import BadSignature

HEADER = "digitalriver-signature"
WINDOW_SECONDS = 300
# A time from here on is in milliseconds: in seconds it would be in the year 33658.
_MILLISECONDS_FROM = 10**12
_STAMP = re.compile(r"[0-9]{1,15}", re.ASCII)


def verify(
    header: str | None,
    body: bytes,
    tokens: Sequence[str],
    *,
    now: datetime | float,
    window_seconds: float = WINDOW_SECONDS,
) -> None:
    """Raises BadSignature unless a signature in the header is one of ours, and fresh.

    header: `<time>, <signature>[, <signature>]`. body: the bytes as they came, before anything
    parses them. tokens: the webhook's signing token; several while it is being replaced. now: Unix
    seconds, or a time with its zone.
    """
    trusted = _checked(tokens)
    if not header:
        raise BadSignature("missing")
    stamp, *given = header.split(", ")
    if not given or not _STAMP.fullmatch(stamp):
        raise BadSignature("malformed")
    signed = [each.encode("utf-8", "backslashreplace") for each in given]
    # A list, so that every pair is compared whichever of them is right.
    wanted = [_signature(stamp, body, token) for token in trusted]
    matches = [hmac.compare_digest(ours, theirs) for ours in wanted for theirs in signed]
    if not any(matches):
        raise BadSignature("mismatch")
    if abs(_unix(now) - _seconds(int(stamp))) > window_seconds:
        raise BadSignature("stale")


def sign(body: bytes, tokens: Sequence[str], *, now: datetime | float) -> str:
    """The header that a server sends with `body`: for tests, and for sending an event again."""
    stamp = str(int(_unix(now)))
    return ", ".join(
        [stamp, *(_signature(stamp, body, each).decode() for each in _checked(tokens))]
    )


def _checked(tokens: Sequence[str]) -> Sequence[str]:
    """A text would be taken for tokens of one character, and anybody can sign with no token."""
    if isinstance(tokens, str):
        raise TypeError("tokens is a list of tokens, not one token")
    if not tokens or not all(tokens):
        raise ValueError("there is no token, or an empty one")
    return tokens


def _signature(stamp: str, body: bytes, token: str) -> bytes:
    message = stamp.encode() + b"." + body
    return base64.b64encode(hmac.digest(token.encode(), message, hashlib.sha256))


def _seconds(stamp: int) -> float:
    return stamp / 1000 if stamp >= _MILLISECONDS_FROM else stamp


def _unix(now: datetime | float) -> float:
    if not isinstance(now, datetime):
        return now
    if now.tzinfo is None:
        raise ValueError("now has no time zone")
    return now.timestamp()
