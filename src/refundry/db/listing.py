"""Pages of ids, newest first, by keyset: the cost of a page does not grow with the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refundry.db.database import Database, Record
from refundry.tenant import Tenant

# So many take a millisecond. Of what a twentieth of the rows have, a page is among a third of them.
WALKED_ROWS = 600


@dataclass(frozen=True, slots=True)
class Condition:
    """A constant piece of SQL, `{}` or several `{0}` where its argument goes. Never text of a user.

    sql: may name $1 and $2, the account and the mode. A subquery has to: compared with the columns
    of `t`, a mode is no constant to the planner, and it reads both tables as a whole.
    each: where the argument is a list and the condition is that this expression is among its
    values: an index with (each, created_at, seq) then gives the page value by value.
    bound: what follows from the condition for created_at.
    walk: look through the newest rows first, whatever the planner thinks. For columns that have no
    b-tree, or change so fast that their statistics are old.
    """

    sql: str
    argument: Any
    each: str | None = None
    bound: "Bound | None" = None
    walk: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition on created_at that follows from another one, so that a page can begin there.

    sql: with one `{}` for the same argument. unless: which rows it may not follow for, as the
    condition of an index of theirs; empty if there are none.
    """

    sql: str
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` objects after, or before, the one with that id."""

    limit: int
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a row stands in its list."""

    created_at: datetime
    seq: int


async def list_ids(
    database: Database, tenant: Tenant, table: str, conditions: Sequence[Condition], page: Page
) -> tuple[list[str], bool] | None:
    """The ids of a page in list order, and whether there is more that way.

    table: a constant; its rows have created_at and seq, and the alias `t` in conditions. None if
    the page's cursor names no row of the tenant.
    """
    cursor = page.after if page.after is not None else page.before
    position = None
    if cursor is not None:
        position = await _find_position(database, tenant, table, cursor)
        if position is None:
            return None
    rows: list[Record] = []
    if any(condition.walk for condition in conditions):
        statement, arguments = walk_statement(tenant, table, conditions, page, position)
        rows = await database.fetch_planned(statement, *arguments)
    if len(rows) <= page.limit:  # there may be more
        statement, arguments = list_statement(tenant, table, conditions, page, position)
        rows = await database.fetch_planned(statement, *arguments)
    ids = [row["id"] for row in rows]
    more = len(ids) > page.limit
    ids = ids[: page.limit]
    return (ids[::-1] if page.before is not None else ids), more


async def _find_position(
    database: Database, tenant: Tenant, table: str, cursor: str
) -> Position | None:
    row = await database.fetchrow(
        f"SELECT created_at, seq FROM {table} WHERE account_id = $1 AND live = $2 AND id = $3",
        tenant.account_id, tenant.live, cursor,
    )  # fmt: skip
    return Position(row["created_at"], row["seq"]) if row else None


def walk_statement(
    tenant: Tenant,
    table: str,
    conditions: Sequence[Condition],
    page: Page,
    position: Position | None,
) -> tuple[str, list[Any]]:
    """As `list_statement`, but among the next rows in the list's order only.

    If it finds a whole page, that is the page: it begins where the list does and skips nothing.
    """
    where, arguments = _tenant_and_position(tenant, page, position)
    bounds = where.copy()
    for condition in conditions:
        arguments.append(condition.argument)
        place = f"${len(arguments)}"
        where.append("(" + condition.sql.format(place) + ")")
        if condition.bound is not None and not condition.bound.unless:
            bounds.append(condition.bound.sql.format(place))
    order = _order(page)
    newest = f"SELECT t.* FROM {table} t WHERE {' AND '.join(bounds)} {order} LIMIT {WALKED_ROWS:d}"
    limit = f"LIMIT {page.limit + 1:d}"
    return f"{_select(f'({newest})', where, order)} {limit}", arguments


def list_statement(
    tenant: Tenant,
    table: str,
    conditions: Sequence[Condition],
    page: Page,
    position: Position | None,
) -> tuple[str, list[Any]]:
    """The statement that gives a page's ids and one more, with its arguments.

    position: of the page's cursor, if it has one.
    """
    where, arguments = _tenant_and_position(tenant, page, position)
    spread: tuple[str, str] | None = None
    bounds: list[tuple[str, str]] = []
    for condition in conditions:
        arguments.append(condition.argument)
        place = f"${len(arguments)}"
        if condition.each is not None and spread is None:
            spread = (condition.each, place)
        else:
            where.append("(" + condition.sql.format(place) + ")")
        if condition.bound is not None:
            bounds.append((condition.bound.sql.format(place), condition.bound.unless))
    order = f"{_order(page)} LIMIT {page.limit + 1:d}"
    if spread is None:
        return _rows(table, where, bounds, order), arguments
    expression, place = spread
    rows = _rows(table, [*where, f"{expression} = one.value"], bounds, order)
    values = f"unnest({place}::text[]) AS one (value)"
    return f"SELECT t.id FROM {values} CROSS JOIN LATERAL ({rows}) t {order}", arguments


def _tenant_and_position(
    tenant: Tenant, page: Page, position: Position | None
) -> tuple[list[str], list[Any]]:
    """What every row of a page fulfils, and the first arguments."""
    arguments: list[Any] = [tenant.account_id, tenant.live]
    where = ["t.account_id = $1", "t.live = $2"]
    if position is not None:
        arguments += [position.created_at, position.seq]
        where.append(f"(t.created_at, t.seq) {'<' if page.after is not None else '>'} ($3, $4)")
    return where, arguments


def _order(page: Page) -> str:
    way = "ASC" if page.before is not None else "DESC"
    return f"ORDER BY t.created_at {way}, t.seq {way}"


def _rows(table: str, where: Sequence[str], bounds: Sequence[tuple[str, str]], order: str) -> str:
    """The rows of a page. bounds: what follows from `where`, each with its exceptions."""
    within = [bound for bound, _ in bounds]
    rows = _select(table, [*where, *within], order)
    exceptions = sorted({unless for _, unless in bounds if unless})
    if not exceptions:
        return rows
    beyond = f"NOT ({' AND '.join(within)})"
    others = _select(table, [*where, beyond, f"({' OR '.join(exceptions)})"], order)
    return f"SELECT t.id, t.created_at, t.seq FROM (({rows}) UNION ALL ({others})) t {order}"


def _select(table: str, where: Sequence[str], order: str) -> str:
    return f"SELECT t.id, t.created_at, t.seq FROM {table} t WHERE {' AND '.join(where)} {order}"
