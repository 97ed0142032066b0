"""What the processors behind gateways tell by themselves, verified by their own schemes.

Kept before it is applied, so that a crash in between applies it again; what fits nothing yet is
tried again for a day, as it may overtake our own commit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from refundry.db.database import Database
from refundry.domain.money import find_currency, major_text
from refundry.gateways import store as gateways_store
from refundry.gateways.connectors import Connectors
from refundry.gateways.store import Gateway
from refundry.operations import external_store
from refundry.operations.adopting import hear_outcome, hear_refund
from refundry.operations.commands import Books
from refundry.operations.disputes import hear_dispute
from refundry.operations.inbox import Data, Notification, Seen, keep, mark
from refundry.processors.contract import Notice, ProcessorDispute
from refundry.sealing import Vault
from refundry.settings import Settings

log = structlog.get_logger("refundry.notifications")


@dataclass(frozen=True, slots=True)
class Inbox:
    """What notifications are taken in with."""

    books: Books
    settings: Settings
    connectors: Connectors

    @property
    def database(self) -> Database:
        """Where they are kept."""
        return self.books.database

    @property
    def vault(self) -> Vault:
        """What seals them."""
        return self.books.vault


class _Kept(msgspec.Struct):
    """A notification as it came: it is read again by the connector when it is tried again."""

    headers: dict[str, str]
    body: bytes


async def receive(
    inbox: Inbox, gateway: Gateway, headers: Mapping[str, str], body: bytes, now: datetime
) -> bool:
    """Keep a notification and apply it; False if all of it came before.

    headers: names in lower case. now: real time. Raises Forged, BadCredentials, and OSError where
    the processor could not be asked whether it said so.
    """
    connector = await inbox.connectors.find(gateway.id)
    notices = await connector.read_notification(headers, body, now)
    sealed = _seal(inbox.vault, headers, body)
    fresh = False
    for notice in notices:
        seen = Seen(gateway.id, notice.id, now)
        if await keep(inbox.database, seen, sealed):
            fresh = True
            await _apply(inbox, gateway, notice, seen, now)
    return fresh


async def try_again(inbox: Inbox, seen: Seen, sealed: str, now: datetime) -> None:
    """Read a kept notification again and apply what is still waiting of it."""
    gateway = await gateways_store.find(inbox.database, seen.connector)
    if gateway is None:
        return
    kept = msgspec.json.decode(inbox.vault.open(bytes.fromhex(sealed)), type=_Kept)
    connector = await inbox.connectors.find(gateway.id)
    for notice in await connector.read_notification(kept.headers, kept.body, seen.received_at):
        if notice.id == seen.id:
            await _apply(inbox, gateway, notice, seen, now)


def _seal(vault: Vault, headers: Mapping[str, str], body: bytes) -> str:
    """Sealed, as what verifies it may be a secret, and what it tells is about people."""
    kept = _Kept(dict(headers), body)
    return vault.seal(msgspec.json.encode(kept).decode()).hex()


async def _apply(inbox: Inbox, gateway: Gateway, notice: Notice, seen: Seen, now: datetime) -> None:
    applied = await _hear(inbox, gateway, notice, now)
    if applied is None:
        log.warning("notification_unmatched", id=notice.id, type=notice.type, gateway=gateway.name)
    await mark(inbox.database, seen, applied, now)


async def _hear(inbox: Inbox, gateway: Gateway, notice: Notice, now: datetime) -> bool | None:
    """Whether a notice changed anything; None where what it is about is not known yet."""
    if notice.dispute is not None:
        return await _hear_dispute(inbox.database, gateway, notice, notice.dispute, now)
    if notice.refund is not None:
        connector = await inbox.connectors.find(gateway.id)
        wait = inbox.settings.rhythm(connector.name).pending[0]
        return await hear_refund(inbox.books, gateway, notice.refund, wait, now)
    if notice.outcome is None:
        return False
    known = await external_store.find_operation(inbox.database, gateway, notice.key, None)
    if known is None:
        return None
    return await hear_outcome(inbox.books, gateway, known, notice.outcome, now)


async def _hear_dispute(
    database: Database, gateway: Gateway, notice: Notice, dispute: ProcessorDispute, now: datetime
) -> bool | None:
    charges = await external_store.charges_of_payment(database, gateway.tenant, dispute.payments)
    currency = find_currency(dispute.currency)
    if len(charges) != 1 or currency is None:
        return None
    data = Data(
        processor_reference=dispute.reference, charge_id=charges[0].charge_id,
        amount=major_text(dispute.amount, currency.exponent), reason=dispute.reason,
        fraud=dispute.reason == "fraudulent",
    )  # fmt: skip
    tenant = gateway.tenant

    async def hear(state: str) -> bool | None:
        told = Notification(notice.id, f"dispute.{state}", data)
        return await hear_dispute(database, told, live=tenant.live, now=now, tenant=tenant)

    heard = await hear(dispute.state)
    if heard is None and dispute.state != "opened" and await hear("opened") is not None:
        # We were away when it was opened: notices tell how it is now.
        heard = await hear(dispute.state)
    return heard
