"""Who may pass: finds the key of a request and counts its requests per second."""

import math
import re
from dataclasses import dataclass

from refundry.access.store import find_key, key_hash
from refundry.clock import Clock
from refundry.db.database import Database
from refundry.tenant import ApiKey

_BEARER = re.compile(r"bearer +([a-z]{2}_(?:test|live)_[0-9a-f]{32}) *", re.ASCII | re.IGNORECASE)
# A key that was found valid is not looked up again for this long; a key that is blocked or
# whose rights change may pass for as long.
_CACHE_SECONDS = 1.0
_CACHE_SIZE = 10_000


class KeyRing:
    """Finds API keys by their text, with a short memory."""

    def __init__(self, database: Database, clock: Clock, *, remember: bool) -> None:
        self._database = database
        self._clock = clock
        self._seconds = _CACHE_SECONDS if remember else 0.0
        self._known: dict[bytes, tuple[float, ApiKey]] = {}

    async def find(self, header: str | None) -> ApiKey | None:
        """The valid key in an `Authorization` header; None if there is none."""
        match = _BEARER.fullmatch(header or "")
        if match is None:
            return None
        digest = key_hash(match[1])
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known and known[0] > now:
            return known[1]
        key = await find_key(self._database, digest, self._clock.now())
        if key is not None and self._seconds:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            self._known[digest] = (now + self._seconds, key)
        return key


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """A token bucket per key, refilled continuously; its burst is one second's allowance.

    per_second: of this process; 0 switches the limit off.
    """

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = max(1.0, per_second)
        self._buckets: dict[str, _Bucket] = {}

    def wait_seconds(self, key_id: str) -> int:
        """Take one token: 0 if there was one, else the whole seconds until there is."""
        if not self._rate:
            return 0
        now = self._clock.monotonic()
        bucket = self._buckets.get(key_id)
        if bucket is None:
            if len(self._buckets) >= _CACHE_SIZE:
                self._forget_full(now)
            bucket = self._buckets[key_id] = _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0
        return max(1, math.ceil((1 - bucket.tokens) / self._rate))

    def _forget_full(self, now: float) -> None:
        """Forget keys whose bucket is full again: they are as good as new."""
        full_after = self._burst / self._rate
        self._buckets = {k: b for k, b in self._buckets.items() if now - b.at < full_after}
