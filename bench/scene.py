"""What all steps of a run need."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg

from bench.plan import Options, Part, Step
from bench.progress import Progress
from bench.stage import Stage
from refundry.access.commands import OpenedAccount, open_account
from refundry.db.database import connect_arguments, open_database
from refundry.db.embedded import Server
from refundry.hosting import database_ready

T = TypeVar("T")
COUNT = "SELECT count(*) FROM refunds"


@dataclass(frozen=True, slots=True)
class Scene:
    """What all steps need."""

    options: Options
    folder: Path
    stage: Stage
    progress: Progress
    steps: list[Step]

    def begin(self, *parts: Part | None) -> Iterator[Step]:
        """The steps of these parts, each announced when its turn has come."""
        for step in self.steps:
            if step.part in parts:
                self.progress.begin(step)
                yield step

    def server(self) -> AbstractContextManager[Server | None]:
        """PostgreSQL on the data directory, for as long as the block runs."""
        return database_ready(self.stage.settings, "make bench", self.progress.say, exclusive=True)


async def open_bench_account(stage: Stage) -> OpenedAccount:
    """A new account in the stage's database."""
    async with open_database(stage.settings) as database:
        return await open_account(database, "Bench", now=datetime.now(UTC))


def on_connection(
    stage: Stage, work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[T]]"
) -> T:
    """What `work` gives on a connection to the stage's database."""

    async def run() -> T:
        connection = await asyncpg.connect(**connect_arguments(stage.settings))
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def count_refunds(stage: Stage) -> int:
    """How many refunds there are."""

    async def count(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        return await connection.fetchval(COUNT)

    return on_connection(stage, count)
