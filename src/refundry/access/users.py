"""Users in the database."""

from dataclasses import dataclass
from datetime import datetime

from refundry.access.audit_log import Actor, searched
from refundry.access.rights import Attempts, Right, Role, UserStatus, UserType, rights_of
from refundry.db.database import Record, Session, Tx

PAGE = 25


@dataclass(frozen=True, slots=True)
class User:
    """A user, without what is secret.

    status: as it is now, so that an active user may be locked out. in_refund_set: a member of the
    permission set; administrators need not be.
    """

    id: str
    account_id: str
    email: str
    name: str
    type: UserType
    role: Role
    status: UserStatus
    in_refund_set: bool
    totp_on: bool
    created_at: datetime
    last_sign_in_at: datetime | None

    @property
    def rights(self) -> frozenset[Right]:
        """What the user may do."""
        return rights_of(self.role, in_refund_set=self.in_refund_set)

    @property
    def actor(self) -> Actor:
        """The user as the one who does something."""
        return Actor("user", self.name, self.id, self.role)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user signs in with. status: as stored, never locked out."""

    user: User
    status: UserStatus
    password_hash: str | None
    totp_sealed: bytes | None
    totp_step: int | None
    attempts: Attempts


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users; None: any. q: part of the name or the address.

    Who is deprovisioned is listed only where that status is asked for.
    """

    q: str | None = None
    type: UserType | None = None
    role: Role | None = None
    status: UserStatus | None = None


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users, and how many there are on all pages."""

    users: list[User]
    total: int


async def insert_user(tx: Tx, user: User, password_hash: str | None) -> bool:
    """Store a new user; False if the address has one already."""
    row = await tx.fetchrow(
        """
        INSERT INTO users (account_id, id, created_at, email, name, type, role, status,
                           password_hash)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (lower(email)) WHERE status <> 'deprovisioned' DO NOTHING
        RETURNING 1
        """,
        user.account_id, user.id, user.created_at, user.email, user.name, user.type, user.role,
        user.status, password_hash,
    )  # fmt: skip
    return row is not None


# $1: now.
_USER = """
SELECT u.account_id, u.id, u.created_at, u.email, u.name, u.type, u.role, u.status AS stored,
       CASE WHEN u.status = 'active' AND u.locked_until > $1::timestamptz THEN 'locked_out'
            ELSE u.status END AS status,
       EXISTS (SELECT 1 FROM permission_set_members m
                WHERE m.account_id = u.account_id AND m.permission_set = 'refunds'
                  AND m.user_id = u.id) AS in_refund_set,
       u.totp_on, u.last_sign_in_at, u.password_hash, u.totp_sealed, u.totp_step, u.failed_at,
       u.locked_until
  FROM users u
"""


async def find_user(
    session: Session, account_id: str, user_id: str, now: datetime
) -> User | None:  # fmt: skip
    """A user of an account, deleted ones too."""
    row = await session.fetchrow(
        f"{_USER} WHERE u.account_id = $2 AND u.id = $3", now, account_id, user_id
    )
    return user_of(row) if row else None


async def find_user_by_email(session: Session, email: str, now: datetime) -> User | None:
    """The user with an address, of whatever account; never a deleted one."""
    found = await find_credentials(session, email, now)
    return found.user if found else None


async def find_credentials(session: Session, email: str, now: datetime) -> Credentials | None:
    """What the user with an address signs in with; never of a deleted one."""
    row = await session.fetchrow(
        f"{_USER} WHERE lower(u.email) = lower($2) AND u.status <> 'deprovisioned'", now, email
    )
    return _credentials(row) if row else None


async def lock_user(tx: Tx, account_id: str, user_id: str, now: datetime) -> Credentials | None:
    """A user, the row locked until the transaction ends; deleted ones too."""
    row = await tx.fetchrow(
        f"{_USER} WHERE u.account_id = $2 AND u.id = $3 FOR NO KEY UPDATE OF u",
        now, account_id, user_id,
    )  # fmt: skip
    return _credentials(row) if row else None


async def lock_account(tx: Tx, account_id: str) -> bool:
    """Let nobody else change who administers an account until the transaction ends."""
    row = await tx.fetchrow("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
    return row is not None


async def other_administrators(tx: Tx, account_id: str, user_id: str) -> list[UserStatus]:
    """The stored status of every administrator but one."""
    rows = await tx.fetch(
        """
        SELECT status FROM users
         WHERE account_id = $1 AND role = 'administrator' AND id <> $2
        """,
        account_id, user_id,
    )  # fmt: skip
    return [UserStatus(row["status"]) for row in rows]


async def has_users(session: Session, account_id: str) -> bool:
    """Whether an account ever had a user."""
    return await session.fetchval(
        "SELECT EXISTS (SELECT 1 FROM users WHERE account_id = $1)", account_id
    )


async def list_users(
    session: Session, account_id: str, wanted: UserFilter, now: datetime, *, page: int = 1,
    limit: int = PAGE,
) -> UserPage:  # fmt: skip
    """Users by name. page: from 1."""
    rows = await session.fetch(
        f"""
        SELECT *, count(*) OVER () AS total FROM ({_USER} WHERE u.account_id = $2) AS u
         WHERE ($3::text IS NULL OR strpos(lower(name), lower($3)) > 0
                OR strpos(lower(email), lower($3)) > 0)
           AND ($4::text IS NULL OR type = $4)
           AND ($5::text IS NULL OR role = $5)
           AND CASE WHEN $6::text IS NULL THEN status <> 'deprovisioned' ELSE status = $6 END
         ORDER BY lower(name), email, id LIMIT $7 OFFSET $8
        """,
        now, account_id, searched(wanted.q), wanted.type, wanted.role, wanted.status, limit,
        (page - 1) * limit,
    )  # fmt: skip
    return UserPage([user_of(row) for row in rows], rows[0]["total"] if rows else 0)


async def list_members(session: Session, account_id: str, now: datetime) -> list[User]:
    """The members of the permission set for refunds, by name."""
    rows = await session.fetch(
        f"SELECT * FROM ({_USER} WHERE u.account_id = $2) AS u WHERE in_refund_set"
        " ORDER BY lower(name), email",
        now, account_id,
    )  # fmt: skip
    return [user_of(row) for row in rows]


async def add_to_set(tx: Tx, user: User, now: datetime) -> bool:
    """Make a user a member of the permission set; False if that was so already."""
    row = await tx.fetchrow(
        """
        INSERT INTO permission_set_members (account_id, permission_set, user_id, added_at)
        VALUES ($1, 'refunds', $2, $3) ON CONFLICT DO NOTHING RETURNING 1
        """,
        user.account_id, user.id, now,
    )  # fmt: skip
    return row is not None


async def remove_from_set(tx: Tx, user: User) -> bool:
    """Take a user out of the permission set; False if it was not in it."""
    row = await tx.fetchrow(
        """
        DELETE FROM permission_set_members
         WHERE account_id = $1 AND permission_set = 'refunds' AND user_id = $2 RETURNING 1
        """,
        user.account_id, user.id,
    )  # fmt: skip
    return row is not None


async def set_profile(tx: Tx, user: User) -> None:
    """Store name, type and role."""
    await tx.execute(
        "UPDATE users SET name = $3, type = $4, role = $5 WHERE account_id = $1 AND id = $2",
        user.account_id, user.id, user.name, user.type, user.role,
    )  # fmt: skip


async def set_status(tx: Tx, user: User, status: UserStatus) -> None:
    """Store another status; who was locked out is not any more."""
    await tx.execute(
        """
        UPDATE users SET status = $3, failed_at = '{}', locked_until = NULL
         WHERE account_id = $1 AND id = $2
        """,
        user.account_id, user.id, status,
    )  # fmt: skip


async def set_password(tx: Tx, user: User, password_hash: str | None) -> None:
    """Store another password, or none. A user with one is active, without one in recovery."""
    await tx.execute(
        """
        UPDATE users
           SET password_hash = $3, failed_at = '{}', locked_until = NULL,
               status = CASE WHEN $3::text IS NULL THEN 'recovery' ELSE 'active' END
         WHERE account_id = $1 AND id = $2
        """,
        user.account_id, user.id, password_hash,
    )  # fmt: skip


async def store_rehashed(tx: Tx, user: User, old: str | None, new: str) -> None:
    """Store the same password hashed anew, unless it was changed meanwhile."""
    await tx.execute(
        """
        UPDATE users SET password_hash = $4
         WHERE account_id = $1 AND id = $2 AND password_hash = $3
        """,
        user.account_id, user.id, old, new,
    )  # fmt: skip


async def set_attempts(tx: Tx, user: User, attempts: Attempts) -> None:
    """Store which failures count and until when the user is locked out."""
    await tx.execute(
        "UPDATE users SET failed_at = $3, locked_until = $4 WHERE account_id = $1 AND id = $2",
        user.account_id, user.id, list(attempts.failed_at), attempts.locked_until,
    )  # fmt: skip


async def set_signed_in(tx: Tx, user: User, step: int | None, now: datetime) -> None:
    """Store a sign-in, and the step of the code that was taken for it, if there was one."""
    await tx.execute(
        """
        UPDATE users SET last_sign_in_at = $3, failed_at = '{}', locked_until = NULL,
                         totp_step = coalesce($4, totp_step)
         WHERE account_id = $1 AND id = $2
        """,
        user.account_id, user.id, now, step,
    )  # fmt: skip


async def set_totp(
    tx: Tx, user: User, sealed: bytes | None, *, on: bool, step: int | None = None
) -> None:
    """Store the secret of the codes, and whether they are asked for."""
    await tx.execute(
        """
        UPDATE users SET totp_sealed = $3, totp_on = $4, totp_step = $5
         WHERE account_id = $1 AND id = $2
        """,
        user.account_id, user.id, sealed, on, step,
    )  # fmt: skip


async def remove_user(tx: Tx, user: User) -> None:
    """Leave of a user what the history needs: address, name, role."""
    await tx.execute(
        """
        UPDATE users
           SET status = 'deprovisioned', password_hash = NULL, totp_sealed = NULL,
               totp_on = false, totp_step = NULL, failed_at = '{}', locked_until = NULL
         WHERE account_id = $1 AND id = $2
        """,
        user.account_id, user.id,
    )  # fmt: skip


def user_of(row: Record) -> User:
    """A user from a row with the columns of one."""
    return User(
        row["id"],
        row["account_id"],
        row["email"],
        row["name"],
        UserType(row["type"]),
        Role(row["role"]),
        UserStatus(row["status"]),
        row["in_refund_set"],
        row["totp_on"],
        row["created_at"],
        row["last_sign_in_at"],
    )


def _credentials(row: Record) -> Credentials:
    return Credentials(
        user_of(row),
        UserStatus(row["stored"]),
        row["password_hash"],
        row["totp_sealed"],
        row["totp_step"],
        Attempts(tuple(row["failed_at"]), row["locked_until"]),
    )
