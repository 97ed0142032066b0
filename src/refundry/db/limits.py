"""How many connections the database allows, and the pools that fit into them."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec
import structlog

from refundry.settings import BadSettings, Settings

# For commands beside the service (audit, key create ...), and for a look with psql.
_SPARE = 3
# Two groups of refunds are written at a time.
_LEAST = 2
log = structlog.get_logger("refundry.database")


@dataclass(frozen=True, slots=True)
class Pools:
    """The pools that are to be opened at once, and the connections beside them."""

    pools: int
    besides: int = 0


async def allowed_connections(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """How many connections our role may have to our database, all processes together."""
    row = await connection.fetchrow(
        """
        SELECT current_setting('max_connections')::integer
                 - current_setting('superuser_reserved_connections')::integer
                 - coalesce(current_setting('reserved_connections', true)::integer, 0) AS server,
               (SELECT datconnlimit FROM pg_database
                 WHERE datname = current_database()) AS database,
               (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role
        """
    )
    assert row is not None
    limits: Sequence[int] = [row["server"], row["database"], row["role"]]
    return min(limit for limit in limits if limit >= 0)  # -1: no limit


def fitting(settings: Settings, pools: Pools, allowed: int) -> Settings:
    """The settings with pools that fit: as large as is wanted, or smaller, which is logged.

    Raises BadSettings where there is too little for any.
    """
    room = (allowed - pools.besides - _SPARE) // pools.pools
    if settings.pool_size <= room:
        return settings
    if room < _LEAST:
        least = pools.pools * _LEAST + pools.besides + _SPARE
        raise BadSettings(
            f"the database allows {allowed} connections; {pools.pools} processes need at least"
            f" {least}: raise max_connections, or run fewer processes"
        )
    log.warning("pool_shrunk", pool_size=room, wanted=settings.pool_size, allowed=allowed)
    return msgspec.structs.replace(settings, pool_size=room)
