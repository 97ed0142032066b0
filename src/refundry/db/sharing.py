"""Shared reads: who asks while a statement is in flight shares the next one.

A lone reader goes at once, in its own task. What a reader gets was always read after it asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_Group = dict[Key, list[asyncio.Future[Value | None]]]
"""Those who are answered together, by what they ask for."""

# One statement is in flight while what another one found is put into words.
_LANES = 2
# A statement should not keep its first reader waiting for long.
_MOST = 64


class SharedReads(Generic[Key, Value]):
    """Reads things by their keys; read: any number of different keys in one go, and what is not
    there is left out of its answer."""

    def __init__(
        self,
        read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]],
        *,
        most_lanes: int = _LANES,
    ) -> None:
        self._read = read
        self._free = most_lanes
        # Whoever waits, waits for a lane: while one is free, nobody does.
        self._waiting: _Group[Key, Value] = {}
        self._lanes: set[asyncio.Task[None]] = set()

    async def find(self, key: Key) -> Value | None:
        """What is there now under a key, or None. Raises what the read raises."""
        if self._free:
            self._free -= 1
            try:
                return (await self._read([key])).get(key)
            finally:
                self._hand_on()
        answer: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        return await answer

    def _hand_on(self) -> None:
        """Give a lane to those who came meanwhile, or back."""
        group = self._take()
        if not group:
            self._free += 1
            return
        lane = asyncio.create_task(self._serve(group))
        self._lanes.add(lane)

        def ended(lane: asyncio.Task[None]) -> None:
            self._lanes.discard(lane)
            # A lane that is cancelled, perhaps before its first step, leaves nobody waiting.
            _tell(group, lambda answer, _key: answer.cancel())
            self._hand_on()

        lane.add_done_callback(ended)

    def _take(self) -> _Group[Key, Value]:
        """Those who have waited longest and wait still."""
        group: _Group[Key, Value] = {}
        while self._waiting and len(group) < _MOST:
            key = next(iter(self._waiting))
            answers = [answer for answer in self._waiting.pop(key) if not answer.done()]
            if answers:
                group[key] = answers
        return group

    async def _serve(self, group: _Group[Key, Value]) -> None:
        """Answer the readers of a group; raises nothing but cancellation."""
        try:
            found = await self._read(list(group))
        except Exception as error:  # it is each reader's own answer
            failure = error
            _tell(group, lambda answer, _key: answer.set_exception(failure))
        else:
            _tell(group, lambda answer, key: answer.set_result(found.get(key)))


def _tell(
    group: _Group[Key, Value],
    tell: Callable[[asyncio.Future[Value | None], Key], object],
) -> None:
    """Tell every reader who waits still."""
    for key, answers in group.items():
        for answer in answers:
            if not answer.done():
                tell(answer, key)
