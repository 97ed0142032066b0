"""What happens to a call until it has its answer, without I/O: the clients send and wait.

A generator yields `Request` (send it, give back the Answer or the Failure) and `Wait` (pause, give
back None), and returns what the call reads from its answer, or raises.
"""

import secrets
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, TypeVar, cast

from refundry_sync.client.call import Call
from refundry_sync.client.masking import MASK, masked_key, masked_text
from refundry_sync.client.settings import CallReport, Settings
from refundry_sync.errors import ApiError, BadAnswer, Problem, Unreachable, api_error
from refundry_sync.models import parse

Found = TypeVar("Found")

# The longest pause: what a server asks for beyond it is left to the caller.
LONGEST_WAIT_SECONDS = 300.0
_IN_USE = "idempotency_key_in_use"
_JITTER = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Request:
    """An attempt to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. headers: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """There is no answer. sent: whether anything may have reached the server."""

    error: Exception
    sent: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause before the next attempt."""

    seconds: float


Step = Request | Wait
Reply = Answer | Failure | None


def exchange(call: Call[Found], settings: Settings) -> Generator[Step, Reply, Found]:
    """The steps of a call. Raises ApiError, Unreachable and BadAnswer."""
    request = _request(call, settings)
    for attempt in count(1):
        reply = yield request
        assert reply is not None
        settings.report(_report(call, request, attempt, reply))
        pause = _pause_seconds(call, reply, attempt, settings)
        if pause is None:
            return _finish(call, request, attempt, reply)
        yield Wait(pause)
    raise AssertionError


def _request(call: Call[Any], settings: Settings) -> Request:
    """The same for every attempt: the server knows the call again by its key."""
    headers = {**settings.headers(), **dict(call.headers), "X-Request-Id": str(uuid.uuid4())}
    if not call.open:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.keyed:
        headers["Idempotency-Key"] = call.key or str(uuid.uuid4())
    return Request(call.method, settings.base_url + call.path, headers, call.body)


def _pause_seconds(
    call: Call[Any], reply: Answer | Failure, attempt: int, settings: Settings
) -> float | None:
    """How long to wait before the next attempt; None if this was the last one."""
    repeatable = call.repeatable and (settings.repeat_posts or call.method != "POST")
    if attempt >= settings.attempts or not _worth_another(reply, repeatable=repeatable):
        return None
    longest = min(settings.first_wait * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS)
    pause = _JITTER.uniform(longest / 2, longest)
    asked = retry_after(reply.headers) if isinstance(reply, Answer) else None
    if asked is None:
        return pause
    return None if asked > LONGEST_WAIT_SECONDS else max(asked, pause)


def _worth_another(reply: Answer | Failure, *, repeatable: bool) -> bool:
    """Whether the same request may do better: always where the server has done nothing yet."""
    if isinstance(reply, Failure):
        return repeatable or not reply.sent
    if reply.status == 429:
        return True
    if reply.status == 409:
        return repeatable and any(each.code == _IN_USE for each in _problems(reply.body))
    return repeatable and (reply.status >= 500 or reply.status == 408)


def _finish(call: Call[Found], request: Request, attempt: int, reply: Answer | Failure) -> Found:
    if isinstance(reply, Failure):
        times = f"{attempt} attempt" + ("s" if attempt > 1 else "")
        raise Unreachable(f"{_name(call)}: {times}: {_words(reply.error)}") from reply.error
    if reply.status == 404 and call.method == "DELETE" and attempt > 1:
        # An attempt before this one has done it, and its answer was lost.
        return call.read(None)
    if reply.status >= 400:
        raise _refusal(reply, request)
    if not 200 <= reply.status < 300:
        raise BadAnswer(f"{_name(call)}: status {reply.status}")
    try:
        return call.read(parse(reply.body) if reply.body else None)
    except BadAnswer as error:
        raise BadAnswer(f"{_name(call)}: status {reply.status}: {error}") from error


def _refusal(answer: Answer, request: Request) -> ApiError:
    request_id = answer.headers.get("x-request-id") or request.headers["X-Request-Id"]
    problems = tuple(_problems(answer.body))
    return api_error(answer.status, problems, request_id, retry_after(answer.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks us to wait: said as such, or as a time after its own."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(until.total_seconds(), 0.0)


def _problems(body: bytes) -> list[Problem]:
    """What an answer says is wrong; nothing if it is not in the API's form."""
    try:
        document = parse(body)
    except BadAnswer:
        return []
    errors: object = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return []
    elements = [cast("dict[str, Any]", each) for each in cast("list[object]", errors)
                if isinstance(each, dict)]  # fmt: skip
    return [
        Problem(_text(each.get("code")), _text(each.get("parameter")), str(each.get("message", "")))
        for each in elements
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _name(call: Call[Any]) -> str:
    return f"{call.method} {call.template}"


def _words(error: Exception) -> str:
    return masked_text(f"{type(error).__name__} {error}".strip())


def _report(call: Call[Any], request: Request, attempt: int, reply: Answer | Failure) -> CallReport:
    answered = reply if isinstance(reply, Answer) else None
    return CallReport(
        operation=_name(call),
        url=_url(call, request),
        attempt=attempt,
        status=answered.status if answered else None,
        error=_words(reply.error) if isinstance(reply, Failure) else None,
        seconds=reply.seconds,
        request_id=request.headers["X-Request-Id"],
        idempotency_key=request.headers.get("Idempotency-Key"),
        key=None if call.open else masked_key(request.headers["Authorization"][len("Bearer ") :]),
        _sent=request.body,
        _received=answered.body if answered else None,
    )


def _url(call: Call[Any], request: Request) -> str:
    """The address, without the token that some have in their path."""
    token = dict(call.values).get("token")
    return masked_text(request.url.replace(token, MASK) if token else request.url)
