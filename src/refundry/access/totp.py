"""Codes of an authenticator app (RFC 6238): six digits for every 30 seconds."""

import hmac
import re
from datetime import datetime

from pyotp import random_base32
from pyotp.totp import TOTP

_STEP_SECONDS = 30
_CODE = re.compile(r"[0-9]{6}", re.ASCII)
ISSUER = "Refundry"


def new_secret() -> str:
    """160 random bits in base32, as apps take them."""
    return random_base32()


def enrolment_uri(secret: str, email: str) -> str:
    """What an app reads from a QR code."""
    return TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: datetime, last: int | None) -> int | None:
    """The step, counted from 1970, whose code this is; None if it is wrong.

    One step early or late is taken, as clocks differ. last: the step of the last code that was
    taken: that code and those before it are of no use to who has looked over a shoulder.
    """
    text = "".join(code.split())
    if not _CODE.fullmatch(text):
        return None
    present = int(now.timestamp()) // _STEP_SECONDS
    generator = TOTP(secret)
    found = None
    for step in (present - 1, present, present + 1):
        right = hmac.compare_digest(generator.generate_otp(step), text)
        if right and (last is None or step > last):
            found = step
    return found
