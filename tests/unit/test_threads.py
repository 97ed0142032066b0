"""Calls that block: so many at a time, each with a time of its own."""

import asyncio
import threading
import time

import pytest

from refundry.processors.threads import CallThreads


async def test_the_time_of_a_call_begins_when_its_turn_comes() -> None:
    calls = CallThreads(1, timeout_seconds=0.5)

    def slow() -> float:
        time.sleep(0.3)
        return time.monotonic()

    first, second, third = await asyncio.gather(*(calls.call(slow) for _ in range(3)))
    assert first < second < third
    calls.close()


async def test_a_call_that_takes_too_long_is_given_up_and_others_go_on() -> None:
    calls, free = CallThreads(2, timeout_seconds=0.1), threading.Event()
    with pytest.raises(TimeoutError):
        await calls.call(lambda: free.wait(10))
    assert await calls.call(lambda: "quick") == "quick"
    free.set()
    calls.close()


async def test_who_gave_up_waiting_for_a_turn_is_never_asked_for() -> None:
    calls, asked = CallThreads(1, timeout_seconds=5), list[str]()
    free = threading.Event()
    held = asyncio.create_task(calls.call(lambda: free.wait(10)))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await calls.call(lambda: asked.append("late"))
    free.set()
    assert await held
    await asyncio.sleep(0.05)
    assert asked == []
    calls.close()
