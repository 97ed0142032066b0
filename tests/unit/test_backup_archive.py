"""A backup's file: what is written is read, and what was damaged is known as damaged."""

import os
import stat
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from refundry.backup.archive import (
    DUMP,
    FORMAT,
    KEY,
    MANIFEST,
    AppliedMigration,
    BadBackup,
    Manifest,
    new_archive,
    open_archive,
)
from refundry.backup.restoring import require_same_rows
from refundry.backup.rows import copied_rows, stage

DUMPED = bytes(range(256))
KEPT = b"a key\n"


def described(**changes: object) -> Manifest:
    plain = Manifest(
        format=FORMAT,
        refundry="0.1.0",
        postgresql=18,
        taken_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        migrations=[AppliedMigration(1, "0001_initial.sql", "ab")],
        key_fingerprint="0123456789abcdef",
        rows={"orders": 3, "refunds": 0},
        parts={},
    )
    return msgspec.structs.replace(plain, **changes)


def write(target: Path, **changes: object) -> Manifest:
    with new_archive(target) as archive:
        for name, content in ((DUMP, DUMPED), (KEY, KEPT)):
            with archive.part(name) as sink:
                sink.write(content[:3])
                sink.write(content[3:])
        manifest = described(**{"parts": archive.parts} | changes)
        archive.finish(manifest)
    return manifest


def read(source: Path, folder: Path) -> tuple[Manifest, bytes, bytes]:
    """Everything in it, unpacked into `folder`."""
    with open_archive(source) as archive:
        for name in (DUMP, KEY):
            (folder / name).unlink(missing_ok=True)
            archive.extract(name, folder / name)
        return archive.manifest, (folder / DUMP).read_bytes(), (folder / KEY).read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    target = tmp_path / "backup.zip"
    manifest = write(target)
    assert read(target, tmp_path) == (manifest, DUMPED, KEPT)


def test_all_of_it_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "backup.zip")
        read(tmp_path / "backup.zip", tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"backup.zip": 0o600, DUMP: 0o600, KEY: 0o600}
    with zipfile.ZipFile(tmp_path / "backup.zip") as file:
        assert {entry.external_attr >> 16 for entry in file.infolist()} == {0o100600}


def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    target = tmp_path / "backup.zip"
    target.write_text("precious")
    with pytest.raises(FileExistsError):
        write(target)
    target.unlink()
    with pytest.raises(FileExistsError), new_archive(target):
        target.write_text("made by somebody else meanwhile")
    assert [path.name for path in tmp_path.iterdir()] == ["backup.zip"]
    assert target.read_text() == "made by somebody else meanwhile"


def test_nothing_is_left_of_a_backup_that_failed(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), new_archive(tmp_path / "backup.zip"):
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_backup_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "backup.zip"
    write(whole)
    content = whole.read_bytes()
    short = tmp_path / "short.zip"
    for length in range(0, len(content), 3):
        short.write_bytes(content[:length])
        with pytest.raises(BadBackup, match=r"short\.zip"):
            read(short, tmp_path)


@pytest.mark.parametrize(("first", "bit"), [(0, 0x01), (1, 0x08), (2, 0x40), (3, 0x80)])
def test_a_change_anywhere_is_noticed_or_harmless(tmp_path: Path, first: int, bit: int) -> None:
    """Harmless: in what only other programs look at, as the time of an entry."""
    whole = tmp_path / "backup.zip"
    wanted = (write(whole), DUMPED, KEPT)
    content = whole.read_bytes()
    changed = tmp_path / "changed.zip"
    harmless = 0
    places = range(first, len(content), 4)
    for place in places:
        changed.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        try:
            assert read(changed, tmp_path) == wanted
            harmless += 1
        except BadBackup:
            continue
    assert harmless < len(places) / 4


def test_a_part_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    """With checksums of the zip that fit: somebody packed it again."""
    write(tmp_path / "backup.zip")
    with (
        zipfile.ZipFile(tmp_path / "backup.zip") as old,
        zipfile.ZipFile(tmp_path / "changed.zip", "w") as new,
    ):
        new.writestr(DUMP, DUMPED[::-1])
        for name in (KEY, MANIFEST):
            new.writestr(name, old.read(name))
    with pytest.raises(BadBackup, match=f"damaged: {DUMP} is not what its manifest says"):
        read(tmp_path / "changed.zip", tmp_path)


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        (None, "not a backup of Refundry: it has no manifest"),
        (b"", "its manifest cannot be read"),
        (b"\xff{}", "its manifest cannot be read"),
        (b"{}", "its manifest cannot be read"),
        (b'{"format": 1}', "its manifest cannot be read"),
        (b'{"format": 2, "of": "another shape"}', "backup format 2, and this version reads up to"),
        (b" " * 5_000_000, "its manifest is too large"),
        (msgspec.json.encode(described()), "its parts are not those of its manifest"),
    ],
)
def test_a_zip_of_something_else_is_refused(
    tmp_path: Path, manifest: bytes | None, complaint: str
) -> None:
    source = tmp_path / "other.zip"
    with zipfile.ZipFile(source, "w") as file:
        file.writestr(DUMP, DUMPED)
        if manifest is not None:
            file.writestr(MANIFEST, manifest)
    with pytest.raises(BadBackup, match=complaint):
        read(source, tmp_path)


def test_a_part_of_another_name_is_not_unpacked(tmp_path: Path) -> None:
    with new_archive(tmp_path / "backup.zip") as archive:
        for name in (DUMP, "../escaped"):
            with archive.part(name) as sink:
                sink.write(DUMPED)
        archive.finish(described(parts=archive.parts))
    with pytest.raises(BadBackup, match="its parts are not those of its manifest"):
        read(tmp_path / "backup.zip", tmp_path)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ({"orders": 2, "refunds": 0}, "orders has 2 rows, not 3"),
        ({"orders": 3}, "refunds has no rows, not 0"),
        ({"orders": 3, "refunds": 0, "more": 1}, "more has 1 rows, not any"),
    ],
)
def test_a_copy_with_other_rows_is_refused(found: dict[str, int], complaint: str) -> None:
    require_same_rows(described().rows, {"refunds": 0, "orders": 3})
    with pytest.raises(BadBackup, match=complaint):
        require_same_rows(described().rows, found)


def test_progress_adds_up_what_was_seen() -> None:
    rows = {"events": 100, "orders": 10, "facts": 1}
    moved: dict[str, int] = {}
    assert copied_rows(rows, moved, {}) == 0
    assert copied_rows(rows, moved, {"events": 40}) == 40
    assert copied_rows(rows, moved, {"events": 90, "orders": 4}) == 94
    assert copied_rows(rows, moved, {"orders": 9}) == 109  # events are done
    assert copied_rows(rows, moved, {"orders": 12, "unknown": 7}) == 110  # never more than all
    assert copied_rows(rows, moved, {}) == 110


def test_progress_says_when_the_rows_are_done() -> None:
    assert stage(0, 0, copying=False) == "0 % of 0 rows"
    assert stage(0, 5, copying=False) == "0 % of 5 rows"
    assert stage(999_000, 1_000_000, copying=True) == "99 % of 1,000,000 rows"
    assert stage(500_000, 1_000_000, copying=False) == "50 % of 1,000,000 rows"
    assert stage(999_000, 1_000_000, copying=False) == "the rows are done, the rest follows"
