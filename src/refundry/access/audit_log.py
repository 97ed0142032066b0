"""The audit log: who changed what and when, written in the transaction of the change."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refundry.access.rights import Role
from refundry.db.database import Record, Session, Tx
from refundry.tenant import ApiKey

PAGE = 50


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. kind: user, key, command or system; id: for users and keys.

    role: of a user; it limits whom they may manage.
    """

    kind: str
    name: str
    id: str | None = None
    role: Role | None = None


COMMAND_LINE = Actor("command", "command line")
SYSTEM = Actor("system", "Refundry")


def key_actor(key: ApiKey) -> Actor:
    """The API key as the one who does something."""
    return Actor("key", key.name, key.id)


@dataclass(frozen=True, slots=True)
class Change:
    """What was done. before, after: JSON values without secrets; None: did not, does not exist.

    live: the mode it belongs to; None for what belongs to the account as a whole.
    """

    action: str
    object_type: str
    object_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    live: bool | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the audit log. seq: its place, for the next page."""

    seq: int
    at: datetime
    actor: Actor
    change: Change


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; None: any. who: part of the actor's name. until is not included.

    live: entries of that mode and those of the account as a whole.
    """

    live: bool | None = None
    who: str | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def audit(tx: Tx, account_id: str, actor: Actor, change: Change, now: datetime) -> None:
    """Write what was done into the log. now: real time."""
    await tx.execute(
        """
        INSERT INTO audit_log (account_id, at, actor_kind, actor_id, actor_name, live, action,
                               object_type, object_id, before, after)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11::jsonb)
        """,
        account_id, now, actor.kind, actor.id, actor.name, change.live, change.action,
        change.object_type, change.object_id, _json(change.before), _json(change.after),
    )  # fmt: skip


async def list_audit(
    session: Session, account_id: str, wanted: AuditFilter, *, below: int | None = None,
    limit: int = PAGE,
) -> list[Entry]:  # fmt: skip
    """Entries, newest first. below: the `seq` of the last entry of the page before."""
    rows = await session.fetch(
        """
        SELECT seq, at, actor_kind, actor_id, actor_name, live, action, object_type, object_id,
               before::text AS before, after::text AS after
          FROM audit_log
         WHERE account_id = $1 AND ($2::bigint IS NULL OR seq < $2)
           AND ($3::boolean IS NULL OR live IS NULL OR live = $3)
           AND ($4::text IS NULL OR strpos(lower(actor_name), lower($4)) > 0)
           AND ($5::text IS NULL OR action = $5)
           AND ($6::text IS NULL OR object_type = $6)
           AND ($7::text IS NULL OR object_id = $7)
           AND ($8::timestamptz IS NULL OR at >= $8)
           AND ($9::timestamptz IS NULL OR at < $9)
         ORDER BY seq DESC LIMIT $10
        """,
        account_id, below, wanted.live, searched(wanted.who), searched(wanted.action),
        searched(wanted.object_type), searched(wanted.object_id), wanted.since, wanted.until, limit,
    )  # fmt: skip
    return [_entry(row) for row in rows]


def searched(text: str | None) -> str | None:
    """What is looked for, if anything: without what no text in the database can hold."""
    if text is None:
        return None
    return "".join(each for each in text if each.isprintable()).strip() or None


def _entry(row: Record) -> Entry:
    return Entry(
        row["seq"],
        row["at"],
        Actor(row["actor_kind"], row["actor_name"], row["actor_id"]),
        Change(
            row["action"],
            row["object_type"],
            row["object_id"],
            json.loads(row["before"]) if row["before"] else None,
            json.loads(row["after"]) if row["after"] else None,
            row["live"],
        ),
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
