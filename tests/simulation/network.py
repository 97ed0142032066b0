"""The line between clients and the API: it loses requests and answers, and repeats some."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from tests.simulation.loop import Loop
from tests.simulation.processes import ApiProcess, Reply
from tests.simulation.trace import Trace

# How long a client waits for an answer.
_PATIENCE_SECONDS = 8.0


class Lost(Exception):
    """No answer came: whether the request was served is not known."""


@dataclass(slots=True)
class Network:
    """Brings requests to any of the living APIs. calm: loses and repeats nothing."""

    loop: Loop
    random: Random
    trace: Trace
    apis: list[ApiProcess] = field(default_factory=list[ApiProcess])
    calm: bool = False

    async def request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        """Send a request and wait for the answer. Raises Lost."""
        chance = 1.0 if self.calm else self.random.random()
        await asyncio.sleep(self.random.uniform(0.0, 0.004))
        if chance < 0.03 or not self.apis:
            await asyncio.sleep(_PATIENCE_SECONDS)
            raise Lost("the request")
        if chance > 0.97 and not self.calm and "Idempotency-Key" in headers:
            # A proxy that sends a request again. Only what has a key may be sent twice.
            self._choose().serve(method, path, headers, body).add_done_callback(_forget)
        reply = await self._answer(method, path, body, headers)
        if chance < 0.08:
            await asyncio.sleep(_PATIENCE_SECONDS)
            raise Lost("the answer")
        await asyncio.sleep(self.random.uniform(0.0, 0.01))
        return reply

    async def _answer(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        api = self._choose()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                reply = await api.serve(method, path, headers, body)
        except TimeoutError as error:
            raise Lost("patience") from error
        except ConnectionResetError as error:
            raise Lost("the server") from error
        self.trace.note(self.loop.time(), method, path, reply.status, reply.body.decode())
        return reply

    def _choose(self) -> ApiProcess:
        return self.random.choice(self.apis)


def _forget(future: "asyncio.Future[Reply]") -> None:
    if not future.cancelled():
        future.exception()
