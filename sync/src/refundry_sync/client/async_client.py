"""The client for asyncio; tasks of one event loop may share one."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import ParamSpec, Self, TypeVar, Unpack

import httpx

from refundry_sync.client.async_resources import AsyncResources
from refundry_sync.client.call import Call, Listing, Page
from refundry_sync.client.exchange import Answer, Failure, Reply, Request, Wait, exchange
from refundry_sync.client.settings import Options, Settings
from refundry_sync.client.transport import Reading, failure

Given = ParamSpec("Given")
Found = TypeVar("Found")


class AsyncClient(AsyncResources):
    """As `Client`, but its methods are awaited, and its lists read with `async for`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings = Settings(base_url.rstrip("/"), api_key, **options)
        self._timeout = timeout
        self._http = httpx.AsyncClient(timeout=timeout, transport=transport, follow_redirects=False)
        super().__init__(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._settings.base_url!r})"

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    def one(self, make: Callable[Given, Call[Found]]) -> Callable[Given, Awaitable[Found]]:
        """The method for an operation."""

        @wraps(make)
        async def method(*args: Given.args, **kwargs: Given.kwargs) -> Found:
            return await self.run(make(*args, **kwargs))

        return method

    def all(self, make: Callable[Given, Listing[Found]]) -> Callable[Given, AsyncIterator[Found]]:
        """The method for a list: an iterator that asks for each page when it is reached."""

        @wraps(make)
        def method(*args: Given.args, **kwargs: Given.kwargs) -> AsyncIterator[Found]:
            return self._through(make(*args, **kwargs).first)

        return method

    async def run(self, call: Call[Found]) -> Found:
        """Carry out a call. Raises ApiError, Unreachable and BadAnswer."""
        steps = exchange(call, self._settings)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return end.value
            reply = await self._take(step)

    async def _through(self, call: Call[Page[Found]] | None) -> AsyncIterator[Found]:
        while call is not None:
            page = await self.run(call)
            for each in page.found:
                yield each
            call = page.following

    async def _take(self, step: Request | Wait) -> Reply:
        if isinstance(step, Request):
            return await self._send(step)
        await asyncio.sleep(step.seconds)
        return None

    async def _send(self, request: Request) -> Answer | Failure:
        began = time.monotonic()
        reading = Reading(began + self._timeout)
        try:
            async with self._http.stream(
                request.method, request.url, headers=request.headers, content=request.body
            ) as response:
                async for chunk in response.aiter_bytes():
                    reading.add(chunk, time.monotonic())
        except httpx.RequestError as error:
            return failure(error, time.monotonic() - began)
        return reading.answer(response, time.monotonic() - began)
