"""The queue of refunds: nobody waits in vain, in 200,000 operations here and 10 million by hand."""

import re

import pytest

from refundry.refunds.queueing import GroupQueue
from tests.stress.queue_faults import FAULTS, Fault
from tests.stress.queue_model import EPOCH_OPERATIONS, run_epoch

OPERATIONS = 200_000
# Within so many epochs every fault that was put in must be found.
FAULT_EPOCHS = 20


def test_nobody_is_lost_served_twice_or_overtaken() -> None:
    happened = run_epoch(1, 0)
    for epoch in range(1, OPERATIONS // EPOCH_OPERATIONS):
        happened += run_epoch(1, epoch)
    assert len(happened) == 8
    assert min(happened.values()) > 1_000


@pytest.mark.check
def test_ten_million_operations_lose_nobody() -> None:
    for epoch in range(10_000_000 // EPOCH_OPERATIONS):
        run_epoch(2, epoch)


def run_epochs(fault: Fault) -> None:
    for epoch in range(FAULT_EPOCHS):
        run_epoch(1, epoch, fault)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_was_put_in_is_found_and_found_again(name: str) -> None:
    with pytest.raises(AssertionError) as found:
        run_epochs(FAULTS[name])
    (replay,) = found.value.__notes__
    epoch = re.fullmatch(rf".* --seed 1 --epoch (\d+) --fault {name}", replay)
    assert epoch
    with pytest.raises(AssertionError) as again:
        run_epoch(1, int(epoch[1]), FAULTS[name])
    assert str(again.value) == str(found.value)


def test_a_lane_that_ends_looks_once_more() -> None:
    """Somebody comes after a lane took nobody, and before it is over."""
    queue = GroupQueue[str](most_lanes=1, most_members=2)
    assert queue.join("a")
    assert queue.take() == ["a"]
    assert queue.take() == []
    assert not queue.join("b")
    assert queue.end()
    assert queue.take() == ["b"]
    assert queue.take() == []
    assert not queue.end()
    assert (queue.waiting, queue.lanes) == (0, 0)


def test_members_are_taken_in_the_order_of_their_arrival_but_for_those_who_left() -> None:
    queue = GroupQueue[int](most_lanes=2, most_members=3)
    assert [queue.join(member) for member in range(1, 7)] == [True, True, *[False] * 4]
    queue.leave(2)
    queue.leave(7)
    assert [queue.take(), queue.take(), queue.take()] == [[1, 3, 4], [5, 6], []]


def test_a_lane_is_started_beside_another_where_enough_wait_or_somebody_hurries() -> None:
    queue = GroupQueue[int](most_lanes=3, most_members=9, worth=3)
    assert queue.join(0)
    assert queue.take() == [0]
    assert not queue.hurry()
    assert [queue.join(member) for member in range(1, 5)] == [False, False, True, True]
    assert (queue.lanes, queue.hurry()) == (3, False)
    queue = GroupQueue[int](most_lanes=2, most_members=9, worth=3)
    assert [queue.join(0), queue.join(1), queue.hurry(), queue.hurry()] == [
        True,
        False,
        True,
        False,
    ]
