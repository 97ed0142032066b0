"""`make demo-shop` starts all of it, says where it is, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.oscar_shop import DEMO
from tests.support.processes import descendants, runs

END_SECONDS = 60


@contextmanager
def demo() -> Generator[tuple[subprocess.Popen[str], str]]:
    """The demo, and what it said once it ran; told to end in the end."""
    command = [sys.executable, str(DEMO / "run.py"), "--shop-port", "0", "--refundry-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    try:
        said: list[str] = []
        while not said or ("Ctrl-C" not in said[-1] and said[-1]):
            said.append(process.stdout.readline())
        yield process, "".join(said)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(END_SECONDS)
        process.stdout.close()


@pytest.mark.check
def test_the_demo_runs_and_ends() -> None:
    with demo() as (process, said):
        addresses = re.findall(r"http://127\.0\.0\.1:\d+\S*", said)
        assert len(addresses) == 3, said
        for address in addresses:
            answer = httpx.get(address, follow_redirects=True, trust_env=False, timeout=30)
            assert answer.status_code == 200
        (folder,) = re.findall(r"Mails and logs +(\S+)", said)
        assert Path(folder).is_dir()
        below = descendants(process.pid)
        assert len([pid for pid in below if runs(pid)]) >= 3
    assert process.returncode == 0
    assert not Path(folder).exists()
    assert [pid for pid in below if runs(pid)] == []
