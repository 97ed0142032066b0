"""`make demo-shop`: Refundry and a shop of django-oscar side by side, until Ctrl-C or SIGTERM."""

import argparse
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refundry_sync.client import Client
from refundry_sync.oscar.events import EVENT_TYPES
from shop.logins import CUSTOMER, PASSWORD, STAFF, VOUCHER

HERE = Path(__file__).parent
ADMIN = "admin@shop.example"
# At least twelve characters, as Refundry wants.
ADMIN_PASSWORD = "outdoor-demo-admin"  # of a demo on this machine
START_SECONDS = 180.0
STOP_SECONDS = 20.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
Environment = dict[str, str]


class Failed(Exception):
    """A part of the demo did not start; the message says which and where its log is."""


@dataclass
class Demo:
    """The processes of the demo and their folder."""

    folder: Path
    refundry_port: int
    shop_port: int
    refundry_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[Any])

    @property
    def refundry_url(self) -> str:
        return f"http://127.0.0.1:{self.refundry_port}"

    @property
    def shop_url(self) -> str:
        return f"http://127.0.0.1:{self.shop_port}"

    def start(self) -> None:
        """Everything, in turn. Raises Failed."""
        self._start_refundry()
        environment = self._shop_environment()
        run([sys.executable, str(HERE / "prepare.py")], environment, self.folder / "prepare.log")
        manage = [sys.executable, str(HERE / "manage.py")]
        address = f"127.0.0.1:{self.shop_port}"
        self._spawn("shop", [*manage, "runserver", "--noreload", address], environment)
        self._spawn("worker", [*manage, "refundry_worker", "--pause", "0.5"], environment)
        self._wait(f"{self.shop_url}/catalogue/", "shop")

    def watch(self) -> None:
        """Until one of the processes ends."""
        while all(process.poll() is None for process in self.processes):
            time.sleep(0.5)
        raise Failed(f"a process has ended by itself; see the logs in {self.folder}")

    def stop(self) -> None:
        """The shop first, as it talks to Refundry."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()

    def _start_refundry(self) -> None:
        data = self.folder / "refundry"
        data.mkdir()
        environment = outside_environment() | dict(self.refundry_environment) | {
            "REFUNDRY_DATA_DIR": str(data),
            # The shop's webhook is on this machine.
            "REFUNDRY_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
            "REFUNDRY_RATE_LIMIT_TEST": "0",
        }  # fmt: skip
        command = [sys.executable, "-m", "refundry"]
        port = ["--host", "127.0.0.1", "--port", str(self.refundry_port)]
        self._spawn("refundry", [*command, "serve", *port], environment)
        self._wait(f"{self.refundry_url}/healthz", "refundry")
        self._environment = environment

    def _shop_environment(self) -> Environment:
        """With a key of Refundry's, and the token of a webhook to the shop."""
        refundry = [sys.executable, "-m", "refundry"]
        log = self.folder / "setup.log"
        said = run([*refundry, "key", "create", "--mode", "test"], self._environment, log)
        key = next(word for word in said.split() if word.startswith("sk_test_"))
        run(
            [*refundry, "user", "create", ADMIN, "--role", "administrator", "--password-stdin"],
            self._environment, log, ADMIN_PASSWORD,
        )  # fmt: skip
        with Client(self.refundry_url, key) as client:
            webhook = client.webhooks.create(
                {"types": list(EVENT_TYPES), "address": f"{self.shop_url}/webhooks/digitalriver"}
            )
        token = run([*refundry, "webhook", "token", webhook.id], self._environment, log)
        return outside_environment() | {
            "SHOP_FOLDER": str(self.folder),
            "SHOP_SECRET": secrets.token_urlsafe(32),
            "SHOP_REFUNDRY_URL": self.refundry_url,
            "SHOP_REFUNDRY_KEY": key,
            "SHOP_REFUNDRY_TOKEN": token.split()[-1],
        }

    def _spawn(self, name: str, command: list[str], environment: Environment) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.processes.append(process)

    def _wait(self, url: str, name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.processes[-1].poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(url, timeout=5).close()
                return
            time.sleep(0.1)
        raise Failed(f"{name} did not start; see {self.folder / name}.log")


def die_with_parent() -> None:
    """In a child on Linux: it ends with us, also where we are killed. Other systems: by `stop`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)


def outside_environment() -> Environment:
    """Ours, without settings of Refundry, with our packages first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REFUNDRY_")}
    return kept | {"PYTHONUNBUFFERED": "1"}


def run(command: list[str], environment: Environment, log: Path, given: str = "") -> str:
    """Standard output of a command that must succeed. Raises Failed."""
    done = subprocess.run(
        command, env=environment, input=given, capture_output=True, text=True, check=False
    )
    with log.open("a") as file:
        file.write(done.stdout if command[-1] == str(HERE / "prepare.py") else "")
        file.write(done.stderr)
    if done.returncode:
        raise Failed(f"{' '.join(command[1:4])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def screen(demo: Demo) -> str:
    lines = (
        "",
        "  The demo is running.",
        "",
        f"  Shop               {demo.shop_url}/",
        f"  Customer           {CUSTOMER}  {PASSWORD}   (voucher {VOUCHER})",
        f"  Shop's dashboard   {demo.shop_url}/dashboard/orders/",
        f"  Staff              {STAFF}  {PASSWORD}",
        f"  Refundry           {demo.refundry_url}/dashboard",
        f"  Administrator      {ADMIN}  {ADMIN_PASSWORD}",
        f"  Mails and logs     {demo.folder}",
        "  Stop               Ctrl-C",
        "",
    )
    return "\n".join(lines)


def main() -> int:
    """Until a signal; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shop-port", type=int, default=8000)
    parser.add_argument("--refundry-port", type=int, default=8080)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="refundry-demo-"))
    demo = Demo(folder, options.refundry_port or free_port(), options.shop_port or free_port())
    try:
        print("Starting Refundry and the shop; the shop's tables take a while ...", flush=True)
        demo.start()
        print(screen(demo), flush=True)
        demo.watch()
    except KeyboardInterrupt:
        print("stopping ...", flush=True)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
