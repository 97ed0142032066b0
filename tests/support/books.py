"""Orders and refunds made by the product's own commands, on a real database and without HTTP."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from refundry.access.commands import open_account
from refundry.access.store import shift_test_clock
from refundry.auditing import Finding, audit
from refundry.db.database import Database
from refundry.domain.fulfillment import FulfillmentAsk
from refundry.domain.order import Order
from refundry.domain.refund import RefundAsk
from refundry.errors import required
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.operations.inbox import Data, Notification
from refundry.operations.notifications import Received, receive
from refundry.operations.work import Worker, drain
from refundry.orders.commands import FulfillmentRequest, create_fulfillment, ingest_order
from refundry.orders.reading import read_order
from refundry.orders.store import find_order
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.lanes import RefundLanes
from refundry.refunds.store import StoredRefund, find_refund
from refundry.tenant import Tenant
from tests.support.http import Doc


@dataclass(frozen=True, slots=True)
class Shop:
    """An account of its own in test mode, and the worker's services."""

    worker: Worker
    tenant: Tenant

    @property
    def database(self) -> Database:
        return self.worker.database

    async def now(self) -> datetime:
        """The time on the account's test clock."""
        shift: timedelta = await self.database.fetchval(
            "SELECT test_clock_shift FROM accounts WHERE id = $1", self.tenant.account_id
        )
        return datetime.now(UTC) + shift

    async def advance(self, by: timedelta) -> None:
        """Move the test clock; nothing is run."""
        await shift_test_clock(self.database, self.tenant.account_id, by)

    async def settle(self) -> None:
        """Run all work that is due."""
        await drain(self.worker, self.tenant.account_id)

    async def take_in(self, body: Mapping[str, object]) -> Doc:
        """POST /orders."""
        now = await self.now()
        fields = Fields(read_object(json.dumps(body).encode()), [])
        read = read_order(fields, live=False, now=now)
        return json.loads(await ingest_order(self.database, self.tenant, read, now, None))

    async def fulfil(self, order: Doc, *units: int) -> Doc:
        """POST /fulfillments; units: one figure per line. Raises Refused."""
        asks = [
            FulfillmentAsk(item["id"], None, count, 0)
            for item, count in zip(order["items"], units, strict=True)
            if count
        ]
        request = FulfillmentRequest(order["id"], asks, [{} for _ in asks], {}, "{}")
        now = await self.now()
        return json.loads(await create_fulfillment(self.database, self.tenant, request, now, None))

    async def captured(self, body: Mapping[str, object]) -> Doc:
        """An order, fulfilled and captured as a whole."""
        order = await self.take_in(body)
        await self.fulfil(order, *(item["quantity"] for item in order["items"]))
        await self.settle()
        return order

    async def ask(self, order: Doc, amount: str, lanes: RefundLanes | None = None) -> str:
        """POST /refunds; gives the refund's id. lanes: of an API process; without, one by one.

        Raises Refused.
        """
        ask = RefundAsk(order["id"], None, order["currency"], amount=Decimal(amount))
        request = RefundRequest(ask, await self.now(), timedelta(), None)
        if lanes:
            body = await lanes.create(self.tenant, request)
        else:
            body = await create_refund(self.database, self.tenant, request)
        return json.loads(body)["id"]

    async def find(self, refund_id: str) -> StoredRefund:
        """The refund as it is stored."""
        found = await find_refund(self.database, self.tenant, refund_id)
        assert found is not None
        return found

    async def notify(self, type: str, operation_id: str) -> None:
        """A new notification of the sandbox's processor on an operation."""
        await self.hear(type, Data(operation_id=operation_id))

    async def hear(self, type: str, data: Data) -> str:
        """A new notification of the sandbox's processor; gives its id."""
        notification = Notification(str(uuid.uuid4()), type, data)
        body = msgspec.json.encode(notification).decode()
        received = Received("sandbox", False, notification, body)
        assert await receive(self.worker.books, received, datetime.now(UTC))
        return notification.id

    async def order(self, order: Doc) -> Order:
        """The order as it is stored."""
        return required(await find_order(self.database, self.tenant, order["id"])).order


async def open_shop(worker: Worker) -> Shop:
    """A shop that no other test knows of."""
    name = f"Shop {uuid.uuid4()}"
    opened = await open_account(worker.database, name, now=datetime.now(UTC))
    return Shop(worker, Tenant(opened.account_id, live=False))


async def findings(database: Database) -> list[Finding]:
    """What an audit of the whole database finds wrong."""
    found: list[Finding] = []
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        async for stretch in audit(connection):
            found += stretch.findings
    return found


async def findings_of(shop: Shop) -> list[Finding]:
    """What an audit of a shop's few orders finds wrong: for after each step of many."""
    account_id = shop.tenant.account_id
    async with (
        shop.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        async for stretch in audit(connection, (account_id, False, ""), batch=10):
            return [each for each in stretch.findings if each.account_id == account_id]
    return []
