"""API logs: every call with what was asked, what was answered and what was wrong."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec

from refundry.access.rights import Right
from refundry.api_log.reading import (
    CallFilter,
    CallRecord,
    LoggedCall,
    find_call,
    find_creation,
    list_calls,
)
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.portal.lists import ROWS, active_filters, day, pages_beside
from refundry.portal.pages import Page, Visit, Wrong

_STATUSES: Mapping[str, int] = {"2xx": 2, "4xx": 4, "5xx": 5}
METHODS = ("GET", "POST", "PATCH", "DELETE")
_TEXTS = {
    "key": "Key name",
    "upstream": "Upstream ID",
    "application": "Application",
    "path": "Path",
    "resource": "Resource ID",
}
_FILTERS = ("status", "method", "from", "to", *_TEXTS)
_SELDOM = ("from", "to", *(name for name in _TEXTS if name != "path"))


async def list_api_calls(visit: Visit) -> Answer:
    """The calls, newest first."""
    after, before = _cursor(visit, "after"), _cursor(visit, "before")
    calls, more = await list_calls(
        visit.database,
        visit.tenant,
        _wanted(visit),
        limit=ROWS,
        after=after,
        before=None if after else before,
    )
    return visit.show(
        "api_logs.html",
        calls=calls,
        pages=pages_beside(visit, [str(call.id) for call in calls], more=more),
        statuses=list(_STATUSES),
        methods=METHODS,
        texts=_TEXTS,
        sought={name: visit.query.one(name) or "" for name in _FILTERS},
        active=active_filters(visit, *_FILTERS),
        more=active_filters(visit, *_SELDOM),
    )


def _wanted(visit: Visit) -> CallFilter:
    """What the filters of the address ask for. Raises Wrong for a day that is none."""
    query = visit.query
    last = day(query.one("to"))
    texts = {name: (query.one(name) or "").strip() or None for name in _TEXTS}
    return CallFilter(
        since=day(query.one("from")),
        until=None if last is None else last + timedelta(days=1),
        status_class=_STATUSES.get(query.one("status") or ""),
        method=query.one("method") or None,
        key_name=texts["key"],
        upstream_id=texts["upstream"],
        application=texts["application"],
        path=texts["path"],
        resource_id=texts["resource"],
    )


def _cursor(visit: Visit, name: str) -> UUID | None:
    """A call that a page begins beside. Raises Wrong."""
    text = visit.query.one(name)
    if not text:
        return None
    found = _uuid(text)
    if found is None:
        raise Wrong("This page of the list does not exist any more.")
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def show_api_call(visit: Visit) -> Answer:
    """One call with its bodies."""
    call_id = _uuid(visit.path["id"])
    record = None
    if call_id is not None:
        record = await find_call(visit.database, visit.tenant, call_id)
    if record is None:
        raise NotFound("Call", visit.path["id"])
    return visit.show(
        "api_call.html",
        call=record.call,
        request=_indented(record.request_body),
        answer=_indented(record.answer_body),
    )


def _indented(body: str | None) -> str:
    """A body to be read by people; one that was cut stays as it is."""
    try:
        return msgspec.json.format(msgspec.Raw((body or "").encode()), indent=2).decode()
    except msgspec.DecodeError:
        return body or ""


async def call_that_made(visit: Visit, resource_id: str) -> LoggedCall | None:
    """The call that made a resource, for those who may see API logs; None if none is known."""
    if not visit.may(Right.DEVELOPERS):
        return None
    found: CallRecord | None = await find_creation(visit.database, visit.tenant, resource_id)
    return found.call if found else None


PAGES = (
    Page("GET", "/api-logs", list_api_calls, Right.DEVELOPERS),
    Page("GET", "/api-logs/{id}", show_api_call, Right.DEVELOPERS),
)
