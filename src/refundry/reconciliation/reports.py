"""Settlement reports as files: found by processor, read row by row, gzipped or not."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from refundry.reconciliation.adyen_report import adyen_entries
from refundry.reconciliation.braintree_report import braintree_entries
from refundry.reconciliation.lines import BadReport, Entry
from refundry.reconciliation.paypal_report import paypal_entries
from refundry.reconciliation.rows import Cells, read_cells
from refundry.reconciliation.stripe_report import stripe_entries

READERS: Mapping[str, Callable[[Iterator[Cells]], Iterator[Entry]]] = MappingProxyType(
    {
        "stripe": stripe_entries,
        "adyen": adyen_entries,
        "paypal": paypal_entries,
        "braintree": braintree_entries,
    }
)
_PART = 1 << 18


class Report:
    """A report of a processor in a file."""

    def __init__(self, path: Path, processor: str) -> None:
        """processor: one of READERS."""
        self.path = path
        self._reader = READERS[processor]
        self.size = path.stat().st_size
        self._raw: BinaryIO | None = None

    @property
    def position(self) -> int:
        """How many bytes of the file, as it lies on the disk, have been read."""
        return self._raw.tell() if self._raw else 0

    def digest(self) -> bytes:
        """The SHA-256 of the file as it lies on the disk."""
        with self.path.open("rb") as raw:
            return hashlib.file_digest(raw, "sha256").digest()

    def entries(self) -> Iterator[Entry]:
        """Its rows, never more than one in memory. Raises BadReport."""
        with self.path.open("rb") as raw:
            self._raw = raw
            # The second byte too: a text may begin with any character.
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
            buffered = io.BufferedReader(stream, _PART)  # type: ignore[arg-type]
            text = io.TextIOWrapper(buffered, encoding="utf-8-sig", newline="")
            try:
                yield from self._reader(read_cells(text))
            except (EOFError, OSError, zlib.error) as error:
                raise BadReport(f"the file cannot be read on: {error}") from error
            finally:
                self._raw = None
                text.detach()
