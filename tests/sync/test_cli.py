"""The command `refundry-sync`: what it says, what it mends, and with what it ends."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from refundry_sync.cli import Since, cli
from refundry_sync.client import Client
from refundry_sync.configuring import Misconfigured, load_configuration, load_function
from refundry_sync.receiving import Receive, Reception
from refundry_sync.sync import Store, place_at
from refundry_sync.sync.listening import listening
from refundry_sync.sync.merging import HANDLED_TYPES
from tests.support.http import Api
from tests.support.processes import eventually
from tests.support.service import (
    ROOT,
    Account,
    Service,
    environment,
    free_port,
    start_process,
    stop_process,
)
from tests.support.shop import TOKEN, a_shop
from tests.support.webhooks import change, subscribe, token_of
from tests.sync.test_commerce_sync import given_refunded
from tests.sync.test_store import entry

PATH = "/webhooks/digitalriver"
NEEDED = {"REFUNDRY_SYNC_URL": "http://x", "REFUNDRY_SYNC_KEY": "sk_test_1"}


@dataclass
class Desk:
    """Somebody who types commands, with these variables set."""

    variables: dict[str, str]

    def type(self, *words: str) -> Result:
        result = CliRunner().invoke(cli, words, env=self.variables)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    @property
    def store(self) -> str:
        return self.variables["REFUNDRY_SYNC_STORE"]


@pytest.fixture
def desk(url: str, account: Account, tmp_path: Path) -> Desk:
    return Desk(
        {
            "REFUNDRY_SYNC_URL": url,
            "REFUNDRY_SYNC_KEY": account.secret_test,
            "REFUNDRY_SYNC_TOKENS": TOKEN,
            "REFUNDRY_SYNC_STORE": f"sqlite:///{tmp_path / 'shop.db'}",
        }
    )


def test_run_receives_and_tells_until_it_is_told_to_stop(
    service: Service, account: Account, api: Api, desk: Desk, tmp_path: Path
) -> None:
    port = free_port()
    webhook = subscribe(api, f"http://127.0.0.1:{port}{PATH}", *sorted(HANDLED_TYPES))
    desk.variables |= {
        "REFUNDRY_SYNC_TOKENS": token_of(service, webhook),
        "REFUNDRY_SYNC_PORT": str(port),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'sync' / 'src'}",
        "MAIL_ROOM": str(tmp_path / "told"),
        "REFUNDRY_SYNC_NOTIFY": "tests.support.mail_room:notify",
    }
    log = tmp_path / "log"
    process = start_process(
        ["refundry_sync", "run"], environment(dict(desk.variables)), log, tmp_path
    )
    try:
        assert eventually(lambda: "listening at" in log.read_text(), 30), log.read_text()
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"http://127.0.0.1:{port}/other").status_code == 404
        order, _, _ = given_refunded(api, amount=13.51)
        told = tmp_path / "told"
        assert eventually(lambda: told.exists() and "confirmation" in told.read_text(), 20)
        assert f'"{order["id"]}"' in log.read_text(), "a change is printed, as no function is set"
    finally:
        stop_process(process, signal.SIGTERM)
    assert process.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_reconcile_shows_what_differs_and_mends_it(api: Api, desk: Desk) -> None:
    order, made, _ = given_refunded(api, amount=13.51)
    shown = desk.type("reconcile", "--since", "1d", "--dry-run").stdout
    heads, *_ = shown.splitlines()
    assert heads.split() == ["order", "subject", "field", "ours", "Refundry"]
    assert f"{order['id']}  {made['id']}" in shown
    assert shown.splitlines()[-1].endswith(" differ")
    mended = desk.type("reconcile", "--since", "1d", "--json")
    lines = [json.loads(line) for line in mended.stdout.splitlines()]
    assert {"order_id": order["id"], "subject": order["id"], "field": "refundedAmount",
            "ours": None, "theirs": "13.51"} in lines  # fmt: skip
    assert any(line.get("notify") == "refund_confirmation" for line in lines), "calls are printed"
    assert desk.type("reconcile").stdout == "nothing differs\n"


def test_a_terminal_gets_a_bar_and_a_file_the_table(api: Api, desk: Desk, tmp_path: Path) -> None:
    given_refunded(api, amount=13.51)
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "refundry_sync", "reconcile", "--dry-run"],
            env=environment(dict(desk.variables)),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            check=True,
        )
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.search(r"\r\[#* +\] +1 refunds", shown)
    assert re.search(r"\[[# ]{30}\] +7 events", shown)
    assert done.stdout.endswith(" differ\n")
    assert "[" not in done.stdout


def test_drift_lists_events_and_replays_them(api: Api, desk: Desk) -> None:
    order, _, events = given_refunded(api, amount=13.51)
    report = desk.type("drift")
    assert report.exit_code == 1
    assert "1 orders differ" in report.stdout
    for event in events:
        assert f"{event['type']} {event['id']}" in report.stdout
    (line,) = desk.type("drift", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["order_id"], told["theirs"]["refundedAmount"]) == (order["id"], "13.51")
    replayed = desk.type("drift", "--replay")
    assert (replayed.exit_code, replayed.stdout.splitlines()[-1]) == (0, "no order differs")


def test_dead_letters_are_listed_and_revived(desk: Desk) -> None:
    store = Store(place_at(desk.store))
    store.create()
    with store.transaction() as tx:
        tx.insert_event(entry("e1", "no-such-order", status="dead", attempts=3, error="why"))
    assert ["event", "e1", "no-such-order", "3", "why"] in [
        line.split() for line in desk.type("dead-letters").stdout.splitlines()
    ]
    desk.type("dead-letters", "--revive")
    with store.transaction() as tx:
        revived = tx.find_event("e1")
    store.close()
    assert revived is not None
    assert (revived.attempts, revived.error) != (3, "why")


@pytest.fixture
def well(service: Service, api: Api, client: Client, desk: Desk) -> Iterator[Desk]:
    """A shop that is set up right, and runs."""
    receivers: list[Receive] = []

    def receive(headers: Mapping[str, str], body: bytes) -> Reception:
        return receivers[0](headers, body)

    with listening(receive, "127.0.0.1", 0, PATH) as address:
        webhook = subscribe(api, address, *sorted(HANDLED_TYPES))
        token = token_of(service, webhook)
        configuration = load_configuration(desk.variables | {"REFUNDRY_SYNC_TOKENS": token})
        store = configuration.open_store()
        desk.variables |= {
            "REFUNDRY_SYNC_TOKENS": token,
            "REFUNDRY_SYNC_PUBLIC_URL": address,
            "WEBHOOK": str(webhook["id"]),
        }
        with a_shop(client, store=store, tokens=(token,)) as shop:
            receivers.append(shop.receive)
            yield desk
        store.close()


def test_the_doctor_finds_a_shop_in_good_health(well: Desk) -> None:
    result = well.type("doctor")
    assert result.exit_code == 0, result.stdout
    found = [line.split(":")[0] for line in result.stdout.splitlines()]
    names = ("reachability", "clock", "key", "webhook", "endpoint", "signature")
    assert found == [f"ok   {name}" for name in names]


@pytest.mark.parametrize(
    ("changed", "said", "mend"),
    [
        ({"URL": "http://127.0.0.1:9"}, "FAIL reachability", "check REFUNDRY_SYNC_URL"),
        ({"KEY": "sk_test_unknown"}, "FAIL key: refused", "take the newest one"),
        ({"MODE": "live"}, "FAIL key: a test key in live mode", "of the same mode"),
        ({"PUBLIC_URL": "http://127.0.0.1:9/x"}, "FAIL webhook: none of 1", "make a webhook to"),
        ({"TOKENS": "0123456789"}, "FAIL endpoint", "the same tokens"),
    ],
)
def test_the_doctor_says_what_to_mend(
    well: Desk, changed: dict[str, str], said: str, mend: str
) -> None:
    well.variables |= {f"REFUNDRY_SYNC_{name}": value for name, value in changed.items()}
    result = well.type("doctor")
    assert result.exit_code == 1
    assert said in result.stdout
    assert mend in result.stdout


def test_the_doctor_looks_at_the_webhook(well: Desk, api: Api) -> None:
    webhook = {"id": well.variables["WEBHOOK"]}
    change(api, webhook, types=["refund.complete"])
    assert "FAIL webhook: lacks refund.failed" in well.type("doctor").stdout
    change(api, webhook, enabled=False)
    assert "FAIL webhook: disabled" in well.type("doctor").stdout


def test_the_doctor_looks_at_what_the_key_may(well: Desk, account: Account) -> None:
    key = account.create_key(kind="restricted", permissions={"refunds": "read"})
    well.variables["REFUNDRY_SYNC_KEY"] = key
    assert "FAIL key: may not read orders" in well.type("doctor").stdout


def test_the_script_names_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "refundry_sync", "reconcile"],
        env=environment({"REFUNDRY_SYNC_URL": "http://x"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = "refundry-sync: not set: REFUNDRY_SYNC_KEY, REFUNDRY_SYNC_TOKENS\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("MODE", "both", "neither test nor live"),
        ("PORT", "80a", "no whole number"),
        ("BASIC_AUTH", "user", "user:password"),
    ],
)
def test_variables_are_checked_before_anything_begins(name: str, value: str, why: str) -> None:
    given = NEEDED | {"REFUNDRY_SYNC_TOKENS": "t", f"REFUNDRY_SYNC_{name}": value}
    with pytest.raises(Misconfigured, match=f"REFUNDRY_SYNC_{name}.*{why}"):
        load_configuration(given)


def test_variables_become_settings() -> None:
    given = {"TOKENS": "new, old", "FULL_SECONDS": "60", "BASIC_AUTH": "a:b:c", "STORE": "memory:"}
    configuration = load_configuration(
        NEEDED | {f"REFUNDRY_SYNC_{name}": value for name, value in given.items()}
    )
    settings = configuration.settings()
    assert (settings.tokens, settings.mode) == (("new", "old"), "test")
    assert (settings.full_every, settings.basic_auth) == (timedelta(minutes=1), ("a", "b:c"))
    assert "sk_test_1" not in repr(configuration)
    assert "old" not in repr(configuration)


@pytest.mark.parametrize("name", ["nothing", "no_such_module:f", "json:no_such_function"])
def test_a_function_that_is_not_there_is_said_so(name: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        load_function(name)


def test_since_is_a_time_or_how_long_ago() -> None:
    convert = Since().convert
    assert convert("2024-05-01", None, None) == datetime(2024, 5, 1, tzinfo=UTC)
    hours = datetime.now(UTC) - convert("36h", None, None)
    assert abs(hours - timedelta(hours=36)) < timedelta(minutes=1)
    result = CliRunner().invoke(cli, ["drift", "--since", "soon"])
    assert result.exit_code == 2
    assert "neither a time nor as long ago" in result.output
