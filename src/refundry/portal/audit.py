"""The audit log: who changed what and when, with the differences in words, and as a file."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from refundry.access.audit_log import PAGE, AuditFilter, Change, Entry, list_audit
from refundry.access.rights import Right
from refundry.http.answer import Answer
from refundry.portal.csv_export import Cell, csv_file, csv_lines
from refundry.portal.forms import Wrong
from refundry.portal.lists import Pages, active_filters, day, file_address, page_address
from refundry.portal.pages import Page, Streamed, Visit
from refundry.portal.rendering import words

# What is proposed as a filter is read from so many of the newest entries: there is no index by
# action, as nobody needs one but this list of words.
_RECENT = 2000
_BATCH = 500
_FEW = 4
_PLACE = re.compile(r"\d{1,18}", re.ASCII)
_ADDRESSES = {
    "order": "/dashboard/orders/",
    "refund": "/dashboard/refunds/",
    "return": "/dashboard/returns/",
    "dispute": "/dashboard/disputes/",
    "user": "/dashboard/users/",
}
_MODES: Mapping[bool | None, str] = {None: "Account", False: "Test", True: "Production"}
# What these hold are names of our own, which read better as words.
_CODED = frozenset({"status", "role", "type", "state"})


_HUMP = re.compile(r"(?<=[a-z])([A-Z])")


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not as it was. before, after: as shown; None: there was, is no such field."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as the page shows it. address: of what was changed, if it has a page.

    long: whether its differences are shown only when asked for.
    """

    entry: Entry
    action: str
    mode: str
    address: str
    differences: list[Difference]
    long: bool


async def show_log(visit: Visit) -> Answer:
    """Entries of the visitor's mode and of the account as a whole, newest first."""
    wanted, below = _wanted(visit), _below(visit)
    account_id = visit.user.account_id
    found = await list_audit(visit.database, account_id, wanted, below=below, limit=PAGE + 1)
    entries = found[:PAGE]
    older = len(found) > PAGE
    actions, objects = await _recent_words(visit, wanted)
    return visit.show(
        "audit.html",
        rows=[_row(entry) for entry in entries],
        pages=Pages(
            page_address(visit, "below", "") if below is not None else None,
            page_address(visit, "below", str(entries[-1].seq)) if older else None,
        ),
        export=file_address(visit, "/dashboard/audit.csv"),
        wanted=wanted,
        actions=actions,
        objects=objects,
        first=visit.query.one("from") or "",
        last=visit.query.one("to") or "",
        active=active_filters(visit, "who", "action", "object", "id", "from", "to"),
    )


def _wanted(visit: Visit) -> AuditFilter:
    """Which entries the fields of the search ask for. Raises Wrong."""
    query = visit.query
    last = day(query.one("to"))
    return AuditFilter(
        live=visit.tenant.live,
        who=query.one("who"),
        action=query.one("action"),
        object_type=query.one("object"),
        object_id=query.one("id"),
        since=day(query.one("from")),
        until=last + timedelta(days=1) if last else None,
    )


def _below(visit: Visit) -> int | None:
    """The place in the log where the page begins. Raises Wrong."""
    text = visit.query.one("below")
    if not text:
        return None
    if not _PLACE.fullmatch(text):
        raise Wrong("This page of the log does not exist.")
    return int(text)


async def _recent_words(visit: Visit, wanted: AuditFilter) -> tuple[list[str], list[str]]:
    """The actions and kinds of objects that the filters offer, with the chosen ones."""
    rows = await visit.database.fetch(
        """
        SELECT DISTINCT action, object_type
          FROM (SELECT action, object_type FROM audit_log
                 WHERE account_id = $1 ORDER BY seq DESC LIMIT $2) AS recent
        """,
        visit.user.account_id, _RECENT,
    )  # fmt: skip
    actions = {row["action"] for row in rows} | {wanted.action or ""}
    objects = {row["object_type"] for row in rows} | {wanted.object_type or ""}
    return sorted(actions - {""}), sorted(objects - {""})


def _row(entry: Entry) -> Row:
    change = entry.change
    base = _ADDRESSES.get(change.object_type, "")
    found = differences(change)
    return Row(
        entry,
        words(change.action.replace(".", " ")),
        _MODES[change.live],
        f"{base}{change.object_id}" if base else "",
        found,
        len(found) > _FEW,
    )


def differences(change: Change) -> list[Difference]:
    """What differs, field by field; of what was made or removed, all that it held."""
    before, after = _flat(change.before), _flat(change.after)
    return [
        Difference(_label(name), before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _label(path: str) -> str:
    """A field of ours in words: `userId` -> `user id`. What is in it keeps its names."""
    first, dot, rest = path.partition(".")
    return _HUMP.sub(r" \1", first).lower() + dot + rest


def _flat(value: Mapping[str, Any] | None, prefix: str = "") -> dict[str, str]:
    """The fields as text; those of objects within by path, and what is empty left out."""
    found: dict[str, str] = {}
    for name, each in (value or {}).items():
        if isinstance(each, dict):
            found |= _flat(cast("dict[str, Any]", each), f"{prefix}{name}.")
        elif each not in (None, "", []):
            found[prefix + name] = _text(name, each)
    return found


def _text(name: str, value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return words(value) if name in _CODED else value
        case _:
            return json.dumps(value, ensure_ascii=False)


async def export_log(visit: Visit) -> Streamed:
    """The entries that the filters leave, as a file."""
    return csv_file("audit-log", _parts(visit, _wanted(visit)))


async def _parts(visit: Visit, wanted: AuditFilter) -> AsyncIterator[bytes]:
    yield csv_lines([("Time", "Mode", "Who", "Kind", "Who ID", "Action", "Object", "Object ID",
                      "Before", "After")])  # fmt: skip
    below: int | None = None
    while True:
        found = await list_audit(
            visit.database, visit.user.account_id, wanted, below=below, limit=_BATCH
        )
        if found:
            yield csv_lines([_cells(entry) for entry in found])
            below = found[-1].seq
        if len(found) < _BATCH:
            return


def _cells(entry: Entry) -> tuple[Cell, ...]:
    actor, change = entry.actor, entry.change
    return (
        entry.at, _MODES[change.live], actor.name, actor.kind, actor.id, change.action,
        change.object_type, change.object_id, _json(change.before), _json(change.after),
    )  # fmt: skip


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


PAGES = (
    Page("GET", "/audit", show_log, Right.AUDIT),
    Page("GET", "/audit.csv", export_log, Right.AUDIT),
)
