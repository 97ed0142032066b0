"""A shopper's visit to a page: no sign-in and no cookie; the address is the permission."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import structlog
from starlette.types import Receive, Scope, Send

from refundry.db.database import Unreachable
from refundry.errors import BadFields
from refundry.http.admission import TooMuch
from refundry.http.answer import Answer
from refundry.http.call import Services
from refundry.http.document import storable_text
from refundry.http.query import Query
from refundry.languages.language import Language, choose, message
from refundry.metrics import observe_request
from refundry.pipeline import TooSlow, read_body, request_id_of, send_answer
from refundry.shopper.lookups import Lookups, asking_address
from refundry.shopper.rendering import page

_SECONDS_FOR_BODY = 30.0
# A form has a few short fields.
_MOST_BYTES = 64 * 1024
_MOST_FIELDS = 50
log = structlog.get_logger("refundry.shopper")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page. form: what was filled in, empty where nothing was sent."""

    services: Services
    language: Language
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]

    def show(
        self, template: str, *, status: int = 200, framed: bool = False, **context: Any
    ) -> Answer:
        """A page in the shopper's language."""
        chosen = {"chosen": self.query.get("lang", "")}
        return page(template, self.language, chosen | context, status=status, framed=framed)

    def tell(
        self, message: str, *, status: int, framed: bool = False, state: str = "busy"
    ) -> Answer:
        """A page that says one thing. message: to be translated. state: for a page around it."""
        text = self.language.text(message)
        return self.show(
            "told.html", status=status, framed=framed, text=text, state=state, success=False
        )


Handler = Callable[[Visit], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page, or the handler of its form. path: whole. counted: against the address' limit."""

    method: str
    path: str
    handler: Handler
    framed: bool = False
    counted: bool = True


TOO_OFTEN = message("Too many tries. Please wait a little and try again.")
_UNREADABLE = message("The form could not be read. Please try again.")
_BROKEN = message("Something went wrong on our side. Please try again in a moment.")
_NOTHING = message("There is nothing here.")


class PageResource:
    """The pages at one path, as an ASGI application."""

    def __init__(self, services: Services, lookups: Lookups, pages: Sequence[Page]) -> None:
        self._services = services
        self._lookups = lookups
        self._pages = {each.method: each for each in pages}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one visit."""
        started = time.perf_counter()
        request_id = request_id_of(scope)
        answer = await self._answer(scope, receive, request_id)
        await send_answer(send, answer, request_id)
        seconds = time.perf_counter() - started
        route = scope["refundry.route"]
        observe_request(scope["method"], route, answer.status, seconds)
        log.info(
            "shopper_page", method=scope["method"], route=route, status=answer.status,
            ms=round(seconds * 1000, 2), request_id=request_id,
        )  # fmt: skip

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        visit = self._visit(scope, {})
        found = self._pages.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if found is None:
            answer = visit.tell(_NOTHING, status=405)
            answer.headers["Allow"] = ", ".join(self._pages)
            return answer
        try:
            if found.counted and (wait := self._lookups.wait_seconds(_address(scope))):
                answer = visit.tell(TOO_OFTEN, status=429, framed=found.framed)
                answer.headers["Retry-After"] = str(wait)
                return answer
            if scope["method"] == "POST":
                admission = self._services.admission
                body = await read_body(receive, admission, _SECONDS_FOR_BODY, _MOST_BYTES)
                visit = self._visit(scope, _read_form(body))
            return await found.handler(visit)
        except Exception as error:  # the last place that can still answer
            return _answer_to(error, visit, request_id, framed=found.framed)

    def _visit(self, scope: Scope, form: Mapping[str, str]) -> Visit:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = {
            name: value
            for name, value in Query(scope["query_string"]).pairs
            if storable_text(value)
        }
        language = choose(query.get("lang"), headers.get("accept-language"))
        return Visit(self._services, language, scope["path_params"], query, form)


def _address(scope: Scope) -> str:
    """Who asks."""
    client: tuple[str, int] | None = scope.get("client")
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    named = [value for name, value in headers if name == b"x-forwarded-for"]
    return asking_address(client[0] if client else "", b",".join(named).decode("latin-1"))


def _read_form(body: bytes) -> dict[str, str]:
    """The fields of a form. Raises BadFields."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict",
            max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except ValueError as error:
        raise BadFields([]) from error
    if not all(storable_text(name) and storable_text(value) for name, value in pairs):
        raise BadFields([])
    return dict(pairs)


def _answer_to(error: Exception, visit: Visit, request_id: str, *, framed: bool) -> Answer:
    match error:
        case BadFields():
            return visit.tell(_UNREADABLE, status=400, framed=framed)
        case TooSlow():
            return visit.tell(_UNREADABLE, status=408, framed=framed)
        case TooMuch():
            return visit.tell(_BROKEN, status=503, framed=framed)
        case _ if isinstance(error, (TimeoutError, asyncpg.QueryCanceledError, *Unreachable)):
            log.warning("database_unreachable", request_id=request_id, error=str(error))
            return visit.tell(_BROKEN, status=503, framed=framed)
        case _:
            log.error("unexpected_error", request_id=request_id, exc_info=error)
            return visit.tell(_BROKEN, status=500, framed=framed)
