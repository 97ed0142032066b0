"""Starts the real service, and the tests' processor, as processes; opens accounts in the service.

Only `Desk` reaches into the product's code; everything else goes over HTTP.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from tests.support.http import Api, Doc, expect
from tests.support.processes import children

if TYPE_CHECKING:
    from refundry.db.database import Database

START_SECONDS = 60.0
STOP_SECONDS = 30.0
# A drain may call a processor that answers late, many times over.
CALL_SECONDS = 120.0
ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"
Result = TypeVar("Result")


@cache
def _hashed(password: str) -> str:
    """Cheap: a service with the usual cost makes it dear when its owner signs in."""
    from tests.support.people import QUICK

    return QUICK.hash(password)


@dataclass(frozen=True)
class Account:
    """One merchant, with its four standard keys."""

    account_id: str
    secret_test: str
    public_test: str
    secret_live: str
    public_live: str
    _desk: "Desk"

    def create_user(self, role: str, *, in_refund_set: bool = False) -> str:
        """Somebody who can sign in with `PASSWORD`; gives the email address."""
        return self._desk.create_user(self.account_id, role, in_refund_set=in_refund_set)

    def open_gateway(
        self,
        address: str | None,
        credentials: str,
        *,
        processor: str = "stripe",
        source_type: str = "creditCard",
    ) -> str:
        """Payments of test mode go through a gateway named `main` from now on; gives its id."""
        return self._desk.open_gateway(
            self.account_id, address, credentials, processor, source_type
        )

    def audited(self) -> list[tuple[str, str, str]]:
        """The audit log, newest first: who, what was done, and to what."""
        return self._desk.audited(self.account_id)

    def create_key(
        self,
        *,
        live: bool = False,
        kind: str = "secret",
        permissions: Mapping[str, str] | None = None,
        item_amount_basis: str = "line",
    ) -> str:
        """kind: secret, public or restricted. permissions: none, read, write or read_write."""
        return self._desk.create_key(self.account_id, live, kind, permissions, item_amount_basis)


class Desk:
    """Opens accounts and keys in the database of a running service, from a loop in a thread.

    One task holds the database from start to end, as what is entered in a task must be left in it.
    """

    def __init__(self, environment: Mapping[str, str], data_dir: Path) -> None:
        self._environment = environment
        self._data_dir = data_dir
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Database]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()), daemon=True)
        self._thread.start()

    async def _hold(self) -> None:
        try:
            from refundry.db.database import open_database
            from refundry.settings import load_settings

            settings = load_settings(self._environment, {"data_dir": self._data_dir})
            done = asyncio.Event()
            async with open_database(settings) as database:
                self._ready.set_result((asyncio.get_running_loop(), done, database))
                await done.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    def _call(self, work: "Callable[[Database], Awaitable[Result]]") -> Result:
        loop, _, database = self._ready.result(START_SECONDS)

        async def run() -> Result:
            return await work(database)

        coroutine: Coroutine[None, None, Result] = run()
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(START_SECONDS)

    def open_account(self) -> Account:
        from refundry.access.commands import open_account

        name = f"Test {uuid.uuid4()}"
        opened = self._call(lambda db: open_account(db, name=name, now=datetime.now(UTC)))
        return Account(
            opened.account_id,
            opened.secret_test,
            opened.public_test,
            opened.secret_live,
            opened.public_live,
            self,
        )

    def open_gateway(
        self,
        account_id: str,
        address: str | None,
        credentials: str,
        processor: str,
        source_type: str,
    ) -> str:
        from refundry.access.audit_log import COMMAND_LINE
        from refundry.gateways.commands import NewGateway, open_gateway
        from refundry.sealing import open_vault
        from refundry.settings import load_settings
        from refundry.tenant import Tenant

        vault = open_vault(load_settings(self._environment, {"data_dir": self._data_dir}))
        tenant = Tenant(account_id, live=False)
        new = NewGateway("main", processor, credentials, (source_type,), address)
        now = datetime.now(UTC)
        return self._call(lambda db: open_gateway(db, vault, tenant, new, COMMAND_LINE, now)).id

    def create_key(
        self,
        account_id: str,
        live: bool,
        kind: str,
        permissions: Mapping[str, str] | None,
        item_amount_basis: str,
    ) -> str:
        from refundry.access.commands import create_key

        return self._call(
            lambda db: create_key(
                db,
                account_id,
                live=live,
                kind=kind,
                permissions=dict(permissions or {}),
                item_amount_basis=item_amount_basis,
                now=datetime.now(UTC),
            )
        )

    def create_user(self, account_id: str, role: str, *, in_refund_set: bool) -> str:
        from refundry.access.audit_log import COMMAND_LINE
        from refundry.access.people import NewUser, create_user
        from refundry.access.rights import Role

        email = f"{role}-{uuid.uuid4()}@shop.example"
        new = NewUser(
            email, Role(role), in_refund_set=in_refund_set, password_hash=_hashed(PASSWORD)
        )
        now = datetime.now(UTC)
        self._call(lambda db: create_user(db, COMMAND_LINE, account_id, new, now))
        return email

    def audited(self, account_id: str) -> list[tuple[str, str, str]]:
        from refundry.access.audit_log import AuditFilter, list_audit

        entries = self._call(lambda db: list_audit(db, account_id, AuditFilter()))
        return [(e.actor.name, e.change.action, e.change.object_id) for e in entries]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            loop, done, _ = self._ready.result(START_SECONDS)
            loop.call_soon_threadsafe(done.set)
        self._thread.join(STOP_SECONDS)


class Service:
    """The service on a port and data directory of its own; `with` starts it and clears it away.

    kind: "api" (no background work but what POST /refundry/v1/test/advance does) or "serve" (the
    whole of it). env: variables beyond the defaults; None takes a default away. begin_with: a data
    directory to begin with a copy of. options: further ones of the command. quick: an "api" whose
    passwords cost next to nothing, where they are not what is tested. After `stop` or
    `kill`, `start` runs it again on the same data.
    """

    def __init__(
        self,
        kind: str = "api",
        env: Mapping[str, str | None] | None = None,
        *,
        begin_with: Path | None = None,
        options: Sequence[str] = (),
        quick: bool = False,
    ) -> None:
        self._kind = kind
        self._quick = quick
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="refundry-test-"))
        self._data_dir = self._folder / "data"
        if begin_with is None:
            self._data_dir.mkdir()
        else:
            copy_data(begin_with, self._data_dir)
        self._log = self._folder / "service.log"
        self._desk: Desk | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.sandbox_secret = secrets.token_hex(32)
        self.environment = environment(
            {
                "REFUNDRY_TEST_CLOCK": "1",
                "REFUNDRY_RATE_LIMIT_TEST": "0",
                "REFUNDRY_RATE_LIMIT_LIVE": "0",
                "REFUNDRY_SANDBOX_SECRET": self.sandbox_secret,
                **(env or {}),
            }
        )
        url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=url, timeout=CALL_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        command = ["tests.support.quick_api"] if self._quick else ["refundry", self._kind]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--data-dir", str(self._data_dir), *self._options]
        folder = ROOT if self._quick else self._folder
        self._process = start_process(command, self.environment, self._log, folder)
        wait_until_up(self._process, f"{self.client.base_url}/healthz", self._log)

    @property
    def pid(self) -> int:
        """The command's own process; what it starts are its children."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def data_dir(self) -> Path:
        return self._data_dir

    def children(self, role: str) -> list[int]:
        """Its running processes in a role: api, worker or postgres."""
        return children(self.pid, role)

    def healthy(self) -> bool:
        """Whether it answers, right now, that it is well."""
        try:
            return self.client.get("/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def interrupt(self) -> None:
        """SIGINT, as Ctrl-C sends it, and wait."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL: nothing gets to finish."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        self.client.close()
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def api(self, key: str | None) -> Api:
        return Api(self.client, key)

    def open_account(self) -> Account:
        if self._desk is None:
            self._desk = Desk(self.environment, self._data_dir)
        return self._desk.open_account()

    def notify(self, type: str, data: Doc, notification_id: str) -> httpx.Response:
        """Says what the sandbox's processor would say: a signed notification."""
        occurred = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        note = {"id": notification_id, "type": type, "occurredTime": occurred, "data": data}
        text = json.dumps(note)
        headers = {
            "Refundry-Signature": sign(text, self.sandbox_secret),
            "Content-Type": "application/json",
        }
        path = "/refundry/v1/processor-notifications"
        return self.api(None).request("POST", path, content=text, headers=headers)

    def log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def log_since(self, size: int) -> str:
        with self._log.open("rb") as file:
            file.seek(size)
            return file.read().decode(errors="replace")

    def _end(self, number: signal.Signals) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        if self._process is not None:
            stop_process(self._process, number)
            self._process = None


class Processor:
    """The tests' own payment processor (tests/support/processor.py), running."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="refundry-processor-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.secret = secrets.token_hex(16)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        log = self._folder / "processor.log"
        command = ["tests.support.processor", "--port", str(self.port), "--secret", self.secret]
        command += ["--ledger", str(self._folder / "ledger.jsonl")]
        self._process = start_process(command, environment({}), log, ROOT)
        wait_until_up(self._process, f"{self.url}ledger", log)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._process is not None:
            stop_process(self._process, signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def answer(self, mode: str, *kinds: str) -> None:
        """mode: one of tests.support.processor.MODES. kinds: capture, cancel, refund; none: all."""
        asked = {"mode": mode, **({"kinds": list(kinds)} if kinds else {})}
        expect(self._client.post("/control", json=asked))

    def paid(self, kind: str) -> list[Doc]:
        """What it paid of one kind, one entry per operation id."""
        return [entry for entry in self.ledger().values() if entry["kind"] == kind]

    def ledger(self) -> dict[str, Doc]:
        """What it paid, by operation id: kind, charge, amount, currency, and how often (once)."""
        return expect(self._client.get("/ledger"))["paid"]

    def calls(self) -> int:
        return int(expect(self._client.get("/ledger"))["calls"])

    def environment(self) -> dict[str, str]:
        """What makes a service use it in test mode."""
        return {
            "REFUNDRY_TEST_PROCESSOR": "http",
            "REFUNDRY_TEST_PROCESSOR_URL": self.url,
            "REFUNDRY_TEST_PROCESSOR_SECRET": self.secret,
        }


def sign(text: str, secret: str) -> str:
    """A `Refundry-Signature` of now: `<unix seconds>, <base64 HMAC-SHA256 of "<ts>.<body>">`."""
    stamp = int(time.time())
    digest = hmac.new(secret.encode(), f"{stamp}.{text}".encode(), hashlib.sha256).digest()
    return f"{stamp}, {base64.b64encode(digest).decode()}"


def environment(own: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment without any setting of the service, and `own`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("REFUNDRY_")}
    return inherited | {k: v for k, v in own.items() if v is not None}


def copy_data(source: Path, target: Path) -> None:
    """Copy a data directory that nobody serves, with the owners of its files."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def free_port() -> int:
    """A port that nobody uses, of those that the kernel gives to nobody by itself: between now and
    its use no connection that somebody opens can take it."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", 12_000 + secrets.randbelow(20_000)))
            return int(probe.getsockname()[1])


def start_process(
    module: list[str], variables: Mapping[str, str], log: Path, folder: Path
) -> subprocess.Popen[bytes]:
    """module: of `python -m`, with its arguments. folder: where it runs."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=folder,
            env=dict(variables),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until `url` answers 200. Fails with the log if the process ends or takes over a minute."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    ended = f"exit status {process.poll()}"
    stop_process(process, signal.SIGKILL)
    raise AssertionError(f"{url} did not come up ({ended}):\n{log.read_text(errors='replace')}")


def stop_process(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"did not end within {STOP_SECONDS} s of {number.name}") from None
