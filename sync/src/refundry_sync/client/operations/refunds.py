"""Refunds, previews of them, and the bank details that some need."""

from typing import Unpack

from refundry_sync.client.call import Body, Call, Listing, encode, get, listing, post, reader
from refundry_sync.client.filters import RefundFilters, query_of
from refundry_sync.client.operations.orders import PAGE
from refundry_sync.models import BankDetailsForm, BankDetailsTaken, Refund, RefundPreview

_TOKENS = "/refundry/v1/refund-tokens/{token}"


def list_refunds(**filters: Unpack[RefundFilters]) -> Listing[Refund]:
    """Refunds, newest first."""
    return listing("/refunds", Refund, query_of(filters, page_size=PAGE))


def get_refund(refund_id: str) -> Call[Refund]:
    """One refund."""
    return get("/refunds/{id}", Refund, id=refund_id)


def create_refund(body: Body, *, idempotency_key: str | None = None) -> Call[Refund]:
    """Ask for a refund: it is pending, and an event tells what becomes of it."""
    return post("/refunds", Refund, body, idempotency_key)


def update_refund(
    refund_id: str, body: Body, *, idempotency_key: str | None = None
) -> Call[Refund]:
    """Change a refund's metadata, key by key."""
    return post("/refunds/{id}", Refund, body, idempotency_key, id=refund_id)


def pay_refund_another_way(
    refund_id: str, body: Body, *, idempotency_key: str | None = None
) -> Call[Refund]:
    """Make a refund in the place of one that failed, paid again or another way. Refundry only."""
    path = "/refundry/v1/refunds/{id}/another-way"
    return post(path, Refund, body, idempotency_key, id=refund_id)


def create_refund_preview(body: Body, *, idempotency_key: str | None = None) -> Call[RefundPreview]:
    """What a refund would come to, and what would refuse it; nothing is made. Refundry only."""
    return post("/refundry/v1/refund-previews", RefundPreview, body, idempotency_key)


def get_refund_token(token: str, *, language: str | None = None) -> Call[BankDetailsForm]:
    """The form for bank details. language: of its labels, as in `Accept-Language`."""
    headers = () if language is None else (("Accept-Language", language),)
    values = get(_TOKENS, BankDetailsForm, token=token).values
    return Call("GET", _TOKENS, reader(BankDetailsForm), values, open=True, headers=headers)


def submit_refund_token(token: str, body: Body) -> Call[BankDetailsTaken]:
    """Hand in bank details. Not sent again if the answer is lost: the token works only once."""
    values = get(_TOKENS, BankDetailsTaken, token=token).values
    content = encode(body)
    return Call("POST", _TOKENS, reader(BankDetailsTaken), values, body=content, open=True)
