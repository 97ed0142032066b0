"""What may be asked of webhooks: made, changed, deleted, their tokens, and events sent again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from refundry.access.audit_log import Actor, Change, audit
from refundry.db.database import Database, Session, Tx
from refundry.domain.refusal import EventUnknown, WebhookDisabled
from refundry.errors import NotFound, Refused
from refundry.http.document import to_json
from refundry.idempotency import Keeper
from refundry.ids import new_signing_token, new_uuid
from refundry.outbox.store import find_events
from refundry.sealing import Vault
from refundry.tenant import Tenant
from refundry.webhooks import store
from refundry.webhooks.reading import WebhookAsk
from refundry.webhooks.store import Webhook
from refundry.webhooks.types import Grant, Transport
from refundry.webhooks.wire import webhook_view

OVERLAPS = {
    "now": timedelta(),
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "6h": timedelta(hours=6),
    "12h": timedelta(hours=12),
}
"""How long an old signing token may sign along (contract, events, section 8.4)."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Who changes a webhook by hand, for the audit log. at: real time."""

    actor: Actor
    at: datetime


# Events per transaction: a long outage must not make one that holds its locks for minutes.
_STRETCH = 1000


async def create_webhook(
    database: Database,
    vault: Vault,
    tenant: Tenant,
    ask: WebhookAsk,
    now: datetime,
    receipt: Keeper | None,
    by: Editor | None = None,
) -> bytes:
    """Make a webhook with a signing token of its own; gives the Webhook resource."""
    assert ask.types is not None
    assert ask.address is not None
    blank = Webhook(
        tenant, new_uuid(), now, now, types=ask.types, expanded_types=(), address=ask.address,
        api_version="default", enabled=True, transport_type=Transport.HTTP.value, user_name=None,
        sealed_password=None, token_end_point=None, client_id=None, sealed_client_secret=None,
        grant_type=None, sealed_token=vault.seal(new_signing_token()),
    )  # fmt: skip
    webhook = changed(blank, ask, vault, now)
    body = to_json(webhook_view(webhook, vault))

    async def work(tx: Tx) -> None:
        await store.insert_webhook(tx, webhook)
        await _note(tx, by, "webhook.created", webhook, None, facts(webhook))
        if receipt:
            await receipt.store(tx, 201, body, sealed=True)

    await database.run(work)
    return body


async def update_webhook(
    database: Database,
    vault: Vault,
    tenant: Tenant,
    webhook_id: str,
    read: Callable[[Transport], WebhookAsk],
    now: datetime,
    by: Editor | None = None,
) -> bytes:
    """Change a webhook; gives the Webhook resource. Raises NotFound, and what `read` raises.

    read: the request, for a webhook that has this transport: it decides what may be sent.
    """

    async def work(tx: Tx) -> bytes:
        before = await _lock(tx, tenant, webhook_id)
        after = changed(before, read(Transport(before.transport_type)), vault, now)
        await store.save_webhook(tx, after)
        told = facts(after) | _new_credentials(before, after)
        await _note(tx, by, "webhook.edited", after, facts(before), told)
        return to_json(webhook_view(after, vault))

    # Before it is enabled again, whatever still waits from the time before; after it is disabled,
    # what waits now.
    await store.drop_deliveries(database, tenant, webhook_id)
    body = await database.run(work)
    await store.drop_deliveries(database, tenant, webhook_id)
    return body


def changed(webhook: Webhook, ask: WebhookAsk, vault: Vault, now: datetime) -> Webhook:
    """The webhook with all that `ask` says."""
    after = replace(
        webhook,
        updated_at=now,
        types=webhook.types if ask.types is None else ask.types,
        address=ask.address or webhook.address,
        api_version=ask.api_version or webhook.api_version,
        transport_type=(ask.transport or Transport(webhook.transport_type)).value,
        expanded_types=(
            webhook.expanded_types if ask.expanded_types is None else ask.expanded_types
        ),
        enabled=webhook.enabled if ask.enabled is None else ask.enabled,
    )
    if ask.enabled and not webhook.enabled:
        after = replace(
            after, failing_since=None, warned_at=None, disabled_at=None, disabled_reason=None
        )
    return _with_credentials(after, ask, vault)


def _with_credentials(webhook: Webhook, ask: WebhookAsk, vault: Vault) -> Webhook:
    """The webhook with the credentials that were sent, and with none beside them."""
    if ask.authentication is not None:
        basic = ask.authentication
        return replace(
            webhook, user_name=basic.user_name, sealed_password=vault.seal(basic.password),
            token_end_point=None, client_id=None, sealed_client_secret=None, grant_type=None,
        )  # fmt: skip
    if ask.oauth is not None:
        oauth = ask.oauth
        return replace(
            webhook,
            user_name=oauth.user_name,
            sealed_password=vault.seal(oauth.password) if oauth.password else None,
            token_end_point=oauth.token_end_point,
            client_id=oauth.client_id,
            sealed_client_secret=vault.seal(oauth.client_secret),
            grant_type=Grant(oauth.grant_type).value,
        )
    if ask.bare:
        return replace(
            webhook, user_name=None, sealed_password=None, token_end_point=None, client_id=None,
            sealed_client_secret=None, grant_type=None,
        )  # fmt: skip
    return webhook


async def delete_webhook(
    database: Database, tenant: Tenant, webhook_id: str, by: Editor | None = None
) -> None:
    """Delete a webhook and drop what was still to be delivered to it. Raises NotFound."""

    async def work(tx: Tx) -> None:
        webhook = await _lock(tx, tenant, webhook_id)
        await store.delete_webhook(tx, tenant, webhook_id)
        await _note(tx, by, "webhook.deleted", webhook, facts(webhook), None)

    await database.run(work)
    await store.drop_deliveries(database, tenant, webhook_id)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The signing tokens of a webhook in clear. old: while it still signs, and until when."""

    current: str
    old: str | None
    old_until: datetime | None


async def reveal_token(
    session: Session, vault: Vault, tenant: Tenant, webhook_id: str, now: datetime
) -> Tokens:
    """The tokens that sign at present. Raises NotFound."""
    webhook = await store.find_webhook(session, tenant, webhook_id)
    if webhook is None:
        raise NotFound("Webhook", webhook_id)
    return _tokens(webhook, vault, now)


def _tokens(webhook: Webhook, vault: Vault, now: datetime) -> Tokens:
    old, until = webhook.sealed_old_token, webhook.old_token_until
    if old is None or until is None or until <= now:
        return Tokens(vault.open(webhook.sealed_token), None, None)
    return Tokens(vault.open(webhook.sealed_token), vault.open(old), until)


async def rotate_token(
    database: Database,
    vault: Vault,
    tenant: Tenant,
    webhook_id: str,
    overlap: timedelta,
    now: datetime,
    by: Editor | None = None,
    receipt: Keeper | None = None,
) -> Tokens:
    """Give a webhook a new signing token; the old one signs along for `overlap`.

    A token that an earlier rotation left over ends at once. Raises NotFound.
    """
    assert overlap in OVERLAPS.values()

    async def work(tx: Tx) -> Tokens:
        webhook = await _lock(tx, tenant, webhook_id)
        # The time of its change is also what tells workers that they know an older one.
        after = replace(
            webhook,
            updated_at=now,
            sealed_token=vault.seal(new_signing_token()),
            sealed_old_token=webhook.sealed_token if overlap else None,
            old_token_until=now + overlap if overlap else None,
        )
        await store.save_webhook(tx, after)
        hours = {"oldTokenSignsForHours": overlap // timedelta(hours=1)}
        await _note(tx, by, "webhook.token_rotated", webhook, None, hours)
        if receipt:
            await receipt.store(tx, 200, b"", sealed=True)
        return _tokens(after, vault, now)

    return await database.run(work)


async def resend(
    database: Database,
    tenant: Tenant,
    event_id: str,
    webhook_id: str,
    now: datetime,
    receipt: Keeper | None = None,
    by: Editor | None = None,
) -> bytes:
    """Queue one more attempt of any event for any webhook; gives how many were queued, as JSON.

    Raises NotFound, or Refused: the webhook is disabled, or there is no such event.
    """
    body = to_json({"queued": 1})

    async def work(tx: Tx) -> None:
        webhook = await _lock_enabled(tx, tenant, webhook_id)
        if not await find_events(tx, tenant, [event_id]):
            raise Refused(EventUnknown(event_id))
        await store.insert_resend(tx, tenant, webhook_id, event_id, now)
        await _note(tx, by, "webhook.event_resent", webhook, None, {"event": event_id})
        if receipt:
            await receipt.store(tx, 200, body)

    await database.run(work)
    return body


async def recover(
    database: Database, tenant: Tenant, webhook_id: str, since: datetime, now: datetime
) -> int:
    """Queue all that a webhook missed since a time; gives how many deliveries were queued.

    What was queued before a fault stays queued, and is not queued again by the next try. Raises
    NotFound, or Refused: the webhook is disabled.
    """
    queued = 0
    position = (since, 0)
    while True:

        async def work(tx: Tx, position: tuple[datetime, int] = position) -> store.Recovered | None:
            webhook = await _lock_enabled(tx, tenant, webhook_id)
            return await store.recover_stretch(tx, webhook, position, now, _STRETCH)

        done = await database.run(work)
        if done is None:
            return queued
        queued += done.queued
        position = done.position


def facts(webhook: Webhook) -> dict[str, Any]:
    """What the audit log tells of a webhook: all but its secrets."""
    found = {
        "address": webhook.address,
        "types": list(webhook.types),
        "expandedTypes": list(webhook.expanded_types),
        "apiVersion": webhook.api_version,
        "enabled": webhook.enabled,
        "transportType": webhook.transport_type,
        "userName": webhook.user_name,
        "tokenEndPoint": webhook.token_end_point,
        "clientID": webhook.client_id,
        "grantType": webhook.grant_type,
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


def _new_credentials(before: Webhook, after: Webhook) -> dict[str, Any]:
    """Says that secrets were replaced, which cannot be seen otherwise."""
    old = before.sealed_password, before.sealed_client_secret
    new = after.sealed_password, after.sealed_client_secret
    return {"newCredentials": True} if new not in (old, (None, None)) else {}


async def _note(
    tx: Tx,
    by: Editor | None,
    action: str,
    webhook: Webhook,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    """Write into the audit log what somebody did by hand; the API has a log of its own."""
    if by is not None:
        change = Change(action, "webhook", webhook.id, before, after, webhook.tenant.live)
        await audit(tx, webhook.tenant.account_id, by.actor, change, by.at)


async def _lock(tx: Tx, tenant: Tenant, webhook_id: str) -> Webhook:
    """The webhook, locked. Raises NotFound."""
    webhook = await store.lock_webhook(tx, tenant, webhook_id)
    if webhook is None:
        raise NotFound("Webhook", webhook_id)
    return webhook


async def _lock_enabled(tx: Tx, tenant: Tenant, webhook_id: str) -> Webhook:
    """The webhook, locked, so that what is queued for it now is not forgotten when it is disabled.

    Raises NotFound, or Refused if it is disabled.
    """
    webhook = await _lock(tx, tenant, webhook_id)
    if not webhook.enabled:
        raise Refused(WebhookDisabled(webhook_id))
    return webhook
