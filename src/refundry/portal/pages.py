"""A visit to a page: who comes, whether they may, and the page or form handler they get."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import structlog
from markupsafe import Markup
from starlette.types import Receive, Scope, Send

from refundry.access.passwords import TooBusy
from refundry.access.rights import REFUND_SET_NAME, Right
from refundry.access.sessions import WebSession, find_session
from refundry.access.users import User
from refundry.db.database import UNDONE, Database, NothingDone, Unreachable
from refundry.errors import BadFields, NotFound, required
from refundry.http.admission import TooMuch
from refundry.http.answer import Answer
from refundry.http.call import Services
from refundry.http.document import storable_text
from refundry.http.query import Query
from refundry.metrics import observe_request
from refundry.pipeline import TooSlow, read_body, request_id_of, send_answer
from refundry.portal.cookies import read_cookies
from refundry.portal.forms import BadForm, Form, Wrong, read_form, read_multipart
from refundry.portal.navigation import groups_for
from refundry.portal.rendering import HEADERS, page
from refundry.tenant import Tenant

COOKIE = "refundry_session"
VISITOR_COOKIE = "refundry_visitor"
_SECONDS_FOR_BODY = 30.0
# Longer than any id or token in an address.
_LONGEST_PART = 200
log = structlog.get_logger("refundry.portal")


class Forbidden(Exception):
    """The visitor may not do this; the message says what is missing."""


@dataclass(slots=True)
class Visit:
    """One request for a page. now: on the clock of the visitor's mode; real_now: of the machine."""

    services: Services
    web: WebSession | None
    now: datetime
    real_now: datetime
    path: Mapping[str, str]
    query: Query
    form: Form
    body: bytes
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    request_id: str
    address: str
    secure: bool
    current: str = ""
    new_cookies: list[str] = field(default_factory=list[str])

    @property
    def session(self) -> WebSession:
        """The session of who is signed in."""
        return required(self.web)

    @property
    def user(self) -> User:
        """Who is signed in."""
        return self.session.user

    @property
    def tenant(self) -> Tenant:
        """The account of the visitor in the mode that they have chosen."""
        return self.session.tenant

    @property
    def database(self) -> Database:
        """The database."""
        return self.services.database

    def may(self, right: Right) -> bool:
        """Whether the visitor holds a right."""
        return right in self.user.rights

    def demand(self, right: Right) -> None:
        """Raises Forbidden without the right."""
        if not self.may(right):
            raise Forbidden(MISSING.get(right, "Your role does not include this page."))

    def show(self, template: str, *, status: int = 200, error: str = "", **context: Any) -> Answer:
        """A page of the dashboard with its frame."""
        frame: dict[str, Any] = {"csrf_field": self.csrf_field, "error": error, "flash": ""}
        if self.web is not None:
            frame |= {
                "user": self.user,
                "live": self.tenant.live,
                "navigation": groups_for(self.user.rights),
                "current": self.current,
                "flash": FLASHES.get(self.query.one("done") or "", ""),
                "may": self.may,
                "Right": Right,
            }
        return page(template, frame | context, status=status)

    def csrf_field(self) -> Markup:
        """The hidden field that shows that a form is ours."""
        return Markup('<input type="hidden" name="csrf_token" value="{}">').format(self.csrf)

    @property
    def csrf(self) -> str:
        """What a form of this visitor has to bring back."""
        if self.web is not None:
            return self.web.csrf_token
        return self.cookies.get(VISITOR_COOKIE, "")

    def go(self, address: str, *, done: str = "") -> Answer:
        """See another page. done: which of `FLASHES` to show there."""
        mark = "&" if "?" in address else "?"
        suffix = f"{mark}done={done}" if done else ""
        return Answer(303, b"", {"Location": address + suffix, "Cache-Control": "no-store"})


MISSING = {
    Right.CREATE_REFUND: f"You need the permission set {REFUND_SET_NAME} to create refunds.",
}
"""What a visitor without a right is told, where the contract has words for it."""

FLASHES = {
    "refunded": "Refund submitted.",
    "mode": "Mode changed.",
    "saved": "Saved.",
    "another-way": "This refund stands in the place of the one that failed.",
    "asked": "The processor is being asked. What it says shows here in a moment.",
    "return-created": "Return created.",
    "return-accepted": "Return accepted.",
    "units-accepted": "Units accepted. The refund follows with the last of them.",
    "fulfilled": "Items fulfilled.",
    "cancelled": "Items cancelled.",
    "capture-retried": "The capture is being retried.",
    "cancel-retried": "The cancel is being retried.",
    "dispute-opened": "Dispute opened.",
    "dispute-closed": "Dispute closed.",
    "key-deleted": "Key deleted.",
    "versions": "All keys have this version now.",
    "webhook-created": "Webhook created.",
    "webhook-deleted": "Webhook deleted.",
    "enabled": "Webhook enabled.",
    "disabled": "Webhook disabled.",
    "resent": "The event is being sent again, once.",
    "once": "This form was sent before; it was done once.",
    "invited": "The user is invited. If you do not have the link, make a new one.",
    "suspended": "User suspended.",
    "reinstated": "User reinstated.",
    "deleted": "User deleted.",
    "member-added": "Member added.",
    "member-removed": "Member removed.",
    "waits": "The refund is above your limit. It waits for somebody else's approval.",
    "approved": "Approved. The refund is on its way.",
    "declined": "Declined. Nothing was refunded.",
    "bulk-started": "The run has started. You may leave this page.",
    "bulk-stopped": "The run has stopped. What is not refunded yet waits.",
    "bulk-discarded": "The file was discarded.",
    "bulk-known": "This file was uploaded before: this is what became of it.",
    "adopted": "Adopted.",
    "looked-again": "Looked at again. What agrees now is off the list.",
    "dealt-with": "Marked as dealt with.",
    "signed-out": "You are signed out.",
}
"""What was done, by the word in the address; only these texts are ever shown."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """A body in parts, each sent as it comes up; without other headers server-sent events."""

    events: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(
        default_factory=lambda: {**HEADERS, "Content-Type": "text/event-stream"}
    )


Handler = Callable[[Visit], Awaitable[Answer | Streamed]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page or the handler of a form. path: below /dashboard. right: what it takes; None where
    any visitor who is signed in may. open: needs no sign-in."""

    method: str
    path: str
    handler: Handler
    right: Right | None = None
    open: bool = False
    most_bytes: int = 1 << 20


class PageResource:
    """The pages at one path, as an ASGI application."""

    def __init__(self, services: Services, pages: Sequence[Page]) -> None:
        self._services = services
        self._pages = {each.method: each for each in pages}
        self._allow = ", ".join(self._pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one visit."""
        started = time.perf_counter()
        request_id = request_id_of(scope)
        answer = await self._answer(scope, receive, request_id)
        if isinstance(answer, Streamed):
            with self._services.admission.aside():
                await _stream(answer, receive, send)
            return
        await send_answer(send, answer, request_id)
        duration = time.perf_counter() - started
        route = scope["refundry.route"]
        observe_request(scope["method"], route, answer.status, duration)
        log.info(
            "page",
            method=scope["method"],
            route=route,
            status=answer.status,
            ms=round(duration * 1000, 2),
            request_id=request_id,
            user_id=scope.get("refundry.user_id"),
        )

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer | Streamed:
        found = self._pages.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if found is None:
            answer = _plain(405, "There is nothing to do here in this way.")
            answer.headers["Allow"] = self._allow
            return answer
        visit: Visit | None = None
        try:
            body = b""
            if scope["method"] == "POST":
                admission = self._services.admission
                body = await read_body(receive, admission, _SECONDS_FOR_BODY, found.most_bytes)
            visit = await _visit(self._services, scope, body, request_id)
            answer = await _pass(visit, found)
        except Exception as error:  # the last place that can still answer
            changes = scope["method"] == "POST"
            answer = _answer_to(error, visit, request_id, changes=changes)
        return _with_cookies(answer, visit)


async def _stream(streamed: Streamed, receive: Receive, send: Send) -> None:
    """Send parts until there are no more or the browser is gone.

    After a failure the body is left without its end, so that no part passes for the whole.
    """
    headers = [(name.lower().encode(), value.encode()) for name, value in streamed.headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def run() -> None:
        async for event in streamed.events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    sending = asyncio.create_task(run())
    gone = asyncio.create_task(_gone(receive))
    await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
    for task in (sending, gone):
        task.cancel()
    failed, _ = await asyncio.gather(sending, gone, return_exceptions=True)
    if isinstance(failed, Exception):
        log.error("stream_failed", exc_info=failed)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _visit(services: Services, scope: Scope, body: bytes, request_id: str) -> Visit:
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
    cookies = read_cookies(headers.get("cookie", ""))
    real_now = services.clock.now()
    web = None
    if COOKIE in cookies:
        web = await find_session(services.database, cookies[COOKIE], real_now)
    now = real_now
    if web is not None:
        scope["refundry.user_id"] = web.user.id
        now += web.clock_shift
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    form = _read_any_form(body, kind, headers)
    query = Query(scope["query_string"])
    address = scope["path"] + ("?" + scope["query_string"].decode("latin-1")).rstrip("?")
    return Visit(
        services, web, now, real_now, scope["path_params"], query, form, body, headers,
        cookies, request_id, address, services.settings.is_over_tls(),
        current=_entry_of(scope["refundry.route"]),
    )  # fmt: skip


def _read_any_form(body: bytes, kind: str, headers: Mapping[str, str]) -> Form:
    match kind:
        case "application/x-www-form-urlencoded":
            return read_form(body)
        case "multipart/form-data":
            return read_multipart(body, headers["content-type"])
        case _:
            return Form()


def _entry_of(route: str) -> str:
    """The entry of the navigation that a route belongs to."""
    return "/".join(route.split("/")[:3])


async def _pass(visit: Visit, found: Page) -> Answer | Streamed:
    """Check sign-in, form token and right, in this order, then run the handler."""
    if visit.web is None and not found.open:
        if found.method != "GET":
            return visit.go("/dashboard/login")
        return visit.go(f"/dashboard/login?next={quote(visit.address, safe='')}")
    if found.method == "POST" and not _ours(visit):
        raise Forbidden("This form has expired. Go back, reload the page and try again.")
    if found.right is not None:
        visit.demand(found.right)
    if not all(len(part) <= _LONGEST_PART and storable_text(part) for part in visit.path.values()):
        # No id at all, and nothing that the database would take for one.
        raise NotFound("Page", "with this address")
    return await found.handler(visit)


def _ours(visit: Visit) -> bool:
    """Whether a form was made for this visitor by us."""
    sent = visit.form.secret("csrf_token") or visit.headers.get("x-csrf-token", "")
    return bool(visit.csrf) and hmac.compare_digest(sent.encode(), visit.csrf.encode())


def _with_cookies(answer: Answer | Streamed, visit: Visit | None) -> Answer | Streamed:
    if isinstance(answer, Answer) and visit is not None and visit.new_cookies:
        answer.headers["Set-Cookie"] = visit.new_cookies[-1]
    return answer


def _answer_to(error: Exception, visit: Visit | None, request_id: str, *, changes: bool) -> Answer:
    """changes: whether the request was to change something."""
    match error:
        case Forbidden():
            return _framed(visit, 403, "You may not do this", str(error))
        case NotFound():
            text = f"There is no {error.noun.lower()} {error.object_id} in this account and mode."
            return _framed(visit, 404, "Not found", text)
        case Wrong():
            return _framed(visit, 400, "This cannot be done", str(error))
        case BadForm() | BadFields():
            return _framed(visit, 400, "This cannot be done", "The form could not be read.")
        case TooSlow():
            return _framed(visit, 408, "This took too long", "The form did not arrive in time.")
        case TooBusy():
            text = "Too many passwords are being checked just now. Try again in a moment."
            return _framed(visit, 503, "Too busy", text)
        case _ if isinstance(error, (NothingDone, TooMuch, *UNDONE)):
            log.warning("request_shed", request_id=request_id, error=str(error))
            return _not_now()
        case _ if isinstance(error, Unreachable):
            log.warning("database_lost", request_id=request_id, error=str(error))
            return _in_doubt() if changes else _not_now()
        case _:
            log.error("unexpected_error", request_id=request_id, exc_info=error)
            return _plain(500, f"Something went wrong on our side (request {request_id}).")


def _not_now() -> Answer:
    answer = _plain(503, "The service is busy. Nothing was changed; try again in a moment.")
    answer.headers["Retry-After"] = "1"
    return answer


def _in_doubt() -> Answer:
    text = "The database did not answer. See whether it was done before you try again."
    return _plain(504, text)


def _framed(visit: Visit | None, status: int, title: str, text: str) -> Answer:
    if visit is None or visit.web is None:
        return _plain(status, text)
    return visit.show("error.html", status=status, title=title, error=text)


def _plain(status: int, text: str) -> Answer:
    return page("plain_error.html", {"status": status, "text": text}, status=status)
