"""The one source of new ids and secrets."""

import random
import uuid
from collections.abc import Generator
from contextlib import contextmanager

_source: random.Random = random.SystemRandom()


@contextmanager
def drawn_from(source: random.Random) -> Generator[None]:
    """Take ids from a seeded source for the length of the block: for simulations, never else."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


def _uuid() -> uuid.UUID:
    return uuid.UUID(int=_source.getrandbits(128), version=4)


def new_uuid() -> str:
    """A random UUID, for charges, operations, events and tokens."""
    return str(_uuid())


def new_refund_id() -> str:
    """`re_` and a UUID."""
    return f"re_{_uuid()}"


def new_fulfillment_id() -> str:
    """`ful_` and a UUID."""
    return f"ful_{_uuid()}"


def new_number() -> str:
    """Twelve digits, the first not 0, for orders and their lines."""
    return str(_source.randrange(9 * 10**11) + 10**11)


def new_secret_hex() -> str:
    """128 random bits as 32 lower-case hexadecimal digits, for API keys."""
    return _source.randbytes(16).hex()


def new_signing_token() -> str:
    """256 random bits as 64 lower-case hexadecimal digits, for the signatures of a webhook."""
    return _source.randbytes(32).hex()


def new_return_id() -> str:
    """`ret_` and a UUID."""
    return f"ret_{_uuid()}"


def new_dispute_id() -> str:
    """`dp_` and a UUID."""
    return f"dp_{_uuid()}"


def new_sales_transaction_id() -> str:
    """`st_` and a UUID."""
    return f"st_{_uuid()}"


def new_user_id() -> str:
    """`usr_` and a UUID."""
    return f"usr_{_uuid()}"


def new_web_token() -> str:
    """256 random bits as 64 lower-case hexadecimal digits, for sessions, links and forms."""
    return _source.randbytes(32).hex()
