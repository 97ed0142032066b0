"""Endpoints of webhooks that fail in every way, and remember what they were sent."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import cast

import aiohttp

from refundry.webhooks.addresses import Guard
from refundry.webhooks.sending import ATTEMPT_SECONDS, Courier, Outcome, Target
from tests.simulation.loop import Loop
from tests.simulation.trace import Trace


@dataclass(slots=True)
class Receivers:
    """All endpoints. bodies: what arrived, by the endpoint's address and the event's id.

    calm: they behave well.
    """

    loop: Loop
    random: Random
    trace: Trace
    bodies: dict[tuple[str, str], list[bytes]] = field(
        default_factory=dict[tuple[str, str], list[bytes]]
    )
    calm: bool = False

    async def post(self, address: str, body: bytes) -> Outcome:
        """One request over a line that may lose it, or its answer; as the courier sees it."""
        await asyncio.sleep(self.random.uniform(0.005, 0.2))
        chance = 1.0 if self.calm else self.random.random()
        if chance < 0.06:
            return Outcome(error="the connection was refused")
        if chance < 0.10:
            await asyncio.sleep(ATTEMPT_SECONDS)
            return Outcome(error="no answer within 3 seconds")
        self._keep(address, body)
        if chance < 0.20:
            await asyncio.sleep(ATTEMPT_SECONDS)
            return Outcome(error="no answer within 3 seconds")
        if chance < 0.26:
            return Outcome(500, b"taken, but answered badly")
        if chance < 0.32:
            await asyncio.sleep(self.random.uniform(0.2, ATTEMPT_SECONDS - 0.3))
        return Outcome(204, b"")

    def _keep(self, address: str, body: bytes) -> None:
        event_id = json.loads(body)["id"]
        self.bodies.setdefault((address, event_id), []).append(body)
        self.trace.note(self.loop.time(), "received", address, event_id)


class SimulatedCourier(Courier):
    """Brings events to the simulated endpoints; nothing leaves the process."""

    def __init__(self, receivers: Receivers) -> None:
        super().__init__(cast(aiohttp.ClientSession, None), Guard([]), allow_http=True)
        self._receivers = receivers

    async def send(self, target: Target, tokens: Sequence[bytes], body: bytes) -> Outcome:
        return await self._receivers.post(str(target.url), body)
