"""What Linux says of processes: who is whose child, their memory and processor time."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in bytes. pss: what it shares with others counted in parts."""

    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class _Stat:
    """proc(5), /proc/pid/stat: the parent; seconds of its own, and of children that ended."""

    parent: int
    own_seconds: float
    ended_seconds: float


def descendants(root: int) -> list[int]:
    """`root` and every process below it, parents first."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            parents[int(folder.name)] = _stat(int(folder.name)).parent
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def processor_seconds(root: int) -> float:
    """What `root` and all its children have used so far, ended ones included."""
    seconds = 0.0
    for pid in descendants(root):
        seconds += processor_seconds_alone(pid)
    return seconds


def processor_seconds_alone(pid: int) -> float:
    """What one process and its children that ended have used so far; 0 where it has ended."""
    with contextlib.suppress(OSError):
        stat = _stat(pid)
        return stat.own_seconds + stat.ended_seconds
    return 0.0


def memory(pid: int) -> Memory:
    """Raises OSError where the process has ended."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    return Memory(_bytes(fields["Rss"]), _bytes(fields["Pss"]))


def command(pid: int) -> list[str]:
    """The words that the process was started with."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return [word for word in words if word]


def _bytes(text: str) -> int:
    return int(text.split()[0]) * _KIB


def _stat(pid: int) -> _Stat:
    # The name, second and in brackets, may hold anything; fields are counted from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = int(fields[11]) + int(fields[12])
    ended = int(fields[13]) + int(fields[14])
    return _Stat(int(fields[1]), own / _TICKS, ended / _TICKS)
