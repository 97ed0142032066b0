"""How much one API process takes in hand at once; what comes beyond it is refused, not queued."""

from collections.abc import Collection, Generator
from contextlib import contextmanager


class TooMuch(Exception):
    """More is in hand than one process takes; nothing was done."""


class Admission:
    """Counts the requests in hand.

    A request whose body has not arrived does not count: a slow sender keeps nobody else out (what
    all such bodies may hold is a limit of connections). most_requests: in hand at once.
    """

    def __init__(self, *, most_requests: int = 64) -> None:
        self._most_requests = most_requests
        self._awaited = 0
        self.running: Collection[object] = ()
        """The requests that have begun; the server's own, so that none is forgotten."""

    @property
    def full(self) -> bool:
        """Whether a further request is too much."""
        return len(self.running) - self._awaited >= self._most_requests

    @contextmanager
    def body(self) -> Generator["Body"]:
        """A body that arrives while the block runs."""
        body = Body(self)
        try:
            yield body
        finally:
            body.close()

    @contextmanager
    def aside(self) -> Generator[None]:
        """A request that is in hand for long and costs little, such as news for an open page."""
        self.await_body()
        try:
            yield
        finally:
            self.resume(complete=False)

    def await_body(self) -> None:
        """A request in hand has to wait for its body."""
        self._awaited += 1

    def resume(self, *, complete: bool) -> None:
        """It waits no more. complete: and goes on; raises TooMuch where there is no room for it."""
        self._awaited -= 1
        if complete and len(self.running) - self._awaited > self._most_requests:
            raise TooMuch("requests")


class Body:
    """The parts of one body that have arrived."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._parts: list[bytes] = []
        self._waits = False
        self.size = 0

    def add(self, part: bytes) -> None:
        """A further part."""
        self._parts.append(part)
        self.size += len(part)

    def wait(self) -> None:
        """More is to come."""
        if not self._waits:
            self._waits = True
            self._admission.await_body()

    def whole(self) -> bytes:
        """All of it. Raises TooMuch where others were quicker."""
        if self._waits:
            self._waits = False
            self._admission.resume(complete=True)
        return b"".join(self._parts)

    def close(self) -> None:
        """Count it no more."""
        if self._waits:
            self._waits = False
            self._admission.resume(complete=False)
