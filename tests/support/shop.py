"""A shop that runs the synchroniser in the test's process, with a real endpoint on loopback."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from refundry_sync.client import Client
from refundry_sync.receiving import Reception
from refundry_sync.signature import sign
from refundry_sync.sync import (
    Notification,
    OrderRefundView,
    RefundView,
    Settings,
    Store,
    Synchroniser,
    memory,
)
from refundry_sync.sync.listening import listening
from refundry_sync.sync.merging import HANDLED_TYPES
from tests.support.http import Api, Doc
from tests.support.service import Account, Service
from tests.support.webhooks import subscribe, token_of

TOKEN = "6d0f3c2a9b7e4e15a1c84f20d7b35e98"
PATH = "/webhooks/digitalriver"


@dataclass(frozen=True)
class Change:
    """One call of `on_refund_change`."""

    id: str
    order: OrderRefundView
    refund: RefundView | None


@dataclass
class Calls:
    """What the synchroniser told the shop. before: asked before each call; may raise."""

    changes: list[Change] = field(default_factory=list[Change])
    mails: list[Notification] = field(default_factory=list[Notification])
    before: Callable[[], object] = lambda: None

    def change(self, order: OrderRefundView, refund: RefundView | None, *, change_id: str) -> None:
        self.before()
        self.changes.append(Change(change_id, order, refund))

    def notify(self, kind: str, notification: Notification) -> None:
        self.before()
        assert kind == notification.kind
        self.mails.append(notification)

    def kinds(self) -> list[str]:
        return [mail.kind for mail in self.mails]

    def mail(self, kind: str) -> Notification:
        """The only one of its kind."""
        (mail,) = [each for each in self.mails if each.kind == kind]
        return mail


@dataclass
class Shop:
    """A synchroniser, what it told, and the statuses that its endpoint gave."""

    synchroniser: Synchroniser
    store: Store
    calls: Calls
    tokens: tuple[str, ...]
    statuses: list[int] = field(default_factory=list[int])

    def deliver(
        self, document: Doc, *, signed_at: datetime | None = None, tokens: tuple[str, ...] = ()
    ) -> int:
        """Give it an event as a server would; the status. tokens: signed with, unless its own."""
        body = json.dumps(document, separators=(",", ":"), default=float).encode()
        header = sign(body, tokens or self.tokens, now=signed_at or datetime.now(UTC))
        return self.receive({"DigitalRiver-Signature": header}, body).status

    def receive(self, headers: Mapping[str, str], body: bytes) -> Reception:
        reception = self.synchroniser.receive(headers, body)
        self.statuses.append(reception.status)
        return reception

    def take(self, *documents: Doc) -> None:
        """Deliver events, and process each before the next one comes."""
        for document in documents:
            assert self.deliver(document) in (200, 202)
            self.synchroniser.process_due()

    def had(self, count: int, seconds: float = 10.0) -> None:
        """Wait for so many deliveries, and process them."""
        deadline = time.monotonic() + seconds
        while len(self.statuses) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.statuses) >= count
        self.synchroniser.process_due()

    def inbox(self) -> int:
        """How many events it has stored."""
        with self.store._place.transactions() as cursor:  # pyright: ignore[reportPrivateUsage]
            cursor.execute("SELECT count(*) FROM refundry_inbox")
            return int(cursor.fetchone()[0])


@contextmanager
def a_shop(
    client: Client, *, store: Store | None = None, calls: Calls | None = None, **settings: Any
) -> Generator[Shop]:
    """A shop without an endpoint: events are given to it. store: one that outlives it."""
    calls = calls or Calls()
    kept = store or Store(memory())
    kept.create()
    known = replace(Settings(tokens=(TOKEN,)), **settings)
    synchroniser = Synchroniser(kept, client, known, calls.change, calls.notify)
    try:
        yield Shop(synchroniser, kept, calls, known.tokens)
    finally:
        synchroniser.close()
        if store is None:
            kept.close()


@contextmanager
def connected_shop(
    service: Service, account: Account, client: Client, **settings: Any
) -> Generator[Shop]:
    """A shop whose endpoint is a webhook of the account for all that it handles."""
    shops: list[Shop] = []

    def receive(headers: Mapping[str, str], body: bytes) -> Reception:
        return shops[0].receive(headers, body)

    api = Api(service.client, account.secret_test)
    with listening(receive, "127.0.0.1", 0, PATH) as address:
        webhook = subscribe(api, address, *sorted(HANDLED_TYPES))
        token = token_of(service, webhook)
        with a_shop(client, tokens=(token,), **settings) as shop:
            shops.append(shop)
            yield shop
