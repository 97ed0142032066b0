"""Shared reads: a lone reader goes at once, others share the next one, nobody waits forever."""

import asyncio
from collections.abc import Sequence

import pytest

from refundry.db.sharing import SharedReads


class Source:
    """What is read. Each read waits until it is let go, and finds what is there then."""

    def __init__(self) -> None:
        self.values = {"a": 1, "b": 1}
        self.asked: list[list[str]] = []
        self.gates: list[asyncio.Event] = []
        self.broken = False

    async def read(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(list(keys))
        # A statement sees what was committed when it began.
        found = {key: self.values[key] for key in keys if key in self.values}
        broken = self.broken
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        if broken:
            raise OSError
        return found

    async def let_go(self) -> None:
        """Let the oldest read go, and what follows from that happen."""
        self.gates.pop(0).set()
        await turn()


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_reader_goes_at_once() -> None:
    source = Source()
    reader = asyncio.create_task(SharedReads(source.read, most_lanes=1).find("a"))
    await asyncio.sleep(0)
    assert source.asked == [["a"]]
    await source.let_go()
    assert await reader == 1


async def test_who_comes_while_one_is_read_shares_the_next() -> None:
    source = Source()
    reads = SharedReads(source.read, most_lanes=1)
    first = asyncio.create_task(reads.find("a"))
    await turn()
    source.values["a"] = 2
    others = [asyncio.create_task(reads.find(key)) for key in ("a", "b", "none", "a")]
    await turn()
    await source.let_go()
    assert await first == 1
    await source.let_go()
    # What changed before they asked, they see.
    assert await asyncio.gather(*others) == [2, 1, None, 2]
    assert source.asked == [["a"], ["a", "b", "none"]]


async def test_a_failed_read_fails_its_own_readers_alone() -> None:
    source = Source()
    reads = SharedReads(source.read, most_lanes=1)
    first = asyncio.create_task(reads.find("a"))
    await turn()
    failing = [asyncio.create_task(reads.find(key)) for key in ("a", "b")]
    await turn()
    source.broken = True
    await source.let_go()
    assert await first == 1
    later = asyncio.create_task(reads.find("b"))
    await turn()
    source.broken = False
    await source.let_go()
    assert all(isinstance(each, OSError) for each in await gathered(failing))
    await source.let_go()
    assert await later == 1


async def gathered(tasks: Sequence["asyncio.Task[int | None]"]) -> list[object]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize("victim", [0, 1])
async def test_who_gives_up_keeps_nobody_waiting(victim: int) -> None:
    """The first reads in its own task; the second waits for the next read."""
    source = Source()
    reads = SharedReads(source.read, most_lanes=1)
    readers = [asyncio.create_task(reads.find(key)) for key in ("a", "b", "b")]
    await turn()
    readers[victim].cancel()
    await turn()
    if victim == 1:
        await source.let_go()
    else:
        source.gates.pop(0)
    await source.let_go()
    assert await readers[2] == 1
    again = asyncio.create_task(reads.find("a"))
    await turn()
    await source.let_go()
    assert await again == 1


async def test_two_thousand_readers_of_a_few_keys_are_all_answered() -> None:
    source = Source()
    source.values = {str(number): number for number in range(200)}

    async def read(keys: Sequence[str]) -> dict[str, int]:
        await asyncio.sleep(0)
        return {key: source.values[key] for key in keys}

    reads = SharedReads(read)
    async with asyncio.timeout(30):
        found = await asyncio.gather(*(reads.find(str(n % 200)) for n in range(2000)))
    assert found == [n % 200 for n in range(2000)]
