"""From an answered call to its row in the log: masked, cut, to be found by what it was about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from refundry.api_log.masking import (
    KEPT_BYTES,
    MASK,
    HarmlessBodies,
    masked_body,
    masked_query,
    masked_text,
)  # fmt: skip
from refundry.ids import PooledRandom
from refundry.tenant import ApiKey, Tenant

_MOST_TEXT = 200
_MOST_PATH = 500
_MOST_MESSAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_random = PooledRandom()
_read_again = HarmlessBodies()

COLUMNS = (
    "account_id", "live", "id", "called_at", "duration_ms", "key_id", "key_name", "key_kind",
    "method", "collection", "path", "query", "status", "error_code", "error_message", "replayed",
    "request_body", "answer_body", "upstream_id", "application", "application_version",
    "session_id", "shopper_address", "request_id", "resource_id",
)  # fmt: skip
Row = tuple[Any, ...]
"""The values of COLUMNS."""


@dataclass(slots=True)
class Entry:
    """What is noted of a call on its way: as it came, nothing worked out yet.

    Not frozen, as that makes it three times as dear to make, on the way of every request.

    called_at: real time, whatever a test clock says. seconds: until the answer was on its way.
    request, answer: the first KEPT_BYTES of the bodies; the sizes are those of the whole bodies.
    """

    tenant: Tenant
    key: ApiKey | None
    called_at: datetime
    seconds: float
    method: str
    path: str
    parameters: Mapping[str, str]
    query: bytes
    headers: Mapping[str, str]
    request_id: str
    request: bytes
    request_size: int
    status: int
    replayed: bool
    answer: bytes
    answer_size: int

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        return len(self.request) + len(self.answer)


def kept(body: bytes) -> bytes:
    """What an entry holds of a body."""
    return body if len(body) <= KEPT_BYTES else body[:KEPT_BYTES]


def row_of(entry: Entry) -> Row:
    """What is stored of a call."""
    key, headers = entry.key, entry.headers
    request = masked_body(entry.request, entry.request_size)
    known = _read_again if entry.method == "GET" else None
    answer = masked_body(entry.answer, entry.answer_size, known=known)
    code, message = _first_error(answer) if entry.status >= 400 else (None, None)
    application, _, version = headers.get("upstream-application-id", "").partition("/")
    query = entry.query.decode("latin-1")
    return (
        entry.tenant.account_id, entry.tenant.live, id_at(entry.called_at, _random.getrandbits(62)),
        entry.called_at, entry.seconds * 1000,
        key and key.id, key and key.name, key and key.kind,
        entry.method, collection_of(entry.path), _path(entry),
        _text(masked_query(query), _MOST_MESSAGE) if query else None,
        entry.status, code, message, entry.replayed, request, answer,
        _header(headers, "upstream-id"), _text(application), _text(version),
        _header(headers, "upstream-session-id"), _shopper_address(headers),
        entry.request_id, _resource_id(entry),
    )  # fmt: skip


def id_at(moment: datetime, rest: int) -> UUID:
    """A UUID of version 7 (RFC 9562, method 3): sorts as its time does, to the microsecond.

    rest: 62 bits that tell calls of the same instant apart; 0 for the first id of that instant.
    """
    micros = (moment - _EPOCH) // _MICROSECOND
    millis, fraction = divmod(micros, 1000)
    # Rounded up, so that no two microseconds fall together.
    part = (fraction * 4096 + 999) // 1000
    return UUID(int=millis << 80 | 7 << 76 | part << 64 | 2 << 62 | rest)


def collection_of(path: str) -> str:
    """What a path leads to, without the object: `/refunds` of `/refunds/re_1/…`."""
    parts = path.split("/", 4)
    return "/".join(parts[:4] if parts[1:2] == ["refundry"] else parts[:2])[:_MOST_TEXT]


def _path(entry: Entry) -> str:
    """The path, without a refund token in it."""
    token = entry.parameters.get("token")
    path = entry.path.replace(token, MASK) if token else entry.path
    return masked_text(path)[:_MOST_PATH]


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return _text(headers.get(name, ""))


def _text(text: str, most: int = _MOST_TEXT) -> str | None:
    """A text to be stored; None if there is none."""
    return masked_text(text[:most]) if text else None


def _shopper_address(headers: Mapping[str, str]) -> str | None:
    """The right-most `for=` of the header Forwarded (RFC 7239)."""
    forwarded = headers.get("forwarded", "")
    _, found, rest = forwarded.lower().rpartition("for=")
    if not found:
        return None
    return rest.split(";")[0].split(",")[0].strip(' "')[:_MOST_TEXT] or None


def _resource_id(entry: Entry) -> str | None:
    """What the call was about: an object of its path, what it made, or the order that a refused
    request named. A refund token stands for its refund, which the answer names."""
    named = entry.parameters.get("id")
    if named:
        return named[:_MOST_TEXT]
    if entry.method != "POST" or not 200 <= entry.status < 500:
        return None
    body, name = (entry.answer, "id") if entry.status < 300 else (entry.request, "orderId")
    return _member(body, name)


def _member(body: bytes, name: str) -> str | None:
    """A text at the beginning of an object, or anywhere in a small one."""
    begin = f'{{"{name}":"'.encode()
    if body.startswith(begin):
        end = body.find(b'"', len(begin))
        return body[len(begin) : end].decode("utf-8", "replace")[:_MOST_TEXT]
    try:
        value = _object(json.loads(body)).get(name)
    except (ValueError, RecursionError):
        return None
    return value[:_MOST_TEXT] if isinstance(value, str) and "\x00" not in value else None


def _first_error(answer: str | None) -> tuple[str | None, str | None]:
    """The code of the first error and the messages of all, from a masked answer."""
    try:
        errors = _object(json.loads(answer or "")).get("errors")
    except (ValueError, RecursionError):
        return None, None
    found = [_object(each) for each in cast("list[object]", errors or [])]
    if not found:
        return None, None
    messages = "\n".join(str(each.get("message", "")) for each in found)
    code = found[0].get("code")
    return code and str(code), messages.replace("\x00", "")[:_MOST_MESSAGE]


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
