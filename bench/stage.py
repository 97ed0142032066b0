"""What is measured: a data directory of its own, and the service on it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.order import FULFILLMENT, ORDER
from refundry.settings import load_settings

_UP_SECONDS = 60.0
_STOP_SECONDS = 60.0
_DRAIN_SECONDS = 600.0
_TAIL_BYTES = 2000


class BenchFailed(Exception):
    """Something broke, so there is nothing to measure; the message says what."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. start_seconds: from its exec until /healthz said yes."""

    pid: int
    port: int
    start_seconds: float


class Stage:
    """A data directory in `folder` and the settings that all processes of a run share.

    further: settings beyond those, as variables.
    """

    def __init__(self, folder: Path, further: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._log = folder / "service.log"
        own = {
            "REFUNDRY_DATA_DIR": str(folder / "data"),
            "REFUNDRY_LOG_LEVEL": "error",
            "REFUNDRY_RATE_LIMIT_TEST": "0",
            "REFUNDRY_RATE_LIMIT_LIVE": "0",
            "REFUNDRY_SANDBOX_DELAY": "0",
            "REFUNDRY_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
            **(further or {}),
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("REFUNDRY_")}
        self.environment = inherited | own
        self.settings = load_settings(own, {})

    @contextmanager
    def service(
        self, kind: str, *options: str, own: Mapping[str, str] | None = None
    ) -> Generator[Service]:
        """`refundry api` or `refundry serve`, up and answering; own: variables of its own.

        Raises BenchFailed.
        """
        port = _free_port()
        begun = time.perf_counter()
        address = ("--host", "127.0.0.1", "--port", str(port))
        process = self._popen(kind, *address, *options, own=own)
        try:
            while not _is_up(port):
                if process.poll() is not None or time.perf_counter() - begun > _UP_SECONDS:
                    raise BenchFailed(f"`refundry {kind}` did not start:\n{self._log_tail()}")
                time.sleep(0.002)
            yield Service(process.pid, port, time.perf_counter() - begun)
            if process.poll() is not None:
                raise BenchFailed(f"`refundry {kind}` ended by itself:\n{self._log_tail()}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def worker(self) -> Generator[None]:
        """`refundry worker` on a database that runs."""
        process = self._popen("worker")
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)

    @contextmanager
    def command(self, *arguments: str) -> Generator[subprocess.Popen[bytes]]:
        """A command of refundry, to be waited for; it is ended with the block at the latest."""
        process = self._popen(*arguments)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def drain(self) -> None:
        """Run all the work that is due. Raises BenchFailed."""
        process = self._popen("work", "--drain")
        if process.wait(_DRAIN_SECONDS) != 0:
            raise BenchFailed(f"`refundry work --drain` failed:\n{self._log_tail()}")

    def _popen(
        self, *arguments: str, own: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "refundry", *arguments],
                cwd=self._folder,
                env={**self.environment, **(own or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _log_tail(self) -> str:
        return self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")


def take_order(stage: Stage, port: int, key: str) -> str:
    """Have the service take in, fulfil and capture an order; gives its id. Raises BenchFailed."""
    order = ask(port, key, "POST", "/orders", ORDER)
    ask(port, key, "POST", "/fulfillments", {"orderId": order["id"], **FULFILLMENT})
    stage.drain()
    order = ask(port, key, "GET", f"/orders/{order['id']}")
    if order["state"] != "complete" or order["capturedAmount"] != ORDER["totalAmount"]:
        raise BenchFailed(f"the order was not captured: {order}")
    return str(order["id"])


def ask(
    port: int, key: str, method: str, path: str, body: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Call the service; gives the answer's body. Raises BenchFailed if it is no success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        text = response.read().decode()
        if response.status not in (200, 201):
            raise BenchFailed(f"{method} {path}: {response.status} {text}")
        return json.loads(text)


def _is_up(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
