"""What an asynchronous client has: as `resources`, but methods are awaited."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

from refundry_sync.client.call import Call, Listing
from refundry_sync.client.operations import after_sale, events, orders, refunds

Given = ParamSpec("Given")
Found = TypeVar("Found")


class AsyncRunner(Protocol):
    """What makes methods of operations."""

    def one(self, make: Callable[Given, Call[Found]]) -> Callable[Given, Awaitable[Found]]: ...

    def all(
        self, make: Callable[Given, Listing[Found]]
    ) -> Callable[Given, AsyncIterator[Found]]: ...


class AsyncOrders:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(orders.list_orders)
        self.get = runner.one(orders.get_order)
        self.create = runner.one(orders.create_order)
        self.update = runner.one(orders.update_order)


class AsyncCharges:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(orders.list_charges)
        self.get = runner.one(orders.get_charge)


class AsyncSources:
    def __init__(self, runner: AsyncRunner) -> None:
        self.get = runner.one(orders.get_source)


class AsyncFulfillments:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(orders.list_fulfillments)
        self.get = runner.one(orders.get_fulfillment)
        self.create = runner.one(orders.create_fulfillment)


class AsyncRefunds:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(refunds.list_refunds)
        self.get = runner.one(refunds.get_refund)
        self.create = runner.one(refunds.create_refund)
        self.update = runner.one(refunds.update_refund)
        self.another_way = runner.one(refunds.pay_refund_another_way)


class AsyncRefundPreviews:
    def __init__(self, runner: AsyncRunner) -> None:
        self.create = runner.one(refunds.create_refund_preview)


class AsyncRefundTokens:
    def __init__(self, runner: AsyncRunner) -> None:
        self.get = runner.one(refunds.get_refund_token)
        self.submit = runner.one(refunds.submit_refund_token)


class AsyncReturns:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(after_sale.list_returns)
        self.get = runner.one(after_sale.get_return)
        self.create = runner.one(after_sale.create_return)
        self.update = runner.one(after_sale.update_return)


class AsyncDisputes:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(after_sale.list_disputes)
        self.get = runner.one(after_sale.get_dispute)
        self.create = runner.one(after_sale.create_dispute)
        self.update = runner.one(after_sale.update_dispute)


class AsyncSalesTransactions:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(after_sale.list_sales_transactions)
        self.get = runner.one(after_sale.get_sales_transaction)


class AsyncEvents:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(events.list_events)
        self.get = runner.one(events.get_event)


class AsyncWebhooks:
    def __init__(self, runner: AsyncRunner) -> None:
        self.list = runner.all(events.list_webhooks)
        self.get = runner.one(events.get_webhook)
        self.create = runner.one(events.create_webhook)
        self.update = runner.one(events.update_webhook)
        self.delete = runner.one(events.delete_webhook)
        self.attempts = runner.all(events.list_attempts)
        self.resend = runner.one(events.resend_event)
        self.recover = runner.one(events.recover_webhook)


class AsyncProcessorNotifications:
    def __init__(self, runner: AsyncRunner) -> None:
        self.create = runner.one(events.create_processor_notification)


class AsyncTestClock:
    __test__ = False

    def __init__(self, runner: AsyncRunner) -> None:
        self.advance = runner.one(events.advance_test_clock)


class AsyncResources:
    """All of them."""

    def __init__(self, runner: AsyncRunner) -> None:
        self.orders = AsyncOrders(runner)
        self.charges = AsyncCharges(runner)
        self.sources = AsyncSources(runner)
        self.fulfillments = AsyncFulfillments(runner)
        self.refunds = AsyncRefunds(runner)
        self.refund_previews = AsyncRefundPreviews(runner)
        self.refund_tokens = AsyncRefundTokens(runner)
        self.returns = AsyncReturns(runner)
        self.disputes = AsyncDisputes(runner)
        self.sales_transactions = AsyncSalesTransactions(runner)
        self.events = AsyncEvents(runner)
        self.webhooks = AsyncWebhooks(runner)
        self.processor_notifications = AsyncProcessorNotifications(runner)
        self.test_clock = AsyncTestClock(runner)
