"""What a worker has in hands for one webhook."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from refundry.tenant import Tenant
from refundry.webhooks.deliveries import LEASE_SECONDS, Due
from refundry.webhooks.sending import ATTEMPT_SECONDS
from refundry.webhooks.targets import Opened

MOST_AT_ONCE = 10
"""Requests to one webhook at the same time, over all workers."""

MOST_TAKEN = 50
"""Webhooks taken by one look at the database, so that what it gives fits into memory."""

_BATCH = 300
# Over all lanes, some kB each. After an outage thousands of webhooks may have a backlog.
_MOST_WAITING = 20_000


def share(lanes: int) -> int:
    """How many deliveries each of so many webhooks is given at once."""
    return max(2 * MOST_AT_ONCE, min(_BATCH, _MOST_WAITING // max(1, lanes)))


@dataclass(slots=True)
class Lane:
    """A webhook that this worker delivers for.

    waiting: not begun yet. held: keys of these, of those being sent and those not yet recorded.
    share: how many it is given at once. more: the database may have more that is due.
    until: when the lease ends, as monotonic time. lost: another worker may have it.
    used: since the lease was last renewed.
    quiet: nothing is held.
    """

    tenant: Tenant
    webhook_id: str
    opened: Opened
    until: float
    version: str
    shift: timedelta
    expanded: bool
    waiting: deque[Due] = field(default_factory=deque[Due])
    held: set[str] = field(default_factory=set[str])
    senders: int = 0
    share: int = _BATCH
    more: bool = False
    lost: bool = False
    used: bool = True
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def busy(self) -> bool:
        """Whether it needs nothing more at present.

        The next share is fetched while the last of the present one are being sent. With two of
        them held, much is on its way into the database, which is then what is slow.
        """
        enough = len(self.waiting) >= self.share // 2 or len(self.held) >= 2 * self.share
        return self.lost or enough

    @property
    def hungry(self) -> bool:
        """Whether it should be given more before it runs dry."""
        return self.more and not self.busy

    def feed(self, due: Sequence[Due]) -> int:
        """Take what is due and not yet in hands; gives how much that was."""
        fresh = [each for each in due if each.key not in self.held]
        self.waiting.extend(fresh)
        self.held.update(each.key for each in fresh)
        self.more = len(due) >= self.share
        self.used = True
        self._tell()
        return len(fresh)

    def take(self, now: float) -> Due | None:
        """The next to send; None if there is none, or the lease might end during the attempt.

        now: monotonic time.
        """
        if not self.waiting or self.lost or now + ATTEMPT_SECONDS > self.until:
            return None
        return self.waiting.popleft()

    def renew(self, since: float) -> None:
        """Note that the lease was renewed at a monotonic time, or after it."""
        self.until = since + LEASE_SECONDS

    def let_go(self, key: str) -> None:
        """Note that a delivery is recorded, or given back."""
        self.held.discard(key)
        self.used = True
        self._tell()

    def drop(self) -> None:
        """Give back what was not begun."""
        while self.waiting:
            self.let_go(self.waiting.popleft().key)
        self.more = False

    def _tell(self) -> None:
        if self.held:
            self.quiet.clear()
        else:
            self.quiet.set()
