"""The client against the running service: every resource, exact amounts, pages, refusals."""

from decimal import Decimal

from refundry_sync.client import Client
from refundry_sync.models import Order

# In Decimal, as a shop has its amounts.
ORDER = {
    "currency": "USD",
    "upstreamId": "WEB-1",
    "email": "ana.lind@example.com",
    "items": [
        {
            "skuId": "sku-tee",
            "amount": Decimal("20.00"),
            "quantity": 2,
            "tax": {"amount": Decimal("1.61")},
        }
    ],
    "totalAmount": Decimal("21.61"),
    "payment": {
        "sources": [
            {
                "type": "creditCard",
                "amount": Decimal("21.61"),
                "creditCard": {
                    "number": "4444222233331111",
                    "expirationMonth": 7,
                    "expirationYear": 2030,
                },
            }
        ]
    },
}


def complete(client: Client) -> Order:
    """An order that is shipped and captured."""
    order = client.orders.create(ORDER)
    items = [{"itemId": order.items[0].id, "quantity": 2}]
    client.fulfillments.create({"orderId": order.id, "items": items})
    client.test_clock.advance(0)
    return client.orders.get(order.id)


def ask(order: Order, amount: str) -> dict[str, object]:
    return {"orderId": order.id, "currency": order.currency, "amount": Decimal(amount)}


def test_an_order_is_taken_in_shipped_and_refunded(client: Client) -> None:
    order = complete(client)
    assert (order.state, order.captured_amount) == ("complete", Decimal("21.61"))
    assert order.payment is not None
    assert order.document["items"][0]["tax"] == {"amount": Decimal("1.61")}
    refund = client.refunds.create(ask(order, "10.80"))
    assert (refund.state, refund.amount, refund.refunded_amount) == ("pending", Decimal("10.8"), 0)
    client.test_clock.advance(0)
    refund = client.refunds.get(refund.id)
    assert (refund.state, refund.refunded_amount) == ("succeeded", Decimal("10.8"))
    source = client.sources.get(order.payment.sources[0].id)
    assert source.credit_card is not None
    assert source.credit_card["lastFourDigits"] == "1111"
    charge = client.charges.get(order.payment.charges[0].id)
    assert [each.amount for each in charge.refunds] == [Decimal("10.8")]
    assert client.orders.get(order.id).available_to_refund_amount == Decimal("10.81")
