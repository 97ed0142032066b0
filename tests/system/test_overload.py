"""More than the service can take, and a database that stands still: refused, and nothing lost."""

import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.command import refundry, said
from tests.support.fixtures import ask, given_captured
from tests.support.http import Api, Doc, assert_error, expect
from tests.support.postgres import signal_all
from tests.support.processes import descendants, eventually
from tests.support.service import Service

MOST = 4
WAITS = {
    "REFUNDRY_MAX_REQUESTS": str(MOST),
    "REFUNDRY_QUEUE_TIMEOUT": "0.3",
    "REFUNDRY_DATABASE_TIMEOUT": "1",
}
# Both timeouts, a busy machine, and a probe's own patience.
SOON_SECONDS = 4.0
REFUSED = "service_unavailable"


@pytest.fixture(scope="module")
def small() -> Iterator[Service]:
    """An API process that takes little in hand and waits for little."""
    with Service("api", WAITS) as service:
        yield service


@dataclass
class Tally:
    """What callers were answered. slowest: seconds."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    created: set[str] = field(default_factory=set[str])
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, answer: httpx.Response, seconds: float) -> None:
        with self.lock:
            self.statuses[answer.status_code] += 1
            self.slowest = max(self.slowest, seconds)
        if answer.status_code == 201:
            self.created.add(answer.json()["id"])
        elif answer.status_code == 503:
            assert_error(answer, 503, REFUSED, REFUSED, None, REFUSED)
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["x-request-id"]


def crowd(service: Service, api: Api, order: Doc, *, callers: int, times: int) -> Tally:
    """So many callers at once, each asking for 0.01 so many times over one connection."""
    tally = Tally()

    def call() -> None:
        with httpx.Client(base_url=str(service.client.base_url), timeout=60, trust_env=False) as c:
            mine = Api(c, api.key)
            for _ in range(times):
                begun = time.monotonic()
                answer = ask(mine, order, amount=0.01)
                tally.note(answer, time.monotonic() - begun)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.statuses.total() == callers * times
    return tally


@contextmanager
def paused(service: Service) -> Generator[None]:
    """The database stands still (SIGSTOP) while the block runs, all of its processes."""
    (main,) = service.children("postgres")
    pids = [main, *descendants(main)]
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        # Those that were forked meanwhile too, if any.
        signal_all([*pids, *descendants(main)], signal.SIGCONT)


def kept(api: Api, order: Doc) -> set[str]:
    """The ids of the refunds of an order."""
    ids: set[str] = set()
    page = expect(api.get(f"/refunds?orderId={order['id']}&limit=100"))
    while True:
        ids |= {each["id"] for each in page["data"]}
        if not page["hasMore"]:
            return ids
        last = page["data"][-1]["id"]
        page = expect(api.get(f"/refunds?orderId={order['id']}&limit=100&startingAfter={last}"))


def resident(pid: int) -> int:
    """Memory of a process in KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_what_is_too_much_is_refused_and_has_no_effect(small: Service) -> None:
    api = small.api(small.open_account().secret_test)
    order = given_captured(api, "B")
    tally = crowd(small, api, order, callers=6 * MOST, times=15)
    assert set(tally.statuses) == {201, 503}
    assert kept(api, order) == tally.created
    assert small.healthy()
    metrics = small.client.get("/metrics").text
    (shed,) = re.findall(r"^refundry_requests_shed_total (\S+)$", metrics, re.MULTILINE)
    assert 0 < float(shed) <= tally.statuses[503]
    assert crowd(small, api, order, callers=1, times=5).statuses == {201: 5}


def test_a_paused_database_is_a_503_and_then_all_is_as_before(small: Service) -> None:
    api = small.api(small.open_account().secret_test)
    order = given_captured(api, "B")
    before = crowd(small, api, order, callers=2, times=3)
    memory = resident(small.pid)
    with paused(small):
        tally = crowd(small, api, order, callers=8 * MOST, times=15)
        begun = time.monotonic()
        assert not small.healthy()
        assert time.monotonic() - begun < SOON_SECONDS
    # In hand when it stopped: what was sent may or may not be done, and that is what 504 says.
    assert set(tally.statuses) <= {503, 504}
    assert tally.statuses[503] > tally.statuses[504]
    assert tally.slowest < SOON_SECONDS
    assert resident(small.pid) - memory < 32 * 1024
    assert eventually(small.healthy)
    after = crowd(small, api, order, callers=2, times=3)
    assert after.statuses == {201: 6}
    told = before.created | after.created
    assert told <= kept(api, order)
    assert len(kept(api, order) - told) <= tally.statuses[504]
    assert "0 do not add up" in said(refundry("audit", data_dir=small.data_dir))


def test_an_idempotency_key_makes_a_doubtful_request_certain(small: Service) -> None:
    api = small.api(small.open_account().secret_test)
    order = given_captured(api, "B")
    body = {"orderId": order["id"], "currency": order["currency"], "amount": 0.01}
    with paused(small):
        doubtful = api.post("/refunds", body, {"Idempotency-Key": "once"})
        assert doubtful.status_code in (503, 504)

    def done() -> bool:
        """409 while the key's first use is not known to have ended."""
        again = api.post("/refunds", body, {"Idempotency-Key": "once"})
        assert again.status_code in (201, 409, 503)
        return again.status_code == 201

    assert eventually(done, 40)
    assert len(kept(api, order)) == 1


def test_a_refused_request_leaves_its_connection_usable(small: Service) -> None:
    """Its body, large or slow, is read away; the next request on the connection is answered."""
    api = small.api(small.open_account().secret_test)
    order = given_captured(api, "B")
    head = f"Authorization: Bearer {api.key}\r\nHost: test\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", small.port), timeout=20) as connection:
        with paused(small):
            holders = [
                threading.Thread(target=lambda: ask(api, order, amount=0.01)) for _ in range(MOST)
            ]
            for each in holders:
                each.start()
            time.sleep(0.15)  # they are in hand, and stay there
            body = b"x" * 300_000
            connection.sendall(b"POST /refunds HTTP/1.1\r\n" + (head % len(body)).encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
            connection.sendall(body)
            for each in holders:
                each.join()
        assert eventually(small.healthy)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
