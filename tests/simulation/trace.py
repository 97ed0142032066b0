"""What happened in a run, as one hash: two runs with the same hash took the same steps."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Show = Callable[[str], None]


class Trace:
    """Collects lines. show: also hears each of them."""

    def __init__(self, show: Show | None = None) -> None:
        self._hash = hashlib.sha256()
        self._show = show
        self.lines = 0

    def note(self, now: float, *words: object) -> None:
        """One thing that happened at a virtual time, in seconds."""
        line = f"{now:.6f} " + " ".join(map(str, words))
        self._hash.update(line.encode() + b"\n")
        self.lines += 1
        if self._show:
            self._show(line)

    @property
    def digest(self) -> str:
        """The hash of everything so far."""
        return self._hash.hexdigest()


def shown(value: Any) -> str:
    """A statement's arguments or rows as text, without what is encrypted: a nonce is random."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return repr(value)
    rows: Sequence[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return "[" + ", ".join(map(shown, rows)) + "]"
