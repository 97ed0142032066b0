"""A shop, its gateway and the processor behind it, as the tests use them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from refundry.domain.refund import Refund
from refundry.gateways.store import Gateway
from refundry.operations import gateway_notices, janitor
from refundry.operations.check_store import Standing, standings
from refundry.operations.gateway_notices import Inbox
from refundry.operations.janitor import Desk
from tests.contract.connectors.stand import Sent
from tests.contract.servers.stripe import SECRET_KEY, WEBHOOK_SECRET, StripeServer
from tests.support.books import Shop
from tests.support.fixtures import order_body
from tests.support.http import Doc

CREDENTIALS = json.dumps({"secret_key": SECRET_KEY, "webhook_secret": WEBHOOK_SECRET})


@dataclass(frozen=True, slots=True)
class Till:
    """A shop with a gateway to a stand-in of Stripe."""

    shop: Shop
    stripe: StripeServer
    gateway: Gateway

    def desk(self) -> Desk:
        worker = self.shop.worker
        return Desk(
            worker.database, worker.settings, worker.clock, worker.bookkeeper, worker.connectors
        )

    async def sold(self) -> Doc:
        """An order of 27.01 USD, paid by card, shipped and captured at the processor."""
        order, _ = await self.sold_with_payment()
        return order

    async def sold_with_payment(self) -> tuple[Doc, str]:
        """The same, and the processor's reference of its payment."""
        body = order_body("A")
        payment = self.stripe.pay(2701, "USD", captured=False)
        body["payment"]["sources"][0]["processorReference"] = payment
        return await self.shop.captured(body), payment

    async def refunded(self, order: Doc, amount: str) -> Refund:
        """A refund, and all that is due because of it done."""
        refund_id = await self.shop.ask(order, amount)
        await self.shop.settle()
        return await self.refund(refund_id)

    async def refund(self, refund_id: str) -> Refund:
        return (await self.shop.find(refund_id)).refund

    async def standing(self, refund: Refund) -> Standing:
        """What is known of the refund's only record."""
        (part,) = refund.parts
        found = await standings(
            self.shop.database, self.shop.tenant, refund.order_id, [part.operation_id]
        )
        return found[part.operation_id]

    async def later(self, **by: float) -> None:
        """Let time pass here and there, and do what is due then."""
        await self.shop.advance(timedelta(**by))
        self.stripe.advance(timedelta(**by).total_seconds())
        await self.shop.settle()

    async def tell(self, sent: Sent) -> bool:
        """Bring a notification; whether it was new. Raises Forged."""
        worker = self.shop.worker
        inbox = Inbox(worker.books, worker.settings, worker.connectors)
        now = datetime.fromtimestamp(self.stripe.books.now, UTC)
        return await gateway_notices.receive(inbox, self.gateway, sent.headers, sent.body, now)

    async def tell_all(self) -> None:
        """Bring what the processor has to tell."""
        for sent in self.stripe.sent():
            await self.tell(sent)

    async def list_refunds(self) -> None:
        """Have the processor's refunds listed now."""
        await self.shop.database.execute(
            "UPDATE gateways SET listed_until = NULL, leased_until = NULL WHERE id = $1",
            self.gateway.id,
        )
        await janitor.list_due(self.desk(), self.shop.worker.books)

    def paid(self, payment: str) -> Decimal:
        """What the processor really paid back of a payment, in major units."""
        return (
            Decimal(
                sum(
                    held.amount
                    for held in self.stripe.held(payment)
                    if held.kind == "refund" and held.state != "failed"
                )
            )
            / 100
        )
