"""Pages of lists: 25 rows, newest first, with links to the neighbours."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from refundry.db.database import Session
from refundry.db.listing import Condition, Page, list_ids
from refundry.http.answer import Answer
from refundry.portal.pages import Visit, Wrong
from refundry.tenant import Tenant

ROWS = 25
_CURSORS = frozenset({"after", "before", "below", "page", "done"})


@dataclass(frozen=True, slots=True)
class Pages:
    """The addresses of the pages beside this one; None where there is none."""

    newer: str | None
    older: str | None


async def page_of(
    visit: Visit, table: str, conditions: Sequence[Condition]
) -> tuple[list[str], Pages]:
    """The ids of the page that the visit asks for. table: a constant. Raises Wrong."""
    after, before = visit.query.one("after"), visit.query.one("before")
    asked = Page(ROWS, after, None if after else before)
    found = await list_ids(visit.database, visit.tenant, table, conditions, asked)
    if found is None:
        raise Wrong("This page of the list does not exist any more.")
    ids, more = found
    return ids, pages_beside(visit, ids, more=more)


def pages_beside(visit: Visit, ids: Sequence[str], *, more: bool) -> Pages:
    """The pages beside one that shows these. more: whether the page did not show all that way."""
    after, before = visit.query.one("after"), visit.query.one("before")
    back = not after and before is not None
    newer = ids and (more if back else after is not None)
    older = ids and (True if back else more)
    return Pages(
        page_address(visit, "before", ids[0]) if newer else None,
        page_address(visit, "after", ids[-1]) if older else None,
    )


def numbered_pages(visit: Visit, page: int, total: int) -> Pages:
    """The neighbours of a page of a list that is counted. page: from 1; total: of all rows."""
    return Pages(
        page_address(visit, "page", str(page - 1)) if page > 1 else None,
        page_address(visit, "page", str(page + 1)) if page * ROWS < total else None,
    )


def page_address(visit: Visit, cursor: str, value: str) -> str:
    """The same list at another place; without a value at its beginning."""
    kept = [(name, text) for name, text in visit.query.pairs if name not in _CURSORS and text]
    return "?" + urlencode([*kept, *([(cursor, value)] if value else [])])


def file_address(visit: Visit, path: str) -> str:
    """Where the whole list that a page of it shows is kept as a file. path: without a query."""
    query = page_address(visit, "page", "")
    return path if query == "?" else path + query


def day_conditions(visit: Visit, column: str) -> list[Condition]:
    """The conditions of the fields `from` and `to`, whole days in UTC. column: a constant."""
    first, last = day(visit.query.one("from")), day(visit.query.one("to"))
    found: list[Condition] = []
    if first is not None:
        found.append(Condition(f"{column} >= {{}}::timestamptz", first))
    if last is not None:
        found.append(Condition(f"{column} < {{}}::timestamptz", last + timedelta(days=1)))
    return found


def day(text: str | None) -> datetime | None:
    """Midnight of a day `2024-05-31` in UTC; None if the field is empty. Raises Wrong."""
    if not text:
        return None
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise _no_day(text) from error
    if found.year == MAXYEAR:  # Its last day has no next one, which ranges end with.
        raise _no_day(text)
    return found


def _no_day(text: str) -> Wrong:
    return Wrong(f"'{text[:20]}' is not a day. Write it like 2024-05-31.")


def active_filters(visit: Visit, *names: str) -> int:
    """How many of the named fields narrow the list."""
    return sum(bool(visit.query.one(name)) for name in names)


@dataclass(frozen=True, slots=True)
class SearchedList:
    """How a list with a search, a state and days to narrow it is read.

    states: as pages name them. search: the ids of what a text names. find: the rows for ids.
    """

    states: Mapping[str, str]
    search: Callable[[Visit, str], Awaitable[list[str]]]
    find: Callable[[Session, Tenant, Sequence[str]], Awaitable[Sequence[object]]]


async def show_list(visit: Visit, table: str, read: SearchedList) -> Answer:
    """A page of the list, newest first. table: a constant, the name of the template too."""
    conditions = day_conditions(visit, "t.created_at")
    state = visit.query.one("state") or ""
    if state in read.states:
        conditions.append(Condition("t.state = {}::text", state))
    q = (visit.query.one("q") or "").strip()
    if q:
        conditions.append(Condition("t.id = ANY ({}::text[])", await read.search(visit, q)))
    ids, pages = await page_of(visit, table, conditions)
    rows: dict[str, Any] = {table: await read.find(visit.database, visit.tenant, ids)}
    return visit.show(
        f"{table}.html",
        **rows,
        pages=pages,
        q=q,
        state=state,
        states=read.states,
        first=visit.query.one("from") or "",
        last=visit.query.one("to") or "",
        active=active_filters(visit, "state", "from", "to"),
    )
