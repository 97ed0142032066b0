"""Random interleavings of everything that may happen to the queue of refunds.

The queue is the one that the service runs. Around it stand lanes and members without tasks: what
an event loop would decide, who goes on next, is drawn by lot.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.stress.queue_faults import FAULTS, NONE, Fault

EPOCH_OPERATIONS = 10_000
"""Operations before the queue must run dry; an epoch begins with a new queue."""

# Steps of a lane for each member or lane that is left, once nobody comes any more: a lane takes,
# serves, takes nobody, ends.
_DRAIN_STEPS = 6

Show = Callable[[str], object]


class Broken(AssertionError):
    """The queue did what it must not."""


class State(Enum):
    """BETWEEN: before its first step or between two groups. OVER: not ended yet."""

    BETWEEN = "between groups"
    SERVING = "serving"
    OVER = "over"


@dataclass(slots=True, eq=False)
class _Lane:
    begun: bool = False
    state: State = State.BETWEEN
    group: tuple[int, ...] = ()


class Epoch:
    """One queue from its first member until it has run dry.

    counts: how often each thing happened. Members are numbered in the order of their arrival.
    """

    def __init__(self, seed: str, fault: Fault = NONE, show: Show | None = None) -> None:
        self._random = chance = Random(seed)
        self._most_lanes = chance.randint(1, 4)
        self._most_members = chance.choice((1, 2, 3, 8, 64))
        self._worth = chance.choice((1, 1, 2, 8))
        # How much of what happens is an arrival, from idle to overload, and a leaving.
        self._arriving = chance.uniform(0.02, 0.7)
        self._leaving = chance.choice((0.0, 0.01, 0.1))
        self._failing = chance.choice((0.0, 0.01, 0.2))
        self._hurrying = chance.choice((0.0, 0.01, 0.1))
        self._queue = fault.queue(
            most_lanes=self._most_lanes, most_members=self._most_members, worth=self._worth
        )
        self._unfreed = fault.unfreed
        self._show = show
        self._lanes: list[_Lane] = []
        # A second set of books: who waits, and who has joined and had no answer yet.
        self._waiting: deque[int] = deque()
        self._open: set[int] = set()
        self._members = 0
        self.counts: Counter[str] = Counter()

    def run(self, operations: int = EPOCH_OPERATIONS) -> None:
        """Live through it. Raises Broken."""
        draw = self._random.random
        for _ in range(operations):
            what = draw()
            if what < self._arriving:
                self._join()
            elif self._waiting and draw() < self._leaving:
                self._leave()
            elif draw() < self._hurrying:
                self._hurry()
            elif self._lanes:
                self._step(self._random.choice(self._lanes))
            else:
                self._join()
            self._check()
        self._run_dry()

    def _join(self) -> None:
        self._members += 1
        member = self._members
        started = self._queue.join(member)
        self._waiting.append(member)
        free = self._may_start()
        self._open.add(member)
        self._note("joined", member)
        if started != free:
            raise Broken(f"{len(self._lanes)} lanes, and joining said {started}")
        if started:
            self._lanes.append(_Lane())

    def _may_start(self) -> bool:
        """A lane is free, and there are none or enough wait for another."""
        if len(self._lanes) == self._most_lanes:
            return False
        return not self._lanes or len(self._waiting) >= self._worth

    def _hurry(self) -> None:
        free = bool(self._waiting) and len(self._lanes) < self._most_lanes
        started = self._queue.hurry()
        self._note("hurried", started)
        if started != free:
            raise Broken(f"{len(self._lanes)} lanes, and hurrying said {started}")
        if started:
            self._lanes.append(_Lane())

    def _leave(self) -> None:
        """The first or the last gives up, or somebody that a lane has taken by now."""
        where = self._random.random()
        if where < 0.1 and len(self._open) > len(self._waiting):
            self._queue.leave(min(self._open))  # the oldest, so it is one that was taken
            return
        member = self._waiting.popleft() if where < 0.5 else self._waiting.pop()
        self._queue.leave(member)
        self._open.discard(member)
        self._note("left", member)

    def _step(self, lane: _Lane) -> None:
        """A lane goes on to its next await, or is cancelled where it stands."""
        cancelled = self._random.random() < self._failing
        match lane.state:
            case State.OVER:
                self._end(lane)
            case State.BETWEEN if cancelled:
                lane.state = State.OVER
                self._note("lanes cancelled between groups", lane.begun)
            case State.BETWEEN:
                self._take(lane)
            case State.SERVING:
                self._answer(lane, cancelled)

    def _take(self, lane: _Lane) -> None:
        group = self._queue.take()
        lane.begun = True
        expected = [self._waiting.popleft() for _ in range(min(len(self._waiting),
                                                              self._most_members))]  # fmt: skip
        self._note("groups taken", group)
        if group != expected:
            raise Broken(f"took {group}, should take {expected}")
        lane.state, lane.group = (State.SERVING, tuple(group)) if group else (State.OVER, ())

    def _answer(self, lane: _Lane, cancelled: bool) -> None:
        """Each member hears something: the answer, a failure or of the cancellation."""
        for member in lane.group:
            if member not in self._open:
                raise Broken(f"{member} was served twice")
            self._open.discard(member)
        self._note("groups cancelled" if cancelled else "groups answered", lane.group)
        lane.state, lane.group = (State.OVER if cancelled else State.BETWEEN), ()

    def _end(self, lane: _Lane) -> None:
        if self._unfreed and not lane.begun:
            return
        self._lanes.remove(lane)
        started = self._queue.end()
        self._note("lanes ended", started)
        if started:
            self._lanes.append(_Lane())

    def _check(self) -> None:
        """After every operation."""
        queue, waiting, lanes = self._queue, len(self._waiting), len(self._lanes)
        if queue.waiting != waiting:
            raise Broken(f"{waiting} wait, the queue says {queue.waiting}")
        if queue.lanes != lanes or lanes > self._most_lanes:
            raise Broken(f"{lanes} lanes of {self._most_lanes}, the queue says {queue.lanes}")
        if waiting and not lanes:
            raise Broken(f"lost wake-up: {waiting} wait, and there is no lane")

    def _run_dry(self) -> None:
        """Nobody comes any more; whoever waits must be served within so many steps."""
        for _ in range(_DRAIN_STEPS * (len(self._open) + len(self._lanes) + 1)):
            if not self._lanes:
                break
            lane = self._lanes.pop(0)  # in turn, so that none is left out by chance
            self._lanes.append(lane)
            self._step(lane)
            self._check()
        if self._open or self._lanes:
            raise Broken(f"watchdog: {len(self._open)} not served, {len(self._lanes)} lanes left")

    def _note(self, what: str, who: object) -> None:
        self.counts[what] += 1
        if self._show:
            self._show(f"{what}: {who}")


def run_epoch(
    seed: int, number: int, fault: Fault = NONE, show: Show | None = None
) -> Counter[str]:
    """One epoch of a run; gives its counts. Raises Broken with the command that replays it."""
    epoch = Epoch(f"{seed}/{number}", fault, show)
    try:
        epoch.run()
    except (AssertionError, LookupError) as error:
        flag = "".join(f" --fault {name}" for name, known in FAULTS.items() if known is fault)
        error.add_note(f"replay: python -m tests.stress queue --seed {seed} --epoch {number}{flag}")
        raise
    return epoch.counts
