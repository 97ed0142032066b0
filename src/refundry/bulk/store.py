"""Runs and their lines in the database, and what a check looks up there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry.access.audit_log import Actor
from refundry.bulk.verdicts import LineState, Verdict
from refundry.db.database import Record, Session, Tx
from refundry.domain.money import Currency
from refundry.http.document import to_json_text
from refundry.orders.store import columns
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Run:
    """A file and where it stands. state: checked, running, stopped or finished.

    actor: who uploaded it, then who confirmed it.
    """

    tenant: Tenant
    id: str
    created_at: datetime
    name: str
    digest: bytes
    head: tuple[str, ...]
    with_duplicates: bool
    checked_at: datetime
    state: str
    actor: Actor
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a run as it is stored; amount: minor units."""

    number: int
    cells: tuple[str, ...]
    order_id: str | None
    body: str | None
    state: LineState
    amount: int | None
    currency: Currency | None
    remark: str
    refund_id: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many lines of a run are in a state, and what they come to: minor units by currency."""

    count: int
    totals: dict[str, int]


async def orders_by_upstream(
    session: Session, tenant: Tenant, upstream_ids: Sequence[str]
) -> dict[str, list[str]]:
    """The orders with each of these upstream ids."""
    rows = await session.fetch(
        """
        SELECT upstream_id, id FROM orders
         WHERE account_id = $1 AND live = $2 AND upstream_id = ANY ($3::text[])
         ORDER BY upstream_id, created_at, id
        """,
        tenant.account_id, tenant.live, upstream_ids,
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["upstream_id"], []).append(row["id"])
    return found


async def refunds_since(
    session: Session, tenant: Tenant, order_ids: Sequence[str], since: datetime
) -> dict[tuple[str, int], str]:
    """Refunds of orders that did not fail: order and minor units -> the newest one's id."""
    rows = await session.fetch(
        """
        SELECT order_id, amount_minor, id FROM refunds
         WHERE account_id = $1 AND live = $2 AND order_id = ANY ($3::text[]) AND created_at > $4
           AND lower(state) NOT IN ('failed', 'expired')
         ORDER BY created_at, seq
        """,
        tenant.account_id, tenant.live, order_ids, since,
    )  # fmt: skip
    return {(row["order_id"], row["amount_minor"]): row["id"] for row in rows}


async def find_run(session: Session, tenant: Tenant, run_id: str) -> Run | None:
    """A run, or None."""
    rows = await find_runs(session, tenant, [run_id])
    return rows[0] if rows else None


async def find_runs(session: Session, tenant: Tenant, ids: Sequence[str]) -> list[Run]:
    """Runs in the order of their ids."""
    rows = await session.fetch(
        """
        SELECT account_id, live, id, created_at, name, digest, head, with_duplicates, checked_at,
               state, actor_kind, actor_id, actor_name, started_at, finished_at
          FROM bulk_runs WHERE account_id = $1 AND live = $2 AND id = ANY ($3::text[])
        """,
        tenant.account_id, tenant.live, ids,
    )  # fmt: skip
    found = {row["id"]: _run(row) for row in rows}
    return [found[each] for each in ids if each in found]


async def run_of_file(session: Session, tenant: Tenant, digest: bytes) -> str | None:
    """The id of the run that a file made, or None."""
    return await session.fetchval(
        "SELECT id FROM bulk_runs WHERE account_id = $1 AND live = $2 AND digest = $3",
        tenant.account_id, tenant.live, digest,
    )  # fmt: skip


async def lock_run(tx: Tx, tenant: Tenant, run_id: str) -> Run | None:
    """A run, its row locked until the transaction ends."""
    row = await tx.fetchrow(
        """
        SELECT account_id, live, id, created_at, name, digest, head, with_duplicates, checked_at,
               state, actor_kind, actor_id, actor_name, started_at, finished_at
          FROM bulk_runs WHERE account_id = $1 AND live = $2 AND id = $3
           FOR UPDATE
        """,
        tenant.account_id, tenant.live, run_id,
    )  # fmt: skip
    return _run(row) if row else None


def _run(row: Record) -> Run:
    return Run(
        tenant=Tenant(row["account_id"], row["live"]),
        id=row["id"],
        created_at=row["created_at"],
        name=row["name"],
        digest=row["digest"],
        head=tuple(row["head"]),
        with_duplicates=row["with_duplicates"],
        checked_at=row["checked_at"],
        state=row["state"],
        actor=Actor(row["actor_kind"], row["actor_name"], row["actor_id"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


async def insert_run(tx: Tx, run: Run) -> bool:
    """Store a run; False if the file made one already."""
    row = await tx.fetchrow(
        """
        INSERT INTO bulk_runs (account_id, live, id, created_at, name, digest, head,
                               with_duplicates, checked_at, state, actor_kind, actor_id, actor_name)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'checked', $10, $11, $12)
        ON CONFLICT (account_id, live, digest) DO NOTHING
        RETURNING 1
        """,
        run.tenant.account_id, run.tenant.live, run.id, run.created_at, run.name, run.digest,
        run.head, run.with_duplicates, run.checked_at, run.actor.kind, run.actor.id,
        run.actor.name,
    )  # fmt: skip
    return row is not None


async def put_lines(tx: Tx, tenant: Tenant, run_id: str, verdicts: Sequence[Verdict]) -> None:
    """Store the verdicts of a check in place of those before; the run's row is locked."""
    await tx.execute(
        "DELETE FROM bulk_lines WHERE account_id = $1 AND live = $2 AND run_id = $3",
        tenant.account_id, tenant.live, run_id,
    )  # fmt: skip
    rows = [
        (
            each.row.number, to_json_text(each.row.cells), each.order_id, each.body, each.state,
            each.amount, each.currency and each.currency.code,
            each.currency and each.currency.exponent, each.remark,
        )
        for each in verdicts
    ]  # fmt: skip
    # Lists of different lengths are no array of PostgreSQL: the cells come as JSON.
    await tx.execute(
        """
        INSERT INTO bulk_lines (account_id, live, run_id, number, cells, order_id, body, state,
                                amount_minor, currency, exponent, remark)
        SELECT $1, $2, $3, number,
               ARRAY(SELECT value FROM jsonb_array_elements_text(cells::jsonb)
                       WITH ORDINALITY AS c (value, place) ORDER BY place),
               order_id, body, state, amount_minor, currency, exponent, remark
          FROM unnest($4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
                      $10::text[], $11::smallint[], (SELECT $12::text[]))
               AS n (number, cells, order_id, body, state, amount_minor, currency, exponent, remark)
        """,
        tenant.account_id, tenant.live, run_id, *columns(rows, 9),
    )  # fmt: skip


async def set_checked(tx: Tx, run: Run) -> None:
    """Note a new check of a run."""
    await tx.execute(
        """
        UPDATE bulk_runs SET with_duplicates = $4, checked_at = $5
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        run.tenant.account_id, run.tenant.live, run.id, run.with_duplicates, run.checked_at,
    )  # fmt: skip


async def set_running(tx: Tx, run: Run, actor: Actor, now: datetime) -> None:
    """Let a run go, or go on, in somebody's name."""
    await tx.execute(
        """
        UPDATE bulk_runs SET state = 'running', started_at = coalesce(started_at, $4),
               actor_kind = $5, actor_id = $6, actor_name = $7, runner = NULL, leased_until = NULL
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        run.tenant.account_id, run.tenant.live, run.id, now, actor.kind, actor.id, actor.name,
    )  # fmt: skip


async def set_stopped(tx: Tx, run: Run) -> None:
    """Stop a run: no line that is not made yet will be."""
    await tx.execute(
        """
        UPDATE bulk_runs SET state = 'stopped', runner = NULL, leased_until = NULL
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        run.tenant.account_id, run.tenant.live, run.id,
    )  # fmt: skip


async def delete_run(tx: Tx, run: Run) -> None:
    """Forget a run and its lines."""
    await tx.execute(
        "DELETE FROM bulk_runs WHERE account_id = $1 AND live = $2 AND id = $3",
        run.tenant.account_id, run.tenant.live, run.id,
    )  # fmt: skip


async def lines_of(
    session: Session, run: Run, *, states: Sequence[str] = (), above: int = 0, limit: int
) -> list[Line]:
    """Lines in the order of the file. states: none for all; above: after that number."""
    rows = await session.fetch(
        """
        SELECT number, cells, order_id, body, state, amount_minor, currency, exponent, remark,
               refund_id
          FROM bulk_lines
         WHERE account_id = $1 AND live = $2 AND run_id = $3 AND number > $4
           AND (cardinality($5::text[]) = 0 OR state = ANY ($5::text[]))
         ORDER BY number LIMIT $6
        """,
        run.tenant.account_id, run.tenant.live, run.id, above, states, limit,
    )  # fmt: skip
    return [_line(row) for row in rows]


def _line(row: Record) -> Line:
    code = row["currency"]
    return Line(
        number=row["number"],
        cells=tuple(row["cells"]),
        order_id=row["order_id"],
        body=row["body"],
        state=LineState(row["state"]),
        amount=row["amount_minor"],
        currency=Currency(code, row["exponent"]) if code else None,
        remark=row["remark"],
        refund_id=row["refund_id"],
    )


async def tallies_of(session: Session, run: Run) -> dict[LineState, Tally]:
    """How the lines of a run stand; every state is there."""
    rows = await session.fetch(
        """
        SELECT state, currency, count(*) AS count, sum(amount_minor)::bigint AS minor
          FROM bulk_lines WHERE account_id = $1 AND live = $2 AND run_id = $3
         GROUP BY state, currency ORDER BY state, currency
        """,
        run.tenant.account_id, run.tenant.live, run.id,
    )  # fmt: skip
    found = {state: Tally(0, {}) for state in LineState}
    for row in rows:
        state = LineState(row["state"])
        totals = dict(found[state].totals)
        if row["currency"]:
            totals[row["currency"]] = row["minor"]
        found[state] = Tally(found[state].count + row["count"], totals)
    return found


def lines_are_deleted(run: Run, tallies: Mapping[LineState, Tally]) -> bool:
    """Whether the lines of a run went by their age: there is no run without any."""
    return run.state == "finished" and not any(each.count for each in tallies.values())


async def claim_run(
    session: Session, runner: str, *, now: datetime, until: datetime,
    account_id: str | None = None, run_id: str | None = None,
) -> Run | None:  # fmt: skip
    """A running run for this process to go on with, or its own lease prolonged; in real time."""
    row = await session.fetchrow(
        """
        UPDATE bulk_runs SET runner = $1, leased_until = $2
         WHERE (account_id, live, id) = (
               SELECT account_id, live, id FROM bulk_runs
                WHERE state = 'running' AND (runner IS NULL OR runner = $1 OR leased_until <= $3)
                  AND ($4::text IS NULL OR account_id = $4) AND ($5::text IS NULL OR id = $5)
                ORDER BY started_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING account_id, live, id, created_at, name, digest, head, with_duplicates, checked_at,
               state, actor_kind, actor_id, actor_name, started_at, finished_at
        """,
        runner, until, now, account_id, run_id,
    )  # fmt: skip
    return _run(row) if row else None


async def take_line(tx: Tx, run: Run, number: int, refund_id: str) -> bool:
    """Say that a line made a refund, in the refund's transaction; False if it may not, as it was
    made before or the run was stopped."""
    row = await tx.fetchrow(
        """
        UPDATE bulk_lines l SET state = 'made', refund_id = $5
          FROM bulk_runs r
         WHERE l.account_id = $1 AND l.live = $2 AND l.run_id = $3 AND l.number = $4
           AND l.state = 'ready' AND r.account_id = l.account_id AND r.live = l.live
           AND r.id = l.run_id AND r.state = 'running'
        RETURNING 1
        """,
        run.tenant.account_id, run.tenant.live, run.id, number, refund_id,
    )  # fmt: skip
    return row is not None


async def fail_line(session: Session, run: Run, number: int, remark: str) -> None:
    """Say why a line that was ready made no refund."""
    await session.execute(
        """
        UPDATE bulk_lines SET state = 'failed', remark = $5
         WHERE account_id = $1 AND live = $2 AND run_id = $3 AND number = $4 AND state = 'ready'
        """,
        run.tenant.account_id, run.tenant.live, run.id, number, remark,
    )  # fmt: skip


async def finish_run(tx: Tx, run: Run, now: datetime) -> bool:
    """End a run that has no line left; False if it has, or was stopped."""
    row = await tx.fetchrow(
        """
        UPDATE bulk_runs r SET state = 'finished', finished_at = $4, runner = NULL,
               leased_until = NULL
         WHERE account_id = $1 AND live = $2 AND id = $3 AND state = 'running'
           AND NOT EXISTS (SELECT FROM bulk_lines l
                            WHERE l.account_id = $1 AND l.live = $2 AND l.run_id = $3
                              AND l.state = 'ready')
        RETURNING 1
        """,
        run.tenant.account_id, run.tenant.live, run.id, now,
    )  # fmt: skip
    return row is not None
