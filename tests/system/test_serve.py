"""`refundry serve`: one command that brings everything up, keeps it up, and ends all of it."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

import refundry
from refundry.db.embedded import attach
from tests.support.command import complaint, run_sql
from tests.support.command import refundry as command
from tests.support.fixtures import get_refund
from tests.support.http import Api, Doc, assert_error, expect, money, read
from tests.support.processes import all_gone, descendants, eventually, kill, runs
from tests.support.service import Service, environment, free_port, wait_until_up

NOBODY = 65534
# The service as a newcomer starts it, but for the limit on requests, which polling would meet.
AS_SHIPPED = {"REFUNDRY_TEST_CLOCK": None, "REFUNDRY_SANDBOX_SECRET": None}
SAMPLES = [
    ("USD", "27.01"),
    ("USD", "64.82"),
    ("EUR", "27.10"),
    ("USD", "44.09"),
    ("JPY", "3301.0"),
    ("USD", "26.89"),
]


@pytest.fixture(scope="module")
def made() -> Iterator[Service]:
    with Service("serve", AS_SHIPPED) as service:
        yield service


@pytest.fixture
def served(made: Service) -> Service:
    """The service, running; a test may end it."""
    if not made.running:
        made.start()
    return made


def screen(service: Service) -> dict[str, str]:
    """What the last start printed: "Sandbox key" -> the key, and so on."""
    text = service.log_since(0).rpartition("is running.")[2]
    return dict(re.findall(r"^  (\w+(?: \w+){0,2})  +(\S+)$", text, re.MULTILINE))


def sandbox(service: Service) -> Api:
    return service.api(screen(service)["Sandbox key"])


def samples(api: Api) -> list[Doc]:
    """The sample orders, in the order in which they were made."""
    return expect(api.get("/orders?limit=100"))["data"][::-1]


def given_refund(api: Api, amount: str = "0.01") -> Doc:
    """A refund of the sample in euros, paid by the worker."""
    order = samples(api)[2]
    body = {"orderId": order["id"], "currency": "EUR", "amount": amount}
    made = expect(api.post("/refunds", body), 201)
    assert eventually(lambda: get_refund(api, made)["state"] == "succeeded")
    return get_refund(api, made)


def tree(service: Service) -> set[int]:
    """Every process of the service, itself included."""
    below = descendants(service.pid)
    roles = [len(service.children(role)) for role in ("postgres", "api", "worker")]
    assert roles == [1, 1, 1]
    return {service.pid, *below}


def test_the_first_start_prints_url_key_data_and_how_to_stop(served: Service) -> None:
    shown = screen(served)
    url = f"http://127.0.0.1:{served.port}"
    assert re.fullmatch(r"sk_test_[0-9a-f]{32}", shown.pop("Sandbox key"))
    link = shown.pop("Set the password")
    assert re.fullmatch(rf"{url}/dashboard/password/[0-9a-f]{{64}}", link)
    assert shown == {
        "URL": url,
        "Dashboard": f"{url}/dashboard",
        "API reference": f"{url}/docs",
        "Data": str(served.data_dir),
        "Stop": "Ctrl-C",
        "Administrator": "admin@example.com",
    }
    lines = served.log_since(0).splitlines()
    assert lines[0] == "Making a new database (first start)"
    assert lines.index("making the sandbox account and its sample orders") > 0


def test_the_sandbox_holds_the_guides_numbers_captured(served: Service) -> None:
    orders = samples(sandbox(served))
    assert [(each["currency"], each["totalAmount"]) for each in orders] == [
        (currency, money(total)) for currency, total in SAMPLES
    ]
    for each in orders:
        assert (each["state"], each["capturedAmount"]) == ("complete", each["totalAmount"])
        assert not each["liveMode"]
    by_total = {str(each["totalAmount"]): each for each in orders}
    assert by_total["27.01"]["availableToRefundAmount"] == money("27.01")
    # Fees come back by a refund of their own type only, so they are not available to others.
    assert by_total["44.09"]["availableToRefundAmount"] <= money("44.09")
    mixed = by_total["26.89"]["payment"]["sources"]
    assert {source["type"] for source in mixed} == {"creditCard", "customerCredit"}


def test_health_and_readiness_need_no_key(served: Service) -> None:
    anybody = served.api(None)
    assert expect(anybody.get("/healthz")) == {"status": "ok"}
    # The worker says that it lives when it starts, which may be after the API does.
    assert eventually(lambda: anybody.get("/readyz").status_code == 200)
    assert expect(anybody.get("/readyz")) == {"status": "ok", "migrations": True, "worker": True}


def test_readiness_needs_a_worker_and_health_does_not(served: Service) -> None:
    """The worker is stopped (SIGSTOP), so that nobody starts another one."""
    (worker,) = served.children("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        age_workers(served)
        response = served.api(None).get("/readyz")
        wanted = {"status": "unavailable", "migrations": True, "worker": False}
        assert (response.status_code, read(response)) == (503, wanted)
        assert served.healthy()
    finally:
        os.kill(worker, signal.SIGCONT)
    assert eventually(lambda: served.api(None).get("/readyz").status_code == 200)


def age_workers(service: Service) -> None:
    """Let a quarter of a minute pass for those who look when a worker was last seen."""
    run_sql(service.data_dir, "UPDATE workers SET seen_at = seen_at - interval '16 seconds'")


def measured(service: Service) -> Callable[..., float]:
    """A reader of /metrics: the sum over the samples with a name and with these labels."""
    text = expect_text(service.api(None).get("/metrics"), "text/plain")
    found = [
        (sample.name, sample.labels, float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]

    def total(name: str, **labels: str) -> float:
        values = [v for n, own, v in found if n == name and labels.items() <= own.items()]
        assert values, f"{name} {labels} is not there"
        return sum(values)

    return total


def expect_text(response: httpx.Response, media_type: str) -> str:
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == media_type
    return response.text


def test_metrics_tell_of_requests_refunds_amounts_and_the_worker(served: Service) -> None:
    given_refund(sandbox(served), "1.25")
    total = measured(served)
    posted = {"method": "POST", "route": "/refunds", "status": "201"}
    assert total("refundry_requests_total", **posted) >= 1
    assert total("refundry_request_duration_seconds_count", route="/refunds/{id}") >= 1
    assert total("refundry_request_duration_seconds_bucket", route="/refunds", le="+Inf") >= 1
    ended = {"mode": "test", "state": "succeeded"}
    assert total("refundry_refunds_total", mode="test", state="pending") >= 1
    assert total("refundry_refunds_total", **ended) >= 1
    assert total("refundry_refund_amount_total", currency="EUR", **ended) >= 1.25
    submitted = {"connector": "sandbox", "kind": "refund", "outcome": "Settled"}
    assert total("refundry_processor_attempts_total", **submitted) >= 1
    assert total("refundry_worker_lag_seconds_count") >= 1
    assert eventually(lambda: "refundry_oldest_due_seconds" in served.client.get("/metrics").text)
    assert measured(served)("refundry_oldest_due_seconds") >= 0
    assert measured(served)("refundry_refunds_needing_attention") == 0


def test_unknown_paths_do_not_make_metrics_of_their_own(served: Service) -> None:
    for number in range(3):
        assert served.api(None).get(f"/nowhere/{number}").status_code == 404
    assert "nowhere" not in served.client.get("/metrics").text
    assert measured(served)("refundry_requests_total", route="unknown", status="404") >= 3


def test_the_openapi_document_names_every_operation(served: Service) -> None:
    document = expect(served.api(None).get("/openapi.json"))
    assert document["openapi"].startswith("3.1")
    assert {"/orders", "/refunds", "/refunds/{id}", "/fulfillments", "/events"} <= set(
        document["paths"]
    )
    # There only where a deployment allows it.
    assert "/refundry/v1/test/advance" not in document["paths"]
    missing = sandbox(served).post("/refundry/v1/test/advance", {"seconds": 0})
    message = "The item requested was not found."
    assert_error(missing, 404, "not_found", "not_found", None, message)


def test_the_reference_page_needs_nothing_from_elsewhere(served: Service) -> None:
    response = served.api(None).get("/docs")
    page = expect_text(response, "text/html")
    assert "/refunds" in page
    assert "<script" not in page
    assert "default-src 'none'" in response.headers["content-security-policy"]
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert link.startswith("/"), f"{link} is not ours"
        assert served.client.get(link).status_code == 200


def test_a_second_serve_on_the_directory_says_who_holds_it(served: Service) -> None:
    port = str(free_port())
    refused = complaint(command("serve", "--port", port, data_dir=served.data_dir))
    assert f"{served.data_dir} is in use by 'refundry serve'" in refused
    assert str(served.pid) in refused
    assert served.healthy()


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_killed_process_is_started_again(served: Service, role: str) -> None:
    (before,) = served.children(role)
    kill(before)
    assert eventually(lambda: served.children(role) not in ([], [before]))
    assert eventually(served.healthy)
    assert given_refund(sandbox(served))["refundedAmount"] == money("0.01")


def test_a_killed_database_is_a_503_until_it_is_back(served: Service) -> None:
    """The supervisor is stopped (SIGSTOP) at first, so that the answer can be seen."""
    refund = given_refund(sandbox(served))
    (before,) = served.children("postgres")
    os.kill(served.pid, signal.SIGSTOP)
    try:
        kill(before)
        assert eventually(lambda: not served.healthy())  # its children notice within a moment
        message = "service_unavailable"
        for path in ("/healthz", "/readyz", f"/refunds/{refund['id']}"):
            response = sandbox(served).get(path)
            assert_error(response, 503, message, message, None, message)
            assert int(response.headers["retry-after"]) >= 1
    finally:
        os.kill(served.pid, signal.SIGCONT)
    assert eventually(lambda: served.children("postgres") not in ([], [before]))
    assert eventually(served.healthy)
    assert get_refund(sandbox(served), refund) == refund
    assert given_refund(sandbox(served))["state"] == "succeeded"


@pytest.mark.parametrize("end", [Service.interrupt, Service.stop, Service.kill])
def test_no_process_outlives_the_service_and_its_data_stay(
    served: Service, end: Callable[[Service], None]
) -> None:
    """Ctrl-C, SIGTERM and kill -9."""
    shown, refund = screen(served), given_refund(sandbox(served))
    pids = tree(served)
    database_log = served.data_dir / "postgresql.log"
    begun = database_log.stat().st_size
    end(served)
    assert all_gone(pids)
    ordered = end is not Service.kill
    assert (served.log_since(0).splitlines()[-1] == "stopped.") == ordered
    assert attach(served.data_dir, timeout_seconds=0) is None
    served.start()
    invitation = {"Administrator", "Set the password"}  # shown by the very first start alone
    assert screen(served) == {name: shown[name] for name in shown if name not in invitation}
    assert get_refund(sandbox(served), refund) == refund
    assert len(samples(sandbox(served))) == len(SAMPLES)
    if ordered:  # PostgreSQL was shut down, not killed: nothing is to be recovered
        assert b"recover" not in database_log.read_bytes()[begun:]


def test_a_taken_port_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = complaint(command("serve", "--port", str(port), data_dir=tmp_path))
    assert refused == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert attach(tmp_path, timeout_seconds=0) is None  # the database would hold the lock


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--port", "99999"], "port: Expected `int` <= 65535"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--host", "203.0.113.1"], "203.0.113.1"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_said(
    tmp_path: Path, options: list[str], what: str
) -> None:
    assert what in complaint(command("serve", *options, data_dir=tmp_path))
    assert attach(tmp_path, timeout_seconds=0) is None


def test_several_api_processes_share_one_port(served: Service) -> None:
    served.stop()
    env = {**AS_SHIPPED, "REFUNDRY_RATE_LIMIT_LIVE": "20"}
    with Service("serve", env, begin_with=served.data_dir, options=["--processes", "2"]) as s:
        apis = s.children("api")
        assert len(apis) == 2
        key = screen(s)["Sandbox key"]
        headers = {"Authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{s.port}/orders"
        for _ in range(20):  # each on a connection of its own
            assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
        assert measured(s)("refundry_requests_total", route="/orders", status="200") == 20
        assert_limit_is_shared(s, 20)
        assert all(works(s, pid) for pid in apis)
        kill(apis[0])
        assert eventually(lambda: len(s.children("api")) == 2 and s.children("api") != apis)
        assert eventually(s.healthy)
        assert given_refund(s.api(key))["state"] == "succeeded"
        pids = {s.pid, *descendants(s.pid)}
        s.stop()
        assert all_gone(pids)


def assert_limit_is_shared(service: Service, per_second: int) -> None:
    """A live key gets its rate from all processes together, and half of it from each."""
    headers = {"Authorization": f"Bearer {service.open_account().secret_live}"}
    url = f"http://127.0.0.1:{service.port}/orders"

    def get(_number: int) -> int:
        return httpx.get(url, headers=headers, trust_env=False).status_code

    begun = time.monotonic()
    with ThreadPoolExecutor(16) as crowd:
        statuses = list(crowd.map(get, range(6 * per_second)))
    passed = statuses.count(200)
    assert statuses.count(429) == len(statuses) - passed
    assert per_second / 2 <= passed <= per_second * (1 + time.monotonic() - begun)


def works(service: Service, pid: int) -> bool:
    """Whether a process has answered requests itself: each counts in a file of its own."""
    counts = service.data_dir / "metrics" / f"counter_{pid}.db"
    read: list[tuple[str, float]] = [
        entry[:2]
        for entry in MmapedDict.read_all_values_from_file(str(counts))  # pyright: ignore
    ]
    return any("/orders" in key and value for key, value in read)


@pytest.fixture
def ordinary_user() -> Iterator[tuple[Path, list[str]]]:
    """A folder of an ordinary user's, and a python that this user can run and that knows us."""
    if os.geteuid() != 0:
        pytest.skip("the other tests are run as an ordinary user already")
    source, site = Path(refundry.__file__).parents[1], Path(asyncpg.__file__).parents[1]
    folder = Path(tempfile.mkdtemp(prefix="refundry-user-"))
    try:
        os.chown(folder, NOBODY, NOBODY)
        for python in (sys.executable, "/usr/bin/python3"):
            program = ["/usr/bin/env", f"PYTHONPATH={source}:{site}", python]
            trial = [*program, "-m", "refundry", "version"]
            with suppress(OSError):
                if as_nobody(trial, folder, stdout=subprocess.DEVNULL).wait() == 0:
                    yield folder, program
                    return
        pytest.skip("no interpreter with our packages that an ordinary user can run")
    finally:
        shutil.rmtree(folder)


def as_nobody(arguments: list[str], folder: Path, stdout: int) -> subprocess.Popen[bytes]:
    variables = environment({"HOME": str(folder)})
    return subprocess.Popen(
        arguments, cwd=folder, env=variables, stderr=subprocess.STDOUT,
        stdout=stdout,
        user=NOBODY, group=NOBODY, extra_groups=[],
    )  # fmt: skip


def test_an_ordinary_user_can_serve(ordinary_user: tuple[Path, list[str]]) -> None:
    folder, program = ordinary_user
    port = free_port()
    log = folder / "service.log"
    arguments = [*program, "-m", "refundry", "serve", "--port", str(port)]
    with log.open("wb") as output:
        process = as_nobody(arguments, folder, stdout=output.fileno())
    try:
        wait_until_up(process, f"http://127.0.0.1:{port}/healthz", log)
        pids = {process.pid, *descendants(process.pid)}
        assert len(pids) > 4
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids if runs(pid)} == {NOBODY}
        owner = pwd.getpwuid((folder / "refundry-data").stat().st_uid)
        assert owner.pw_uid == NOBODY
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert all_gone(pids)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
