"""What every request goes through: limits, key, rate, version, idempotency, answers to errors."""

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog
from starlette.types import Receive, Scope, Send

from refundry import idempotency
from refundry.access.guards import KeyRing, RateLimit
from refundry.api_log.entry import Entry, kept
from refundry.api_log.journal import Journal
from refundry.db.database import UNDONE, NothingDone, Unreachable, asking
from refundry.domain.refusal import KeyInUse
from refundry.errors import BadFields, FieldProblem, NotFound, Refused, required
from refundry.http import problems
from refundry.http.admission import Admission, TooMuch
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation, Services, Trace
from refundry.http.document import MAX_BODY_BYTES, bad_format, canonical_json
from refundry.http.query import Query
from refundry.ids import new_uuid
from refundry.metrics import observe_request
from refundry.tenant import VERSIONS, ApiKey

_BODY_SECONDS = 30.0
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
_JSON_RANGES = frozenset({"", "*/*", "application/*", "application/json"})
_NOTHING: Mapping[str, str] = {}
log = structlog.get_logger("refundry.http")


class TooSlow(Exception):
    """The body did not arrive in time."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What decides whether a request may pass. journal: where calls are noted, if they are."""

    services: Services
    keys: KeyRing
    live_limit: RateLimit
    test_limit: RateLimit
    journal: Journal | None = None


class Resource:
    """The operations on one path, as an ASGI application; without any, what answers 404."""

    def __init__(
        self, gate: Gate, operations: Sequence[Operation], *, body_seconds: float = _BODY_SECONDS
    ) -> None:
        """body_seconds: how long the body of a request may take to arrive."""
        self._gate = gate
        self._body_seconds = body_seconds
        self._operations = {operation.method: operation for operation in operations}
        self._allow = ", ".join(operation.method for operation in operations)
        self._headers = {k: v for each in operations for k, v in each.headers.items()}
        self._all_open = bool(operations) and all(operation.open for operation in operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        called_at = self._gate.services.clock.now()
        headers = _headers(scope)
        request_id = request_id_of(scope)
        trace = Trace()
        answer = await self._answer(scope, receive, headers, request_id, trace)
        answer.headers.update(self._headers)
        await send_answer(send, answer, request_id)
        duration = time.perf_counter() - started
        if self._gate.journal is not None and trace.tenant is not None:
            entry = _entry(scope, headers, request_id, trace, answer, called_at, duration)
            self._gate.journal.note(entry)
        route = scope["refundry.route"]
        observe_request(scope["method"], route, answer.status, duration)
        log.info(
            "request",
            method=scope["method"],
            route=route,
            status=answer.status,
            ms=round(duration * 1000, 2),
            request_id=request_id,
            key_id=trace.key and trace.key.id,
        )

    async def _answer(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], request_id: str,
        trace: Trace,
    ) -> Answer:  # fmt: skip
        try:
            return await self._pass(scope, receive, headers, request_id, trace)
        except Exception as error:  # the last place that can still answer
            return _answer_to(error, request_id, reads=scope["method"] == "GET")

    async def _pass(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], request_id: str,
        trace: Trace,
    ) -> Answer:  # fmt: skip
        operation = self._operations.get(scope["method"])
        if operation is None:
            await self._recognise(headers, trace)
            return self._no_operation()
        key = None
        if not operation.open:
            with asking():
                key = await self._gate.keys.find(headers.get("authorization"))
            if key is None:
                return problems.problem(401, headers={"WWW-Authenticate": "Bearer"})
            trace.key, trace.tenant = key, key.tenant
        if refused := self._check(operation, key, headers):
            return refused
        body = b""
        if operation.method != "GET":
            admission = self._gate.services.admission
            body = trace.body = await read_body(receive, admission, self._body_seconds)
        now = self._gate.services.clock.now()
        if key is not None:
            now += key.clock_shift
        call = Call(
            self._gate.services, key, now, scope["path_params"], Query(scope["query_string"]),
            body, headers, request_id, trace,
        )  # fmt: skip
        if operation.method == "POST" and key is not None and "idempotency-key" in headers:
            return await _once(self._gate.services, call, operation, scope["path"])
        return await operation.handler(call)

    async def _recognise(self, headers: Mapping[str, str], trace: Trace) -> None:
        """See whose call it is that leads nowhere: its caller will look for it in the API log."""
        if self._gate.journal is None or self._all_open:
            return
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
            if key := await self._gate.keys.find(headers.get("authorization")):
                trace.key, trace.tenant = key, key.tenant

    def _no_operation(self) -> Answer:
        if not self._operations:
            return problems.problem(404)
        return problems.problem(405, headers={"Allow": self._allow})

    def _check(
        self, operation: Operation, key: ApiKey | None, headers: Mapping[str, str]
    ) -> Answer | None:
        """The answer to a request that may not pass, or None."""
        if key is not None:
            limit = self._gate.live_limit if key.tenant.live else self._gate.test_limit
            if wait := limit.wait_seconds(key.id):
                return problems.problem(429, headers={"Retry-After": str(wait)})
            if not key.may(operation.resource, write=operation.writes):
                return problems.problem(403)
        if not operation.any_media and not _accepts_json(headers.get("accept", "")):
            return problems.problem(406)
        version = headers.get("digitalriver-version")
        if version is not None and version not in VERSIONS:
            message = f"'{version}' is not a valid digitalriver-version."
            return problems.problem(
                400, FieldProblem("invalid_parameter", "digitalriver-version", message)
            )
        return None


async def _once(services: Services, call: Call, operation: Operation, path: str) -> Answer:
    """Run an operation under its idempotency key, or give the stored answer."""
    key = call.headers["idempotency-key"]
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        message = f"'{key}' is not a valid Idempotency-Key."
        return problems.problem(400, FieldProblem("invalid_parameter", "Idempotency-Key", message))
    releases = services.part(idempotency.Releases)
    with asking():
        taken = await idempotency.reserve(
            services.database, services.vault, call.tenant, releases,
            method="POST", path=path, key=key, body=_comparable(call), now=call.now,
            real_now=services.clock.now(),
        )  # fmt: skip
    if isinstance(taken, idempotency.Replay):
        return Answer(taken.status, taken.body, {"Idempotent-Replayed": "true"})
    call.receipt = taken
    try:
        answer = await operation.handler(call)
    except (BadFields, NotFound, Refused) as error:
        answer = _answer_to(error, call.request_id)
        taken.stored = False  # What a transaction stored before it was refused is rolled back.
    except BaseException:
        await releases.add(taken)
        raise
    if not taken.stored:
        await _keep(services, releases, taken, answer)
    return answer


async def _keep(
    services: Services, releases: idempotency.Releases, taken: idempotency.Receipt, answer: Answer
) -> None:
    """Keep the answer to a request that changed nothing."""
    try:
        # As nothing was changed, a taker-over of the key may answer as it finds.
        with contextlib.suppress(idempotency.Overtaken):
            await taken.store(services.database, answer.status, answer.body, sealed=answer.sealed)
    except BaseException:
        await releases.add(taken)
        raise


def _comparable(call: Call) -> bytes:
    """The body in a form in which equal requests are equal; as sent if it is no JSON object."""
    try:
        return canonical_json(call.document)
    except BadFields:
        return call.body


def _entry(
    scope: Scope, headers: Mapping[str, str], request_id: str, trace: Trace, answer: Answer,
    called_at: datetime, seconds: float,
) -> Entry:  # fmt: skip
    """What the API log is to know of an answered call."""
    return Entry(
        required(trace.tenant), trace.key, called_at, seconds,
        scope["method"], scope["path"], scope.get("path_params", _NOTHING), scope["query_string"],
        headers, request_id, kept(trace.body), len(trace.body),
        answer.status, "Idempotent-Replayed" in answer.headers, kept(answer.body), len(answer.body),
    )  # fmt: skip


def _answer_to(error: Exception, request_id: str, *, reads: bool = False) -> Answer:
    """reads: whether the request was for reading only, so that it had no effect in any case."""
    match error:
        case BadFields():
            return problems.bad_fields(error)
        case NotFound():
            return problems.not_found(error)
        case Refused():
            return problems.refused(error.refusal)
        case idempotency.Overtaken():
            return problems.refused(KeyInUse())
        case TooSlow():
            return problems.problem(408, headers={"Connection": "close"})
        case NothingDone() | TooMuch():
            log.warning("request_shed", request_id=request_id, error=str(error))
            return problems.unavailable()
        case _ if isinstance(error, UNDONE):
            log.warning("database_slow", request_id=request_id, error=type(error).__name__)
            return problems.unavailable()
        case _ if isinstance(error, Unreachable):
            named = type(error).__name__
            log.warning("database_lost", request_id=request_id, error=f"{named}: {error}")
            # What was asked for may have been done: 503 would say that it was not.
            return problems.unavailable() if reads else problems.problem(504)
        case _:
            log.error("unexpected_error", request_id=request_id, exc_info=error)
            return problems.problem(500)


async def read_body(
    receive: Receive, admission: Admission, seconds: float, most: int = MAX_BODY_BYTES
) -> bytes:
    """The whole body, within its limits of time and size. Raises TooSlow, TooMuch and BadFields."""
    try:
        async with asyncio.timeout(seconds):
            with admission.body() as body:
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise bad_format()
                    body.add(message.get("body", b""))
                    if body.size > most:
                        raise bad_format()
                    if not message.get("more_body"):
                        return body.whole()
                    body.wait()
    except TimeoutError as error:
        raise TooSlow from error


async def send_answer(send: Send, answer: Answer, request_id: str) -> None:
    """Put an answer on the wire."""
    headers = [(b"x-request-id", request_id.encode())]
    if answer.status != 204:
        headers.append((b"content-type", answer.content_type.encode()))
        headers.append((b"content-length", str(len(answer.body)).encode()))
    headers += [(k.lower().encode(), v.encode()) for k, v in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def request_id_of(scope: Scope) -> str:
    """The `X-Request-Id` that the client sent, if it can be echoed, or a new one."""
    sent = dict[bytes, bytes](scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return sent if _REQUEST_ID.fullmatch(sent) else new_uuid()


def _headers(scope: Scope) -> dict[str, str]:
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def _accepts_json(accept: str) -> bool:
    ranges = (part.split(";")[0].strip().lower() for part in accept.split(","))
    return any(each in _JSON_RANGES for each in ranges)
