"""A name that leads to the world when a webhook is made, and to this machine afterwards.

The name server is the event loop's: the guard, the client and the receiver are the real ones.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from refundry.settings import Settings
from refundry.webhooks.addresses import Guard
from refundry.webhooks.sending import Outcome, open_courier
from tests.support.answers import OK
from tests.support.receiver import Receiver
from tests.support.webhooks import LOOPBACK

NAME = "hooks.shop.example"
WORLD = "93.184.215.14"
HERE = "127.0.0.1"
Result = TypeVar("Result")


class Loop(asyncio.SelectorEventLoop):
    """A loop whose names lead where the test says; each look-up takes the next answer."""

    def __init__(self, *answers: list[str]) -> None:
        super().__init__()
        self._answers = iter(answers)

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:  # fmt: skip
        if host != NAME:
            return await super().getaddrinfo(
                host, port, family=family, type=type, proto=proto, flags=flags
            )
        addresses = next(self._answers)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))
            for address in addresses
        ]


def run(loop: Loop, work: Callable[[], Awaitable[Result]]) -> Result:
    """Run in a thread, as this one's loop belongs to the other tests."""

    async def go() -> Result:
        return await work()

    def run_all() -> Result:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(go())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run_all).result()


async def check_and_send(settings: Settings, url: str) -> tuple[bool, Outcome]:
    """Whether the host is refused at creation, and what comes of a delivery."""
    refused = await Guard(settings.webhook_networks()).refuses(NAME)
    async with open_courier(settings) as courier:
        target = courier.target(url, live=False, basic=None, credentials=None)
        return refused, await courier.send(target, [b"token"], b"{}")


@pytest.mark.parametrize("later", [[HERE], [WORLD, HERE], ["169.254.169.254"], ["10.1.2.3"]])
def test_a_name_that_leads_home_later_is_refused_then(receiver: Receiver, later: list[str]) -> None:
    endpoint = receiver.endpoint(OK)
    url = endpoint.url.replace(HERE, NAME)
    loop = Loop([WORLD], later)
    refused, outcome = run(loop, lambda: check_and_send(Settings(), url))
    assert not refused
    assert (outcome.status, endpoint.arrivals) == (None, [])
    assert outcome.error == "the address leads to a network that is not open to webhooks"


def test_it_is_the_guard_that_refuses(receiver: Receiver) -> None:
    """The same with the network open arrives."""
    endpoint = receiver.endpoint(OK)
    url = endpoint.url.replace(HERE, NAME)
    settings = Settings(webhook_allow_networks=LOOPBACK)
    refused, outcome = run(Loop([HERE], [HERE]), lambda: check_and_send(settings, url))
    assert not refused
    assert (outcome.status, len(endpoint.arrivals)) == (204, 1)


def test_one_bad_address_among_good_ones_is_refused_at_creation() -> None:
    async def refuses() -> bool:
        return await Guard(()).refuses(NAME)

    assert run(Loop([WORLD, HERE]), refuses)
    assert not run(Loop([WORLD]), refuses)
