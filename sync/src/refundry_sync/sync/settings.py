"""What a shop configures of its synchroniser."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

MEBIBYTE = 2**20
# What a server may expect of one shop: the workers', and the one of the reconciling loops.
GETS_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Settings:
    """mode: events of the other one are ignored. tokens: of the webhook; two during a rotation.

    basic_auth: user and password, or bearer_token, if the webhook has them. announce_within: older
    news than this is taken in, but shoppers do not hear of it. workers: orders worked on at once.
    lease: how long a call to the shop may take before it is made again.
    """

    tokens: tuple[str, ...]
    mode: Literal["test", "live"] = "test"
    replay_window_seconds: float = 300
    body_limit_bytes: int = MEBIBYTE
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    announce_within: timedelta = timedelta(days=7)
    workers: int = 3
    lease: timedelta = timedelta(seconds=60)
    give_up_after: timedelta = timedelta(hours=24)
    open_refunds_every: timedelta = timedelta(minutes=15)
    open_refunds_older_than: timedelta = timedelta(minutes=10)
    missed_every: timedelta = timedelta(hours=1)
    missed_overlap: timedelta = timedelta(hours=1)
    full_every: timedelta = timedelta(days=1)
    full_window: timedelta = timedelta(hours=36)
    keep_payloads: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        if not self.tokens or not all(self.tokens):
            raise ValueError("tokens: at least one signing token is needed")
        if not 1 <= self.workers < GETS_AT_ONCE:
            raise ValueError("workers: 1 to 3")
