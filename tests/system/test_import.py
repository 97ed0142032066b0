"""`refundry import`: files, folders, what kill -9 leaves of a run, and the report."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from refundry.importing.samples import sample_orders
from tests.support.command import complaint, refundry, refundry_inside, run_sql, said
from tests.support.http import Api, Doc
from tests.support.service import Account, Service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


def name_of(service: Service, account: Account) -> str:
    statement = "SELECT name FROM accounts WHERE id = $1"
    return run_sql(service.data_dir, statement, account.account_id)[0]["name"]


def told(report: Path) -> list[Doc]:
    return [json.loads(line) for line in report.read_text().splitlines()]


def count_of(service: Service, account: Account) -> int:
    statement = "SELECT count(*) FROM orders WHERE account_id = $1"
    return run_sql(service.data_dir, statement, account.account_id)[0]["count"]


def test_a_file_is_imported_beside_the_service_and_its_orders_can_be_refunded(
    service: Service, account: Account, api: Api, tmp_path: Path
) -> None:
    file = tmp_path / "orders.jsonl.gz"
    made = refundry_inside("sample-orders", "--count", "300", "--refusable", "--output", str(file))
    said(made)
    lines: list[bytes] = gzip.decompress(file.read_bytes()).splitlines()
    account_name = name_of(service, account)
    done = refundry(
        "import", str(file), "--account", account_name, "--processes", "1",
        data_dir=service.data_dir,
    )  # fmt: skip
    text = said(done, 1)
    report = told(tmp_path / "orders.import-report.jsonl")
    refused = [entry for entry in report if entry["outcome"] == "refused"]
    assert refused
    assert f"{300 - len(refused)} imported, 0 there already, {len(refused)} refused" in text
    numbers = {entry["line"] for entry in refused}
    for entry in refused:
        assert json.loads(lines[int(entry["line"]) - 1]).get("id") == entry.get("id")
        assert entry["errors"][0]["message"]
    order: Doc = next(
        each
        for number, each in enumerate([json.loads(line) for line in lines], start=1)
        if number not in numbers and each["state"] == "complete" and each["refundedAmount"]
        and each["availableToRefundAmount"]
    )  # fmt: skip
    found = api.get(f"/orders/{order['id']}").json()
    for name in ("totalAmount", "capturedAmount", "refundedAmount", "availableToRefundAmount"):
        assert found[name] == order[name]
    ask = {"orderId": order["id"], "currency": order["currency"], "percent": 100, "reason": "x"}
    assert api.post("/refunds", ask).status_code == 201
    said(refundry("audit", data_dir=service.data_dir))


def test_pages_are_imported_with_their_places(
    service: Service, account: Account, tmp_path: Path
) -> None:
    orders = [json.loads(line) for line in sample_orders(30, seed=21)]
    del orders[25]["currency"]
    (tmp_path / "p1.json").write_text(json.dumps({"hasMore": True, "data": orders[:20]}))
    packed = gzip.compress(json.dumps({"hasMore": False, "data": orders[20:]}).encode())
    (tmp_path / "p2.json.gz").write_bytes(packed)
    (tmp_path / "p3.json").write_text("[]")
    (tmp_path / "notes.txt").write_text("no export")
    report = tmp_path / "out.txt"
    where = ["--account", name_of(service, account), "--processes", "1", "--report", str(report)]
    said(refundry("import", str(tmp_path), *where, data_dir=service.data_dir), 1)
    entries = [each for each in told(report) if each["outcome"] == "refused"]
    refused = [(Path(each["file"]).name, each["line"]) for each in entries]
    assert refused == [("p2.json.gz", 6), ("p3.json", 1)]
    assert count_of(service, account) == 29


def test_what_holds_no_orders_is_told_at_once(service: Service, tmp_path: Path) -> None:
    done = refundry("import", str(tmp_path), data_dir=service.data_dir)
    assert complaint(done) == "Error: no .jsonl or .json file in what was named"


@pytest.mark.check
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(
    service: Service, account: Account, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "orders.jsonl"
    count = 6000
    file.write_bytes(b"".join(sample_orders(count, seed=22 + number)))
    where = ["--account", name_of(service, account), "--processes", "2"]
    command = [sys.executable, "-m", "refundry", "import", str(file), *where]
    command += ["--data-dir", str(service.data_dir)]
    process = subprocess.Popen(
        command, env=service.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while count_of(service, account) < 500:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, number)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    if number is signal.SIGKILL:
        time.sleep(2)  # for the batches that its processes had in hand
    before = count_of(service, account)
    assert 500 <= before < count
    text = said(refundry("import", str(file), *where, data_dir=service.data_dir))
    assert f"{count - before} imported, {before} there already, 0 refused" in text
    assert count_of(service, account) == count
    said(refundry("audit", data_dir=service.data_dir))
    again = said(refundry("import", str(file), *where, data_dir=service.data_dir))
    assert f"0 imported, {count} there already, 0 refused" in again


@pytest.mark.check
def test_without_a_service_the_command_brings_its_database(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "orders.jsonl"
    data.mkdir()
    file.write_bytes(b"".join(sample_orders(400, seed=23)))
    said(refundry("init", "--account", "Shop", "--admin", "a@example.com", data_dir=data))
    text = said(refundry("import", str(file), "--mode", "live", data_dir=data))
    assert "400 imported, 0 there already, 0 refused" in text
    said(refundry("audit", data_dir=data))
