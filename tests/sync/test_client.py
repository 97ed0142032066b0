"""The client against the running service: every resource, exact amounts, pages, refusals."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from refundry_sync.client import AsyncClient, Client
from refundry_sync.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    Problem,
    SyncError,
    Unauthorized,
)
from refundry_sync.models import Event, Order, Refund, Return
from tests.support.answers import OK
from tests.support.fixtures import order_body
from tests.support.receiver import Receiver
from tests.support.service import Account, Service

MISSING = "00000000-0000-4000-8000-000000000000"


def exact(value: Any) -> Any:
    """A body of the fixtures with its floats as a shop has them."""
    match value:
        case float():
            return Decimal(str(value))
        case dict():
            return {name: exact(each) for name, each in value.items()}  # pyright: ignore
        case list():
            return [exact(each) for each in value]  # pyright: ignore
        case _:
            return value


def complete(client: Client, name: str = "A", **fields: object) -> Order:
    """An order of the fixtures that is shipped and captured."""
    order = client.orders.create(exact(order_body(name, **fields)))
    items = [{"itemId": each.id, "quantity": each.quantity} for each in order.items]
    client.fulfillments.create({"orderId": order.id, "items": items})
    client.test_clock.advance(0)
    return client.orders.get(order.id)


def ask(order: Order, amount: str) -> dict[str, object]:
    return {"orderId": order.id, "currency": order.currency, "amount": Decimal(amount)}


def test_an_order_is_taken_in_shipped_and_refunded(client: Client) -> None:
    order = complete(client)
    assert (order.state, order.captured_amount) == ("complete", Decimal("27.01"))
    assert order.document["items"][0]["tax"] == {"amount": Decimal("1.61")}
    assert order.items[0].tax is not None
    assert order.items[0].tax.amount == Decimal("1.61")
    refund = client.refunds.create(ask(order, "13.51"))
    assert (refund.state, refund.amount, refund.refunded_amount) == ("pending", Decimal("13.51"), 0)
    client.test_clock.advance(0)
    refund = client.refunds.get(refund.id)
    assert (refund.state, refund.refunded_amount) == ("succeeded", Decimal("13.51"))
    assert order.payment is not None
    source = client.sources.get(order.payment.sources[0].id)
    assert source.credit_card is not None
    assert source.credit_card["lastFourDigits"] == "1111"
    charge = client.charges.get(order.payment.charges[0].id)
    assert [each.amount for each in charge.refunds] == [Decimal("13.51")]
    assert client.orders.get(order.id).available_to_refund_amount == Decimal("13.5")


def test_refusals_carry_code_parameter_and_message(client: Client) -> None:
    order = complete(client)
    with pytest.raises(BadRequest) as refused:
        client.refunds.create(ask(order, "27.02"))
    message = "The requested refund amount is greater than the available amount."
    assert refused.value.problems == (Problem("invalid_parameter", "amountRequested", message),)
    assert refused.value.codes == ("invalid_parameter",)
    assert str(refused.value) == f"400: amountRequested: {message}"
    with pytest.raises(BadRequest) as malformed:
        client.refunds.create({"orderId": order.id, "colour": "red"})
    assert [each.parameter for each in malformed.value.problems] == ["currency", "amount", "colour"]
    assert isinstance(malformed.value, SyncError)
    with pytest.raises(NotFound) as missing:
        client.refunds.get("re_x")
    assert (missing.value.status, missing.value.codes) == (404, ("not_found",))
    assert missing.value.request_id
    assert client.orders.get(order.id).available_to_refund_amount == Decimal("27.01")


def test_keys_that_may_not(service: Service, account: Account, url: str) -> None:
    with Client(url, "sk_test_" + 32 * "0") as stranger, pytest.raises(Unauthorized):
        stranger.orders.get("1")
    reader = account.create_key(kind="restricted", permissions={"orders": "read"})
    with Client(url, reader) as client:
        assert list(client.orders.list()) == []
        with pytest.raises(Forbidden):
            client.refunds.get("re_x")


def test_the_same_idempotency_key_is_one_refund(client: Client) -> None:
    order = complete(client)
    first = client.refunds.create(ask(order, "1.00"), idempotency_key="shop-1")
    again = client.refunds.create(ask(order, "1.00"), idempotency_key="shop-1")
    assert again == first
    with pytest.raises(Conflict) as other:
        client.refunds.create(ask(order, "2.00"), idempotency_key="shop-1")
    assert other.value.codes == ("idempotency_key_reused",)
    assert [each.id for each in client.refunds.list(order_id=order.id)] == [first.id]


def test_lists_go_through_their_pages_in_both_directions(client: Client) -> None:
    order = complete(client)
    made = [client.refunds.create(ask(order, f"1.0{n}")) for n in range(5)]
    newest_first = [each.id for each in reversed(made)]
    for page_size in (1, 2, 5, 100):
        found = client.refunds.list(order_id=order.id, page_size=page_size)
        assert [each.id for each in found] == newest_first
    after = client.refunds.list(starting_after=made[3].id, page_size=2)
    assert [each.id for each in after] == newest_first[2:]
    since = client.refunds.list(ending_before=made[0].id, page_size=2)
    assert [each.id for each in since] == [each.id for each in made[1:]]
    assert list(client.refunds.list(ending_before=made[4].id)) == []
    assert client.refunds.list(order_id=order.id) is not client.refunds.list(order_id=order.id)


def test_filters_are_understood(client: Client) -> None:
    order = complete(client, upstreamId="WEB-1")
    other = client.orders.create(exact(order_body("D")))
    assert order.created_time is not None
    soon = order.created_time.astimezone() + timedelta(hours=1)
    ids = {order.id, other.id}
    assert {each.id for each in client.orders.list(ids=ids)} == ids
    assert [each.id for each in client.orders.list(upstream_ids=["WEB-1", "x"])] == [order.id]
    cheap = client.orders.list(total_amount_gt=Decimal("27.01"), total_amount_lte=28)
    assert [each.id for each in cheap] == [other.id]
    assert [each.id for each in client.orders.list(complete_lt=soon)] == [order.id]
    assert list(client.orders.list(created_time_gte=soon)) == []
    assert len(list(client.orders.list(created_time_gte=datetime(2024, 5, 1, tzinfo=UTC)))) == 2
    (shown,) = client.orders.list(currency="EUR", expand=True)
    assert shown.id == other.id
    types = ["refund.complete", "order.complete"]
    assert [each.type for each in client.events.list(types=types)] == ["order.complete"]


def test_events_carry_their_resource(client: Client) -> None:
    order = complete(client)
    refund = client.refunds.create(ask(order, "1.00"))
    kinds: dict[str, Event] = {each.type: each for each in client.events.list()}
    created = client.events.get(kinds["refund.created"].id)
    changed = created.resource()
    assert isinstance(changed, Refund)
    assert (changed.id, changed.amount) == (refund.id, Decimal("1"))
    assert isinstance(kinds["order.complete"].resource(), Order)
    assert created.sequence == kinds["refund.pending"].sequence - 1  # pyright: ignore[reportOptionalOperand]


def test_webhooks_come_change_and_go(client: Client, receiver: Receiver) -> None:
    body = {"types": ["refund.complete"], "address": receiver.endpoint(OK).url}
    webhook = client.webhooks.create(body)
    assert [each.id for each in client.webhooks.list(type="refund.*")] == [webhook.id]
    assert client.webhooks.update(webhook.id, {"enabled": False}).enabled is False
    assert client.webhooks.get(webhook.id).types == ("refund.complete",)
    client.webhooks.update(webhook.id, {"enabled": True})
    order = complete(client)
    client.refunds.create(ask(order, "1.00"))
    client.test_clock.advance(0)
    (event,) = client.events.list(type="refund.complete")
    assert client.webhooks.resend(webhook.id, event.id).queued == 1
    since = datetime.now(UTC) - timedelta(days=1)
    assert client.webhooks.recover(webhook.id, since).queued == 0
    client.test_clock.advance(0)
    attempts = list(client.webhooks.attempts(webhook.id, event_id=event.id, page_size=1))
    assert [each.status for each in attempts] == [204, 204]
    client.webhooks.delete(webhook.id)
    with pytest.raises(NotFound):
        client.webhooks.delete(webhook.id)


def test_previews_returns_disputes_and_what_they_take(client: Client) -> None:
    order = complete(client)
    preview = client.refund_previews.create(ask(order, "27.02"))
    assert (preview.allowed, preview.most_amount) == (False, Decimal("27.01"))
    body = {"orderId": order.id, "items": [{"itemId": order.items[0].id, "quantity": 1}]}
    back = client.returns.create(body)
    back = client.returns.update(back.id, {"state": "accepted"})
    assert (back.state, len(back.refund_ids)) == ("accepted", 1)
    assert [each.id for each in client.returns.list(order_id=order.id)] == [back.id]
    (accepted,) = client.events.list(type="return.accepted")
    assert isinstance(accepted.resource(), Return)
    client.test_clock.advance(0)
    dispute = client.disputes.create(order.id, {"amount": Decimal("10.00")})
    dispute = client.disputes.update(dispute.id, {"outcome": "lost", "fraud": True})
    assert (dispute.state, dispute.chargeback_amount) == ("lost", 10)
    assert client.disputes.get(dispute.id) == dispute
    taken = list(client.sales_transactions.list(order_id=order.id))
    assert sum(each.amount for each in taken) == -10
    assert client.sales_transactions.get(taken[0].id).type == "fraud_chargeback"


def test_bank_details_are_handed_in(client: Client) -> None:
    order = complete(client, "Q")
    refund = client.refunds.create(ask(order, "1.00"))
    client.test_clock.advance(0)
    waiting = client.refunds.get(refund.id)
    assert waiting.token_information is not None
    token = waiting.token_information.token
    assert token not in repr(waiting.token_information)
    form = client.refund_tokens.get(token, language="de")
    assert (form.refund_id, form.amount) == (refund.id, 1)
    values = {"accountHolderName": "Ana Lind", "iban": "DE89370400440532013000"}
    given = {each.name: values.get(each.name, "x") for each in form.fields if each.required}
    with pytest.raises(BadRequest):
        client.refund_tokens.submit(token, {"fields": {}})
    assert client.refund_tokens.submit(token, {"fields": given}).state == "pending"


def test_a_processor_can_be_played(client: Client, service: Service) -> None:
    order = complete(client)
    assert order.payment is not None
    charge = order.payment.charges[0].id
    data = {"chargeId": charge, "processorReference": f"case-{charge}", "amount": Decimal("1.00")}
    note = {"id": f"note-{charge}", "type": "dispute.opened", "data": data}
    secret, now = service.sandbox_secret, datetime.now(UTC)
    for duplicate in (False, True):
        taken = client.processor_notifications.create(note, secret=secret, now=now)
        assert taken.duplicate == duplicate
    assert [each.amount for each in client.disputes.list(order_id=order.id)] == [1]


def test_metadata_and_fulfillments(client: Client) -> None:
    order = complete(client)
    client.orders.update(order.id, {"metadata": {"channel": "web", "weight": Decimal("1.25")}})
    assert client.orders.get(order.id).metadata == {"channel": "web", "weight": Decimal("1.25")}
    refund = client.refunds.create(ask(order, "1.00"))
    assert client.refunds.update(refund.id, {"metadata": {"by": "Ana"}}).metadata == {"by": "Ana"}
    (shipped,) = client.fulfillments.list(order_id=order.id)
    assert client.fulfillments.get(shipped.id).items[0].quantity == 2
    assert [each.order_id for each in client.charges.list(order_id=order.id)] == [order.id]
    assert client.orders.get(order.id, expand=True).id == order.id


async def test_the_asynchronous_client_does_the_same(async_client: AsyncClient) -> None:
    client = async_client
    order = await client.orders.create(exact(order_body("A")))
    items = [{"itemId": order.items[0].id, "quantity": 2}]
    await client.fulfillments.create({"orderId": order.id, "items": items})
    await client.test_clock.advance(0)
    made = [await client.refunds.create(ask(order, f"1.0{n}")) for n in range(3)]
    found = [each.id async for each in client.refunds.list(order_id=order.id, page_size=2)]
    assert found == [each.id for each in reversed(made)]
    with pytest.raises(BadRequest):
        await client.refunds.create(ask(order, "27.01"))
    with pytest.raises(NotFound):
        await client.orders.get(MISSING)
