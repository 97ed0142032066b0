import pytest

from refundry.domain.event import Change, EventType, entry_event
from refundry.domain.order import OrderState
from tests.unit.given import NOW, SECOND, order_a, types


def test_a_change_is_one_version_and_one_time() -> None:
    order = order_a()
    change = Change(order, NOW)
    assert change.order.version == order.version + 1
    assert change.order.updated_at == SECOND
    change.charge_event(EventType.CHARGE_REFUND_PENDING, "c0")
    assert change.order.version == order.version + 1


def test_each_published_snapshot_has_a_version_of_its_own() -> None:
    order = order_a()
    change = Change(order, NOW)
    change.order_event(EventType.ORDER_FULFILLED)
    change.order_event(EventType.ORDER_COMPLETE)
    versions = [draft.order.version for draft in change.drafts]
    assert versions == [order.version + 1, order.version + 2]
    assert change.order.version == order.version + 2


def test_events_keep_the_order_as_it_was_when_they_were_due() -> None:
    order = order_a()
    change = Change(order, NOW)
    change.charge_event(EventType.CHARGE_REFUND_PENDING, "c0")
    change.enter_charge_state(order.charges[0], order.charges[0].state)
    assert types(change) == ["order.charge.refund.pending", "order.charge.complete"]
    assert change.drafts[0].charge_id == "c0"


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ("pending_payment", "order.pending_payment"),
        ("in_review", "order.review_opened"),
        ("blocked", "order.blocked"),
        ("accepted", "order.accepted"),
        ("cancelled", "order.cancelled"),
        ("fulfilled", "order.fulfilled"),
        ("complete", "order.complete"),
        ("returned", None),
        ("dispute", None),
    ],
)
def test_the_entry_into_a_state_has_its_event(state: str, event: str | None) -> None:
    assert entry_event(OrderState(state)) == event
