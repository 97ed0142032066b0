"""Calls in the database: written in batches, deleted by age."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from refundry.api_log.entry import COLUMNS, Row, id_at
from refundry.db.database import Database, Session

# What a row may hold that no column takes. None is known; one such row must not stop the others.
_UNFIT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


async def write_rows(database: Database, rows: Sequence[Row]) -> int:
    """Write rows in one COPY; gives how many the database refused for what they hold.

    May be called again for rows of which is not known whether they were written. Raises what says
    that the database cannot be reached.
    """
    try:
        async with database.connection() as connection:
            await connection.copy_records_to_table("api_log", records=rows, columns=COLUMNS)
    except (*_UNFIT, asyncpg.UniqueViolationError) as error:
        if len(rows) > 1:
            half = len(rows) // 2
            return await write_rows(database, rows[:half]) + await write_rows(database, rows[half:])
        return 0 if isinstance(error, asyncpg.UniqueViolationError) else 1
    return 0


async def delete_calls(session: Session, before: datetime, limit: int) -> int:
    """Delete at most so many calls from before a time; gives how many."""
    tag = await session.execute(
        """
        DELETE FROM api_log l
         USING (SELECT o.account_id, o.live, o.id
                  FROM accounts a
                 CROSS JOIN (VALUES (true), (false)) AS mode (live)
                 CROSS JOIN LATERAL (
                    SELECT account_id, live, id FROM api_log
                     WHERE account_id = a.id AND live = mode.live AND id < $1
                     ORDER BY id
                     LIMIT $2) AS o
                 LIMIT $2) AS old
         WHERE (l.account_id, l.live, l.id) = (old.account_id, old.live, old.id)
        """,
        id_at(before, 0), limit,
    )  # fmt: skip
    return int(tag.split()[-1])


async def count_calls(session: Session, before: datetime) -> int:
    """How many calls there are from before a time."""
    return await session.fetchval(
        """
        SELECT count(*)
          FROM accounts a
         CROSS JOIN (VALUES (true), (false)) AS mode (live)
          JOIN api_log l ON l.account_id = a.id AND l.live = mode.live
         WHERE l.id < $1
        """,
        id_at(before, 0),
    )
