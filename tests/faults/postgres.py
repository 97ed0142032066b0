"""PostgreSQL nodes of the tests' own over TCP, from the binaries that Refundry brings along."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg

from refundry.db.embedded_cluster import SHELF, OsUser, installed_programs, reachable_programs
from tests.support.processes import descendants, eventually, kill
from tests.support.service import free_port

READY_SECONDS = 30.0
# Where the wheel was unpacked to lies above its programs.
_ABOVE_PROGRAMS = 2


class Node:
    """A server in a folder of its own, on a port of loopback; `close` removes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._user = _unprivileged()
        programs = installed_programs()
        self._programs = reachable_programs(programs.parents[_ABOVE_PROGRAMS], self._user, SHELF)
        self._folder = Path(tempfile.mkdtemp(prefix=f"refundry-{name}-"))
        if self._user:
            os.chown(self._folder, self._user.uid, self._user.gid)
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def make(self) -> None:
        """A new cluster that trusts whoever is on this machine; running, with a database."""
        self._run("initdb", "-D", self._data, "-U", "refundry", "-A", "trust", "-E", "UTF8")
        self.start()
        self.execute("CREATE DATABASE refundry", database="postgres")

    def follow(self, primary: "Node") -> None:
        """Become a standby of `primary`, on a fresh copy of it; running."""
        shutil.rmtree(self._data, ignore_errors=True)
        source = f"host=127.0.0.1 port={primary.port} user=refundry"
        self._run("pg_basebackup", "-D", self._data, "-d", source, "-R", "-c", "fast")
        # The copy came with the primary's wish for a standby of its own.
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write("synchronous_standby_names = ''\n")
        self.start()

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "cluster_name": self.name,
            "shared_buffers": "32MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = self._launch("postgres", "-D", self._data, *options)
        assert eventually(self.answers, READY_SECONDS), self.log()

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1", database="postgres")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def processes(self) -> list[int]:
        """The server and all that it started."""
        assert self._process is not None
        return [self._process.pid, *descendants(self._process.pid)]

    def kill(self) -> None:
        """SIGKILL to every process, as when the machine goes down."""
        if self._process is None:
            return
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                kill(pid)
        self._process.wait()
        self._process = None

    def promote(self) -> None:
        """Make a standby the primary; it is one when this returns."""
        self.execute("SELECT pg_promote(true, 30)", database="postgres")

    def execute(self, statement: str, *arguments: Any, database: str = "refundry") -> Any:
        """The first value of what a statement gives."""

        async def run() -> Any:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user="refundry", database=database, ssl=False
            )
            try:
                return await connection.fetchval(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(run())

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-4000:]

    def _run(self, program: str, *arguments: str | Path) -> None:
        assert self._launch(program, *arguments).wait() == 0, self.log()

    def _launch(self, program: str, *arguments: str | Path) -> "subprocess.Popen[bytes]":
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user.uid if self._user else None,
                group=self._user.gid if self._user else None,
                extra_groups=self._user.groups if self._user else None,
            )


def url_of(nodes: Sequence[Node], port: int | None = None) -> str:
    """The database URL that leads to whichever node is the primary; port: to that one instead."""
    hosts = ",".join(node.address for node in nodes) if port is None else f"127.0.0.1:{port}"
    return f"postgresql://refundry@{hosts}/refundry?target_session_attrs=read-write&sslmode=disable"


def _unprivileged() -> OsUser | None:
    """Whom the programs run as, if we are root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid, ())
