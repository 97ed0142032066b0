"""The embedded PostgreSQL killed, paused and restarted under load.

REFUNDRY_FAULT_ROUNDS says how often each (2).
"""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Figures
from tests.faults.shop import Shop, environment, open_shop
from tests.support.http import read
from tests.support.processes import descendants, eventually, kill
from tests.support.service import Processor, Service

pytestmark = pytest.mark.faults
ROUNDS = int(os.environ.get("REFUNDRY_FAULT_ROUNDS", "2"))
UNAVAILABLE = {
    "503 service_unavailable",
    "504 gateway_timeout",
    "409 idempotency_key_in_use",
}
PAUSE_SECONDS = 10.0
# A connection gets one second, a statement five and its end one; then comes the answer.
MOST_SECONDS = 25.0


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Processor() as processor:
        service = Service("serve", environment(processor))
        with open_shop(service, processor) as shop:
            yield shop


def postmaster(shop: Shop) -> int:
    (pid,) = shop.service.children("postgres")
    return pid


def backends(shop: Shop) -> list[int]:
    """The server's processes that serve a client."""
    below = descendants(postmaster(shop))
    return [pid for pid, line in below.items() if " refundry refundry " in " ".join(line)]


def test_a_killed_postmaster_loses_nothing_and_is_started_again(
    shop: Shop, figures: Figures
) -> None:
    seconds: list[float] = []
    with shop.load() as calling:
        for _ in range(ROUNDS):
            calling.more(100)
            victim = postmaster(shop)
            now = time.monotonic()
            kill(victim)
            seconds.append(calling.recovery_seconds(now, now))
            assert postmaster(shop) != victim
        calling.more(50)
    shop.judge(calling, UNAVAILABLE)
    figures.recovered("postmaster, kill -9", seconds)


def test_a_killed_backend_loses_nothing(shop: Shop, figures: Figures) -> None:
    """PostgreSQL then ends all of its processes and recovers, as memory may be spoilt."""
    seconds: list[float] = []
    with shop.load() as calling:
        for _ in range(ROUNDS):
            calling.more(100)
            victim = backends(shop)[0]
            now = time.monotonic()
            kill(victim)
            seconds.append(calling.recovery_seconds(now, now))
        calling.more(50)
    shop.judge(calling, UNAVAILABLE)
    figures.recovered("backend, kill -9", seconds)


def test_a_fast_restart_loses_nothing(shop: Shop, figures: Figures) -> None:
    """SIGINT to the server: it ends its sessions at once, and the supervisor starts it again."""
    seconds: list[float] = []
    with shop.load() as calling:
        for _ in range(ROUNDS):
            calling.more(100)
            victim = postmaster(shop)
            now = time.monotonic()
            os.kill(victim, signal.SIGINT)
            seconds.append(calling.recovery_seconds(now, now))
            assert eventually(lambda old=victim: shop.service.children("postgres") != [old])
        calling.more(50)
    shop.judge(calling, UNAVAILABLE)
    figures.recovered("restart, fast", seconds)


def test_a_paused_server_keeps_nobody_waiting_for_ever(shop: Shop, figures: Figures) -> None:
    """Every process of the server stands still, with its connections open, and then goes on."""
    with shop.load() as calling:
        calling.more(100)
        paused = [postmaster(shop), *descendants(postmaster(shop))]
        began = time.monotonic()
        for pid in paused:
            os.kill(pid, signal.SIGSTOP)
        try:
            answered = shop.service.client.get("/healthz")
            unwell_after = time.monotonic() - began
            assert (answered.status_code, read(answered)["type"]) == (503, "service_unavailable")
        finally:
            time.sleep(max(0.0, began + PAUSE_SECONDS - time.monotonic()))
            ended = time.monotonic()
            for pid in reversed(paused):
                os.kill(pid, signal.SIGCONT)
        seconds = calling.recovery_seconds(began, ended)
        calling.more(50)
    assert calling.slowest < MOST_SECONDS
    shop.judge(calling, UNAVAILABLE)
    figures.recovered(
        f"paused for {PAUSE_SECONDS:.0f} s",
        [seconds],
        f"unwell after {unwell_after:.1f} s, slowest answer {calling.slowest:.1f} s",
    )
