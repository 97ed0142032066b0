"""Connections are lent without a step of the event loop, and nobody is kept waiting for one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from refundry.db.database import connect_arguments
from refundry.db.pool import LendingPool
from refundry.settings import Settings

SIZE = 2


@asynccontextmanager
async def lending(settings: Settings) -> AsyncGenerator[tuple[LendingPool, "asyncio.Task[None]"]]:
    arguments = connect_arguments(settings)
    async with asyncpg.create_pool(**arguments, min_size=0, max_size=SIZE) as pool:
        lent = LendingPool(pool, sweep_seconds=0.05)
        sweeping = asyncio.create_task(lent.run())
        try:
            yield lent, sweeping
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)


async def backend(pool: LendingPool) -> int:
    async with pool.acquire(timeout=5) as connection:
        return await connection.fetchval("SELECT pg_backend_pid()")


async def test_the_connection_given_back_last_is_lent_first(settings: Settings) -> None:
    async with lending(settings) as (pool, _):
        async with pool.acquire(timeout=5) as one, pool.acquire(timeout=5) as two:
            first = await one.fetchval("SELECT pg_backend_pid()")
            second = await two.fetchval("SELECT pg_backend_pid()")
        assert first != second
        # `one` was given back last.
        assert [await backend(pool) for _ in range(3)] == [first] * 3


async def test_who_waits_gets_what_is_given_back(settings: Settings) -> None:
    async with lending(settings) as (pool, _):
        waiting: list[asyncio.Task[int]] = []
        async with pool.acquire(timeout=5), pool.acquire(timeout=5):
            waiting = [asyncio.create_task(backend(pool)) for _ in range(5)]
            await asyncio.sleep(0.02)
            assert not any(task.done() for task in waiting)
        async with asyncio.timeout(5):
            assert len(set(await asyncio.gather(*waiting))) <= SIZE


async def test_nobody_waits_longer_than_allowed(settings: Settings) -> None:
    async with lending(settings) as (pool, _):
        async with pool.acquire(timeout=5), pool.acquire(timeout=5):
            with pytest.raises(TimeoutError):
                async with pool.acquire(timeout=0.01):
                    raise AssertionError("there are only two")
        await backend(pool)


@pytest.mark.parametrize("how", ["terminate", "server"])
async def test_a_connection_that_has_ended_is_not_lent_again(settings: Settings, how: str) -> None:
    async with lending(settings) as (pool, _):
        gone = await backend(pool)
        if how == "terminate":
            async with pool.acquire(timeout=5) as connection:
                connection.terminate()
        else:
            async with pool.acquire(timeout=5), pool.acquire(timeout=5) as other:
                await other.execute("SELECT pg_terminate_backend($1)", gone)
                await asyncio.sleep(0.05)
        found = {await backend(pool) for _ in range(3)}
        assert gone not in found


async def test_what_nobody_wants_is_closed_in_the_end(settings: Settings) -> None:
    arguments = connect_arguments(settings)
    async with asyncpg.create_pool(
        **arguments, min_size=0, max_size=SIZE, max_inactive_connection_lifetime=0.05
    ) as asyncpgs:
        pool = LendingPool(asyncpgs, sweep_seconds=0.05)
        sweeping = asyncio.create_task(pool.run())
        async with pool.acquire(timeout=5), pool.acquire(timeout=5):
            assert asyncpgs.get_size() == SIZE
        async with asyncio.timeout(5):
            while asyncpgs.get_size():
                await asyncio.sleep(0.02)
        await backend(pool)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        assert asyncpgs.get_idle_size() == asyncpgs.get_size()


async def test_many_loans_at_once_end_with_every_connection_at_hand(settings: Settings) -> None:
    async with lending(settings) as (pool, _):

        async def often() -> None:
            for _ in range(20):
                await backend(pool)

        async with asyncio.timeout(30):
            await asyncio.gather(*(often() for _ in range(20)))
            async with pool.acquire(timeout=1), pool.acquire(timeout=1):
                pass
