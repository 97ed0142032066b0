from datetime import timedelta

from refundry.ids import new_fulfillment_id, new_number, new_refund_id, new_secret_hex, new_uuid
from refundry.outbox.store import event_times
from tests.unit.given import NOW

MICRO = timedelta(microseconds=1)


def test_events_of_one_change_are_a_microsecond_apart() -> None:
    assert event_times(NOW, None, 3) == [NOW, NOW + MICRO, NOW + 2 * MICRO]
    assert event_times(NOW, NOW - MICRO, 2) == [NOW, NOW + MICRO]


def test_events_come_after_the_last_one_even_if_the_clock_went_back() -> None:
    for last in (NOW, NOW + timedelta(hours=1)):
        assert event_times(NOW, last, 2) == [last + MICRO, last + 2 * MICRO]


def test_changes_of_one_instant_make_one_strictly_rising_row() -> None:
    times = event_times(NOW, None, 5)
    for _ in range(10):
        times += event_times(NOW, times[-1], 3)
    assert times == sorted(set(times))
    assert len(times) == 35


def test_no_events_take_no_time() -> None:
    assert event_times(NOW, NOW, 0) == []


def test_new_ids_have_the_forms_of_the_contract() -> None:
    number = new_number()
    assert len(number) == 12
    assert number.isdecimal()
    assert number[0] != "0"
    assert len(new_uuid()) == 36
    assert new_refund_id().removeprefix("re_").count("-") == 4
    assert new_fulfillment_id().removeprefix("ful_").count("-") == 4
    assert len(bytes.fromhex(new_secret_hex())) == 16
    assert len({new_refund_id() for _ in range(100)}) == 100
