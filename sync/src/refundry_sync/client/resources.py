"""What a client has: an attribute for each resource, and on it a method for each operation.

A method takes what its function in `operations` takes. The asynchronous twin of this module is
`async_resources`.
"""

from collections.abc import Callable, Iterator
from typing import ParamSpec, Protocol, TypeVar

from refundry_sync.client.call import Call, Listing
from refundry_sync.client.operations import after_sale, events, orders, refunds

Given = ParamSpec("Given")
Found = TypeVar("Found")


class Runner(Protocol):
    """What makes methods of operations."""

    def one(self, make: Callable[Given, Call[Found]]) -> Callable[Given, Found]: ...

    def all(self, make: Callable[Given, Listing[Found]]) -> Callable[Given, Iterator[Found]]: ...


class Orders:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(orders.list_orders)
        self.get = runner.one(orders.get_order)
        self.create = runner.one(orders.create_order)
        self.update = runner.one(orders.update_order)


class Charges:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(orders.list_charges)
        self.get = runner.one(orders.get_charge)


class Sources:
    def __init__(self, runner: Runner) -> None:
        self.get = runner.one(orders.get_source)


class Fulfillments:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(orders.list_fulfillments)
        self.get = runner.one(orders.get_fulfillment)
        self.create = runner.one(orders.create_fulfillment)


class Refunds:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(refunds.list_refunds)
        self.get = runner.one(refunds.get_refund)
        self.create = runner.one(refunds.create_refund)
        self.update = runner.one(refunds.update_refund)
        self.another_way = runner.one(refunds.pay_refund_another_way)


class RefundPreviews:
    def __init__(self, runner: Runner) -> None:
        self.create = runner.one(refunds.create_refund_preview)


class RefundTokens:
    def __init__(self, runner: Runner) -> None:
        self.get = runner.one(refunds.get_refund_token)
        self.submit = runner.one(refunds.submit_refund_token)


class Returns:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(after_sale.list_returns)
        self.get = runner.one(after_sale.get_return)
        self.create = runner.one(after_sale.create_return)
        self.update = runner.one(after_sale.update_return)


class Disputes:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(after_sale.list_disputes)
        self.get = runner.one(after_sale.get_dispute)
        self.create = runner.one(after_sale.create_dispute)
        self.update = runner.one(after_sale.update_dispute)


class SalesTransactions:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(after_sale.list_sales_transactions)
        self.get = runner.one(after_sale.get_sales_transaction)


class Events:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(events.list_events)
        self.get = runner.one(events.get_event)


class Webhooks:
    def __init__(self, runner: Runner) -> None:
        self.list = runner.all(events.list_webhooks)
        self.get = runner.one(events.get_webhook)
        self.create = runner.one(events.create_webhook)
        self.update = runner.one(events.update_webhook)
        self.delete = runner.one(events.delete_webhook)
        self.attempts = runner.all(events.list_attempts)
        self.resend = runner.one(events.resend_event)
        self.recover = runner.one(events.recover_webhook)


class ProcessorNotifications:
    def __init__(self, runner: Runner) -> None:
        self.create = runner.one(events.create_processor_notification)


class TestClock:
    __test__ = False

    def __init__(self, runner: Runner) -> None:
        self.advance = runner.one(events.advance_test_clock)


class Resources:
    """All of them."""

    def __init__(self, runner: Runner) -> None:
        self.orders = Orders(runner)
        self.charges = Charges(runner)
        self.sources = Sources(runner)
        self.fulfillments = Fulfillments(runner)
        self.refunds = Refunds(runner)
        self.refund_previews = RefundPreviews(runner)
        self.refund_tokens = RefundTokens(runner)
        self.returns = Returns(runner)
        self.disputes = Disputes(runner)
        self.sales_transactions = SalesTransactions(runner)
        self.events = Events(runner)
        self.webhooks = Webhooks(runner)
        self.processor_notifications = ProcessorNotifications(runner)
        self.test_clock = TestClock(runner)
