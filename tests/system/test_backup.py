"""Backups made beside the running service, and what becomes of them when they are restored."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import Done, complaint, refundry, run_sql, said
from tests.support.fixtures import (
    advance,
    ask,
    card,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    paid_by,
    refund,
)
from tests.support.http import Api, Doc, expect, read
from tests.support.processes import all_gone, descendants, eventually
from tests.support.service import Account, Service, environment

CALLERS = 2
# Refunds of it fail after the sandbox's delay: until somebody moves the test clock.
FAILS_LATE = "4556602564240839"
SANDBOX_DELAY_SECONDS = 60


@dataclass(frozen=True)
class Shop:
    """A running service, an account, two captured orders, and a refund that stays pending."""

    service: Service
    account: Account
    api: Api
    orders: list[Doc]
    waiting: Doc


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Service("serve") as service:
        account = service.open_account()
        api = service.api(account.secret_test)
        orders = [given_accepted(api, "A") for _ in range(2)]
        late = given_accepted(
            api, "A", payment=paid_by(card(float(orders[0]["totalAmount"]), FAILS_LATE))
        )
        for order in (*orders, late):
            fulfil(api, order, 2)
        for order in (*orders, late):
            assert eventually(lambda o=order: get_order(api, o)["state"] == "complete")
        yield Shop(service, account, api, orders, refund(api, late, amount=1))


@dataclass
class Load:
    """Callers who ask for refunds of a cent, and the ids they were given."""

    shop: Shop
    created: list[str] = field(default_factory=list[str])
    others: list[str] = field(default_factory=list[str])
    _stop: threading.Event = field(default_factory=threading.Event)

    def call(self, number: int) -> None:
        url = f"http://127.0.0.1:{self.shop.service.port}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            api = Api(client, self.shop.api.key)
            while not self._stop.is_set():
                response = ask(api, self.shop.orders[number], amount=0.01)
                if response.status_code == 201:
                    self.created.append(read(response)["id"])
                else:
                    self.others.append(response.text)
                self._stop.wait(0.02)

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def load(shop: Shop) -> Generator[Load]:
    """Callers at work; they have stopped when the block ends."""
    load = Load(shop)
    threads = [threading.Thread(target=load.call, args=(n,)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def saved(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup, of a moment without load."""
    target = tmp_path_factory.mktemp("saved") / "saved.zip"
    said(refundry("backup", str(target), data_dir=shop.service.data_dir))
    return target


def restore(source: Path, target: Path, *options: str, **variables: str) -> Done:
    where = ["--data-dir", str(target)]
    return refundry("restore", str(source), *options, *where, folder=target.parent, env=variables)


def test_what_was_answered_before_a_backup_under_load_is_in_it(shop: Shop, tmp_path: Path) -> None:
    backup, restored = tmp_path / "backup.zip", tmp_path / "restored"
    with load(shop) as calling:
        assert eventually(lambda: len(calling.created) >= 30), calling.others
        before = list(calling.created)
        told = said(refundry("backup", str(backup), data_dir=shop.service.data_dir))
        during = len(calling.created)
    assert during > len(before), "nothing was created while the backup was made"
    assert calling.others == []
    assert told.startswith(f"{backup}: ")
    stored = manifest(backup)
    assert stored["rows"]["refunds"] >= len(before) + 1

    told = said(restore(backup, restored))
    counts = ", ".join(f"{stored['rows'][name]} {name}" for name in ("orders", "refunds", "events"))
    assert told.startswith(f"Restored into {restored}: {counts}, as of ")
    assert told.endswith(f" {stored['rows']['orders']} orders audited, all add up.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.zip", "restored"]
    assert_goes_on(shop, restored, before, set(calling.created))


def assert_goes_on(shop: Shop, restored: Path, before: list[str], created: set[str]) -> None:
    """A service on the restored data has the refunds, settles them, and takes in new ones."""
    with Service("serve", begin_with=restored) as service:
        api = service.api(shop.account.secret_test)
        for refund_id in before:
            assert expect(api.get(f"/refunds/{refund_id}"))["id"] == refund_id
        rows = run_sql(service.data_dir, "SELECT id FROM refunds")
        assert {row["id"] for row in rows} <= created | {shop.waiting["id"]}
        assert get_refund(api, shop.waiting)["state"] == "pending"
        advance(api, SANDBOX_DELAY_SECONDS + 1)
        assert get_refund(api, shop.waiting)["state"] == "failed"
        made = expect(ask(api, shop.orders[0], amount=0.02), 201)
        assert eventually(lambda: get_refund(api, made)["state"] == "succeeded")
        open_ones = "SELECT id FROM refunds WHERE state NOT IN ('succeeded', 'failed')"
        assert eventually(lambda: run_sql(service.data_dir, open_ones) == [])
        audited = said(refundry("audit", data_dir=service.data_dir))
        assert audited.endswith(" orders audited, 0 do not add up.")


def manifest(backup: Path) -> dict[str, Any]:
    with zipfile.ZipFile(backup) as file:
        return json.loads(file.read("manifest.json"))


@pytest.mark.check
def test_a_stopped_service_is_backed_up_into_a_folder(saved: Path, tmp_path: Path) -> None:
    """The file is named after the time, and for its owner's eyes."""
    said(restore(saved, tmp_path / "data"))
    folder = tmp_path / "backups"
    folder.mkdir()
    done = refundry("backup", str(folder), data_dir=tmp_path / "data")
    (made,) = folder.iterdir()
    assert said(done).startswith(f"{made}: ")
    assert made.match("refundry-20??-??-??T??-??-??Z.zip")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert manifest(made)["rows"] == manifest(saved)["rows"]
    assert "holds the encryption key: keep it as safe as the data." in done.stderr


def test_a_backup_replaces_no_file(saved: Path, shop: Shop) -> None:
    before = saved.read_bytes()
    done = refundry("backup", str(saved), data_dir=shop.service.data_dir)
    assert complaint(done) == f"Error: {saved} exists already; a backup replaces nothing"
    assert saved.read_bytes() == before


def test_an_empty_directory_is_not_backed_up(tmp_path: Path) -> None:
    done = refundry("backup", str(tmp_path / "backup.zip"), data_dir=tmp_path)
    assert complaint(done) == f"Error: {tmp_path} holds no database"
    assert list(tmp_path.iterdir()) == []


def test_an_external_database_is_left_to_its_own_tools(saved: Path, tmp_path: Path) -> None:
    url = "postgresql://somebody@localhost/refundry"
    for command in ("backup", "restore"):
        done = refundry(command, str(saved), "--database-url", url, folder=tmp_path)
        assert "docs/backup.md" in complaint(done)


def test_without_its_key_a_backup_needs_the_key(shop: Shop, tmp_path: Path) -> None:
    backup = tmp_path / "backup.zip"
    done = refundry("backup", str(backup), "--without-key", data_dir=shop.service.data_dir)
    assert said(done)
    assert "keep the key apart" in done.stderr
    with zipfile.ZipFile(backup) as file:
        assert file.namelist() == ["database.dump", "manifest.json"]
    kept = (shop.service.data_dir / "encryption.key").read_text().strip()
    assert kept not in backup.read_bytes().decode("latin-1")

    fingerprint = manifest(backup)["key_fingerprint"]
    refused = complaint(restore(backup, tmp_path / "new"))
    assert refused.startswith("Error: the backup is without its encryption key")
    assert fingerprint in refused
    other = complaint(restore(backup, tmp_path / "new", REFUNDRY_ENCRYPTION_KEY="A" * 43 + "="))
    assert other.startswith("Error: REFUNDRY_ENCRYPTION_KEY is not the key of this backup")
    assert [path.name for path in tmp_path.iterdir()] == ["backup.zip"]

    checked = restore(backup, tmp_path / "new", "--check-only", REFUNDRY_ENCRYPTION_KEY=kept)
    assert said(checked).startswith("The backup can be restored: ")
    assert [path.name for path in tmp_path.iterdir()] == ["backup.zip"]


def overwrite(path: Path) -> None:
    path.write_text("x" * 5000)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


def told_otherwise(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """What packs a backup again with another manifest."""

    def repack(path: Path) -> None:
        with zipfile.ZipFile(path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        said = json.loads(parts["manifest.json"])
        change(said)
        parts["manifest.json"] = json.dumps(said).encode()
        with zipfile.ZipFile(path, "w") as file:
            for name, content in parts.items():
                file.writestr(name, content)

    return repack


def of_another_text(manifest: dict[str, Any]) -> None:
    manifest["migrations"][0]["checksum"] = "00"


LATER = {"number": 9999, "name": "9999_later.sql", "checksum": "00"}
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut short": (cut, "is no backup, or was cut short or damaged"),
    "one byte changed": (spoil, "is no backup, or was cut short or damaged"),
    "another file": (overwrite, "is no backup"),
    "no file": (Path.unlink, "No such file"),
    "a later format": (told_otherwise(lambda m: m.update(format=2)), "backup format 2"),
    "a later schema": (
        told_otherwise(lambda m: m["migrations"].append(LATER)),
        "newer than this one: migration 9999_later.sql is not known here",
    ),
    "a schema of another text": (told_otherwise(of_another_text), "another version of Refundry"),
    "a later PostgreSQL": (told_otherwise(lambda m: m.update(postgresql=99)), "of PostgreSQL 99"),
    "another dump": (
        told_otherwise(lambda m: m["parts"]["database.dump"].update(sha256="00")),
        "database.dump is not what its manifest says",
    ),
    "other counts": (
        told_otherwise(lambda m: m["rows"].update(refunds=123456789)),
        "rows, not 123456789",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_backup_is_refused_and_leaves_nothing(saved: Path, tmp_path: Path, case: str) -> None:
    damage, reason = BAD[case]
    backup = tmp_path / "backup.zip"
    shutil.copyfile(saved, backup)
    damage(backup)
    left = set(tmp_path.iterdir())
    text = complaint(restore(backup, tmp_path / "new"))
    assert text.startswith("Error: ")
    assert reason in text
    assert set(tmp_path.iterdir()) == left


@pytest.mark.check
def test_a_copy_that_does_not_add_up_is_refused(saved: Path, shop: Shop, tmp_path: Path) -> None:
    said(restore(saved, tmp_path / "data"))
    with Service("api", begin_with=tmp_path / "data") as service:
        order = shop.orders[0]["id"]
        spoilt = "UPDATE orders SET captured_minor = captured_minor - 1 WHERE id = $1"
        run_sql(service.data_dir, spoilt, order)
        said(refundry("backup", str(tmp_path / "wrong.zip"), data_dir=service.data_dir))
    left = set(tmp_path.iterdir())
    text = complaint(restore(tmp_path / "wrong.zip", tmp_path / "new"))
    assert "the restored copy does not add up: 1 of " in text
    assert order in text
    assert set(tmp_path.iterdir()) == left


def test_what_is_there_is_replaced_only_by_name_and_kept(saved: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    said(restore(saved, data))
    (data / "note").write_text("mine")

    refused = complaint(restore(saved, data))
    assert refused == (
        f"Error: {data} is not empty; to replace it, say so: --force {data} (it is kept aside)"
    )
    other = complaint(restore(saved, data, "--force", str(tmp_path)))
    assert other == f"Error: --force names {tmp_path}, and the data directory is {data}"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert (data / "note").read_text() == "mine"

    done = restore(saved, data, "--force", "data")
    assert said(done)
    (aside,) = set(tmp_path.iterdir()) - {data}
    assert aside.match("data.replaced-20*Z")
    assert f"What was there is kept as {aside}." in done.stderr
    assert (aside / "note").read_text() == "mine"
    assert not (data / "note").exists()
    for each in (aside, data):
        assert said(refundry("audit", data_dir=each)).endswith(" 0 do not add up.")


def test_a_directory_that_is_served_is_not_replaced(saved: Path, shop: Shop) -> None:
    data = shop.service.data_dir
    text = complaint(restore(saved, data, "--force", str(data)))
    assert f"{data} is in use by 'refundry serve'" in text
    assert eventually(shop.service.healthy)
    assert not list(data.parent.glob("*replaced*"))
    assert not list(data.parent.glob(".*restoring*"))


def test_a_folder_of_something_else_is_never_replaced(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "first").write_text("Dear Ana")
    text = complaint(restore(saved, tmp_path / "letters", "--force", str(tmp_path / "letters")))
    assert "something else than Refundry's data" in text
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["first"]


@contextmanager
def started(*arguments: str) -> Generator["subprocess.Popen[str]"]:
    """A command under way."""
    command = [sys.executable, "-m", "refundry", *arguments]
    with subprocess.Popen(
        command, env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process: "subprocess.Popen[str]", number: signal.Signals) -> str:
    """What it says on standard error from here on; it must end with 1, and all it started too."""
    below = set(descendants(process.pid))
    assert below, "it runs no program"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert all_gone(below)
    return errors


@contextmanager
def pg_dump_waiting(data_dir: Path) -> Generator[None]:
    """pg_dump finds locked what it reads, and the counting before it does not read."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            holder.communicate("\n")


_HOLD = """
import asyncio, sys
from pathlib import Path
import asyncpg
from refundry.db.database import connect_arguments
from refundry.settings import Settings

async def hold():
    connection = await asyncpg.connect(**connect_arguments(Settings(data_dir=Path(sys.argv[1]))))
    async with connection.transaction():
        await connection.execute("LOCK TABLE pg_catalog.pg_depend IN ACCESS EXCLUSIVE MODE")
        print("locked", flush=True)
        sys.stdin.readline()
    await connection.close()

asyncio.run(hold())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_backup_that_is_ended_leaves_nothing(
    shop: Shop, tmp_path: Path, number: signal.Signals
) -> None:
    data_dir = shop.service.data_dir
    with (
        pg_dump_waiting(data_dir),
        started("backup", str(tmp_path / "b.zip"), "--data-dir", str(data_dir)) as process,
    ):
        assert eventually(lambda: list(tmp_path.glob(".b.zip.*.part")) != [])
        assert eventually(lambda: any("pg_dump" in line[0] for line in below(process)))
        end(process, number)
        assert list(tmp_path.iterdir()) == []
    assert shop.service.healthy()


def below(process: "subprocess.Popen[str]") -> list[list[str]]:
    return [line for line in descendants(process.pid).values() if line]


@pytest.mark.check
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_restore_that_is_ended_leaves_nothing(
    saved: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started("restore", str(saved), "--data-dir", str(tmp_path / "new")) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("loading"):
                break
        assert [path.name for path in tmp_path.iterdir()] != []
        end(process, number)
    assert list(tmp_path.iterdir()) == []


def test_a_restore_is_refused_where_there_is_no_place_for_it(saved: Path, tmp_path: Path) -> None:
    where = ["--data-dir", str(tmp_path / "a" / "b")]
    text = complaint(refundry("restore", str(saved), *where, folder=tmp_path))
    assert text == f"Error: there is no folder {tmp_path / 'a'}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.check
def test_a_restore_that_is_ended_at_any_moment_is_whole_or_nothing(
    saved: Path, tmp_path: Path
) -> None:
    """initdb, the server's start and its stop go on for a while after the signal."""
    begun = time.monotonic()
    said(restore(saved, tmp_path / "new", "--check-only"))
    whole = time.monotonic() - begun
    for part in range(1, 9):
        with started("restore", str(saved), "--data-dir", str(tmp_path / "new")) as process:
            time.sleep(whole * (0.2 + 0.1 * part))
            process.send_signal((signal.SIGTERM, signal.SIGINT)[part % 2])
            _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        if process.returncode == 0:
            assert [path.name for path in tmp_path.iterdir()] == ["new"]
            shutil.rmtree(tmp_path / "new")
        assert list(tmp_path.iterdir()) == []
