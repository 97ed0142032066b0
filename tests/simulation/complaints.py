"""What Refundry logs as an error of its own: a constraint that had to step in, a bug."""

from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from typing import Any

import asyncpg
import structlog

from refundry.db.database import Unreachable

# What a bad line or a busy database brings; it is tried again, and is nobody's fault.
_WEATHER = (
    *Unreachable,
    TimeoutError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
)
# A group that is taken apart because of one of these was not planned rightly.
_NEVER = ("AssertionError", "UniqueViolationError", "CheckViolationError")
_WARNING = 30


@contextmanager
def collected() -> Generator[list[str]]:
    """The complaints that are logged in the block; nothing is printed meanwhile."""
    before = structlog.get_config()
    heard: list[str] = []

    def hear(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        error = event.get("exc_info")
        if isinstance(error, Exception) and not isinstance(error, _WEATHER):
            heard.append(f"{event['event']}: {error!r}")
        if event["event"].endswith("_split") and event.get("error") in _NEVER:
            heard.append(f"{event['event']}: {event['error']}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[hear], wrapper_class=structlog.make_filtering_bound_logger(_WARNING)
    )
    try:
        yield heard
    finally:
        structlog.configure(**before)
