"""Sessions of the dashboard: a random token in a cookie, and what is stored for its hash."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.access.rights import Role, UserStatus, UserType
from refundry.access.users import User
from refundry.db.database import Session as DatabaseSession
from refundry.db.database import Tx
from refundry.tenant import Tenant

IDLE_LIMIT = timedelta(hours=8)
# A page that is looked at need not write each time.
_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class WebSession:
    """A session that goes on. csrf_token: what each of its forms must send back.

    authenticated_at: when the password was last given. clock_shift: how far the clock of the
    chosen mode is from real time.
    """

    token_hash: bytes
    csrf_token: str
    user: User
    account_name: str
    tenant: Tenant
    clock_shift: timedelta
    authenticated_at: datetime


def web_token_hash(token: str) -> bytes:
    """What is stored of a session's, a link's or a form's token; they hold 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def csrf_token(session_token: str) -> str:
    """What the forms of a session send back: tied to it, and no way back to it."""
    key = session_token.encode("utf-8", "replace")
    return hmac.new(key, b"refundry csrf", hashlib.sha256).hexdigest()


async def find_session(
    session: DatabaseSession, token: str, now: datetime
) -> WebSession | None:  # fmt: skip
    """The session of a token, unless it ended or its user may no longer sign in. One statement."""
    row = await session.fetchrow(
        """
        WITH seen AS (
            UPDATE sessions SET last_seen_at = $2
             WHERE token_hash = $1 AND last_seen_at > $2::timestamptz - $3::interval
               AND last_seen_at <= $2::timestamptz - $4::interval
        )
        SELECT s.token_hash, s.live, s.authenticated_at, a.name AS account_name,
               a.test_clock_shift, u.account_id, u.id, u.created_at, u.email, u.name, u.type,
               u.role, u.totp_on, u.last_sign_in_at,
               EXISTS (SELECT 1 FROM permission_set_members m
                        WHERE m.account_id = u.account_id AND m.permission_set = 'refunds'
                          AND m.user_id = u.id) AS in_refund_set
          FROM sessions s
          JOIN users u ON u.account_id = s.account_id AND u.id = s.user_id
          JOIN accounts a ON a.id = u.account_id
         WHERE s.token_hash = $1 AND s.last_seen_at > $2::timestamptz - $3::interval
           AND u.status = 'active'
        """,
        web_token_hash(token), now, IDLE_LIMIT, _SEEN_EVERY,
    )  # fmt: skip
    if row is None:
        return None
    user = User(
        row["id"], row["account_id"], row["email"], row["name"], UserType(row["type"]),
        Role(row["role"]), UserStatus.ACTIVE, row["in_refund_set"], row["totp_on"],
        row["created_at"], row["last_sign_in_at"],
    )  # fmt: skip
    return WebSession(
        row["token_hash"],
        csrf_token(token),
        user,
        row["account_name"],
        Tenant(row["account_id"], row["live"]),
        timedelta() if row["live"] else row["test_clock_shift"],
        row["authenticated_at"],
    )


async def insert_session(
    tx: Tx, user: User, token: str, now: datetime, *, live: bool = False
) -> None:
    """Begin a session; those of the user that ended by themselves are cleared away."""
    await tx.execute(
        "DELETE FROM sessions WHERE account_id = $1 AND user_id = $2 AND last_seen_at <= $3",
        user.account_id, user.id, now - IDLE_LIMIT,
    )  # fmt: skip
    await tx.execute(
        """
        INSERT INTO sessions (token_hash, account_id, user_id, live, created_at, last_seen_at,
                              authenticated_at)
        VALUES ($1, $2, $3, $4, $5, $5, $5)
        """,
        web_token_hash(token), user.account_id, user.id, live, now,
    )  # fmt: skip


async def end_session(session: DatabaseSession, token: str) -> None:
    """Sign out: whoever has the token has nothing any more."""
    await session.execute("DELETE FROM sessions WHERE token_hash = $1", web_token_hash(token))


async def end_sessions(tx: Tx, user: User, *, but: bytes | None = None) -> None:
    """End every session of a user, but perhaps the one with this hash."""
    await tx.execute(
        """
        DELETE FROM sessions
         WHERE account_id = $1 AND user_id = $2 AND ($3::bytea IS NULL OR token_hash <> $3)
        """,
        user.account_id, user.id, but,
    )  # fmt: skip


async def set_mode(session: DatabaseSession, web: WebSession, *, live: bool) -> None:
    """Choose the mode whose data the session's pages show."""
    await session.execute(
        "UPDATE sessions SET live = $2 WHERE token_hash = $1", web.token_hash, live
    )


async def note_authenticated(session: DatabaseSession, web: WebSession, now: datetime) -> None:
    """Note that the password was given again."""
    await session.execute(
        "UPDATE sessions SET authenticated_at = $2 WHERE token_hash = $1", web.token_hash, now
    )
