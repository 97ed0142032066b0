"""Orders in files: JSON lines and saved pages of `GET /orders`, gzipped or not, read one by one."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from refundry.http.document import MAX_BODY_BYTES

# A page holds at most 100 orders, each of at most as many bytes as a request may bring.
_MOST_PAGE_BYTES = 100 * MAX_BODY_BYTES
_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_PAGES = (".json", ".json.gz")


class NoExport(Exception):
    """What was named holds no orders that could be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An order where it stands. number: of its line, or its place in its page, from 1.

    content: its JSON text; problem: why there is none.
    """

    file: str
    number: int
    content: bytes
    problem: str | None = None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


_page = msgspec.json.Decoder(_Page)


class Export:
    """The orders of some files and folders. A folder: all pages and line files in it, by name."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Look which files there are. Raises NoExport."""
        self._files = [file for path in paths for file in _files(path)]
        if not self._files:
            raise NoExport("no .jsonl or .json file in what was named")
        self.size = sum(file.stat().st_size for file in self._files)
        self._read = 0
        self._raw: BinaryIO | None = None

    @property
    def position(self) -> int:
        """How many bytes of the files, as they lie on the disk, have been read."""
        return self._read + (self._raw.tell() if self._raw else 0)

    def entries(self) -> Iterator[Entry]:
        """Every order, in the order of the files; never more than one page in memory."""
        for file in self._files:
            with file.open("rb") as raw:
                self._raw = raw
                stream = _unpacked(raw, file)
                pages = file.name.endswith(_PAGES)
                yield from _page_entries(file, stream) if pages else _lines(file, stream)
                self._raw = None
            self._read += file.stat().st_size


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.name.endswith(_LINES + _PAGES):
            raise NoExport(f"{path}: neither .jsonl nor .json, nor one of these with .gz")
        return [path]
    return sorted(file for file in path.iterdir() if file.name.endswith(_LINES + _PAGES))


def _unpacked(raw: BinaryIO, file: Path) -> io.BufferedIOBase:
    if file.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), 1 << 18)
    return io.BufferedReader(raw, 1 << 18)  # type: ignore[arg-type]


def _lines(file: Path, stream: io.BufferedIOBase) -> Iterator[Entry]:
    number = 0
    while True:
        try:
            line = stream.readline(MAX_BODY_BYTES + 1)
            whole = line
            while len(whole) > MAX_BODY_BYTES and not whole.endswith(b"\n"):
                whole = stream.readline(MAX_BODY_BYTES + 1)
        except (EOFError, OSError, zlib.error) as error:
            yield Entry(str(file), number + 1, b"", f"The file cannot be read on: {error}.")
            return
        if not line:
            return
        number += 1
        if len(line) > MAX_BODY_BYTES:
            yield Entry(str(file), number, b"", "The line is too long for an order.")
        elif line.strip():
            yield Entry(str(file), number, line)


def _page_entries(file: Path, stream: io.BufferedIOBase) -> Iterator[Entry]:
    try:
        content = stream.read(_MOST_PAGE_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        yield Entry(str(file), 1, b"", f"The file cannot be read on: {error}.")
        return
    if len(content) > _MOST_PAGE_BYTES:
        yield Entry(str(file), 1, b"", "The page is too long.")
        return
    try:
        orders = _page.decode(content).data
    except (msgspec.MsgspecError, UnicodeDecodeError):
        yield Entry(str(file), 1, b"", 'This is no page of orders: no JSON object with "data".')
        return
    for number, order in enumerate(orders, start=1):
        yield Entry(str(file), number, bytes(order))
