"""The event types that a webhook may subscribe to."""

import pytest

from refundry.domain.event import EventType
from refundry.webhooks.types import EXPANDABLE, SUBSCRIBABLE


def test_everything_that_is_emitted_can_be_subscribed_to() -> None:
    assert {each.value for each in EventType} <= set(SUBSCRIBABLE)


def test_no_type_is_there_twice_in_any_case() -> None:
    assert len({name.lower() for name in SUBSCRIBABLE}) == len(SUBSCRIBABLE)


@pytest.mark.parametrize(
    "name",
    [
        "account.update.failure",
        "checkout.created",
        "checkout_session.order.create",
        "checkout_session.order.created",
        "customer.invoice_attribute.created",
        "customer.source.deleted",
        "fileLink.updated",
        "fulfillment.create",
        "fulfillment_order.backordered",
        "global_returns.canceled",
        "global_returns.label.created",
        "invoice.payment_failed",
        "logistics_return.received",
        "order.charge.cancel.pending_information",
        "order.charge.reauth.failed",
        "order.credit_memo.created",
        "order.submitted",
        "payout.created",
        "refund.succeeded",
        "source.chargeable",
        "subscription.source_invalid",
        "tax_identifier.not_valid",
    ],
)
def test_types_of_other_systems_are_there_in_their_spelling(name: str) -> None:
    assert name in SUBSCRIBABLE
    assert name not in {each.value for each in EventType}


def test_the_number_of_types_is_that_of_the_contract() -> None:
    assert len(EventType) == 38
    assert len(SUBSCRIBABLE) == 38 + 93


def test_what_can_be_expanded_is_emitted() -> None:
    assert {EventType(name) for name in EXPANDABLE} == {
        EventType.ORDER_ACCEPTED,
        EventType.ORDER_CANCELLED,
        EventType.ORDER_REFUNDED,
        EventType.FULFILLMENT_CREATED,
    }
