"""A bounded pool of threads for SDKs that block, with a time-out of our own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")


class CallThreads:
    """Runs calls that block, `threads` at a time; each must end within `timeout_seconds`.

    That time begins when its turn comes: with many at once, those behind wait for as long as their
    callers do. One that has begun cannot be stopped: its caller hears TimeoutError, and the SDK's
    own time-out ends the thread.
    """

    def __init__(self, threads: int, timeout_seconds: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="processor")
        self._free = asyncio.Semaphore(threads)
        self._timeout = timeout_seconds

    async def call(self, function: Callable[[], Given]) -> Given:
        """What `function` returns or raises; TimeoutError where it takes too long."""
        async with self._free, asyncio.timeout(self._timeout):
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Take no more calls; those that run end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
