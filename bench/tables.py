"""A data directory with many orders in it, each refunded twice, laid once and measured often."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg

from bench.bulk import LAYING_SETTINGS, Connection
from bench.order import REFUND
from bench.stage import Stage, ask, take_order
from bench.volume import Copy, lay, prepare_copies
from refundry.access.commands import open_account
from refundry.db.database import connect_arguments, open_database
from refundry.db.embedded import Server
from refundry.hosting import database_ready

T = TypeVar("T")
_REFUNDS_EACH = 2


def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


class Tables:
    """A data directory with so many orders in it."""

    def __init__(self, folder: Path, orders: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stage = Stage(folder)
        self.orders = orders
        # Written when the orders are laid: the account's key.
        self._key_file = folder / "key"

    def lay(self) -> None:
        """Lay the orders, unless that was done before. Raises BenchFailed."""
        if self._key_file.exists():
            return
        say(f"lay {self.orders:,} orders with {_REFUNDS_EACH * self.orders:,} refunds")
        with self.database():
            key, copies = self._prepare()
            self.run(lambda connection: _set(connection, LAYING_SETTINGS))
        with self.database():
            asyncio.run(lay(self.connect, copies, self.orders, say))
            self.run(lambda connection: connection.execute("ALTER SYSTEM RESET ALL"))
        self._key_file.write_text(key)

    def _prepare(self) -> tuple[str, Sequence[Copy]]:
        """Take one order in and refund it; gives the account's key and what copies the order."""

        async def open_bench_account() -> tuple[str, str]:
            async with open_database(self.stage.settings) as database:
                account = await open_account(database, "Growth", now=datetime.now(UTC))
                return account.account_id, account.secret_test

        account_id, key = asyncio.run(open_bench_account())
        with self.stage.service("api") as service:
            order_id = take_order(self.stage, service.port, key)
            for _ in range(_REFUNDS_EACH):
                ask(service.port, key, "POST", "/refunds", {"orderId": order_id, **REFUND})
            self.stage.drain()
        return key, self.run(lambda connection: prepare_copies(connection, account_id, order_id))

    @property
    def key(self) -> str:
        """The account's secret test key, once its orders are laid."""
        return self._key_file.read_text()

    def checkpoint(self) -> None:
        """Put everything on disk, so that each load has as much to write."""
        self.run(lambda connection: connection.execute("CHECKPOINT", timeout=600))

    def database(self) -> "AbstractContextManager[Server | None]":
        """The server of the data directory. Raises StartFailed."""
        return database_ready(self.stage.settings, "the benchmark", say, exclusive=True)

    async def connect(self) -> Connection:
        """A connection to the server that runs."""
        return await asyncpg.connect(**connect_arguments(self.stage.settings))

    def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` gives on a connection of its own."""

        async def run() -> T:
            connection = await self.connect()
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())


async def _set(connection: Connection, settings: Mapping[str, str]) -> None:
    """Settings of the server, from its next start on."""
    for name, value in settings.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
