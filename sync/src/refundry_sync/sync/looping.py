"""The loops: the inbox and the calls all the time, reconciliation now and then."""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from refundry_sync.errors import SyncError
from refundry_sync.sync.documents import Malformed
from refundry_sync.sync.store import Store

_LOG = logging.getLogger("refundry_sync")
# How often the inbox is looked at; what arrives in this process is worked on at once.
IDLE_SECONDS = 1.0
LONGEST_WAIT = timedelta(minutes=5)
Work = Callable[[datetime | None, datetime], object]


class Stopped(Exception):
    """Work was given up in the middle, as the process is to end; the next one begins it again."""


@dataclass
class Loop:
    """Work to be done every so often. work: gets the time of its last success, and now.

    The time of the last success is stored, so that a restart neither repeats nor skips anything.
    """

    name: str
    every: timedelta
    work: Work
    failures: int = 0
    not_before: datetime = field(default=datetime.min.replace(tzinfo=UTC))

    def run_if_due(self, store: Store, now: datetime) -> bool:
        """Whether it ran; where it fails it waits longer from time to time, up to 5 min."""
        if now < self.not_before:
            return False
        with store.transaction() as tx:
            last = tx.find_progress(self.name)
        if last is not None and now - last < self.every:
            return False
        try:
            self.work(last, now)
        except (SyncError, Malformed) as error:
            self.failures += 1
            wait = min(LONGEST_WAIT, timedelta(seconds=2.0 ** min(self.failures, 9)))
            self.not_before = now + wait * random.uniform(0.5, 1)  # noqa: S311  # nosec B311
            _LOG.warning("%s failed and is tried again: %s", self.name, error)
            return False
        self.failures = 0
        with store.transaction() as tx:
            tx.save_progress(self.name, now)
        return True


def run_until(
    stopping: threading.Event,
    woken: threading.Event,
    step: Callable[[datetime], object],
    loops: list[Loop],
    store: Store,
) -> None:
    """Until `stopping` is set. woken: set by what puts something into the inbox.

    The loops have a thread of their own: one that reads a day of orders must not hold up webhooks.
    """
    reconciling = threading.Thread(
        target=_reconcile_until, args=(stopping, woken, loops, store), name="refundry-reconciling"
    )
    reconciling.start()
    try:
        while not stopping.is_set():
            _try_round(stopping, lambda: step(datetime.now(UTC)))
            woken.wait(IDLE_SECONDS)
            woken.clear()
    finally:
        stopping.set()
        reconciling.join()


def _reconcile_until(
    stopping: threading.Event, woken: threading.Event, loops: list[Loop], store: Store
) -> None:
    while not stopping.is_set():
        for loop in loops:
            _try_round(stopping, lambda loop=loop: _run_loop(loop, store, woken))
        stopping.wait(IDLE_SECONDS)


def _run_loop(loop: Loop, store: Store, woken: threading.Event) -> None:
    if loop.run_if_due(store, datetime.now(UTC)):
        woken.set()


def _try_round(stopping: threading.Event, work: Callable[[], object]) -> None:
    """The store may be away for a while, too; all that is due stays due."""
    if stopping.is_set():
        return
    try:
        work()
    except Stopped:
        return
    except Exception:
        _LOG.exception("a round of the synchroniser failed and is tried again")
        stopping.wait(IDLE_SECONDS)
