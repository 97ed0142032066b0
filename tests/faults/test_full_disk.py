"""The disk under the embedded PostgreSQL full, and room again: errors, and no corruption."""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.faults.conftest import Figures
from tests.faults.load import Load
from tests.faults.shop import Shop, environment, fill_shop
from tests.faults.test_embedded_faults import UNAVAILABLE
from tests.support.processes import descendants
from tests.support.service import Processor, Service

pytestmark = pytest.mark.faults
SIZE = "300m"
FULL_SECONDS = 6.0
NOTICE_SECONDS = 60.0
CHUNK = 1 << 20
CLONE_NEWNS = 0x00020000  # linux/sched.h


@contextmanager
def small_disk(folder: Path) -> Generator[None]:
    """A tmpfs on `folder`, that this process and what it starts can see, and nobody else."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own size can be mounted by root only")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        reason = os.strerror(ctypes.get_errno())
        pytest.skip(f"this system gives no mount namespace of one's own: {reason}")
    private = ["mount", "--make-rprivate", "/"]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "none", str(folder)]
    for command in (private, mount):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this system does not let us mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def shop(processor: Processor) -> Iterator[Shop]:
    service = Service("serve", environment(processor))
    with small_disk(service.data_dir), service:
        api = service.api(service.open_account().secret_test)
        yield fill_shop(service, processor, api)


def fill(disk: Path, filler: Path) -> None:
    """Write until nothing more fits, not a byte."""
    with filler.open("ab", buffering=0) as file:
        for size in (CHUNK, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(disk).f_bavail < 16


def failures(load: Load) -> int:
    return sum(load.others.values())


def keep_full(shop: Shop, calling: Load, filler: Path, *, use_up_log: bool) -> int:
    """Fill what PostgreSQL gives back as well, until requests have failed for some seconds.

    Gives how often the server crashed, told by its checkpointer, which is another one then: the
    log cannot say it, as it is on the same disk. use_up_log: begin new files of the write-ahead
    log until there is no room for another, which PostgreSQL answers with a PANIC.
    """
    seen: set[int] = set()
    fill(shop.service.data_dir, filler)
    end = time.monotonic() + NOTICE_SECONDS
    failed = False
    while time.monotonic() < end:
        seen |= checkpointers(shop)
        if use_up_log:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                shop.sql("SELECT pg_switch_wal()")
        fill(shop.service.data_dir, filler)
        if not failed and failures(calling):
            failed, end = True, time.monotonic() + FULL_SECONDS
        time.sleep(0.1)
    assert failed, "the database never noticed"
    return max(0, len(seen) - 1)


def checkpointers(shop: Shop) -> set[int]:
    """One process, or none while the server recovers."""
    below = descendants(shop.service.pid)
    return {pid for pid, line in below.items() if ": checkpointer" in " ".join(line)}


@pytest.mark.parametrize("use_up_log", [False, True], ids=["tables", "log"])
def test_a_full_disk_is_answered_with_errors_and_spoils_nothing(
    shop: Shop, figures: Figures, use_up_log: bool
) -> None:
    filler = shop.service.data_dir / "filler"
    with shop.load() as calling:
        calling.more(100)
        began = time.monotonic()
        crashes = keep_full(shop, calling, filler, use_up_log=use_up_log)
        filler.unlink()
        ended = time.monotonic()
        seconds = calling.recovery_seconds(began, ended)
        calling.more(50)
    shop.judge(calling, UNAVAILABLE | {"ConnectError", "ReadError", "RemoteProtocolError"})
    what = "disk full, also for the write-ahead log" if use_up_log else "disk full"
    figures.recovered(what, [seconds], f"{crashes} crashes, answers {dict(calling.others)}")
