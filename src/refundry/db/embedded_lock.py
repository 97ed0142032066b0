"""The lock of a data directory: one process at a time serves it, and others learn which."""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

LOCK_FILE = "lock"

# A command with one of these words runs until somebody ends it: waiting for it is no use.
LASTING_COMMANDS = frozenset({"serve", "api", "worker"})

# Below this a wait is too short to be worth a line; above it one line in every few seconds.
SILENT_SECONDS = 1.0
REPORT_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that took the lock, as it wrote itself into the lock's file."""

    pid: int
    started_ticks: int  # clock ticks from the boot: tells the process from a later one of its pid
    since: str
    command: str

    @classmethod
    def ourselves(cls, command: str) -> Self:
        """This process, running `command`."""
        pid = os.getpid()
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(pid, _started_ticks(pid) or 0, since, " ".join(command.split()))

    def alive(self) -> bool:
        """Whether that very process still runs; one of another container never seems to."""
        return _started_ticks(self.pid) == self.started_ticks

    def lasting(self) -> bool:
        """Whether its command runs until somebody ends it."""
        return not LASTING_COMMANDS.isdisjoint(self.command.split())


class Held(Exception):
    """Another process serves this data directory."""

    def __init__(self, data_dir: Path, holder: Holder | None) -> None:
        """holder: None where the lock's file does not say (its process is just starting)."""
        self.pid = holder.pid if holder else 0
        self.command = holder.command if holder else "an unknown command"
        super().__init__(_held_message(data_dir, holder))


class Progress:
    """Says now and then that something is still waited for, and for how long."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """report: takes a line of text for the person who waits."""
        self._report = report
        self._begun = time.monotonic()
        self._next = self._begun + SILENT_SECONDS

    def seconds(self) -> float:
        """How long the wait has lasted."""
        return time.monotonic() - self._begun

    def tick(self, text: str) -> None:
        """Report `text` if it is time to."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REPORT_EVERY_SECONDS
            self._report(f"{text} ({self.seconds():.0f} s)")


def take_lock(
    data_dir: Path, command: str, *, patience_seconds: float, report: Callable[[str], None]
) -> int:
    """The open file that holds the lock of `data_dir`; the children that inherit it hold it too.

    Raises Held: at once where the holder is a living service, else after `patience_seconds`.
    """
    path = data_dir / LOCK_FILE
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        progress = Progress(report)
        while not _try_lock(lock, fcntl.LOCK_EX):
            _bear_with(data_dir, progress, patience_seconds)
            time.sleep(0.02)
        _write_holder(lock, Holder.ourselves(command))
    except BaseException:
        os.close(lock)
        raise
    return lock


def release_lock(lock: int) -> None:
    """Give the lock up: it is free once no child has it open either.

    Never LOCK_UN, which would free it for a child that may still be writing.
    """
    os.ftruncate(lock, 0)
    os.close(lock)


def is_held(data_dir: Path) -> bool:
    """Whether a process holds the lock; it is probed with a shared one, so guests never collide."""
    try:
        lock = os.open(data_dir / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _bear_with(data_dir: Path, progress: Progress, patience_seconds: float) -> None:
    """Raise Held if the holder is not worth waiting for, or was for too long."""
    holder = _read_holder(data_dir / LOCK_FILE)
    alive = holder is not None and holder.alive()
    if holder and alive and holder.lasting():
        raise Held(data_dir, holder)
    if progress.seconds() >= patience_seconds:
        raise Held(data_dir, holder)
    if holder and alive:
        progress.tick(f"Waiting for '{holder.command}' (process {holder.pid}) to finish")
    else:
        # Of the dead holder's server, the children have the lock until all they wrote is on disk.
        progress.tick("Waiting for the previous PostgreSQL server to finish writing")


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(lock: int, holder: Holder) -> None:
    fields = (holder.pid, holder.started_ticks, holder.since, holder.command)
    text = "".join(f"{field}\n" for field in fields).encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, text, 0)


def _read_holder(path: Path) -> Holder | None:
    """Who wrote itself into the lock's file; None while nobody has (yet)."""
    try:
        pid, started_ticks, since, command = path.read_text().splitlines()
        return Holder(int(pid), int(started_ticks), since, command)
    except ValueError:
        return None


def _started_ticks(pid: int) -> int | None:
    """When the process was started, None if there is none or only its unread end (a zombie).

    Source: proc_pid_stat(5); the name, in brackets, may hold spaces and brackets itself.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def _held_message(data_dir: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"Another process is using {data_dir}. Try again in a moment."
    who = f"'{holder.command}' (process {holder.pid}, since {holder.since})"
    if holder.alive():
        return f"{data_dir} is in use by {who}. End it with 'kill {holder.pid}', then try again."
    return (
        f"{data_dir} is in use. {who} took it and is not to be seen from here: it has ended while "
        "its PostgreSQL server is still writing, or it runs in another container."
    )
