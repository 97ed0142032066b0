"""Database: the pool of connections, and transactions on it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar

import asyncpg
import msgspec

from refundry.db.embedded import address
from refundry.db.pool import Connection, LendingPool, Loan, Pool
from refundry.settings import Settings

Record = asyncpg.Record
T = TypeVar("T")

# Two commands may take the same rows in another order, or meet a standby's conflict: the
# database ends one of them, which then simply runs again.
_RETRIES = 5
# How long to wait for a connection, and for a statement, where nobody waits for an answer.
_PATIENCE_SECONDS = 10.0
_STATEMENT_SECONDS = 60.0
# How long a server that is asked to stop a statement may take to say that it has.
_ABANDON_SECONDS = 1.0


class NothingDone(OSError):
    """The database was not asked, or not told to commit: whatever was wanted has had no effect."""


Unreachable = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password among them
    asyncpg.InvalidCatalogNameError,  # there is no such database
    asyncpg.ReadOnlySQLTransactionError,  # a primary that has become a standby
)
"""What is raised when the database cannot be reached, or went away in between."""

UNDONE = (
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,  # a full disk, too many connections
    asyncpg.ReadOnlySQLTransactionError,
)
"""What the server itself says of a statement that it has undone, or never did."""

# What leaves a connection in doubt: a statement nobody waits for any more may still run on it, or
# it leads to a server that will never write again.
_SPOILT = (TimeoutError, asyncio.CancelledError, asyncpg.ReadOnlySQLTransactionError)


@contextmanager
def asking() -> Generator[None]:
    """For what changes nothing: where the database goes away meanwhile, raises NothingDone."""
    try:
        yield
    except Unreachable as error:
        raise NothingDone(f"not asked: {_words(error)}") from error


class Session(Protocol):
    """Where a statement runs: a transaction, or the pool for a statement of its own."""

    async def fetch(self, query: str, *args: Any) -> list[Record]:
        """Every row."""
        ...

    async def fetchrow(self, query: str, *args: Any) -> Record | None:
        """The first row, or None."""
        ...

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        ...

    async def execute(self, query: str, *args: Any) -> str:
        """Run without rows; gives the command tag."""
        ...


Tx = Session
"""A session whose caller owns the transaction."""


class Database:
    """A pool of connections to one PostgreSQL. patience_seconds: how long to wait for one.

    A statement that takes rows as arrays hides one of them behind a subquery: `unnest($1::text[],
    (SELECT $2::text[]))`. A planner that sees all lengths finds the plan for just these cheaper
    than the one it could keep, and plans anew each time, which may cost more than the statement.
    """

    def __init__(self, pool: Pool, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._pool = pool
        self._patience_seconds = patience_seconds

    def connection(self) -> "_Connected":
        """A connection of one's own for a while. Raises NothingDone where there is none."""
        return _Connected(self._pool.acquire(timeout=self._patience_seconds))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Tx]:
        """A transaction: committed at the end, rolled back on an exception.

        Raises NothingDone where the database goes away before it is told to commit; what goes
        wrong after that leaves it open whether it has.
        """
        committing = False
        try:
            async with self.connection() as connection, _transaction(connection):
                yield connection
                committing = True
        except NothingDone:
            raise
        except Unreachable as error:
            if committing:
                raise
            raise NothingDone(f"no commit: {_words(error)}") from error

    async def run(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction; again if the database ended it for another one's sake."""
        for attempt in range(_RETRIES):
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                if attempt == _RETRIES - 1:
                    raise
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    async def fetch(self, query: str, *args: Any) -> list[Record]:
        """Every row of a statement of its own."""
        async with self.connection() as connection:
            return await connection.fetch(query, *args)

    async def fetch_planned(self, query: str, *args: Any) -> list[Record]:
        """Every row of a statement that is planned for its arguments, each time anew.

        A statement that is kept gets a plan for any arguments after a few runs, which does not
        know a rare value from a frequent one. Nor do lists, with their many forms, then push the
        statements of every request out of the connection's cache. It costs a round trip.
        """
        async with self.connection() as connection:
            statement = await connection.prepare(query, name="")
            return await statement.fetch(*args)

    async def fetchrow(self, query: str, *args: Any) -> Record | None:
        """The first row of a statement of its own, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first value of a statement of its own, or None."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement of its own; gives the command tag."""
        async with self.connection() as connection:
            return await connection.execute(query, *args)


class _Connected:
    """A connection for the length of a block, ended where the block leaves it in doubt."""

    __slots__ = ("_connection", "_loan")
    _connection: Connection

    def __init__(self, loan: Loan) -> None:
        self._loan = loan

    async def __aenter__(self) -> Connection:
        try:
            self._connection = await self._loan.__aenter__()
        except Unreachable as error:
            raise NothingDone(f"not asked: {_words(error)}") from error
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if isinstance(error, _SPOILT) or isinstance(error and error.__cause__, _SPOILT):
                await _abandon(self._connection)
        finally:
            await self._loan.__aexit__(kind, error, trace)


@asynccontextmanager
async def open_database(
    settings: Settings,
    *,
    patience_seconds: float = _PATIENCE_SECONDS,
    statement_seconds: float = _STATEMENT_SECONDS,
) -> AsyncGenerator[Database]:
    """Connect to the external database, or to the running server of the data directory.

    patience_seconds: how long to wait for a connection of the pool. statement_seconds: how long a
    statement may take.
    """
    async with asyncpg.create_pool(
        **connect_arguments(settings, statement_seconds),
        min_size=1,
        max_size=settings.pool_size,
        max_inactive_connection_lifetime=300,
        # The default reset costs a round trip per request, and nothing here needs it: no
        # statement leaves a setting, a lock or a cursor behind its transaction.
        reset=_no_reset,
    ) as pool:
        lending = LendingPool(pool)
        sweeping = asyncio.create_task(lending.run())
        try:
            yield Database(lending, patience_seconds=patience_seconds)
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)


def connect_arguments(
    settings: Settings, statement_seconds: float = _STATEMENT_SECONDS
) -> dict[str, Any]:
    """How asyncpg reaches the database of `settings`."""
    arguments: dict[str, Any]
    if settings.database_url:
        arguments = {"dsn": settings.database_url}
    else:
        server = address(settings.data_dir)
        arguments = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
            "database": server.database,
        }
    if not settings.pgbouncer:
        arguments["server_settings"] = {
            # What is locked first and read after it relies on seeing the newest rows.
            "default_transaction_isolation": "read committed",
            # PostgreSQL's own figure, 4, is that of a turning disk. With it lists read half an
            # index to spare a few pages of a table.
            "random_page_cost": "1.1",
        }
    else:
        # In transaction mode the next statement may meet another server connection.
        arguments["statement_cache_size"] = 0
    return arguments | {"command_timeout": statement_seconds, "timeout": 10}


def direct(settings: Settings) -> Settings:
    """The settings that lead past pgbouncer, where there is a way; else the same."""
    if settings.direct_url is None:
        return settings
    return msgspec.structs.replace(settings, database_url=settings.direct_url, pgbouncer=False)


def _words(error: BaseException) -> str:
    """What went wrong; a timeout has no words of its own."""
    return str(error) or type(error).__name__


@asynccontextmanager
async def _transaction(
    connection: Connection,
) -> AsyncGenerator[None]:
    """A transaction that is undone by ending its connection where that is in doubt or gone."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    except _SPOILT:
        raise
    except BaseException:
        with contextlib.suppress(asyncpg.InterfaceError):  # the connection is gone
            await transaction.rollback()
        raise
    await transaction.commit()


async def _abandon(connection: Connection) -> None:
    """End a connection: at once where its server does not answer.

    A server that lives is given the time to stop what runs on it, as it would otherwise go on,
    and keep its locks, for nobody.
    """
    try:
        with contextlib.suppress(*Unreachable, TimeoutError, asyncpg.PostgresError):
            async with asyncio.timeout(_ABANDON_SECONDS):
                await connection.execute("ROLLBACK")
    finally:
        connection.terminate()


async def _no_reset(_connection: object) -> None:
    return None
