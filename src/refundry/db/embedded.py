"""The embedded PostgreSQL: the server from the wheel, run as our own child, one per data directory.

Data directory: `postgresql/` (the cluster, the server's own), `password`, `lock`, `postgresql.log`.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from refundry.db.embedded_cluster import (
    CLUSTER_FOLDER,
    PASSWORD_FILE,
    ROLE,
    Cluster,
    StartFailed,
    launch,
    log_size,
    open_cluster,
    read_log_tail,
    shorten_log,
)
from refundry.db.embedded_lock import Held, Progress, is_held, release_lock, take_lock

__all__ = ["Address", "Held", "Server", "StartFailed", "address", "attach", "start"]

DATABASE = "refundry"
PORT = 5432  # no port is opened: it is part of the socket's name
SOCKET = f".s.PGSQL.{PORT}"
SOCKET_PATH_BYTES = 107  # unix(7): sun_path, without the zero at its end

# What must hold whatever postgresql.conf says. A terse log leaves out the details of an error, as
# they quote rows: names, bank details.
FIXED_SETTINGS = (
    "listen_addresses=",
    "unix_socket_directories=.",
    f"port={PORT}",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=warning",
    "log_checkpoints=off",
    "log_error_verbosity=terse",
    "log_line_prefix=%m [%p] ",
)

# A fast shutdown writes a checkpoint, which a slow disk may take long for. Then SIGQUIT, which
# ends every backend as well; SIGKILL, which does not, only if that did not help.
STOP_STEPS = ((signal.SIGINT, 120.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, None))
ORPHAN_QUIT_SECONDS = 3.0
ORPHAN_KILL_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Address:
    """How this process reaches the server of a data directory; the fields asyncpg.connect takes.

    host: the folder of the socket. It may name an open file of this process: do not pass it on to
    another one, which asks for its own with `address`.
    """

    host: str
    user: str
    password: str
    database: str
    port: int

    def __repr__(self) -> str:
        """Without the password, as this may end in a log."""
        return f"Address(host={self.host!r}, database={self.database!r})"


class Server:
    """The running server, a child of this process, and the lock of its data directory."""

    address: Address

    def __init__(self, cluster: Cluster, lock: int) -> None:
        """Start it; `wait_ready` tells when it answers. lock: ours from now on, until `stop`.

        Raises OSError.
        """
        self.address = address(cluster.data_dir)
        self._cluster = cluster
        self._lock: int | None = lock
        self._log_offset = 0
        _remove_stale_pid_files(cluster.folder)
        self._child = self._launch(lock)

    @property
    def pid(self) -> int:
        """The server's process; another one after each restart."""
        return self._child.pid

    def alive(self) -> bool:
        """Whether the server runs; it may still be recovering."""
        return self._child.poll() is None

    def wait_ready(self, report: Callable[[str], None]) -> None:
        """Wait until the server answers, for as long as it lives; from any thread.

        Raises StartFailed where it ends instead.
        """
        progress = Progress(report)
        while not (self._says_ready() and _answers(self.address, make_database=True)):
            if not self.alive():
                tail = read_log_tail(self._cluster, self._log_offset)
                raise StartFailed(
                    f"PostgreSQL ended during its start ({self._child.returncode}). "
                    f"The end of {self._cluster.log}:\n{tail}"
                )
            progress.tick("PostgreSQL is getting ready; after a crash it recovers first")
            time.sleep(0.01)

    def stop(self) -> None:
        """Shut the server down cleanly and give the lock up; harmless when it was done before."""
        if self._lock is None:
            return
        for number, grace_seconds in STOP_STEPS:
            self._child.send_signal(number)  # nothing happens where it has ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(grace_seconds)
                break
        release_lock(self._lock)
        self._lock = None

    def restart_if_dead(self) -> bool:
        """Start the server again if something ended it; True if so. From the main thread only.

        For a supervisor, every second or so. It does not wait for the recovery (`wait_ready`
        does): the connections of a pool come back by themselves. It also bounds the log's size.
        Raises OSError.
        """
        if self._lock is None:
            return False
        shorten_log(self._cluster)
        if self.alive():
            return False
        _end_orphans(self._cluster)
        self._child = self._launch(self._lock)
        return True

    def _launch(self, lock: int) -> subprocess.Popen[bytes]:
        self._log_offset = log_size(self._cluster)
        settings = (*FIXED_SETTINGS, f"cluster_name={_cluster_name(self._cluster.folder)}")
        arguments = [part for setting in settings for part in ("-c", setting)]
        folder = self._cluster.folder
        return launch(self._cluster, "postgres", arguments, folder=folder, lock=lock)

    def _says_ready(self) -> bool:
        """Whether the server's pid file calls it ready; pg_ctl goes by this.

        Knocking at the socket instead would fill the log with refusals during a long recovery.
        """
        try:
            lines = (self._cluster.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


def start(
    data_dir: Path,
    *,
    command: str,
    os_user: str | None,
    report: Callable[[str], None],
    patience_seconds: float = 60.0,
) -> Server:
    """Serve `data_dir`: take its lock, make the cluster if it is new, start, wait until it answers.

    From the main thread only, as the server ends with the thread that started it; a running event
    loop does no harm but stands still. command: what others are told of us ("refundry serve").
    os_user: whom the server runs as if we are root; None: the cluster's owner, for a new one
    `nobody`. patience_seconds: how long to wait for a command that will end soon.
    Raises Held and StartFailed.
    """
    if sys.platform != "linux":
        raise StartFailed(
            "The embedded PostgreSQL runs on Linux only. Here, use a PostgreSQL server of your "
            "own with --database-url."
        )
    data_dir = data_dir.resolve()
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(data_dir, command, patience_seconds=patience_seconds, report=report)
        return _start_locked(data_dir, lock, os_user, report)
    except (OSError, subprocess.SubprocessError, asyncpg.PostgresError) as error:
        raise StartFailed(f"PostgreSQL could not be started in {data_dir}: {error}") from error


def attach(data_dir: Path, *, timeout_seconds: float) -> Address | None:
    """The address of the server that another process runs on `data_dir`, once it answers.

    None where nobody serves it, or it did not answer in time. Raises FileNotFoundError (its
    password is gone) and PermissionError (its files are another user's).
    """
    data_dir = data_dir.resolve()
    deadline = time.monotonic() + timeout_seconds
    while is_held(data_dir):
        # Whoever holds the lock may be making the cluster just now.
        if (data_dir / CLUSTER_FOLDER).exists():
            found = address(data_dir)
            if _answers(found):
                return found
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.05)
    return None


def address(data_dir: Path) -> Address:
    """How this process reaches the server of `data_dir`, whether it runs or not.

    Raises FileNotFoundError where no cluster was ever made there.
    """
    data_dir = data_dir.resolve()
    folder = data_dir / CLUSTER_FOLDER
    password = data_dir / PASSWORD_FILE
    for needed in (folder, password):
        if not needed.exists():
            raise FileNotFoundError(f"{data_dir} holds no database: {needed.name} is missing")
    return Address(_socket_folder(folder), ROLE, password.read_text().strip(), DATABASE, PORT)


def _start_locked(
    data_dir: Path, lock: int, os_user: str | None, report: Callable[[str], None]
) -> Server:
    """Start the server under `lock`, which is given up if that fails (or Ctrl-C ends it)."""
    try:
        cluster = open_cluster(data_dir, os_user, lock=lock, report=report)
        server = Server(cluster, lock)
    except BaseException:
        release_lock(lock)
        raise
    try:
        server.wait_ready(report)
    except BaseException:
        server.stop()
        raise
    return server


# Open folders of clusters whose path is too long for a socket, for the life of the process.
_open_folders: dict[Path, int] = {}


def _socket_folder(folder: Path) -> str:
    """`folder` by a name that is short enough for a socket in it."""
    if len(os.fsencode(folder / SOCKET)) <= SOCKET_PATH_BYTES:
        return str(folder)
    opened = _open_folders.get(folder)
    if opened is None or not os.path.samestat(os.fstat(opened), folder.stat()):
        opened = _open_folders[folder] = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    return f"/proc/self/fd/{opened}"


def _answers(where: Address, *, make_database: bool = False) -> bool:
    """Whether the server takes connections to our database.

    In a thread of its own, as the caller may be inside a running event loop.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _knock(where, make_database)).result()


async def _knock(where: Address, make_database: bool) -> bool:
    """Only the owner makes the database: two that do at once get in each other's way."""
    try:
        await _connect(where, DATABASE)
    except asyncpg.InvalidCatalogNameError:
        if make_database:
            await _connect(where, "postgres", f"CREATE DATABASE {DATABASE}")
        return make_database
    except asyncpg.TooManyConnectionsError:
        return True
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
        return False
    return True


async def _connect(where: Address, database: str, statement: str = "SELECT 1") -> None:
    """Connect, run `statement`, go."""
    connection = await asyncpg.connect(
        host=where.host,
        port=where.port,
        user=where.user,
        password=where.password,
        database=database,
        ssl=False,
        timeout=10,
    )
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _cluster_name(folder: Path) -> str:
    """A name for the process list, where every backend shows it; unique on this machine."""
    where = folder.stat()
    return f"refundry-{where.st_dev:x}-{where.st_ino:x}"


def _end_orphans(cluster: Cluster) -> None:
    """End the backends that outlive a killed server; a new one refuses to start beside them.

    One that waits notices by itself, one that calculates does not. SIGQUIT ends it at once; what
    it had not committed is lost, as in any crash.
    """
    begun = time.monotonic()
    number = signal.SIGQUIT
    while (orphans := _find_orphans(cluster)) and time.monotonic() < begun + ORPHAN_KILL_SECONDS:
        if time.monotonic() > begun + ORPHAN_QUIT_SECONDS:
            number = signal.SIGKILL
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.02)


def _find_orphans(cluster: Cluster) -> list[int]:
    """Processes of the cluster's server, told by the title and the user that they run under.

    /proc/N/cwd would say it too, but a container's root may not read that of another user.
    """
    title = f"postgres: {_cluster_name(cluster.folder)}: ".encode()
    uid = cluster.user.uid if cluster.user else os.geteuid()
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if (process / "cmdline").read_bytes().startswith(
                title
            ) and process.stat().st_uid == uid:
                found.append(int(process.name))
    return found


def _remove_stale_pid_files(folder: Path) -> None:
    """Remove the pid files of a crashed server where their pid is another program's by now.

    PostgreSQL takes any process of its user with that pid for a running server and refuses to
    start; in a container, where few pids are in use, that happens. We hold the lock, so it is not
    a server that we started; and one that was started by hand is left alone.
    """
    for name in ("postmaster.pid", f"{SOCKET}.lock"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((folder / name).read_text().splitlines()[0])
            if not _may_serve(pid, folder):
                (folder / name).unlink()


def _may_serve(pid: int, folder: Path) -> bool:
    """Whether the process may be a server of the cluster in `folder`; in doubt, yes."""
    process = Path(f"/proc/{pid}")
    try:
        if (process / "comm").read_text().strip() != "postgres":
            return False
        return (process / "cwd").samefile(folder)
    except OSError:
        return True
