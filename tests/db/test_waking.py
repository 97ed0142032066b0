"""Notifications wake all that wait for them, and the listener survives its connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from refundry.db.database import Database
from refundry.settings import Settings
from refundry.waking import Listener, Waker

# Idle, so that it is heard by now: while it runs, a notification may still pass it by.
LISTENING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'"


@pytest.fixture
async def wakes(settings: Settings, database: Database) -> AsyncIterator[list[asyncio.Event]]:
    """What a listener sets."""
    wakes = [asyncio.Event(), asyncio.Event()]
    listening = asyncio.create_task(Listener(settings, wakes).run())
    try:
        await until_listening(database, other_than=None)
        yield wakes
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture
async def waker(database: Database) -> AsyncIterator[Waker]:
    waker = Waker(database)
    running = asyncio.create_task(waker.run())
    yield waker
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until_listening(database: Database, *, other_than: int | None) -> int:
    async with asyncio.timeout(10):
        while (pid := await database.fetchval(LISTENING)) in (None, other_than):
            await asyncio.sleep(0.01)
    return pid


async def heard(wakes: list[asyncio.Event]) -> None:
    async with asyncio.timeout(10):
        for wake in wakes:
            await wake.wait()
            wake.clear()


async def test_everybody_who_waits_is_woken(wakes: list[asyncio.Event], waker: Waker) -> None:
    for _ in range(2):
        waker.wake()
        await heard(wakes)


async def test_the_listener_connects_again(
    wakes: list[asyncio.Event], waker: Waker, database: Database
) -> None:
    pid = await until_listening(database, other_than=None)
    await database.execute("SELECT pg_terminate_backend($1)", pid)
    await until_listening(database, other_than=pid)
    waker.wake()
    await heard(wakes)
