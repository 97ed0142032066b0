"""Restores a backup beside the data directory, and puts it in place only once it is found good."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from refundry.auditing import Finding, audit
from refundry.backup.archive import (
    DUMP,
    KEY,
    Archive,
    BackupFailed,
    BadBackup,
    Manifest,
    open_archive,
    sync_folder,
)
from refundry.backup.programs import load
from refundry.backup.rows import Connection, connect, copying_reported, count_rows
from refundry.db import embedded
from refundry.db.embedded_cluster import CLUSTER_FOLDER, server_major
from refundry.db.embedded_lock import Progress, is_held, release_lock, take_lock
from refundry.db.migrate import migrations
from refundry.hosting import bring_up_to_date
from refundry.sealing import KEY_FILE, fingerprints
from refundry.settings import Settings

Report = Callable[[str], None]
_COMMAND = "refundry restore"
# How long a command that ends by itself is waited for, where a directory is to be replaced.
_PATIENCE_SECONDS = 10.0
_WRITERS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was restored and found good. aside: where the replaced directory is now."""

    manifest: Manifest
    audited_orders: int
    aside: Path | None


def restore_backup(
    settings: Settings, source: Path, *, force: Path | None, check_only: bool, report: Report
) -> Restored:
    """Restore `source` as the data directory, or (check_only) only see whether that would work.

    force: the data directory again, where it holds something that is to be put aside.
    From the main thread only. Raises BadBackup, BackupFailed, Held, StartFailed, BadSettings; the
    data directory is then as it was, and so is everything beside it.
    """
    data_dir = settings.data_dir.resolve()
    try:
        with open_archive(source) as archive, _place(data_dir, force, check_only, report) as aside:
            _require_known(archive.manifest, source)
            with _staging(data_dir) as staging:
                orders = _fill(settings, archive, staging, report)
                if not check_only:
                    with _undisturbed():
                        _put_in_place(staging, data_dir, aside)
            return Restored(archive.manifest, orders, aside)
    except OSError as error:
        raise BackupFailed(f"nothing was restored: {error}") from error


@contextmanager
def _place(
    data_dir: Path, force: Path | None, check_only: bool, report: Report
) -> Generator[Path | None]:
    """See that `data_dir` may be made or replaced; what is replaced is locked meanwhile.

    Gives the name that it is to be put aside as, None where there is nothing to put aside.
    """
    if check_only or not data_dir.exists() or not any(data_dir.iterdir()):
        _require_free(data_dir)
        yield None
        return
    _require_replaceable(data_dir, force)
    lock = take_lock(data_dir, _COMMAND, patience_seconds=_PATIENCE_SECONDS, report=report)
    try:
        now = datetime.now(UTC)
        yield data_dir.with_name(f"{data_dir.name}.replaced-{now:%Y-%m-%dT%H-%M-%SZ}")
    finally:
        release_lock(lock)


def _require_free(data_dir: Path) -> None:
    if not data_dir.parent.is_dir():
        raise BackupFailed(f"there is no folder {data_dir.parent}")
    if data_dir.is_mount():
        raise BackupFailed(f"{data_dir} is a mount point; restore into a folder in it")


def _require_replaceable(data_dir: Path, force: Path | None) -> None:
    _require_free(data_dir)
    if force is None:
        raise BackupFailed(
            f"{data_dir} is not empty; to replace it, say so: --force {data_dir} (it is kept aside)"
        )
    if force.resolve() != data_dir:
        raise BackupFailed(f"--force names {force}, and the data directory is {data_dir}")
    if not (data_dir / CLUSTER_FOLDER).is_dir():
        raise BackupFailed(f"{data_dir} holds something else than Refundry's data: not replaced")


def _require_known(manifest: Manifest, source: Path) -> None:
    """Raise BadBackup where a later version made the backup."""
    newer = f"{source} was made by Refundry {manifest.refundry}, which is newer than this one"
    ours = {each.number: each for each in migrations()}
    for applied in manifest.migrations:
        if applied.number not in ours:
            raise BadBackup(f"{newer}: migration {applied.name} is not known here")
        if applied.checksum != ours[applied.number].checksum:
            raise BadBackup(
                f"{source} belongs to another version of Refundry: migration {applied.name} was "
                "applied with another text"
            )
    if manifest.postgresql > server_major():
        raise BadBackup(
            f"{source} is of PostgreSQL {manifest.postgresql}, and the embedded one is "
            f"{server_major()}: restore it with a newer Refundry"
        )


@contextmanager
def _staging(data_dir: Path) -> Generator[Path]:
    """A folder beside `data_dir` to restore into; gone in the end unless it was renamed."""
    staging = Path(tempfile.mkdtemp(prefix=f".{data_dir.name}.restoring-", dir=data_dir.parent))
    try:
        yield staging
    finally:
        with _undisturbed():
            _wait_for_writers(staging)
            shutil.rmtree(staging, ignore_errors=True)


def _wait_for_writers(staging: Path) -> None:
    """Wait until no program of ours has the folder: initdb goes on for a moment after Ctrl-C."""
    deadline = time.monotonic() + _WRITERS_SECONDS
    while is_held(staging) and time.monotonic() < deadline:
        time.sleep(0.02)


@contextmanager
def _undisturbed() -> Generator[None]:
    """Ctrl-C and SIGTERM wait until the block ends: it renames twice, stops a server or clears."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fill(settings: Settings, archive: Archive, staging: Path, report: Report) -> int:
    """Make `staging` a data directory of the backup, and see that it is good.

    Gives how many orders were audited.
    """
    report("checking the backup")
    dumped = staging / DUMP
    archive.extract(DUMP, dumped)
    if KEY in archive:
        archive.extract(KEY, staging / KEY_FILE)
    _require_key(settings, archive.manifest, staging / KEY_FILE)
    there = msgspec.structs.replace(settings, data_dir=staging, database_url=None)
    server = embedded.start(
        staging, command=_COMMAND, os_user=settings.postgres_user, report=report
    )
    try:
        asyncio.run(_load(there, archive.manifest, dumped, report))
        bring_up_to_date(there, report)
        orders = asyncio.run(_audit(there, report))
    finally:
        with _undisturbed():
            server.stop()
    dumped.unlink()
    return orders


def _require_key(settings: Settings, manifest: Manifest, kept: Path) -> None:
    """Raise BadBackup where neither the backup nor the settings have the key of the database."""
    if manifest.key_fingerprint is None:
        return
    keys = settings.encryption_key or (kept.read_text("ascii") if kept.exists() else None)
    if keys is None:
        raise BadBackup(
            "the backup is without its encryption key: set REFUNDRY_ENCRYPTION_KEY to the key with "
            f"fingerprint {manifest.key_fingerprint}"
        )
    if manifest.key_fingerprint not in fingerprints(keys):
        raise BadBackup(
            f"REFUNDRY_ENCRYPTION_KEY is not the key of this backup: {manifest.key_fingerprint} is "
            "its fingerprint"
        )


async def _load(there: Settings, manifest: Manifest, dumped: Path, report: Report) -> None:
    report(f"loading {sum(manifest.rows.values()):,} rows")
    async with copying_reported(there, "loading", manifest.rows, report):
        await load(there, dumped)
    connection = await connect(there)
    try:
        report("comparing the counts")
        require_same_rows(manifest.rows, await count_rows(connection))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def require_same_rows(expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Raise BadBackup where a table is missing, or has more or fewer rows than it should."""
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            raise BadBackup(
                f"the restored copy differs from the backup's manifest: {name} has "
                f"{found.get(name, 'no')} rows, not {expected.get(name, 'any')}"
            )


async def _audit(there: Settings, report: Report) -> int:
    connection = await connect(there)
    try:
        return await _audit_on(connection, Progress(report))
    finally:
        await connection.close()


async def _audit_on(connection: Connection, progress: Progress) -> int:
    """How many orders add up. Raises BadBackup if one does not."""
    orders, findings = 0, list[Finding]()
    async for stretch in audit(connection):
        orders += stretch.orders
        findings += stretch.findings
        progress.tick(f"auditing: {orders:,} orders")
    if findings:
        wrong = len({(each.account_id, each.live, each.order_id) for each in findings})
        raise BadBackup(
            f"the restored copy does not add up: {wrong} of {orders} orders, the first one "
            f"{findings[0].order_id}; nothing was put in place"
        )
    return orders


def _put_in_place(staging: Path, data_dir: Path, aside: Path | None) -> None:
    """Give `staging` the name of the data directory; what has it keeps it if that fails."""
    if aside:
        data_dir.rename(aside)
    try:
        staging.rename(data_dir)  # takes the place of an empty folder, of no other
    except OSError:
        if aside:
            aside.rename(data_dir)
        raise
    sync_folder(data_dir.parent)
