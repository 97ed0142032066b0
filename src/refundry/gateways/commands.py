"""What may be asked of gateways: opened, tested, given other credentials, closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry.access.audit_log import Actor, Change, audit
from refundry.db.database import Database, Tx
from refundry.gateways import store
from refundry.gateways.kinds import (
    KINDS,
    BadCredentials,
    Setup,
    is_live,
    make_connector,
)
from refundry.gateways.store import Gateway
from refundry.ids import new_gateway_id
from refundry.processors.contract import Finding
from refundry.sealing import Vault
from refundry.tenant import Tenant


class GatewayRefused(Exception):
    """A gateway that cannot be opened so; the message says why."""


@dataclass(frozen=True, slots=True)
class NewGateway:
    """A gateway to be opened. credentials: a JSON object, see `kinds.read_credentials`."""

    name: str
    processor: str
    credentials: str
    source_types: tuple[str, ...] = ()
    address: str | None = None


async def open_gateway(
    database: Database, vault: Vault, tenant: Tenant, new: NewGateway, by: Actor, now: datetime
) -> Gateway:
    """Open a gateway for the payments of some sources, or of all that no other one takes.

    Raises GatewayRefused where its name or a source is taken, or its credentials are for the
    other mode: nothing of test mode may ever reach real money.
    """
    _check_mode(new.processor, new.credentials, tenant)
    gateway = Gateway(
        tenant, new_gateway_id(), now, new.name, new.processor, new.source_types, new.address,
        vault.seal(new.credentials),
    )  # fmt: skip

    async def work(tx: Tx) -> None:
        await tx.execute("LOCK TABLE gateways IN SHARE ROW EXCLUSIVE MODE")
        taken = await store.source_types_taken(tx, tenant, new.source_types)
        if taken is not None:
            raise GatewayRefused(f"the gateway '{taken}' takes these payments; close it first")
        if not await store.insert(tx, gateway):
            raise GatewayRefused(f"a gateway named '{new.name}' exists already")
        after = {"name": new.name, "processor": new.processor, "sources": list(new.source_types)}
        change = Change("gateway.opened", "gateway", gateway.id, None, after, tenant.live)
        await audit(tx, tenant.account_id, by, change, now)

    await database.run(work)
    return gateway


async def replace_credentials(
    database: Database, vault: Vault, gateway: Gateway, credentials: str, by: Actor, now: datetime
) -> None:
    """Give a gateway other credentials, of the same account there. Raises GatewayRefused."""
    _check_mode(gateway.processor, credentials, gateway.tenant)

    async def work(tx: Tx) -> None:
        await store.replace_credentials(tx, gateway, vault.seal(credentials))
        change = Change(
            "gateway.credentials_replaced", "gateway", gateway.id, live=gateway.tenant.live
        )
        await audit(tx, gateway.tenant.account_id, by, change, now)

    await database.run(work)


async def close_gateway(database: Database, gateway: Gateway, by: Actor, now: datetime) -> None:
    """Give a gateway no new payments; what it was asked for is followed to its end."""

    async def work(tx: Tx) -> None:
        await store.close(tx, gateway, now)
        change = Change("gateway.closed", "gateway", gateway.id, live=gateway.tenant.live)
        await audit(tx, gateway.tenant.account_id, by, change, now)

    await database.run(work)


async def check_gateway(vault: Vault, gateway: Gateway, setup: Setup) -> Sequence[Finding]:
    """What works of a gateway and what does not, in words, asked at its processor."""
    try:
        connector = make_connector(gateway.processor, vault.open(gateway.sealed_credentials), setup)
    except BadCredentials as error:
        return [Finding("credentials", str(error))]
    return await connector.check()


def _check_mode(processor: str, credentials: str, tenant: Tenant) -> None:
    if processor not in KINDS:
        raise GatewayRefused(f"'{processor}' is none of: {', '.join(KINDS)}")
    try:
        live = is_live(processor, credentials)
    except BadCredentials as error:
        raise GatewayRefused(str(error)) from error
    if live is not None and live != tenant.live:
        raise GatewayRefused(
            f"these credentials are for {'live' if live else 'test'} payments,"
            f" and the gateway would be of {'live' if tenant.live else 'test'} mode"
        )
