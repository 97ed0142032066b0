"""Tries an endpoint: a sample event sent once, as a real event would be, and recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.access.audit_log import Change, audit
from refundry.access.store import account_version
from refundry.clock import Clock
from refundry.db.database import Database, Session, Tx
from refundry.errors import NotFound
from refundry.idempotency import Keeper
from refundry.outbox.store import StoredEvent
from refundry.sealing import Vault
from refundry.settings import BadSettings
from refundry.tenant import VERSIONS, Tenant
from refundry.webhooks.commands import Editor
from refundry.webhooks.delivery import CLOSED
from refundry.webhooks.rendering import render
from refundry.webhooks.sending import Courier, Outcome
from refundry.webhooks.store import Webhook, find_webhook
from refundry.webhooks.targets import open_webhook


@dataclass(frozen=True, slots=True)
class Trier:
    """What it takes to send to an endpoint."""

    database: Database
    vault: Vault
    courier: Courier
    clock: Clock


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    event_type: str
    started_at: datetime
    duration_ms: int
    outcome: Outcome


async def try_webhook(
    trier: Trier,
    tenant: Tenant,
    webhook_id: str,
    event: StoredEvent,
    now: datetime,
    by: Editor,
    receipt: Keeper,
) -> Trial:
    """Send a sample event to a webhook, enabled or not. Raises NotFound, and what `receipt` raises.

    event: is stored nowhere. It is one attempt, whatever comes of it: it neither begins nor ends
    the time after which a failing webhook is disabled. now: on the clock of the mode.
    """
    webhook = await find_webhook(trier.database, tenant, webhook_id)
    if webhook is None:
        raise NotFound("Webhook", webhook_id)
    change = Change("webhook.tested", "webhook", webhook_id, None, {"type": event.type},
                    tenant.live)  # fmt: skip

    async def begin(tx: Tx) -> None:
        await receipt.store(tx, 200, b"")
        await audit(tx, tenant.account_id, by.actor, change, by.at)

    await trier.database.run(begin)
    began = trier.clock.monotonic()
    outcome = await _send(trier, webhook, event, now)
    took = timedelta(seconds=trier.clock.monotonic() - began)
    trial = Trial(event.type, now, took // timedelta(milliseconds=1), outcome)
    await _record(trier.database, webhook, event, trial)
    return trial


async def _send(trier: Trier, webhook: Webhook, event: StoredEvent, now: datetime) -> Outcome:
    version = await _version(trier.database, webhook)
    body = render(event, live=webhook.tenant.live, version=version, vault=trier.vault)
    try:
        opened = open_webhook(webhook, trier.vault, trier.courier)
    except BadSettings:
        return Outcome(error=CLOSED)
    return await trier.courier.send(opened.target, opened.tokens(now), body)


async def _version(session: Session, webhook: Webhook) -> str:
    """The API version that a webhook gets its events in."""
    if webhook.api_version == "default":
        return await account_version(session, webhook.tenant)
    return VERSIONS[0] if webhook.api_version == "latest" else webhook.api_version


async def _record(session: Session, webhook: Webhook, event: StoredEvent, trial: Trial) -> None:
    """Note an attempt that is over, and its delivery with it."""
    outcome = trial.outcome
    await session.execute(
        """
        WITH delivery AS (
            INSERT INTO deliveries (account_id, live, webhook_id, event_id, state, attempts,
                                    first_attempt_at, single, sample_type)
            VALUES ($1, $2, $3, $4, $5, 1, $6, true, $7)
        )
        INSERT INTO attempts (account_id, live, webhook_id, event_id, number, attempt, started_at,
                              duration_ms, status, error, response)
        VALUES ($1, $2, $3, $4, 0, 1, $6, $8, $9, $10, $11)
        """,
        webhook.tenant.account_id, webhook.tenant.live, webhook.id, event.id,
        "succeeded" if outcome.succeeded else "exhausted", trial.started_at, trial.event_type,
        trial.duration_ms, outcome.status, outcome.error, outcome.response,
    )  # fmt: skip
