"""Tokens in the database: whose they are, and how often they were used."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.db.database import Session
from refundry.refunds.saving import token_hash
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """The refund that a token was made for. now: on the clock of its mode."""

    tenant: Tenant
    order_id: str
    refund_id: str
    merchant: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Uses:
    """How often a token was used since `minute_began_at`, this time included."""

    minute_began_at: datetime
    requests: int
    locked_until: datetime | None


async def find_owner(session: Session, secret: str, real_now: datetime) -> TokenOwner | None:
    """The refund that a token was made for, whether it is still valid or not."""
    row = await session.fetchrow(
        """
        SELECT r.account_id, r.live, r.order_id, r.id, a.name,
               $2::timestamptz + a.test_clock_shift * (NOT r.live)::int AS now
          FROM refunds r JOIN accounts a ON a.id = r.account_id
         WHERE r.token_hash = $1
        """,
        token_hash(secret), real_now,
    )  # fmt: skip
    if row is None:
        return None
    tenant = Tenant(row["account_id"], row["live"])
    return TokenOwner(tenant, row["order_id"], row["id"], row["name"], row["now"])


async def count_use(session: Session, owner: TokenOwner, minute: timedelta) -> Uses:
    """Count one more request with a token. A lock that has ended begins the refusals anew."""
    row = await session.fetchrow(
        """
        INSERT INTO token_uses AS u (account_id, live, order_id, refund_id, minute_began_at,
                                     requests)
        VALUES ($1, $2, $3, $4, $5, 1)
        ON CONFLICT (account_id, live, order_id, refund_id) DO UPDATE
           SET minute_began_at = CASE WHEN u.minute_began_at <= $5::timestamptz - $6::interval
                                      THEN excluded.minute_began_at ELSE u.minute_began_at END,
               requests = CASE WHEN u.minute_began_at <= $5::timestamptz - $6::interval
                               THEN 1 ELSE u.requests + 1 END,
               refused = CASE WHEN u.locked_until <= $5 THEN 0 ELSE u.refused END,
               locked_until = CASE WHEN u.locked_until > $5 THEN u.locked_until END
        RETURNING minute_began_at, requests, locked_until
        """,
        *_key(owner), owner.now, minute,
    )  # fmt: skip
    assert row is not None
    return Uses(row["minute_began_at"], row["requests"], row["locked_until"])


async def count_refusal(session: Session, owner: TokenOwner, most: int, lock: timedelta) -> None:
    """Count a submission that was refused; the one with number `most` locks the token."""
    await session.execute(
        """
        UPDATE token_uses
           SET refused = refused + 1,
               locked_until = CASE WHEN refused + 1 >= $5::integer
                                   THEN $6::timestamptz + $7::interval END
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND refund_id = $4
        """,
        *_key(owner), most, owner.now, lock,
    )  # fmt: skip


def _key(owner: TokenOwner) -> tuple[str, bool, str, str]:
    return owner.tenant.account_id, owner.tenant.live, owner.order_id, owner.refund_id
