"""Pages of ids, newest first, by keyset: the cost of a page does not grow with the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refundry.db.database import Session
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Condition:
    """A constant piece of SQL with one `{}` where its argument goes. Never text of a user."""

    sql: str
    argument: Any


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` objects after, or before, the one with that id."""

    limit: int
    after: str | None = None
    before: str | None = None


async def list_ids(
    session: Session, tenant: Tenant, table: str, conditions: Sequence[Condition], page: Page
) -> tuple[list[str], bool] | None:
    """The ids of a page in list order, and whether there is more that way.

    table: a constant; its rows have created_at and seq, and the alias `t` in conditions. None if
    the page's cursor names no row of the tenant.
    """
    arguments: list[Any] = [tenant.account_id, tenant.live]
    where = ["t.account_id = $1", "t.live = $2"]
    cursor = page.after if page.after is not None else page.before
    if cursor is not None:
        position = await session.fetchrow(
            f"SELECT created_at, seq FROM {table} WHERE account_id = $1 AND live = $2 AND id = $3",
            *arguments, cursor,
        )  # fmt: skip
        if position is None:
            return None
        sign = "<" if page.after is not None else ">"
        arguments += [position["created_at"], position["seq"]]
        where.append(f"(t.created_at, t.seq) {sign} ($3, $4)")
    for condition in conditions:
        arguments.append(condition.argument)
        where.append("(" + condition.sql.format(f"${len(arguments)}") + ")")
    backwards = page.before is not None
    direction = "ASC" if backwards else "DESC"
    rows = await session.fetch(
        f"SELECT t.id FROM {table} t WHERE {' AND '.join(where)} "
        f"ORDER BY t.created_at {direction}, t.seq {direction} LIMIT {page.limit + 1:d}",
        *arguments,
    )
    ids = [row["id"] for row in rows]
    more = len(ids) > page.limit
    ids = ids[: page.limit]
    return (ids[::-1] if backwards else ids), more
