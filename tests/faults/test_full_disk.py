"""The disk under the embedded PostgreSQL full, and room again: errors, and no corruption."""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Figures
from tests.faults.load import Load
from tests.faults.shop import Shop, environment, fill_shop
from tests.faults.test_embedded_faults import UNAVAILABLE
from tests.support.processes import eventually
from tests.support.service import Processor, Service

pytestmark = pytest.mark.faults
SIZE = "300m"
FULL_SECONDS = 6.0
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


def keep_full(shop: Shop, calling: Load, filler: Path) -> None:
    """Fill what PostgreSQL gives back as well, until requests have failed for some seconds."""
    fill(shop.service.data_dir, filler)
    assert eventually(lambda: failures(calling) > 0, 60), "the database never noticed"
    end = time.monotonic() + FULL_SECONDS
    while time.monotonic() < end:
        fill(shop.service.data_dir, filler)
        time.sleep(0.2)


def test_a_full_disk_is_answered_with_errors_and_spoils_nothing(
    shop: Shop, figures: Figures
) -> None:
    filler = shop.service.data_dir / "filler"
    with shop.load() as calling:
        calling.more(100)
        began = time.monotonic()
        log = shop.service.data_dir / "postgresql.log"
        keep_full(shop, calling, filler)
        said = log.read_text(errors="replace")
        filler.unlink()
        ended = time.monotonic()
        seconds = calling.recovery_seconds(began, ended)
        calling.more(50)
    shop.judge(calling, UNAVAILABLE | {"ConnectError", "ReadError", "RemoteProtocolError"})
    panics = said.count("PANIC")
    figures.recovered("disk full", [seconds], f"{panics} PANICs, answers {dict(calling.others)}")
