"""The tables of the store. Times are ISO-8601 text in UTC, all of one length, so that they sort."""

from typing import Literal

Dialect = Literal["sqlite", "postgresql"]

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS refundry_inbox (
        event_id TEXT PRIMARY KEY, type TEXT NOT NULL, order_id TEXT NOT NULL,
        created_time TEXT NOT NULL, received_time TEXT NOT NULL, due_time TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('waiting', 'done', 'dead', 'ignored')),
        attempts INTEGER NOT NULL, error TEXT, payload TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS refundry_orders (
        order_id TEXT PRIMARY KEY, refund_status TEXT NOT NULL, book TEXT)
    """,
    """
    CREATE TABLE IF NOT EXISTS refundry_refunds (
        refund_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, state TEXT NOT NULL,
        created_time TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS refundry_outgoing (
        id TEXT PRIMARY KEY, order_id TEXT NOT NULL, line TEXT NOT NULL, number INTEGER NOT NULL,
        kind TEXT NOT NULL, created_time TEXT NOT NULL, due_time TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('waiting', 'done', 'dead')),
        attempts INTEGER NOT NULL, error TEXT, payload TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS refundry_requests (
        id TEXT PRIMARY KEY, order_id TEXT NOT NULL, body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('sending', 'accepted', 'refused', 'unknown')),
        requested_time TEXT NOT NULL, due_time TEXT NOT NULL, attempts INTEGER NOT NULL,
        refund_id TEXT, problems TEXT NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS refundry_progress (name TEXT PRIMARY KEY, time TEXT NOT NULL)
    """,
)
# Small, as only what waits is in them: done rows are most of the table before long.
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS refundry_inbox_waiting ON refundry_inbox (order_id)"
    " WHERE status = 'waiting'",
    "CREATE INDEX IF NOT EXISTS refundry_outgoing_waiting ON refundry_outgoing (line, number)"
    " WHERE status = 'waiting'",
    "CREATE INDEX IF NOT EXISTS refundry_refunds_order ON refundry_refunds (order_id)",
    "CREATE INDEX IF NOT EXISTS refundry_refunds_state ON refundry_refunds (state, created_time)",
    "CREATE INDEX IF NOT EXISTS refundry_requests_order ON refundry_requests (order_id)",
    "CREATE INDEX IF NOT EXISTS refundry_requests_state ON refundry_requests (state)",
)
# PostgreSQL orders text by the database's language; times and ids are compared byte by byte.
_BYTEWISE = ("created_time", "received_time", "due_time", "requested_time")


def schema(dialect: Dialect) -> list[str]:
    """The statements that make what is missing; all may be run again."""
    tables = list(_TABLES)
    if dialect == "postgresql":
        for name in _BYTEWISE:
            plain, bytewise = f" {name} TEXT NOT NULL", f' {name} TEXT COLLATE "C" NOT NULL'
            tables = [table.replace(plain, bytewise) for table in tables]
    return [*tables, *_INDEXES]
