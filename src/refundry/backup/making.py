"""Makes a backup of the embedded database, beside the running service or without it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from refundry import __version__
from refundry.backup.archive import (
    DUMP,
    FORMAT,
    KEY,
    AppliedMigration,
    BackupFailed,
    Manifest,
    NewArchive,
    new_archive,
)
from refundry.backup.programs import dump
from refundry.backup.rows import Connection, connect, copying_reported, count_rows
from refundry.db.embedded_cluster import CLUSTER_FOLDER
from refundry.hosting import database_ready
from refundry.sealing import KEY_FILE, fingerprints
from refundry.settings import BadSettings, Settings

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made. has_key: whether the encryption key is in it."""

    path: Path
    manifest: Manifest
    has_key: bool


def make_backup(settings: Settings, target: Path, *, with_key: bool, report: Report) -> Made:
    """Write the file `target` (in a folder: one named after the time), whole or not at all.

    Everything that was committed before the call is in it. From the main thread only. Raises
    BackupFailed and what starting the database raises.
    """
    _require_embedded(settings)
    if not (settings.data_dir / CLUSTER_FOLDER).exists():
        raise BackupFailed(f"{settings.data_dir} holds no database")
    if target.is_dir():
        target = target / f"refundry-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}.zip"
    with database_ready(settings, "refundry backup", report, up_to_date=False):
        return asyncio.run(_make(settings, target, with_key, report))


async def _make(settings: Settings, target: Path, with_key: bool, report: Report) -> Made:
    """One snapshot, held open until the dump is done, is what is counted and what is dumped."""
    connection = await connect(settings)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _write(settings, connection, target, with_key, report)
    except FileExistsError as error:
        raise BackupFailed(str(error)) from error
    except OSError as error:
        raise BackupFailed(f"the backup could not be written: {error}") from error
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise BackupFailed(f"the database went away: {error}") from error
    finally:
        await connection.close()


async def _write(
    settings: Settings, connection: Connection, target: Path, with_key: bool, report: Report
) -> Made:
    snapshot: str = await connection.fetchval("SELECT pg_export_snapshot()")
    report("counting")
    manifest = await _describe(connection)
    key = _kept_key(settings, manifest.key_fingerprint) if with_key else None
    with new_archive(target) as archive:
        report(f"dumping {sum(manifest.rows.values()):,} rows")
        with archive.part(DUMP) as sink:
            async with copying_reported(settings, "dumping", manifest.rows, report):
                await dump(settings, snapshot, sink)
        manifest = _finish(archive, manifest, key)
    return Made(target, manifest, key is not None)


async def _describe(connection: Connection) -> Manifest:
    """The manifest, but for the parts, which are not written yet. Raises BackupFailed."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        raise BackupFailed("the database holds nothing yet")
    migrations = await connection.fetch(
        "SELECT number, name, checksum FROM schema_migrations ORDER BY number"
    )
    return Manifest(
        format=FORMAT,
        refundry=__version__,
        postgresql=connection.get_server_version().major,
        taken_at=await connection.fetchval("SELECT date_trunc('second', now())"),
        migrations=[AppliedMigration(**each) for each in migrations],
        key_fingerprint=await connection.fetchval(
            "SELECT value FROM facts WHERE name = 'encryption_key'"
        ),
        rows=await count_rows(connection),
        parts={},
    )


def _finish(archive: NewArchive, manifest: Manifest, key: str | None) -> Manifest:
    if key is not None:
        with archive.part(KEY) as sink:
            sink.write(f"{key}\n".encode())
    manifest = msgspec.structs.replace(manifest, parts=archive.parts)
    archive.finish(manifest)
    return manifest


def _kept_key(settings: Settings, fingerprint: str | None) -> str | None:
    """The key in the data directory, if it is the one that the database was last used with.

    A key that comes from the settings is never written down: whoever set it keeps it.
    """
    try:
        text = (settings.data_dir / KEY_FILE).read_text("ascii").strip()
        return text if fingerprint in fingerprints(text) else None
    except FileNotFoundError:
        return None
    except (BadSettings, UnicodeDecodeError) as error:
        raise BackupFailed(f"{settings.data_dir / KEY_FILE} cannot be used: {error}") from error


def _require_embedded(settings: Settings) -> None:
    if settings.database_url:
        raise BackupFailed(
            "this is for the embedded database; back an external PostgreSQL up with its own tools "
            "(docs/backup.md)"
        )
