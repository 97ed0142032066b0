"""What an account and this server allow of a webhook, and where its hosts lead."""

import asyncio
from collections.abc import Mapping

from refundry.db.database import Session
from refundry.http.document import JsonValue
from refundry.settings import Settings
from refundry.tenant import Tenant
from refundry.webhooks.addresses import Guard
from refundry.webhooks.reading import Rules, named_hosts
from refundry.webhooks.store import expands_events


async def rules_for(
    session: Session,
    settings: Settings,
    guard: Guard,
    tenant: Tenant,
    document: Mapping[str, JsonValue],
) -> Rules:
    """The rules for a body; asks name servers for the hosts in it."""
    hosts = sorted(named_hosts(document))
    refused = await asyncio.gather(*(guard.refuses(host) for host in hosts))
    return Rules(
        live=tenant.live,
        allow_http=settings.webhook_allow_http,
        expands=await expands_events(session, tenant.account_id),
        refused_hosts=frozenset(host for host, no in zip(hosts, refused, strict=True) if no),
    )
