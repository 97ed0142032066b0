"""Looks at the processes that the service is made of, and waits for what is to come."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 15.0


def runs(pid: int) -> bool:
    """Whether the process runs; one that only waits to be read does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def descendants(pid: int) -> dict[int, list[str]]:
    """Every process below `pid` with its command line."""
    found: dict[int, list[str]] = {}
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return found
    for child in map(int, children):
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        found[child] = line.decode(errors="replace").strip("\0").split("\0")
        found |= descendants(child)
    return found


def children(pid: int, role: str) -> list[int]:
    """The running processes right below `pid` in a role: api, worker or postgres."""
    below = {child for child, line in descendants(pid).items() if _has_role(line, role)}
    return sorted(child for child in below if runs(child) and _parent(child) == pid)


def _has_role(line: list[str], role: str) -> bool:
    return Path(line[0]).name == role or line[1:4] == ["-m", "refundry", role]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def kill(pid: int) -> None:
    """SIGKILL: nothing gets to finish."""
    os.kill(pid, signal.SIGKILL)


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether `holds` comes true in time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def all_gone(pids: set[int]) -> bool:
    """Whether none of the processes is left before long."""
    return eventually(lambda: not any(map(runs, pids)))
