"""The one signature that we give and take: HMAC-SHA256 over `<Unix seconds>.<body>`, in base64."""

import base64
import hmac


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """What `secret` says to `body` at `timestamp`.

    Source: contract, webhooks, section 8.1; disputes and chargebacks, section 5.
    """
    message = b"%d.%b" % (timestamp, body)
    return base64.b64encode(hmac.digest(secret, message, "sha256")).decode()
