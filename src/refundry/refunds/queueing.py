"""The queue that groups are taken from: who waits, who takes, when somebody must be started.

Pure: no clock, no tasks. Each method is one step, so that nothing can come between a look at the
queue and what follows from it; that is how a wake-up is not lost.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class GroupQueue(Generic[Member]):
    """Members that wait, in the order of their arrival, and the lanes that take groups of them.

    `join`, `hurry` and `end` say whether the caller must start a lane; it counts from then on. A
    lane calls `take` until that gives nobody, and whatever becomes of a lane, if it was cancelled
    before its first step, `end` is called for it once. While somebody waits, there is a lane.
    """

    def __init__(self, *, most_lanes: int, most_members: int, worth: int = 1) -> None:
        """most_lanes: at the same time. most_members: of one group. worth: so many have to wait
        before a lane is started beside another, unless somebody hurries. All >= 1."""
        assert min(most_lanes, most_members, worth) >= 1
        self._most_lanes = most_lanes
        self._most_members = most_members
        self._worth = worth
        self._waiting: OrderedDict[Member, None] = OrderedDict()
        self._lanes = 0

    @property
    def waiting(self) -> int:
        """How many members wait to be taken."""
        return len(self._waiting)

    @property
    def lanes(self) -> int:
        """How many lanes were started and have not ended."""
        return self._lanes

    def join(self, member: Member) -> bool:
        """Wait behind all others; True: the caller starts a lane. A member joins once."""
        assert member not in self._waiting
        self._waiting[member] = None
        return self._start()

    def hurry(self) -> bool:
        """Somebody has waited for long; True: the caller starts a lane beside the others."""
        if not self._waiting or self._lanes == self._most_lanes:
            return False
        self._lanes += 1
        return True

    def leave(self, member: Member) -> bool:
        """Wait no longer; False, and nothing, where a lane has taken the member already."""
        if member not in self._waiting:
            return False
        del self._waiting[member]
        return True

    def take(self) -> list[Member]:
        """A group: those who have waited longest. Nobody where nobody waits."""
        count = min(self._most_members, len(self._waiting))
        return [self._waiting.popitem(last=False)[0] for _ in range(count)]

    def end(self) -> bool:
        """A lane is over; True: somebody waits, and the caller starts another.

        A lane ends some time after it took nobody. Who came in between saw its place taken and
        started none, so the freeing and one more look are one step.
        """
        assert self._lanes > 0
        self._lanes -= 1
        return bool(self._waiting) and self._start()

    def _start(self) -> bool:
        if self._lanes == self._most_lanes or (self._lanes and len(self._waiting) < self._worth):
            return False
        self._lanes += 1
        return True
