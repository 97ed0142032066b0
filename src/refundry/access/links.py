"""Links that set a password, once: invitations and recoveries."""

from datetime import datetime, timedelta

from refundry.access.sessions import web_token_hash
from refundry.access.users import User, find_user
from refundry.db.database import Session, Tx
from refundry.ids import new_web_token

INVITATION_LIFE = timedelta(days=7)
RECOVERY_LIFE = timedelta(hours=24)
PATH = "/dashboard/password/"


def link_address(base: str, token: str) -> str:
    """Where a password is set. base: as in `https://refunds.shop.example`."""
    return f"{base.rstrip('/')}{PATH}{token}"


async def insert_link(tx: Tx, user: User, now: datetime, life: timedelta) -> str:
    """Make a user's link in place of any before; gives its token."""
    token = new_web_token()
    await tx.execute(
        """
        INSERT INTO password_links (account_id, user_id, token_hash, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (account_id, user_id) DO UPDATE
           SET token_hash = excluded.token_hash, created_at = excluded.created_at,
               expires_at = excluded.expires_at
        """,
        user.account_id, user.id, web_token_hash(token), now, now + life,
    )  # fmt: skip
    return token


async def find_link(session: Session, token: str, now: datetime) -> User | None:
    """Whose link it is; None if it was used, replaced, is too old or never was."""
    row = await session.fetchrow(
        """
        SELECT account_id, user_id FROM password_links
         WHERE token_hash = $1 AND expires_at > $2
        """,
        web_token_hash(token), now,
    )  # fmt: skip
    return await find_user(session, row["account_id"], row["user_id"], now) if row else None


async def take_link(tx: Tx, token: str, now: datetime) -> bool:
    """Use a link up; False if somebody has, or it is too old."""
    row = await tx.fetchrow(
        "DELETE FROM password_links WHERE token_hash = $1 AND expires_at > $2 RETURNING 1",
        web_token_hash(token), now,
    )  # fmt: skip
    return row is not None


async def delete_link(tx: Tx, user: User) -> None:
    """Let a user's link end, if there is one."""
    await tx.execute(
        "DELETE FROM password_links WHERE account_id = $1 AND user_id = $2",
        user.account_id, user.id,
    )  # fmt: skip
