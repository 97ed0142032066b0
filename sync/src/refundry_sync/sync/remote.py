"""What the synchroniser asks of the API, as documents; `remote_of` makes it of a client."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from refundry_sync.sync.views import Document

if TYPE_CHECKING:
    from refundry_sync.client import Client


class Remote(Protocol):
    """Every method raises ApiError, Unreachable or BadAnswer; lists give newest first."""

    def order(self, order_id: str) -> Document: ...
    def refund(self, refund_id: str) -> Document: ...
    def charge(self, charge_id: str) -> Document: ...
    def source(self, source_id: str) -> Document: ...
    def refunds_of(self, order_id: str) -> Iterator[Document]: ...
    def sales_of(self, order_id: str) -> Iterator[Document]: ...
    def refunds_since(self, time: datetime) -> Iterator[Document]: ...
    def orders_since(self, time: datetime) -> Iterator[Document]: ...
    def events_since(self, time: datetime, types: Sequence[str]) -> Iterator[Document]: ...
    def create_refund(self, body: Document, key: str) -> Document: ...


class ClientRemote:
    """The API through our own client."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def order(self, order_id: str) -> Document:
        return self._client.orders.get(order_id).document

    def refund(self, refund_id: str) -> Document:
        return self._client.refunds.get(refund_id).document

    def charge(self, charge_id: str) -> Document:
        return self._client.charges.get(charge_id).document

    def source(self, source_id: str) -> Document:
        return self._client.sources.get(source_id).document

    def refunds_of(self, order_id: str) -> Iterator[Document]:
        return (each.document for each in self._client.refunds.list(order_id=order_id))

    def sales_of(self, order_id: str) -> Iterator[Document]:
        sales = self._client.sales_transactions.list(order_id=order_id)
        return (each.document for each in sales)

    def refunds_since(self, time: datetime) -> Iterator[Document]:
        refunds = self._client.refunds.list(created_time_gte=time)
        return (each.document for each in refunds)

    def orders_since(self, time: datetime) -> Iterator[Document]:
        orders = self._client.orders.list(updated_time_gte=time)
        return (each.document for each in orders)

    def events_since(self, time: datetime, types: Sequence[str]) -> Iterator[Document]:
        events = self._client.events.list(types=types, created_time_gte=time)
        return (each.document for each in events)

    def create_refund(self, body: Document, key: str) -> Document:
        return self._client.refunds.create(body, idempotency_key=key).document
