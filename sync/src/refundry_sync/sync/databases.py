"""Where the store's tables are: any DB-API connection, as a factory of transactions.

A factory gives a context manager of a cursor: what runs in the block is one transaction, committed
at its end and rolled back by an exception.
"""

import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from refundry_sync.sync.schema import Dialect

Paramstyle = Literal["qmark", "format"]
# For a writer of another process to finish; its transactions take milliseconds.
BUSY_SECONDS = 30.0


class Cursor(Protocol):
    """What we use of a DB-API cursor."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, statement: Any, parameters: Any = ..., /) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Sequence[Any]: ...


Transactions = Callable[[], AbstractContextManager[Cursor]]


@dataclass(frozen=True)
class Place:
    """A database. close: ends the connections that were kept."""

    transactions: Transactions
    dialect: Dialect
    paramstyle: Paramstyle
    close: Callable[[], None] = field(default=lambda: None)


def connections_of(
    connect: Callable[[], Any], dialect: Dialect, paramstyle: Paramstyle, *, begin: str = ""
) -> Place:
    """A place behind a DB-API `connect`, whose connections go from thread to thread.

    begin: a statement that begins a transaction, where the driver does not do so by itself.
    """
    pool = _Pool(connect, begin)
    return Place(pool.transaction, dialect, paramstyle, pool.close)


def sqlite_file(path: str) -> Place:
    """A file of SQLite; made if it is missing. Several processes may share it."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    # IMMEDIATE: one that reads before it writes would otherwise fail where it could have waited.
    return connections_of(connect, "sqlite", "qmark", begin="BEGIN IMMEDIATE")


def memory() -> Place:
    """A database that ends with the process: for trying things out, and for tests."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    lock = threading.RLock()

    @contextmanager
    def transaction() -> Generator[Cursor]:
        with lock, _ended(connection, "BEGIN") as cursor:
            yield cursor

    return Place(transaction, "sqlite", "qmark", connection.close)


def postgres(address: str) -> Place:
    """A database of PostgreSQL; needs the extra `postgres`. address: a URL or conninfo."""
    import psycopg

    return connections_of(lambda: psycopg.connect(address), "postgresql", "format")


def place_at(url: str) -> Place:
    """memory:, sqlite:///<path of a file> or postgresql://... Raises ValueError."""
    if url == "memory:":
        return memory()
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return sqlite_file(rest[1:])
    if scheme in ("postgresql", "postgres"):
        return postgres(url)
    raise ValueError(f"'{url}' is no store: memory:, sqlite:///<file> or postgresql://<...>")


class _Pool:
    """Connections that nobody uses at the moment; as many are opened as threads ask for at once."""

    def __init__(self, connect: Callable[[], Any], begin: str) -> None:
        self._connect = connect
        self._begin = begin
        self._free: list[Any] = []
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Generator[Cursor]:
        with self._lock:
            connection = self._free.pop() if self._free else None
        connection = connection or self._connect()
        try:
            with _ended(connection, self._begin) as cursor:
                yield cursor
        except BaseException:
            # It may be broken, and a new one is cheap next to an error.
            with suppress(Exception):
                connection.close()
            raise
        with self._lock:
            self._free.append(connection)

    def close(self) -> None:
        with self._lock:
            while self._free:
                self._free.pop().close()


@contextmanager
def _ended(connection: Any, begin: str) -> Generator[Cursor]:
    """A cursor whose transaction is ended with the block."""
    cursor = connection.cursor()
    try:
        if begin:
            cursor.execute(begin)
        yield cursor
        connection.commit()
    except BaseException:
        with suppress(Exception):
            connection.rollback()
        raise
    finally:
        with suppress(Exception):
            cursor.close()
