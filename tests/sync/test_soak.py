"""The shop, Refundry and the network between them fail at random under traffic; nothing drifts.

REFUNDRY_SYNC_SECONDS says for how long (30; `make soak-sync`: 600).
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from refundry_sync.sync.merging import HANDLED_TYPES
from tests.faults.relay import Relay
from tests.support.fixtures import ask, given_captured
from tests.support.http import Api, expect
from tests.support.processes import eventually
from tests.support.service import ROOT, Service, free_port, start_process, stop_process
from tests.support.webhooks import LOOPBACK, subscribe, token_of

pytestmark = pytest.mark.check
SECONDS = float(os.environ.get("REFUNDRY_SYNC_SECONDS", "30"))
SEED = random.randrange(2**32)
ORDERS = 20
PACE_SECONDS = 0.1
PATH = "/webhooks/digitalriver"
LAST = {"succeeded": "refund_confirmation", "failed": "refund_failed", "expired": "refund_failed"}


@dataclass
class World:
    """Refundry and a shop in processes of their own, with a relay in each direction."""

    service: Service
    api: Api
    to_refundry: Relay
    to_shop: Relay
    shop_port: int
    folder: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    shop: subprocess.Popen[bytes] | None = None
    shop_kills: int = 0

    def start_shop(self) -> None:
        log = self.folder / "shop.log"
        self.shop = start_process(["refundry_sync", "run"], self.environment, log, self.folder)
        address = f"http://127.0.0.1:{self.shop_port}/healthz"
        assert eventually(lambda: _answers(address), 30), log.read_text()

    def end_shop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.shop is not None:
            stop_process(self.shop, number)
            self.shop = None

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """refundry-sync with these words, on the shop's store."""
        return subprocess.run(
            [sys.executable, "-m", "refundry_sync", *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def lines(self, kind: str) -> list[dict[str, str]]:
        """What the shop was told: kind: mail or change."""
        file = Path(self.environment["MAIL_ROOM"])
        told = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in told if kind in line]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    network: dict[str, str | None] = {"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}
    shop_port = free_port()
    with (
        Service("serve", network) as service,
        Relay(service.port, SEED) as to_refundry,
        Relay(shop_port, SEED + 1) as to_shop,
    ):
        account = service.open_account()
        api = service.api(account.secret_test)
        world = World(service, api, to_refundry, to_shop, shop_port, tmp_path)
        webhook = subscribe(api, f"http://127.0.0.1:{to_shop.port}{PATH}", *sorted(HANDLED_TYPES))
        world.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'sync' / 'src'}",
            "MAIL_ROOM": str(tmp_path / "told.jsonl"),
            "REFUNDRY_SYNC_URL": f"http://127.0.0.1:{to_refundry.port}",
            "REFUNDRY_SYNC_KEY": account.secret_test,
            "REFUNDRY_SYNC_TOKENS": token_of(service, webhook),
            "REFUNDRY_SYNC_STORE": f"sqlite:///{tmp_path / 'shop.db'}",
            "REFUNDRY_SYNC_PORT": str(shop_port),
            "REFUNDRY_SYNC_LEASE_SECONDS": "2",
            "REFUNDRY_SYNC_ON_CHANGE": "tests.support.mail_room:change",
            "REFUNDRY_SYNC_NOTIFY": "tests.support.mail_room:notify",
        }
        world.start_shop()
        try:
            yield world
        finally:
            world.end_shop()


def test_whatever_fails_the_books_agree_and_each_mail_is_sent_once(world: World) -> None:
    print(f"seed {SEED}, {SECONDS} s")
    choice = random.Random(SEED)
    orders = [given_captured(world.api, choice.choice("ABRSG")) for _ in range(ORDERS)]
    stopping = threading.Event()
    traffic = threading.Thread(target=ask_for_refunds, args=(world.api, orders, stopping))
    traffic.start()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(choice.uniform(0.2, 1.5))
        choice.choice((kill_shop, kill_refundry, cut_the_network))(world, choice)
    stopping.set()
    traffic.join()
    assert eventually(lambda: not open_refunds(world.api), 90), "Refundry itself settles"
    reconciled = world.command("reconcile", "--since", "1d")
    assert reconciled.returncode == 0, reconciled.stderr
    assert eventually(lambda: world.command("drift", "--since", "1d").returncode == 0, 60), (
        world.command("drift", "--since", "1d").stdout
    )
    assert_told(world)


def assert_told(world: World) -> None:
    """Each refund's end was told, under one id; a repeat only where a call was cut short."""
    refunds = all_refunds(world.api)
    wanted = {f"{each['id']}:{LAST[each['state']]}" for each in refunds}
    assert eventually(lambda: wanted <= {each["mail"] for each in world.lines("mail")}, 60)
    for kind in ("mail", "change"):
        counts = Counter(each[kind] for each in world.lines(kind))
        repeats = sum(counts.values()) - len(counts)
        print(f"{len(counts)} of {kind}, {repeats} repeats, {world.shop_kills} kills")
        assert repeats <= world.shop_kills
    ends = Counter(each["mail"] for each in world.lines("mail") if each["kind"] in LAST.values())
    assert set(ends) == wanted, "and of nothing that did not happen"


def kill_shop(world: World, choice: random.Random) -> None:
    world.shop_kills += 1
    world.end_shop(signal.SIGKILL)
    time.sleep(choice.uniform(0, 1))
    world.start_shop()


def kill_refundry(world: World, choice: random.Random) -> None:
    world.service.kill()
    time.sleep(choice.uniform(0, 1))
    world.service.start()


def cut_the_network(world: World, choice: random.Random) -> None:
    """For a moment every piece of bytes is the last one of its connection."""
    relay = choice.choice((world.to_refundry, world.to_shop))
    relay.likelihood = 1.0
    time.sleep(choice.uniform(0.2, 2))
    relay.likelihood = 0.0


def ask_for_refunds(api: Api, orders: list[dict[str, object]], stopping: threading.Event) -> None:
    """Small refunds of orders at random; some are refused, and some get no answer."""
    choice = random.Random(SEED)
    while not stopping.wait(PACE_SECONDS):
        try:
            ask(api, choice.choice(orders), amount=choice.randrange(1, 5))
        except httpx.TransportError:
            continue


def all_refunds(api: Api) -> list[dict[str, str]]:
    page = expect(api.get("/refunds?limit=100"))
    found = page["data"]
    while page["hasMore"]:
        page = expect(api.get(f"/refunds?limit=100&startingAfter={found[-1]['id']}"))
        found += page["data"]
    return found


def open_refunds(api: Api) -> list[str]:
    return [each["id"] for each in all_refunds(api) if each["state"] not in LAST]


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
