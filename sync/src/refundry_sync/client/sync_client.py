"""The client for code that waits for its answers; threads may share one."""

import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, Self, TypeVar, Unpack

import httpx

from refundry_sync.client.call import Call, Listing, Page
from refundry_sync.client.exchange import Answer, Failure, Reply, Request, Wait, exchange
from refundry_sync.client.resources import Resources
from refundry_sync.client.settings import Options, Settings
from refundry_sync.client.transport import Reading, failure

Given = ParamSpec("Given")
Found = TypeVar("Found")


class Client(Resources):
    """Calls one server with one key.

    base_url: where the API is, `https://refunds.shop.example`. timeout: seconds for an attempt to
    connect, to be sent and to be answered, each. transport: one of httpx, in place of its own.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings = Settings(base_url.rstrip("/"), api_key, **options)
        self._timeout = timeout
        self._http = httpx.Client(timeout=timeout, transport=transport, follow_redirects=False)
        super().__init__(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._settings.base_url!r})"

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def one(self, make: Callable[Given, Call[Found]]) -> Callable[Given, Found]:
        """The method for an operation."""

        @wraps(make)
        def method(*args: Given.args, **kwargs: Given.kwargs) -> Found:
            return self.run(make(*args, **kwargs))

        return method

    def all(self, make: Callable[Given, Listing[Found]]) -> Callable[Given, Iterator[Found]]:
        """The method for a list: an iterator that asks for each page when it is reached."""

        @wraps(make)
        def method(*args: Given.args, **kwargs: Given.kwargs) -> Iterator[Found]:
            return self._through(make(*args, **kwargs).first)

        return method

    def run(self, call: Call[Found]) -> Found:
        """Carry out a call. Raises ApiError, Unreachable and BadAnswer."""
        steps = exchange(call, self._settings)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return end.value
            reply = self._take(step)

    def _through(self, call: Call[Page[Found]] | None) -> Iterator[Found]:
        while call is not None:
            page = self.run(call)
            yield from page.found
            call = page.following

    def _take(self, step: Request | Wait) -> Reply:
        if isinstance(step, Request):
            return self._send(step)
        time.sleep(step.seconds)
        return None

    def _send(self, request: Request) -> Answer | Failure:
        began = time.monotonic()
        reading = Reading(began + self._timeout)
        try:
            with self._http.stream(
                request.method, request.url, headers=request.headers, content=request.body
            ) as response:
                for chunk in response.iter_bytes():
                    reading.add(chunk, time.monotonic())
        except httpx.RequestError as error:
            return failure(error, time.monotonic() - began)
        return reading.answer(response, time.monotonic() - began)
