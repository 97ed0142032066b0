"""The clock of the API and the worker an hour back, and right again (libfaketime)."""

import base64
import secrets
import signal
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import Figures
from tests.faults.postgres import Node, url_of
from tests.faults.shop import Shop, environment, fill_shop
from tests.faults.test_embedded_faults import UNAVAILABLE
from tests.support.command import refundry, said
from tests.support.http import expect
from tests.support.service import Processor, Service, start_process, stop_process

pytestmark = pytest.mark.faults
BACK_SECONDS = 8.0
KEY = base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class FakeClock:
    """What processes are started with, and the file that tells how far off their clocks are."""

    file: Path
    library: Path

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            # Durations are not what jumps.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """At once and whole, as it is read at every look at the clock."""
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(f"{offset}\n")
        unfinished.rename(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> FakeClock:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (Debian: apt-get install libfaketime)")
    clock = FakeClock(tmp_path / "offset", found[0])
    clock.set("+0")
    return clock


@contextmanager
def open_apart(node: Node, processor: Processor, clock: FakeClock) -> Generator[Shop]:
    """A shop whose API and worker run by that clock, each by itself.

    Apart, as `serve` sleeps by a call that libfaketime breaks. The database keeps the right time:
    nothing that is decided may hang on its clock.
    """
    url = {"REFUNDRY_DATABASE_URL": url_of([node]), "REFUNDRY_ENCRYPTION_KEY": KEY}
    variables = {**environment(processor), **url}
    said(refundry("migrate", env=variables))
    with Service("api", {**variables, **clock.environment()}) as service:
        log = service.data_dir / "worker.log"
        command = ["refundry", "worker", "--data-dir", str(service.data_dir)]
        worker = start_process(command, service.environment, log, service.data_dir)
        try:
            api = service.api(service.open_account().secret_test)
            yield fill_shop(service, processor, api)
        finally:
            stop_process(worker, signal.SIGTERM)


@contextmanager
def started_with(variables: dict[str, str]) -> Generator[None]:
    """Whatever is started in the block gets the variables, too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def replay(shop: Shop, name: str) -> Callable[[], bool]:
    """Ask under a key of that name; gives how to see that asking again changes nothing."""
    body = {"orderId": shop.orders[0]["id"], "currency": "USD", "amount": 0.07,
            "metadata": {"ask": name}}  # fmt: skip
    headers = {"Idempotency-Key": name}
    made = expect(shop.api.post("/refunds", body, headers), 201)

    def again() -> bool:
        answer = shop.api.post("/refunds", body, headers)
        return expect(answer, 201) == made and answer.headers["Idempotent-Replayed"] == "true"

    return again


def hour_back(shop: Shop, clock: FakeClock, figures: Figures, who: str) -> None:
    with shop.load() as calling:
        before = replay(shop, str(uuid.uuid4()))
        calling.more(100)
        began = time.monotonic()
        clock.set("-3600")
        seconds = calling.recovery_seconds(began, began)
        assert before()
        meanwhile = replay(shop, str(uuid.uuid4()))
        calling.more(100)
        time.sleep(max(0.0, began + BACK_SECONDS - time.monotonic()))
        waiting = shop.sql("SELECT count(*) AS n FROM refunds WHERE state = 'pending'")[0]["n"]
        clock.set("+0")
        assert before()
        assert meanwhile()
        calling.more(50)
    shop.judge(calling, UNAVAILABLE)
    figures.recovered(f"clock an hour back, {who}", [seconds], f"{waiting} refunds had to wait")


def test_an_hour_back_on_our_machine_pays_nothing_twice(
    clock: FakeClock, node: Node, processor: Processor, figures: Figures
) -> None:
    """The processor keeps the right time: it refuses our signatures until ours is right again."""
    with open_apart(node, processor, clock) as shop:
        hour_back(shop, clock, figures, "ours alone")


def test_an_hour_back_everywhere_pays_nothing_twice(
    clock: FakeClock, node: Node, figures: Figures
) -> None:
    """The processor's clock jumps as well, so that it goes on paying within the hour."""
    processor = Processor()
    with started_with(clock.environment()):
        processor.__enter__()
    try:
        with open_apart(node, processor, clock) as shop:
            hour_back(shop, clock, figures, "everybody's")
    finally:
        processor.__exit__()
