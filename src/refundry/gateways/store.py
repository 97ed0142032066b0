"""Gateways as rows: accounts at payment processors, their credentials sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry.db.database import Record, Session
from refundry.tenant import Tenant

_COLUMNS = """
SELECT account_id, live, id, created_at, name, processor, source_types, address,
       sealed_credentials, closed_at, listed_until
  FROM gateways
"""
_BY_ID = f"{_COLUMNS} WHERE id = $1"
_NAMED = f"{_COLUMNS} WHERE account_id = $1 AND live = $2 AND $3 IN (name, id)"
_ALL = f"{_COLUMNS} ORDER BY seq"
_OF = f"{_COLUMNS} WHERE account_id = $1 AND live = $2 ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Gateway:
    """An account at a processor. source_types: whose payments it takes; empty: all others.

    address: where its API is, if not where the SDK looks. closed_at: from when on it takes no new
    payments. listed_until: until when its refunds were listed.
    """

    tenant: Tenant
    id: str
    created_at: datetime
    name: str
    processor: str
    source_types: tuple[str, ...]
    address: str | None
    sealed_credentials: bytes
    closed_at: datetime | None = None
    listed_until: datetime | None = None


async def insert(session: Session, gateway: Gateway) -> bool:
    """Write a new gateway; False if its name is taken."""
    tag = await session.execute(
        """
        INSERT INTO gateways (account_id, live, id, created_at, name, processor, source_types,
                              address, sealed_credentials)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT ON CONSTRAINT gateways_name DO NOTHING
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, gateway.created_at,
        gateway.name, gateway.processor, list(gateway.source_types), gateway.address,
        gateway.sealed_credentials,
    )  # fmt: skip
    return tag == "INSERT 0 1"


async def find(session: Session, gateway_id: str) -> Gateway | None:
    """A gateway by its id alone."""
    row = await session.fetchrow(_BY_ID, gateway_id)
    return _gateway(row) if row else None


async def find_named(session: Session, tenant: Tenant, name: str) -> Gateway | None:
    """A gateway of an account by its name or its id."""
    row = await session.fetchrow(_NAMED, tenant.account_id, tenant.live, name)
    return _gateway(row) if row else None


async def list_all(session: Session) -> list[Gateway]:
    """Every gateway, oldest first."""
    return [_gateway(row) for row in await session.fetch(_ALL)]


async def list_of(session: Session, tenant: Tenant) -> list[Gateway]:
    """The gateways of an account in a mode, oldest first."""
    return [_gateway(row) for row in await session.fetch(_OF, tenant.account_id, tenant.live)]


async def source_types_taken(
    session: Session, tenant: Tenant, source_types: Sequence[str]
) -> str | None:
    """The name of an open gateway that takes one of these sources; of none: that takes the rest."""
    return await session.fetchval(
        """
        SELECT name FROM gateways
         WHERE account_id = $1 AND live = $2 AND closed_at IS NULL
           AND (source_types && $3::text[] OR (source_types = '{}' AND $3::text[] = '{}'))
         LIMIT 1
        """,
        tenant.account_id, tenant.live, list(source_types),
    )  # fmt: skip


async def close(session: Session, gateway: Gateway, now: datetime) -> None:
    """Give it no new payments from now on."""
    await session.execute(
        """
        UPDATE gateways SET closed_at = $4
         WHERE account_id = $1 AND live = $2 AND id = $3 AND closed_at IS NULL
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, now,
    )  # fmt: skip


async def replace_credentials(session: Session, gateway: Gateway, sealed: bytes) -> None:
    """Store other credentials of the same account at the processor."""
    await session.execute(
        """
        UPDATE gateways SET sealed_credentials = $4
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, sealed,
    )  # fmt: skip


async def claim_listing(
    session: Session, gateway: Gateway, now: datetime, before: datetime, until: datetime
) -> bool:
    """Take a gateway to list its refunds; False if they were listed after `before`, or somebody
    does it. until: how long others leave it to us."""
    tag = await session.execute(
        """
        UPDATE gateways SET leased_until = $6
         WHERE account_id = $1 AND live = $2 AND id = $3
           AND (leased_until IS NULL OR leased_until <= $4)
           AND (listed_until IS NULL OR listed_until <= $5)
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, now, before, until,
    )  # fmt: skip
    return tag == "UPDATE 1"


async def note_listed(session: Session, gateway: Gateway, until: datetime) -> None:
    """Note until when its refunds were listed."""
    await session.execute(
        """
        UPDATE gateways SET listed_until = $4, leased_until = NULL
         WHERE account_id = $1 AND live = $2 AND id = $3
           AND (listed_until IS NULL OR listed_until < $4)
        """,
        gateway.tenant.account_id, gateway.tenant.live, gateway.id, until,
    )  # fmt: skip


def _gateway(row: Record) -> Gateway:
    return Gateway(
        Tenant(row["account_id"], row["live"]), row["id"], row["created_at"], row["name"],
        row["processor"], tuple(row["source_types"]), row["address"], row["sealed_credentials"],
        row["closed_at"], row["listed_until"],
    )  # fmt: skip
