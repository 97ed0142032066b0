"""Returns in the database."""

import json
from collections.abc import Sequence

from refundry.db.database import Record, Session, Tx
from refundry.domain.order import Order
from refundry.domain.returns import Return, ReturnItem, ReturnState, Units
from refundry.tenant import Tenant

_SELECT = """
SELECT r.id, r.order_id, r.created_at, r.updated_at, r.state, r.reason, r.location, r.metadata,
       r.acceptances, r.refund_ids,
       ARRAY(SELECT (i.line_position, i.quantity, i.accepted, i.amount_minor)
               FROM return_items i
              WHERE i.account_id = r.account_id AND i.live = r.live AND i.order_id = r.order_id
                AND i.return_id = r.id
              ORDER BY i.place) AS items
  FROM returns r
"""


async def find_returns(session: Session, tenant: Tenant, return_ids: Sequence[str]) -> list[Return]:
    """The returns with these ids, in the order of the ids."""
    rows = await session.fetch(
        _SELECT + " WHERE r.account_id = $1 AND r.live = $2 AND r.id = ANY ($3::text[])",
        tenant.account_id, tenant.live, list(return_ids),
    )  # fmt: skip
    found = {row["id"]: _return(row) for row in rows}
    return [found[return_id] for return_id in return_ids if return_id in found]


async def returns_of_order(session: Session, tenant: Tenant, order_id: str) -> list[Return]:
    """An order's returns, newest first."""
    rows = await session.fetch(
        """
        SELECT id FROM returns WHERE account_id = $1 AND live = $2 AND order_id = $3
         ORDER BY created_at DESC, seq DESC
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return await find_returns(session, tenant, [row["id"] for row in rows])


async def find_return(session: Session, tenant: Tenant, return_id: str) -> Return | None:
    """The return with this id."""
    found = await find_returns(session, tenant, [return_id])
    return found[0] if found else None


def _return(row: Record) -> Return:
    acceptances: list[list[list[int]]] = json.loads(row["acceptances"])
    return Return(
        id=row["id"],
        order_id=row["order_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        items=tuple([ReturnItem(*fields) for fields in row["items"]]),
        state=ReturnState(row["state"]),
        reason=row["reason"],
        location=row["location"],
        metadata=row["metadata"],
        acceptances=tuple([_units(pairs) for pairs in acceptances]),
        refund_ids=tuple(row["refund_ids"]),
    )


def _units(pairs: list[list[int]]) -> Units:
    return {pair[0]: pair[1] for pair in pairs}


async def open_units(session: Session, tenant: Tenant, order_id: str) -> dict[int, int]:
    """Units by line that are in returns of an order which are not accepted yet."""
    rows = await session.fetch(
        """
        SELECT i.line_position, sum(i.quantity)::bigint AS units
          FROM returns r
          JOIN return_items i
            ON i.account_id = r.account_id AND i.live = r.live AND i.order_id = r.order_id
           AND i.return_id = r.id
         WHERE r.account_id = $1 AND r.live = $2 AND r.order_id = $3 AND r.state = 'created'
         GROUP BY i.line_position
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return {row["line_position"]: row["units"] for row in rows}


async def insert_return(tx: Tx, tenant: Tenant, goods: Return, order: Order) -> None:
    """Write a new return; the caller has locked its order."""
    await tx.execute(
        """
        INSERT INTO returns (account_id, live, order_id, id, created_at, updated_at, state, reason,
                             location, metadata)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        tenant.account_id, tenant.live, goods.order_id, goods.id, goods.created_at,
        goods.updated_at, goods.state.value, goods.reason, goods.location, goods.metadata,
    )  # fmt: skip
    await tx.execute(
        """
        INSERT INTO return_items (account_id, live, order_id, return_id, place, line_position,
                                  sku_id, quantity)
        SELECT $1, $2, $3, $4, i.place, i.position, i.sku_id, i.quantity
          FROM unnest($5::smallint[], $6::smallint[], $7::text[], (SELECT $8::integer[]))
               AS i (place, position, sku_id, quantity)
        """,
        tenant.account_id, tenant.live, goods.order_id, goods.id,
        list(range(len(goods.items))),
        [item.position for item in goods.items],
        [order.lines[item.position].sku_id for item in goods.items],
        [item.quantity for item in goods.items],
    )  # fmt: skip


async def save_return(tx: Tx, tenant: Tenant, goods: Return) -> None:
    """Store a return's new state. What is accepted as a whole stays accepted."""
    acceptances = [[[p, q] for p, q in units.items()] for units in goods.acceptances]
    tag = await tx.execute(
        """
        UPDATE returns
           SET updated_at = $5, state = $6, location = $7, metadata = $8, acceptances = $9,
               refund_ids = $10
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
           AND (state = 'created' OR (state = $6 AND acceptances = $9))
        """,
        tenant.account_id, tenant.live, goods.order_id, goods.id, goods.updated_at,
        goods.state.value, goods.location, goods.metadata, json.dumps(acceptances),
        list(goods.refund_ids),
    )  # fmt: skip
    assert tag == "UPDATE 1", f"return {goods.id} is accepted already"
    await tx.execute(
        """
        UPDATE return_items r SET accepted = i.accepted, amount_minor = i.amount
          FROM unnest($5::smallint[], $6::integer[], (SELECT $7::bigint[]))
               AS i (position, accepted, amount)
         WHERE r.account_id = $1 AND r.live = $2 AND r.order_id = $3 AND r.return_id = $4
           AND r.line_position = i.position
        """,
        tenant.account_id, tenant.live, goods.order_id, goods.id,
        [item.position for item in goods.items],
        [item.accepted for item in goods.items],
        [item.amount for item in goods.items],
    )  # fmt: skip
