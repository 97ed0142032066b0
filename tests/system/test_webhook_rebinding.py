"""A name that leads to the world when a webhook is made, and to this machine afterwards.

The name server alone is the test's: the guard, the client and the receiver are the real ones.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

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
REFUSAL = "the address leads to a network that is not open to webhooks"
# More than the look-ups that a loop of asyncio, or libuv, does at the same time on this machine.
DEAD_NAMES = 40


@contextmanager
def name_server(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Generator[threading.Event]:
    """NAME has each of `answers` in turn; names in .dead have none until the event is set."""
    ask = socket.getaddrinfo
    turns = iter(answers)
    alive = threading.Event()

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> list[Any]:
        if str(host).endswith(".dead"):
            alive.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        addresses = next(turns) if host == NAME else [host]
        found = [ask(address, port, *arguments, **options) for address in addresses]
        return [entry for entries in found for entry in entries]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            yield alive
        finally:
            alive.set()


async def send(settings: Settings, *urls: str) -> list[Outcome]:
    """What comes of a delivery to each address, all at once."""
    async with open_courier(settings) as courier:
        targets = [courier.target(u, live=False, basic=None, credentials=None) for u in urls]
        sends = (courier.send(target, [b"token"], b"{}") for target in targets)
        return await asyncio.gather(*sends)


@pytest.mark.parametrize("later", [[HERE], [WORLD, HERE], ["169.254.169.254"], ["10.1.2.3"]])
async def test_a_name_that_leads_home_later_is_refused_then(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, later: list[str]
) -> None:
    endpoint = receiver.endpoint(OK)
    with name_server(monkeypatch, [WORLD], later):
        assert not await Guard(()).refuses(NAME)
        outcomes = await send(Settings(), endpoint.url.replace(HERE, NAME))
    assert outcomes == [Outcome(error=REFUSAL)]
    assert endpoint.arrivals == []


async def test_it_is_the_guard_that_refuses(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with the network open arrives."""
    endpoint = receiver.endpoint(OK)
    with name_server(monkeypatch, [HERE]):
        settings = Settings(webhook_allow_networks=LOOPBACK)
        [outcome] = await send(settings, endpoint.url.replace(HERE, NAME))
    assert (outcome.status, len(endpoint.arrivals)) == (204, 1)


async def test_one_bad_address_among_good_ones_is_refused_at_creation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with name_server(monkeypatch, [WORLD, HERE], [WORLD]):
        assert await Guard(()).refuses(NAME)
        assert not await Guard(()).refuses(NAME)


async def test_dead_name_servers_delay_nobody_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = receiver.endpoint(OK)
    settings = Settings(webhook_allow_networks=LOOPBACK)
    dead = [f"http://shop-{number}.dead/" for number in range(DEAD_NAMES)]
    with name_server(monkeypatch, [HERE]):
        began = time.time()
        *failed, sent = await send(settings, *dead, endpoint.url.replace(HERE, NAME))
    assert sent.status == 204
    assert endpoint.arrivals[0].at - began < 1
    assert {outcome.error for outcome in failed} == {"no answer within 3 seconds"}
