"""How a client calls: where to, as whom, how often; and what it tells of each attempt."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from refundry_sync import __version__
from refundry_sync.client.masking import masked_body

_LOG = logging.getLogger("refundry_sync")
_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")


@dataclass(frozen=True, slots=True)
class CallReport:
    """One attempt of a call, for a log. Secrets are masked, also in the address and the bodies.

    operation: method and path as the documentation names them. attempt: from 1. status: None if no
    answer came; error says why. seconds: until the answer was there as a whole.
    """

    operation: str
    url: str
    attempt: int
    status: int | None
    error: str | None
    seconds: float
    request_id: str
    idempotency_key: str | None
    key: str | None
    _sent: bytes | None = field(repr=False)
    _received: bytes | None = field(repr=False)

    def request_body(self) -> str | None:
        """What was sent, as JSON."""
        return masked_body(self._sent)

    def answer_body(self) -> str | None:
        """What came, as JSON."""
        return masked_body(self._received)


OnCall = Callable[[CallReport], object]


class Options(TypedDict, total=False):
    """What clients of both kinds take.

    attempts: how often a call is sent at most, 5 unless said. first_wait: seconds of the first
    pause between two attempts, 0.5; each next one is twice as long, with jitter. on_call: is given
    a CallReport after each attempt. repeat_posts: False for a server that does not know
    `Idempotency-Key`: a POST whose answer was lost is then not sent again. application: the shop's
    name and version, for the server's log. version: of the API, where the key's is not wanted.
    """

    attempts: int
    first_wait: float
    on_call: OnCall | None
    repeat_posts: bool
    application: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Options with their defaults. base_url: without a slash at its end."""

    base_url: str
    api_key: str = field(repr=False)
    attempts: int = 5
    first_wait: float = 0.5
    on_call: OnCall | None = None
    repeat_posts: bool = True
    application: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.base_url):
            raise ValueError(f"{self.base_url!r} is no address of a server")
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise ValueError("the API key holds characters that no key has")
        if self.attempts < 1:
            raise ValueError("attempts is at least 1")

    def headers(self) -> dict[str, str]:
        """Those of every request."""
        found = {"Accept": "application/json", "User-Agent": f"refundry-sync/{__version__}"}
        if self.application is not None:
            found["upstream-application-id"] = self.application
        if self.version is not None:
            found["digitalriver-version"] = self.version
        return found

    def report(self, report: CallReport) -> None:
        """Tell of an attempt. A hook that fails must not make a refund look as if it had failed."""
        if self.on_call is None:
            return
        try:
            self.on_call(report)
        except Exception:
            _LOG.exception("on_call failed")
