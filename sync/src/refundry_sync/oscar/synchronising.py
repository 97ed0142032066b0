"""The synchroniser of this shop: its store in the shop's own database, its calls into Oscar."""

import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from refundry_sync.client import Client
from refundry_sync.oscar.booking import book_change
from refundry_sync.oscar.conf import conf
from refundry_sync.oscar.mails import send_notice
from refundry_sync.receiving import Reception
from refundry_sync.receiving.django import endpoint
from refundry_sync.sync.booking import book_reading
from refundry_sync.sync.databases import Cursor, Place
from refundry_sync.sync.reading import Reading
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.status import order_view
from refundry_sync.sync.store import Store
from refundry_sync.sync.synchroniser import Synchroniser
from refundry_sync.sync.views import Book, Document, OrderRefundView

# A person waits for the answer.
_STAFF_SECONDS = 10.0


@cache
def shop_store() -> Store:
    """The tables beside those of Oscar, in the same database."""
    dialect = "postgresql" if connection.vendor == "postgresql" else "sqlite"
    return Store(Place(_transaction, dialect, "format"))


@cache
def client() -> Client:
    """For staff who wait, and for the worker, which repeats by itself."""
    return Client(conf().url, conf().api_key, timeout=_STAFF_SECONDS, attempts=2,
                  application="django-oscar")  # fmt: skip


@cache
def synchroniser() -> Synchroniser:
    # Without a token nothing can be genuine: one that nobody knows refuses everything.
    tokens = tuple(conf().webhook_tokens) or (secrets.token_hex(),)
    settings = Settings(tokens=tokens, mode=conf().mode)
    return Synchroniser(
        shop_store(), client(), settings, on_refund_change=book_change, notify=send_notice
    )


def known_view(refundry_id: str) -> OrderRefundView | None:
    """What the shop knows of an order at Refundry, without asking there."""
    with shop_store().transaction() as tx:
        book = tx.find_book(refundry_id)
    return None if book is None or book.order is None else order_view(book)


def read_order(refundry_id: str) -> Document:
    """The order as Refundry has it now, which the shop knows from then on.

    Raises what the client raises.
    """
    with shop_store().transaction() as tx:
        known = tx.find_book(refundry_id) or Book(order_id=refundry_id)
    document = client().orders.get(refundry_id).document
    now = timezone.now()
    with shop_store().transaction() as tx:
        book_reading(tx, Reading(known, order=document), now, now)
    return document


@contextmanager
def _transaction() -> Generator[Cursor]:
    # Threads of the worker keep their connections, also over a restart of the database.
    if connection.errors_occurred:
        connection.close_if_unusable_or_obsolete()
    with transaction.atomic(), connection.cursor() as cursor:
        yield cursor


def _receive(headers: Mapping[str, str], body: bytes) -> Reception:
    answer = synchroniser().receive(headers, body, timezone.now())
    return Reception(answer.status, answer.body)


# What it answers for has to be committed by then.
webhook: Any = transaction.non_atomic_requests(endpoint(_receive))
