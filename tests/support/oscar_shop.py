"""The demo shop of django-oscar as processes: its pages, and the worker that talks to Refundry."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.support.http import Api, Doc, expect
from tests.support.service import (
    ROOT,
    Service,
    environment,
    free_port,
    start_process,
    stop_process,
    wait_until_up,
)
from tests.support.webhooks import subscribe, token_of

DEMO = ROOT / "sync" / "demo"
STAFF = "staff@shop.example"
CLERK = "clerk@shop.example"
CUSTOMER = "ana@shop.example"
PASSWORD = "outdoor-demo"
PREPARE_SECONDS = 300.0
_TRIES = 100
# An order for each line that it is given.
PLACING = """
import json, sys
from shop.seeding import place_order, ship
for asked in sys.stdin:
    lines, way, voucher = json.loads(asked)
    order = place_order([tuple(each) for each in lines], way, voucher)
    ship(order)
    print("number", order.number, flush=True)
"""


class Shop:
    """A shop with an account of its own at a Refundry that works only when it is told to.

    `settle` makes Refundry do all that is due, its webhooks too, and the shop take them in.
    """

    def __init__(self, service: Service, postgresql: str = "") -> None:
        """postgresql: URL of an empty database; else the shop makes a file of SQLite."""
        self._postgresql = postgresql
        self._folder = Path(tempfile.mkdtemp(prefix="refundry-shop-"))
        self._service = service
        self.account = service.open_account()
        self.api: Api = service.api(self.account.secret_test)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.refundry_url = str(service.client.base_url).rstrip("/")
        # Somebody of Refundry's who may refund there.
        self.member = self.account.create_user("customer_service", in_refund_set=True)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._clerk: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        from refundry_sync.oscar.events import EVENT_TYPES

        webhook = subscribe(self.api, f"{self.url}/webhooks/digitalriver", *EVENT_TYPES)
        self._environment = environment(
            {
                "SHOP_FOLDER": str(self._folder),
                "SHOP_SECRET": "only for tests",
                "SHOP_POSTGRESQL": self._postgresql or None,
                "SHOP_REFUNDRY_URL": self.refundry_url,
                "SHOP_REFUNDRY_KEY": self.account.secret_test,
                "SHOP_REFUNDRY_TOKEN": token_of(self._service, webhook),
            }
        )
        self.manage("prepare.py")
        self._spawn("runserver", "--noreload", f"127.0.0.1:{self.port}")
        wait_until_up(self._processes[-1], f"{self.url}/catalogue/", self._folder / "shop.log")
        self.start_worker()

    def start_worker(self) -> None:
        self._spawn("refundry_worker", "--pause", "0.2")

    def stop_worker(self) -> None:
        stop_process(self._processes.pop(), signal.SIGTERM)

    def close(self) -> None:
        if self._clerk is not None:
            self._clerk.communicate(timeout=30)
        for process in reversed(self._processes):
            stop_process(process, signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def manage(self, *arguments: str) -> str:
        """Run a script of the demo to its end; gives what it printed."""
        done = subprocess.run(
            [sys.executable, str(DEMO / arguments[0]), *arguments[1:]],
            cwd=self._folder, env=self._environment, capture_output=True, text=True,
            timeout=PREPARE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def place(self, lines: list[tuple[str, int]], way: str = "visa", voucher: str = "") -> str:
        """An order by Oscar's own classes, shipped whole; its number."""
        clerk = self._clerk or self._hire()
        assert clerk.stdin is not None
        assert clerk.stdout is not None
        clerk.stdin.write(json.dumps([lines, way, voucher]) + "\n")
        clerk.stdin.flush()
        for text in clerk.stdout:
            if text.startswith("number "):
                return text.split()[1]
        raise AssertionError("no order was placed; its process says why")

    def _hire(self) -> subprocess.Popen[str]:
        """A process that places orders: Django takes seconds to start."""
        self._clerk = subprocess.Popen(
            [sys.executable, str(DEMO / "manage.py"), "shell", "-c", PLACING],
            cwd=self._folder, env=self._environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self._clerk

    def settle(self, seconds: int = 1) -> None:
        """Refundry does all that is due after some time, and tells of it."""
        expect(self.api.post("/refundry/v1/test/advance", {"seconds": seconds}))

    def order(self, number: str) -> Doc:
        return expect(self.api.get(f"/orders/{number}"))

    def complete(self, number: str) -> Doc:
        """Wait until an order that was shipped is complete at Refundry, and the shop knows so."""

        def is_complete() -> bool:
            self.settle()
            found = self.api.get(f"/orders/{number}")
            return found.status_code == 200 and found.json()["state"] == "complete"

        until(is_complete)
        book = "SELECT COALESCE(MAX(book), '') FROM refundry_orders WHERE order_id = ?"
        until(lambda: '"state":"complete"' in self.query_one(book, number))
        return self.order(number)

    def query_one(self, statement: str, *parameters: object) -> Any:
        """The first column of the first row of the shop's database."""
        if self._postgresql:
            with psycopg.connect(self._postgresql) as reading:
                marked = statement.replace("?", "%s").encode()
                row = reading.execute(marked, parameters).fetchone()
                return row[0] if row else None
        connection = sqlite3.connect(self._folder / "shop.sqlite3", timeout=30)
        try:
            return connection.execute(statement, parameters).fetchone()[0]
        finally:
            connection.close()

    def mails(self, number: str, subject: str) -> list[Message]:
        """Mails about an order whose subject has these words."""
        files = sorted((self._folder / "mails").glob("*.log"))
        parts = [part for file in files for part in file.read_bytes().split(b"-" * 79 + b"\n")]
        found = [message_from_bytes(part) for part in parts if part.strip()]
        return [
            m for m in found if re.search(subject, str(m["Subject"])) and number in m["Subject"]
        ]

    def _spawn(self, *arguments: str) -> None:
        command = ["manage", *arguments]
        variables = self._environment | {
            "PYTHONPATH": f"{DEMO}:{self._environment.get('PYTHONPATH', '')}"
        }
        log = self._folder / "shop.log"
        self._processes.append(start_process(command, variables, log, self._folder))


def until(true: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    for _ in range(_TRIES):
        if true():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come about")
