"""What the synchroniser keeps: one row for each event, order, call to the shop, and request.

Who changes a book locks its order first (`lock_order`); nothing outside is called meanwhile.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from refundry_sync.sync.databases import Cursor, Paramstyle, Place
from refundry_sync.sync.documents import read_view, write_json
from refundry_sync.sync.records import DeadLetter, InboxEntry, Outgoing, RefundRequest
from refundry_sync.sync.rows import (
    CALL,
    ENTRY,
    REQUEST,
    call_of,
    entry_of,
    request_of,
    to_text,
    to_time,
)
from refundry_sync.sync.schema import schema
from refundry_sync.sync.status import refund_status
from refundry_sync.sync.views import Book


class Store:
    """The tables at a place; made if they are missing by `create`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def create(self) -> None:
        with self._place.transactions() as cursor:
            for statement in schema(self._place.dialect):
                cursor.execute(statement)

    @contextmanager
    def transaction(self) -> Generator["Tx"]:
        with self._place.transactions() as cursor:
            yield Tx(cursor, self._place.paramstyle)

    def close(self) -> None:
        self._place.close()


class Tx:
    """The store within one transaction."""

    def __init__(self, cursor: Cursor, paramstyle: Paramstyle) -> None:
        self._cursor = cursor
        self._paramstyle: Paramstyle = paramstyle

    # The inbox.

    def insert_event(self, entry: InboxEntry) -> bool:
        """False: the event is there already."""
        return self._run(
            """
            INSERT INTO refundry_inbox (event_id, type, order_id, created_time, received_time,
                   due_time, status, attempts, error, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (event_id) DO NOTHING
            """,
            entry.event_id, entry.type, entry.order_id, to_text(entry.created_time),
            to_text(entry.received_time), to_text(entry.due_time), entry.status, entry.attempts,
            entry.error, entry.payload,
        ) == 1  # fmt: skip

    def find_event(self, event_id: str) -> InboxEntry | None:
        rows = self._rows(f"SELECT {ENTRY} FROM refundry_inbox WHERE event_id = ?", event_id)
        return entry_of(rows[0]) if rows else None

    def due_orders(self, now: datetime, limit: int) -> list[str]:
        """Orders with events that are due, the longest waiting ones first."""
        rows = self._rows(
            """
            SELECT order_id
              FROM refundry_inbox
             WHERE status = 'waiting'
             GROUP BY order_id
            HAVING MIN(due_time) <= ?
             ORDER BY MIN(due_time)
             LIMIT ?
            """,
            to_text(now), limit,
        )  # fmt: skip
        return [row[0] for row in rows]

    def waiting_events(self, order_id: str) -> list[InboxEntry]:
        """In the order of their making, those that are not due yet included."""
        rows = self._rows(
            f"""
            SELECT {ENTRY}
              FROM refundry_inbox
             WHERE status = 'waiting' AND order_id = ?
             ORDER BY created_time, event_id
            """,
            order_id,
        )
        return [entry_of(row) for row in rows]

    def update_event(self, entry: InboxEntry) -> None:
        self._run(
            """
            UPDATE refundry_inbox
               SET due_time = ?, status = ?, attempts = ?, error = ?
             WHERE event_id = ?
            """,
            to_text(entry.due_time), entry.status, entry.attempts, entry.error, entry.event_id,
        )  # fmt: skip

    # Books.

    def lock_order(self, order_id: str) -> None:
        """Until the transaction ends; its first statement, as SQLite locks when it writes."""
        self._run(
            """
            INSERT INTO refundry_orders (order_id, refund_status, book)
            VALUES (?, 'none', NULL)
                ON CONFLICT (order_id) DO UPDATE SET order_id = excluded.order_id
            """,
            order_id,
        )

    def find_book(self, order_id: str) -> Book | None:
        rows = self._rows("SELECT book FROM refundry_orders WHERE order_id = ?", order_id)
        return read_view(rows[0][0], Book) if rows and rows[0][0] else None

    def save_book(self, book: Book) -> None:
        """The caller holds the order's lock."""
        self._run(
            "UPDATE refundry_orders SET refund_status = ?, book = ? WHERE order_id = ?",
            refund_status(book), write_json(book), book.order_id,
        )  # fmt: skip
        for refund in book.refunds.values():
            self._run(
                """
                INSERT INTO refundry_refunds (refund_id, order_id, state, created_time)
                VALUES (?, ?, ?, ?)
                    ON CONFLICT (refund_id) DO UPDATE SET state = excluded.state
                """,
                refund.id, refund.order_id, refund.state, to_text(refund.created_time),
            )  # fmt: skip

    def order_ids(self, after: str, limit: int) -> list[str]:
        """Known orders by id, those behind `after`."""
        rows = self._rows(
            "SELECT order_id FROM refundry_orders WHERE order_id > ? AND book IS NOT NULL"
            " ORDER BY order_id LIMIT ?",
            after, limit,
        )  # fmt: skip
        return [row[0] for row in rows]

    def order_of_refund(self, refund_id: str) -> str | None:
        rows = self._rows("SELECT order_id FROM refundry_refunds WHERE refund_id = ?", refund_id)
        return rows[0][0] if rows else None

    def open_refunds(self, made_before: datetime, limit: int) -> list[tuple[str, str]]:
        """Order and refund ids of what is not final, oldest first."""
        rows = self._rows(
            """
            SELECT order_id, refund_id
              FROM refundry_refunds
             WHERE state IN ('pending', 'pending_information') AND created_time <= ?
             ORDER BY created_time
             LIMIT ?
            """,
            to_text(made_before), limit,
        )  # fmt: skip
        return [(row[0], row[1]) for row in rows]

    def orders_with_refunds(self, state: str, limit: int) -> list[str]:
        """Orders of the newest refunds in a state; of any, if it is empty."""
        rows = self._rows(
            """
            SELECT order_id
              FROM refundry_refunds
             WHERE ? = '' OR state = ?
             GROUP BY order_id
             ORDER BY MAX(created_time) DESC
             LIMIT ?
            """,
            state, state, limit,
        )  # fmt: skip
        return [row[0] for row in rows]

    # Calls to the shop.

    def insert_call(self, call: Outgoing) -> None:
        self._run(
            """
            INSERT INTO refundry_outgoing (id, order_id, line, number, kind, created_time,
                   due_time, status, attempts, error, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO NOTHING
            """,
            call.id, call.order_id, call.line, call.number, call.kind,
            to_text(call.created_time), to_text(call.due_time), call.status, call.attempts,
            call.error, call.payload,
        )  # fmt: skip

    def due_calls(self, now: datetime, limit: int) -> list[Outgoing]:
        """The first waiting call of each line, where it is due."""
        rows = self._rows(
            f"""
            SELECT {CALL}
              FROM refundry_outgoing o
              JOIN (SELECT line, MIN(number) AS number
                      FROM refundry_outgoing
                     WHERE status = 'waiting'
                     GROUP BY line) first ON first.line = o.line AND first.number = o.number
             WHERE o.status = 'waiting' AND o.due_time <= ?
             ORDER BY o.due_time, o.number
             LIMIT ?
            """,
            to_text(now), limit,
        )  # fmt: skip
        return [call_of(row) for row in rows]

    def claim_call(self, call: Outgoing, until: datetime) -> bool:
        """Whether it is ours until then; False: somebody else has it, or it is done."""
        return self._run(
            """
            UPDATE refundry_outgoing
               SET due_time = ?, attempts = attempts + 1
             WHERE id = ? AND status = 'waiting' AND due_time = ?
            """,
            to_text(until), call.id, to_text(call.due_time),
        ) == 1  # fmt: skip

    def update_call(self, call: Outgoing) -> None:
        self._run(
            """
            UPDATE refundry_outgoing
               SET due_time = ?, status = ?, attempts = ?, error = ?
             WHERE id = ?
            """,
            to_text(call.due_time), call.status, call.attempts, call.error, call.id,
        )  # fmt: skip

    # Requests.

    def insert_request(self, request: RefundRequest) -> bool:
        """False: there is one of this id already."""
        return self._run(
            """
            INSERT INTO refundry_requests (id, order_id, body, state, requested_time, due_time,
                   attempts, refund_id, problems)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO NOTHING
            """,
            request.id, request.order_id, request.body, request.state,
            to_text(request.requested_time), to_text(request.due_time), request.attempts,
            request.refund_id, write_json(request.problems),
        ) == 1  # fmt: skip

    def find_request(self, request_id: str) -> RefundRequest | None:
        rows = self._rows(f"SELECT {REQUEST} FROM refundry_requests WHERE id = ?", request_id)
        return request_of(rows[0]) if rows else None

    def update_request(self, request: RefundRequest) -> None:
        self._run(
            """
            UPDATE refundry_requests
               SET body = ?, state = ?, due_time = ?, attempts = ?, refund_id = ?, problems = ?
             WHERE id = ?
            """,
            request.body, request.state, to_text(request.due_time), request.attempts,
            request.refund_id, write_json(request.problems), request.id,
        )  # fmt: skip

    def due_requests(self, now: datetime, limit: int) -> list[RefundRequest]:
        """Those without an answer, the oldest first."""
        rows = self._rows(
            f"""
            SELECT {REQUEST}
              FROM refundry_requests
             WHERE state = 'sending' AND due_time <= ?
             ORDER BY requested_time
             LIMIT ?
            """,
            to_text(now), limit,
        )  # fmt: skip
        return [request_of(row) for row in rows]

    def requests_of(self, order_id: str) -> list[RefundRequest]:
        rows = self._rows(
            f"SELECT {REQUEST} FROM refundry_requests WHERE order_id = ? ORDER BY requested_time",
            order_id,
        )
        return [request_of(row) for row in rows]

    def refused_requests(self, limit: int) -> list[RefundRequest]:
        """The newest ones that were refused."""
        rows = self._rows(
            f"SELECT {REQUEST} FROM refundry_requests WHERE state = 'refused'"
            " ORDER BY requested_time DESC LIMIT ?",
            limit,
        )
        return [request_of(row) for row in rows]

    # What was given up, and how far the loops are.

    def dead_letters(self) -> list[DeadLetter]:
        """Newest first."""
        rows = self._rows(
            """
            SELECT 'event', event_id, order_id, attempts, COALESCE(error, ''), received_time AS t
              FROM refundry_inbox
             WHERE status = 'dead'
             UNION ALL
            SELECT kind, id, order_id, attempts, COALESCE(error, ''), created_time AS t
              FROM refundry_outgoing
             WHERE status = 'dead'
             UNION ALL
            SELECT 'request', id, order_id, attempts, 'no answer in a day', requested_time AS t
              FROM refundry_requests
             WHERE state = 'unknown'
             ORDER BY t DESC
            """
        )
        return [
            DeadLetter(kind=k, id=i, order_id=o, attempts=a, error=e, time=to_time(t))
            for k, i, o, a, e, t in rows
        ]

    def revive(self, letter: DeadLetter, now: datetime) -> None:
        """Try it again from now on, for another day."""
        due = to_text(now)
        if letter.kind == "event":
            self._run(
                "UPDATE refundry_inbox SET status = 'waiting', attempts = 0, due_time = ?,"
                " received_time = ? WHERE event_id = ? AND status = 'dead'",
                due, due, letter.id,
            )  # fmt: skip
        elif letter.kind != "request":
            self._run(
                "UPDATE refundry_outgoing SET status = 'waiting', attempts = 0, due_time = ?,"
                " created_time = ? WHERE id = ? AND status = 'dead'",
                due, due, letter.id,
            )  # fmt: skip

    def find_progress(self, name: str) -> datetime | None:
        rows = self._rows("SELECT time FROM refundry_progress WHERE name = ?", name)
        return to_time(rows[0][0]) if rows else None

    def save_progress(self, name: str, time: datetime) -> None:
        self._run(
            "INSERT INTO refundry_progress (name, time) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET time = excluded.time",
            name, to_text(time),
        )  # fmt: skip

    def forget(self, before: datetime) -> int:
        """Remove payloads of what was done before; the ids stay, as they tell repeats apart."""
        events = self._run(
            "UPDATE refundry_inbox SET payload = '' WHERE status IN ('done', 'ignored')"
            " AND received_time < ? AND payload <> ''",
            to_text(before),
        )
        calls = self._run(
            "DELETE FROM refundry_outgoing WHERE status = 'done' AND created_time < ?",
            to_text(before),
        )
        return events + calls

    def _run(self, statement: str, *parameters: object) -> int:
        """How many rows it changed."""
        self._cursor.execute(_marked(statement, self._paramstyle), parameters)
        return self._cursor.rowcount

    def _rows(self, statement: str, *parameters: object) -> Sequence[Any]:
        self._cursor.execute(_marked(statement, self._paramstyle), parameters)
        return self._cursor.fetchall()


def backed_off(attempts: int, now: datetime) -> datetime:
    """When to try again after so many attempts: in 1 s, doubling up to 5 min."""
    return now + timedelta(seconds=min(300, 2 ** min(attempts - 1, 9)))


@lru_cache(maxsize=128)
def _marked(statement: str, paramstyle: Paramstyle) -> str:
    """The statement with the driver's marks for parameters; ours contain no other `?` or `%`."""
    return statement.replace("?", "%s") if paramstyle == "format" else statement
