"""Returns, disputes and sales transactions."""

from typing import Unpack

from refundry_sync.client.call import Body, Call, Listing, get, listing, post
from refundry_sync.client.filters import (
    DisputeFilters,
    ReturnFilters,
    SalesTransactionFilters,
    query_of,
)
from refundry_sync.client.operations.orders import PAGE
from refundry_sync.models import Dispute, Return, SalesTransaction

# The list may give 5000 at once, which are megabytes.
_TRANSACTIONS_PAGE = 1000


def list_returns(**filters: Unpack[ReturnFilters]) -> Listing[Return]:
    """Returns, newest first."""
    return listing("/returns", Return, query_of(filters, page_size=PAGE))


def get_return(return_id: str) -> Call[Return]:
    """One return."""
    return get("/returns/{id}", Return, id=return_id)


def create_return(body: Body, *, idempotency_key: str | None = None) -> Call[Return]:
    """Authorise goods to come back."""
    return post("/returns", Return, body, idempotency_key)


def update_return(
    return_id: str, body: Body, *, idempotency_key: str | None = None
) -> Call[Return]:
    """Say that goods have arrived, which refunds them; or change location or metadata."""
    return post("/returns/{id}", Return, body, idempotency_key, id=return_id)


def list_disputes(**filters: Unpack[DisputeFilters]) -> Listing[Dispute]:
    """Disputes, newest first. Refundry only, as all operations on disputes."""
    return listing("/refundry/v1/disputes", Dispute, query_of(filters, page_size=PAGE))


def get_dispute(dispute_id: str) -> Call[Dispute]:
    """One dispute."""
    return get("/refundry/v1/disputes/{id}", Dispute, id=dispute_id)


def create_dispute(
    order_id: str, body: Body, *, idempotency_key: str | None = None
) -> Call[Dispute]:
    """Say that the bank has opened a case on an order's charge."""
    template = "/refundry/v1/orders/{id}/disputes"
    return post(template, Dispute, body, idempotency_key, id=order_id)


def update_dispute(
    dispute_id: str, body: Body, *, idempotency_key: str | None = None
) -> Call[Dispute]:
    """Say how a dispute ended."""
    return post("/refundry/v1/disputes/{id}", Dispute, body, idempotency_key, id=dispute_id)


def list_sales_transactions(
    **filters: Unpack[SalesTransactionFilters],
) -> Listing[SalesTransaction]:
    """Sales transactions, newest first: what chargebacks took, line by line."""
    query = query_of(filters, page_size=_TRANSACTIONS_PAGE)
    return listing("/sales-transactions", SalesTransaction, query)


def get_sales_transaction(transaction_id: str) -> Call[SalesTransaction]:
    """One sales transaction."""
    return get("/sales-transactions/{id}", SalesTransaction, id=transaction_id)
