"""New ids: in the order of time where many rows are keyed by them, random where they are secret."""

import os
import random
import time
import uuid

from refundry import ids
from refundry.ids import drawn_from, new_ordered_uuid, new_refund_id, new_uuid


def test_ordered_ids_are_of_version_7_and_begin_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_ordered_uuid())
    assert (made.variant, made.version) == (uuid.RFC_4122, 7)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_ordered_uuid() for _ in range(10_000)}) == 10_000


def test_later_refunds_have_later_ids() -> None:
    first = new_refund_id()
    time.sleep(0.002)
    assert first < new_refund_id()


def test_what_is_secret_says_nothing_of_its_time() -> None:
    assert uuid.UUID(new_uuid()).version == 4


def test_a_seeded_source_gives_the_same_ids_again() -> None:
    def draw() -> list[str]:
        with drawn_from(random.Random(7)):
            return [new_ordered_uuid(), new_uuid(), new_refund_id()]

    assert draw() == draw()


def test_a_pool_of_randomness_never_gives_the_same_twice() -> None:
    source = ids.PooledRandom()
    drawn = [source.getrandbits(64) for _ in range(20_000)]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= source.getrandbits(3) < 8 for _ in range(100))
    assert len({source.getrandbits(62) >> 61 for _ in range(100)}) == 2


def test_a_child_draws_other_ids_than_its_parent() -> None:
    source = ids.PooledRandom()
    source.getrandbits(8)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, source.getrandbits(64).to_bytes(8))
        os._exit(0)
    os.waitpid(child, 0)
    assert int.from_bytes(os.read(reading, 8)) != source.getrandbits(64)
    os.close(reading)
    os.close(writing)
