"""Faults put into the queue on purpose, to see that the stress program finds them."""

from dataclasses import dataclass

from refundry.refunds.queueing import GroupQueue, Member


class LateFreeing(GroupQueue[Member]):
    """An await between the last look, that of `take`, and the freeing, which does not look."""

    def end(self) -> bool:
        """Frees the place only."""
        self._lanes -= 1
        return False


class NewestFirst(GroupQueue[Member]):
    """A stack."""

    def take(self) -> list[Member]:
        """Who came last."""
        count = min(self._most_members, len(self._waiting))
        return [self._waiting.popitem(last=True)[0] for _ in range(count)]


class TakenTwice(GroupQueue[Member]):
    """The last member of a full group stays in the queue."""

    def take(self) -> list[Member]:
        """Puts one back, as the first to be taken."""
        group = super().take()
        if len(group) == self._most_members and self._waiting:
            self._waiting[group[-1]] = None
            self._waiting.move_to_end(group[-1], last=False)
        return group


class Forgotten(GroupQueue[Member]):
    """One member of a full group is dropped."""

    def take(self) -> list[Member]:
        """Gives one less than it takes."""
        group = super().take()
        return group[:-1] if len(group) == self._most_members > 1 else group


class TooMany(GroupQueue[Member]):
    """One lane more than there may be."""

    def _start(self) -> bool:
        if self._lanes > self._most_lanes:
            return False
        self._lanes += 1
        return True


class TooFull(GroupQueue[Member]):
    """A group takes everybody."""

    def take(self) -> list[Member]:
        """Without a bound."""
        return [self._waiting.popitem(last=False)[0] for _ in range(len(self._waiting))]


class StayingOn(GroupQueue[Member]):
    """Who leaves is served all the same."""

    def leave(self, member: Member) -> bool:
        """Does nothing."""
        return False


@dataclass(frozen=True, slots=True)
class Fault:
    """queue: what is put under stress. unfreed: a lane cancelled before its first step is never
    ended, as with a `finally` inside its task."""

    queue: type[GroupQueue[int]]
    unfreed: bool = False


NONE = Fault(GroupQueue[int])
FAULTS = {
    "late-freeing": Fault(LateFreeing[int]),
    "never-freed": Fault(GroupQueue[int], unfreed=True),
    "newest-first": Fault(NewestFirst[int]),
    "taken-twice": Fault(TakenTwice[int]),
    "forgotten": Fault(Forgotten[int]),
    "too-many": Fault(TooMany[int]),
    "too-full": Fault(TooFull[int]),
    "staying-on": Fault(StayingOn[int]),
}
