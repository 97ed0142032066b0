"""`refundry serve`: the embedded database, the API processes and the worker, kept together."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from refundry.db.embedded import Server
from refundry.settings import Settings, environment_of

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 15.0
_RESTART_SECONDS = 1.0
_WATCH_SECONDS = 0.2


class PortTaken(Exception):
    """The address cannot be listened on."""


@dataclass(slots=True)
class _Child:
    """A process of ours and how to start it again."""

    arguments: list[str]
    process: subprocess.Popen[bytes]
    started: float


class Supervisor:
    """Starts the processes, restarts what dies, and ends all of them together.

    Every child dies with this process, kill -9 included, by the kernel's parent death signal;
    it belongs to the thread that starts the child, so all of this runs in the main thread.
    """

    def __init__(self, settings: Settings, server: Server | None) -> None:
        self._settings = settings
        self._server = server
        self._children: list[_Child] = []
        self._socket: socket.socket | None = None
        self._stopping = False
        self._environment = dict(os.environ) | environment_of(settings)

    def start(self) -> str:
        """Start everything; gives the URL. Raises PortTaken."""
        self._socket = _listen(self._settings)
        self._environment["PROMETHEUS_MULTIPROC_DIR"] = str(_fresh_metrics(self._settings))
        signal.signal(signal.SIGTERM, self._stop_on_signal)
        signal.signal(signal.SIGINT, self._stop_on_signal)
        fd = self._socket.fileno()
        for _ in range(self._settings.processes):
            self._children.append(self._spawn(["api", "--fd", str(fd)]))
        self._children.append(self._spawn(["worker"]))
        port: int = self._socket.getsockname()[1]
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def watch(self) -> None:
        """Keep everything running until a signal comes."""
        while not self._stopping:
            time.sleep(_WATCH_SECONDS)
            if self._stopping:
                break
            if self._server is not None:
                self._server.restart_if_dead()
            self._restart_dead()

    def stop(self) -> None:
        """End the children, then the database."""
        for child in self._children:
            child.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self._children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        if self._socket is not None:
            self._socket.close()

    def _restart_dead(self) -> None:
        now = time.monotonic()
        for index, child in enumerate(self._children):
            if child.process.poll() is not None and now - child.started > _RESTART_SECONDS:
                self._children[index] = self._spawn(child.arguments)

    def _spawn(self, arguments: list[str]) -> _Child:
        assert self._socket is not None
        process = subprocess.Popen(  # nosec B603 # noqa: S603 - our own program
            [sys.executable, "-m", "refundry", *arguments],
            env=self._environment,
            pass_fds=(self._socket.fileno(),),
            # Ctrl-C in a terminal is for us alone; we end the children in their order.
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )
        return _Child(arguments, process, time.monotonic())

    def _stop_on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True


def _die_with(parent: int) -> Callable[[], None]:
    """What a child runs before its program: ask for SIGKILL when `parent` dies."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # The parent died before we had asked.

    return ask


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise PortTaken(f"{settings.host}:{settings.port}: {reason}") from error
    listening.listen(1024)
    listening.set_inheritable(True)
    return listening


def _fresh_metrics(settings: Settings) -> Path:
    """An empty folder in which the processes share their counters."""
    folder = settings.data_dir.absolute() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
