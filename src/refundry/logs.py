"""Logs: one JSON object a line on standard error; never a body, a secret or a card number."""

import logging
import sys
import traceback
from typing import Any

import asyncpg
import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_up_logs(level: str) -> None:
    """Let every logger write JSON from `level` upwards."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _without_rows,
            # Without the variables of each frame: they hold bodies and secrets.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(_LEVELS[level], logging.WARNING), handlers=[_ToStructlog()], force=True
    )


def _without_rows(_logger: object, _name: str, event: Any) -> Any:
    """A database error by its kind alone: its text may quote a whole row."""
    error = event.get("exc_info")
    if isinstance(error, asyncpg.PostgresError):
        names = [(frame.name, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        event["exc_info"] = None
        event["error"] = type(error).__name__
        event["sqlstate"] = error.sqlstate
        event["constraint"] = error.constraint_name
        event["where"] = [f"{name}:{line}" for name, line in names[-6:]]
    return event


def _serialize(event: dict[str, Any], **_options: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


class _ToStructlog(logging.Handler):
    """What libraries log with the standard library comes out in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        # Tracebacks of libraries may quote arguments, so only the kind of error is kept.
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        logger.log(record.levelno, record.getMessage(), logger=record.name, error=kind)
