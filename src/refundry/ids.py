"""The one source of new ids and secrets."""

import secrets
import uuid


def new_uuid() -> str:
    """A random UUID, for charges, operations, events and tokens."""
    return str(uuid.uuid4())


def new_refund_id() -> str:
    """`re_` and a UUID."""
    return f"re_{uuid.uuid4()}"


def new_fulfillment_id() -> str:
    """`ful_` and a UUID."""
    return f"ful_{uuid.uuid4()}"


def new_number() -> str:
    """Twelve digits, the first not 0, for orders and their lines."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def new_secret_hex() -> str:
    """128 random bits as 32 lower-case hexadecimal digits, for API keys."""
    return secrets.token_hex(16)


def new_signing_token() -> str:
    """256 random bits as 64 lower-case hexadecimal digits, for the signatures of a webhook."""
    return secrets.token_hex(32)


def new_return_id() -> str:
    """`ret_` and a UUID."""
    return f"ret_{uuid.uuid4()}"


def new_dispute_id() -> str:
    """`dp_` and a UUID."""
    return f"dp_{uuid.uuid4()}"


def new_sales_transaction_id() -> str:
    """`st_` and a UUID."""
    return f"st_{uuid.uuid4()}"
