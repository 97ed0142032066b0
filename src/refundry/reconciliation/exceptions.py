"""What a person has to look at between the processors' books and ours, as one list."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from refundry.db.database import Record, Session
from refundry.reconciliation.lines import LineKind
from refundry.reconciliation.matching import LineState
from refundry.reconciliation.store import StoredLine, exceptional_lines, find_line
from refundry.tenant import Tenant

MOST_SHOWN = 100


class Sort(StrEnum):
    """Why something is on the list; also how its id begins."""

    MISSING = "missing"
    """Settled with us, and in no report."""
    LINE = "line"
    """In a report, and not with us, or otherwise."""
    CONFLICT = "conflict"
    """A refund made at the processor that does not fit our books."""
    PARKED = "parked"
    """An operation whose answer was not about what was asked."""
    NOTICE = "notice"
    """A notification that fits nothing."""


class Step(StrEnum):
    """What a person may do about it."""

    ADOPT = "adopt"
    """Take it into the books."""
    CHECK = "check"
    """Look again: at the processor, or whether it agrees by now."""
    DEAL = "deal"
    """Take it off the list, with a note."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something to look at. id: `<sort>-<key>`. what: in a word or two. day: that it is of.

    amount: minor units. reference: the processor's. steps: what may be done about it.
    """

    sort: Sort
    key: str
    what: str
    why: str
    gateway: str
    day: date
    amount: int | None
    currency: str | None
    reference: str | None
    order_id: str | None
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        """The end of the address of its page."""
        return f"{self.sort.value}-{self.key}"


_WORDS: Mapping[LineKind, str] = {
    LineKind.REFUND: "refund",
    LineKind.REFUND_REVERSED: "refund that came back",
    LineKind.CHARGEBACK: "chargeback",
    LineKind.CHARGEBACK_REVERSED: "chargeback given back",
}
_MISSING = """
SELECT m.seq, m.gateway_id, m.order_id, m.operation_id, o.amount_minor, o.updated_at,
       o.processor_reference, r.currency
  FROM settlement_missing m
  JOIN charge_operations o ON o.account_id = m.account_id AND o.live = m.live
       AND o.order_id = m.order_id AND o.id = m.operation_id
  JOIN orders r ON r.account_id = m.account_id AND r.live = m.live AND r.id = m.order_id
 WHERE m.account_id = $1 AND m.live = $2 AND m.dealt_at IS NULL
   AND ($3::text IS NULL OR m.seq::text = $3)
 ORDER BY m.seq LIMIT $4
"""
_CONFLICTS = """
SELECT seq, gateway_id, reference, made_at, amount_minor, currency, why, order_id
  FROM external_refunds
 WHERE account_id = $1 AND live = $2 AND state = 'conflict'
   AND ($3::text IS NULL OR seq::text = $3)
 ORDER BY seq LIMIT $4
"""
_PARKED = """
SELECT o.id, o.kind, o.gateway_id, o.order_id, o.amount_minor, o.parked, o.processor_reference,
       coalesce(o.attention_since, o.updated_at) AS since, r.currency
  FROM charge_operations o
  JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
 WHERE o.account_id = $1 AND o.live = $2 AND o.parked IS NOT NULL AND o.state = 'pending'
   AND ($3::text IS NULL OR o.id = $3)
 ORDER BY o.seq LIMIT $4
"""
# Found by what their gateway is, as they belong to no account by themselves.
_NOTICES = """
SELECT md5(n.connector || ' ' || n.id) AS key, n.connector, n.id, n.received_at
  FROM gateways g
  JOIN processor_notifications n ON n.connector = g.id AND n.state = 'unmatched'
 WHERE g.account_id = $1 AND g.live = $2
   AND ($3::text IS NULL OR md5(n.connector || ' ' || n.id) = $3)
 ORDER BY n.received_at LIMIT $4
"""
_Find = Callable[[Session, Tenant, str | None], Awaitable[list[Oddity]]]


async def list_oddities(session: Session, tenant: Tenant) -> dict[Sort, list[Oddity]]:
    """Everything to look at, by why it is here, oldest first; at most MOST_SHOWN of a sort."""
    return {sort: await find(session, tenant, None) for sort, find in _FINDERS.items()}


async def find_oddity(session: Session, tenant: Tenant, oddity_id: str) -> Oddity | None:
    """What has this id, while it is still to be looked at."""
    name, _, key = oddity_id.partition("-")
    if name not in set(Sort) or not key:
        return None
    found = await _FINDERS[Sort(name)](session, tenant, key)
    return found[0] if found else None


async def _lines(session: Session, tenant: Tenant, key: str | None) -> list[Oddity]:
    stored: Sequence[StoredLine]
    if key is None:
        stored = await exceptional_lines(session, tenant, MOST_SHOWN)
    else:
        short = key.isascii() and key.isdigit() and len(key) <= 18
        one = await find_line(session, tenant, int(key)) if short else None
        stored = [one] if one is not None and not one.dealt_with else []
    names = await _gateway_names(session, tenant) if stored else {}
    wanted = (LineState.EXTRA, LineState.DIFFERENT)
    return [_of_line(each, names) for each in stored if each.verdict.state in wanted]


def _of_line(stored: StoredLine, names: Mapping[str, str]) -> Oddity:
    line, verdict = stored.line, stored.verdict
    return Oddity(
        Sort.LINE, str(stored.seq), f"{verdict.state.value} {_WORDS[line.kind]}",
        verdict.why or "", names[stored.gateway_id], line.booked_on, line.amount, line.currency,
        line.reference or line.identity, verdict.order_id, _steps_of(stored),
    )  # fmt: skip


def _steps_of(stored: StoredLine) -> tuple[Step, ...]:
    """An extra refund or chargeback can be taken in, and a refund whose money came back."""
    kind, state = stored.line.kind, stored.verdict.state
    extra = state is LineState.EXTRA and kind in (LineKind.REFUND, LineKind.CHARGEBACK)
    came_back = state is LineState.DIFFERENT and kind is LineKind.REFUND_REVERSED
    adoptable = (Step.ADOPT,) if extra or came_back else ()
    return (*adoptable, Step.CHECK, Step.DEAL)


async def _missing(session: Session, tenant: Tenant, key: str | None) -> list[Oddity]:
    rows = await _rows(session, _MISSING, tenant, key)
    names = await _gateway_names(session, tenant) if rows else {}
    return [
        Oddity(
            Sort.MISSING, str(row["seq"]), "refund in no report",
            f"settled here on {_day(row['updated_at'])}, and no report that was read tells of it",
            names[row["gateway_id"]], _day(row["updated_at"]), row["amount_minor"],
            row["currency"], row["processor_reference"], row["order_id"],
            (Step.DEAL,),
        )
        for row in rows
    ]  # fmt: skip


async def _conflicts(session: Session, tenant: Tenant, key: str | None) -> list[Oddity]:
    rows = await _rows(session, _CONFLICTS, tenant, key)
    names = await _gateway_names(session, tenant) if rows else {}
    return [
        Oddity(
            Sort.CONFLICT, str(row["seq"]), "refund made at the processor", row["why"],
            names[row["gateway_id"]], _day(row["made_at"]), row["amount_minor"], row["currency"],
            row["reference"], row["order_id"], (Step.ADOPT, Step.DEAL),
        )
        for row in rows
    ]  # fmt: skip


async def _parked(session: Session, tenant: Tenant, key: str | None) -> list[Oddity]:
    rows = await _rows(session, _PARKED, tenant, key)
    names = await _gateway_names(session, tenant) if rows else {}
    return [
        Oddity(
            Sort.PARKED, row["id"], f"{row['kind']} that is parked", row["parked"],
            names.get(row["gateway_id"], ""), _day(row["since"]), row["amount_minor"],
            row["currency"], row["processor_reference"], row["order_id"], (Step.CHECK,),
        )
        for row in rows
    ]  # fmt: skip


async def _notices(session: Session, tenant: Tenant, key: str | None) -> list[Oddity]:
    rows = await _rows(session, _NOTICES, tenant, key)
    names = await _gateway_names(session, tenant) if rows else {}
    return [
        Oddity(
            Sort.NOTICE, row["key"], "notification", "what it is about was not found for a day",
            names[row["connector"]], _day(row["received_at"]), None, None, row["id"], None,
            (Step.CHECK, Step.DEAL),
        )
        for row in rows
    ]  # fmt: skip


async def _rows(session: Session, sql: str, tenant: Tenant, key: str | None) -> list[Record]:
    return await session.fetch(sql, tenant.account_id, tenant.live, key, MOST_SHOWN)


async def _gateway_names(session: Session, tenant: Tenant) -> dict[str, str]:
    rows = await session.fetch(
        "SELECT id, name FROM gateways WHERE account_id = $1 AND live = $2",
        tenant.account_id, tenant.live,
    )  # fmt: skip
    return {row["id"]: row["name"] for row in rows}


def _day(at: datetime) -> date:
    return at.date()


_FINDERS: Mapping[Sort, _Find] = {
    Sort.MISSING: _missing,
    Sort.LINE: _lines,
    Sort.CONFLICT: _conflicts,
    Sort.PARKED: _parked,
    Sort.NOTICE: _notices,
}
