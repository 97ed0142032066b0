"""The file that a backup is: a zip of the dump, the encryption key if wanted, and a manifest.

A zip ends with its list of contents, so one that was cut short is known as such; nothing in it is
compressed again, as the dump is compressed already.
"""

import errno
import hashlib
import os
import stat
import struct
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

FORMAT = 1
DUMP = "database.dump"
KEY = "encryption.key"
MANIFEST = "manifest.json"

CHUNK_BYTES = 1024 * 1024
# A manifest lists the tables and the migrations: a few KiB.
_MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024

# What zipfile says of lengths, places, methods and encryption that nobody wrote; tried by changing
# every byte of a backup.
_DAMAGE = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


class BadBackup(Exception):
    """A backup that is not to be restored; the message says why, in a sentence."""


class BackupFailed(Exception):
    """A backup or a restore did not come to its end; the message says why."""


class Part(msgspec.Struct, frozen=True):
    """A file of the backup. sha256: in hex."""

    bytes: int
    sha256: str


class AppliedMigration(msgspec.Struct, frozen=True):
    """A migration that the database had. checksum: of its SQL, as in schema_migrations."""

    number: int
    name: str
    checksum: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself.

    format: of this file. postgresql: the server's major version.
    key_fingerprint: of the encryption key that the database was last used with.
    rows: how many rows each table had. parts: by name, the manifest itself left out.
    """

    format: int
    refundry: str
    postgresql: int
    taken_at: datetime
    migrations: list[AppliedMigration]
    key_fingerprint: str | None
    rows: dict[str, int]
    parts: dict[str, Part]


class _Format(msgspec.Struct):
    format: int


class Sink(Protocol):
    """Where the bytes of a part go."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""
        ...


class _Counted:
    """A sink that knows what went through it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self._size += len(data)
        self._digest.update(data)
        return self._sink.write(data)

    def part(self) -> Part:
        return Part(self._size, self._digest.hexdigest())


class NewArchive:
    """A backup that is being written."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.parts: dict[str, Part] = {}

    @contextmanager
    def part(self, name: str) -> Generator[Sink]:
        """Write a part; one at a time."""
        with self._file.open(_entry(name), "w", force_zip64=True) as file:
            counted = _Counted(file)
            yield counted
        self.parts[name] = counted.part()

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, as the last thing."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        self._file.writestr(_entry(MANIFEST), text)


class Archive:
    """A backup that is being read."""

    def __init__(self, file: zipfile.ZipFile, manifest: Manifest, source: Path) -> None:
        self._file = file
        self._source = source
        self.manifest = manifest

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.parts

    def extract(self, name: str, target: Path) -> None:
        """Copy a part into a new file that is the owner's alone. Raises BadBackup, OSError."""
        expected = self.manifest.parts[name]
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as output, _read_errors(self._source):
            counted = _Counted(output)
            with self._file.open(name) as part:
                while chunk := part.read(CHUNK_BYTES):
                    counted.write(chunk)
        if counted.part() != expected:
            raise BadBackup(f"{self._source} is damaged: {name} is not what its manifest says")


@contextmanager
def new_archive(target: Path) -> Generator[NewArchive]:
    """A file for its owner alone, which gets the name `target` when the block ends well.

    Until then it is `.NAME.xxxx.part` beside it, and an exception in the block removes it.
    Raises FileExistsError and other OSError.
    """
    _require_absent(target)
    descriptor, name = tempfile.mkstemp(
        prefix=f".{target.name}.", suffix=".part", dir=target.parent
    )
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w") as archive:
                yield NewArchive(archive)
            file.flush()
            os.fsync(file.fileno())
        _require_absent(target)
        unfinished.rename(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextmanager
def open_archive(source: Path) -> Generator[Archive]:
    """Open a backup and read its manifest; the parts are checked as they are extracted.

    Raises BadBackup (no backup, cut short, of a later format) and OSError.
    """
    with source.open("rb") as file:
        with _read_errors(source):
            archive = zipfile.ZipFile(file)
            manifest = _read_manifest(archive, source)
        with archive:
            yield Archive(archive, manifest, source)


def sync_folder(folder: Path) -> None:
    """Have new names in `folder` on disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _read_manifest(archive: zipfile.ZipFile, source: Path) -> Manifest:
    """The format is looked at first: a later one may have another shape."""
    info = archive.getinfo(MANIFEST)
    if info.file_size > _MANIFEST_LIMIT_BYTES:
        raise BadBackup(f"{source} is not a backup of Refundry: its manifest is too large")
    if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
        raise BadBackup(f"{source} is damaged, or was packed by another program")
    text = archive.read(info)
    found = msgspec.json.decode(text, type=_Format).format
    if found > FORMAT:
        raise BadBackup(
            f"{source} has backup format {found}, and this version reads up to {FORMAT}: "
            "restore it with the newer Refundry that made it"
        )
    manifest = msgspec.json.decode(text, type=Manifest)
    missing = {DUMP, *manifest.parts} - set(archive.namelist())
    if missing or DUMP not in manifest.parts or not {*manifest.parts} <= {DUMP, KEY}:
        raise BadBackup(f"{source} is damaged: its parts are not those of its manifest")
    return manifest


@contextmanager
def _read_errors(source: Path) -> Generator[None]:
    """What a damaged file makes the readers raise, as BadBackup."""
    try:
        yield
    except KeyError as error:
        raise BadBackup(f"{source} is not a backup of Refundry: it has no manifest") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadBackup(f"{source} is damaged: its manifest cannot be read") from error
    except _DAMAGE as error:
        raise BadBackup(f"{source} is no backup, or was cut short or damaged: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise BadBackup(f"{source} is damaged: its list of contents is wrong") from error


def _entry(name: str) -> zipfile.ZipInfo:
    """Owner's alone when unpacked as well."""
    entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


def _require_absent(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists already; a backup replaces nothing")
