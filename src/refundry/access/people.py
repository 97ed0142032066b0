"""Making, changing and removing users; each change is written into the audit log with it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from refundry.access import users
from refundry.access.audit_log import Actor, Change, audit
from refundry.access.links import INVITATION_LIFE, RECOVERY_LIFE, delete_link, insert_link
from refundry.access.rights import (
    REFUND_SET_NAME,
    AccessRefusal,
    AccessRefused,
    Role,
    UserStatus,
    UserType,
    is_last_administrator,
    may_manage,
)
from refundry.access.sessions import end_sessions
from refundry.access.users import Credentials, User
from refundry.db.database import Database, Tx
from refundry.errors import NotFound
from refundry.ids import new_user_id

T = TypeVar("T")
# Not whether mail arrives: only that it has one @, and nothing that a line of a mail must not.
_EMAIL = re.compile(r"[^@\s\x00-\x20<>,;\"]{1,64}@[^@\s\x00-\x20<>,;\"]{1,255}")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class NewUser:
    """Who is to be made. name: without one, the address up to its @.

    password_hash: without one, the user is invited. in_refund_set: a member from the start.
    """

    email: str
    role: Role
    name: str | None = None
    type: UserType = UserType.CLIENT
    in_refund_set: bool = False
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class UserEdit:
    """What is to be changed; None: as it is."""

    name: str | None = None
    type: UserType | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Invited:
    """A user, and the token of the link that sets their password if they have none."""

    user: User
    link_token: str | None


async def create_user(
    database: Database, actor: Actor, account_id: str, new: NewUser, now: datetime
) -> Invited:
    """Make a user; without a password, with an invitation. Raises AccessRefused."""
    return await database.run(lambda tx: add_user(tx, actor, account_id, new, now))


async def add_user(
    tx: Tx, actor: Actor, account_id: str, new: NewUser, now: datetime
) -> Invited:  # fmt: skip
    """The same within a transaction."""
    _check_may_manage(actor, new.role)
    user = User(
        id=new_user_id(),
        account_id=account_id,
        email=_checked_email(new.email),
        name=_checked_name(new.email.strip().split("@")[0] if new.name is None else new.name),
        type=new.type,
        role=new.role,
        status=UserStatus.ACTIVE if new.password_hash else UserStatus.STAGED,
        in_refund_set=new.in_refund_set,
        totp_on=False,
        created_at=now,
        last_sign_in_at=None,
    )
    if not await users.insert_user(tx, user, new.password_hash):
        raise AccessRefused(AccessRefusal.EMAIL_TAKEN)
    token = None
    if not new.password_hash:
        token = await insert_link(tx, user, now, INVITATION_LIFE)
    await _audit(tx, actor, user, "user.created", None, user, now)
    if new.in_refund_set:
        await _join(tx, actor, user, now)
    return Invited(user, token)


async def edit_user(
    database: Database, actor: Actor, account_id: str, user_id: str, edit: UserEdit, now: datetime
) -> User:
    """Change name, type or role. Raises AccessRefused (the last administrator), NotFound."""

    async def work(tx: Tx, held: Credentials) -> User:
        user = held.user
        after = replace(
            user,
            name=user.name if edit.name is None else _checked_name(edit.name),
            type=edit.type or user.type,
            role=edit.role or user.role,
        )
        _check_may_manage(actor, user.role, after.role)
        if after.role is not Role.ADMINISTRATOR:
            await _check_others_administer(tx, held)
        if after != user:
            await users.set_profile(tx, after)
            await _audit(tx, actor, user, "user.edited", user, after, now)
        return after

    return await _on_user(database, account_id, user_id, now, work)


async def rename_self(database: Database, user: User, name: str, now: datetime) -> None:
    """Let somebody change their own name, which needs no right. Raises AccessRefused."""

    async def work(tx: Tx, held: Credentials) -> None:
        after = replace(held.user, name=_checked_name(name))
        if after != held.user:
            await users.set_profile(tx, after)
            await _audit(tx, user.actor, user, "user.edited", held.user, after, now)

    await _on_user(database, user.account_id, user.id, now, work)


async def make_password_link(
    database: Database,
    actor: Actor,
    account_id: str,
    user_id: str,
    now: datetime,
    *,
    reset_totp: bool = False,
) -> str:
    """Make a new link for a user in place of any before; gives its token.

    Who had a password has none any more, and is signed out. reset_totp: for who lost the app.
    Raises AccessRefused (suspended, may not manage), NotFound.
    """

    async def work(tx: Tx, held: Credentials) -> str:
        user = held.user
        _check_may_manage(actor, user.role)
        after = replace(user, totp_on=user.totp_on and not reset_totp)
        if held.status is UserStatus.STAGED:
            life = INVITATION_LIFE
        elif held.status in (UserStatus.ACTIVE, UserStatus.RECOVERY):
            life, after = RECOVERY_LIFE, replace(after, status=UserStatus.RECOVERY)
            await users.set_password(tx, user, None)
            await end_sessions(tx, user)
        else:
            raise AccessRefused(AccessRefusal.NOT_IN_THIS_STATUS)
        if reset_totp:
            await users.set_totp(tx, user, None, on=False)
        await _audit(tx, actor, user, "user.link_made", user, after, now)
        return await insert_link(tx, user, now, life)

    return await _on_user(database, account_id, user_id, now, work)


async def suspend_user(
    database: Database, actor: Actor, account_id: str, user_id: str, now: datetime
) -> None:
    """Keep a user out from now on: sessions and links end. Twice is once.

    Raises AccessRefused (the last administrator), NotFound.
    """

    async def work(tx: Tx, held: Credentials) -> None:
        _check_may_manage(actor, held.user.role)
        if held.status is UserStatus.SUSPENDED:
            return
        await _check_others_administer(tx, held)
        await users.set_status(tx, held.user, UserStatus.SUSPENDED)
        await end_sessions(tx, held.user)
        await delete_link(tx, held.user)
        after = replace(held.user, status=UserStatus.SUSPENDED)
        await _audit(tx, actor, held.user, "user.suspended", held.user, after, now)

    await _on_user(database, account_id, user_id, now, work)


async def reinstate_user(
    database: Database, actor: Actor, account_id: str, user_id: str, now: datetime
) -> None:
    """Let a suspended user in again; who has no password needs a new link.

    Raises AccessRefused, NotFound.
    """

    async def work(tx: Tx, held: Credentials) -> None:
        _check_may_manage(actor, held.user.role)
        if held.status is not UserStatus.SUSPENDED:
            raise AccessRefused(AccessRefusal.NOT_IN_THIS_STATUS)
        status = UserStatus.ACTIVE if held.password_hash else UserStatus.STAGED
        await users.set_status(tx, held.user, status)
        after = replace(held.user, status=status)
        await _audit(tx, actor, held.user, "user.reinstated", held.user, after, now)

    await _on_user(database, account_id, user_id, now, work)


async def delete_user(
    database: Database, actor: Actor, account_id: str, user_id: str, now: datetime
) -> None:
    """Remove a user for good; name and address stay for the history, and the address is free.

    Raises AccessRefused (the last administrator), NotFound.
    """

    async def work(tx: Tx, held: Credentials) -> None:
        _check_may_manage(actor, held.user.role)
        await _check_others_administer(tx, held)
        await end_sessions(tx, held.user)
        await delete_link(tx, held.user)
        await users.remove_from_set(tx, held.user)
        await users.remove_user(tx, held.user)
        await _audit(tx, actor, held.user, "user.deleted", held.user, None, now)

    await _on_user(database, account_id, user_id, now, work)


async def add_member(
    database: Database, actor: Actor, account_id: str, user_id: str, now: datetime
) -> None:
    """Put a user into the permission set for refunds. Twice is once.

    Raises AccessRefused (may not manage), NotFound.
    """

    async def work(tx: Tx, held: Credentials) -> None:
        _check_may_manage(actor, held.user.role)
        await _join(tx, actor, held.user, now)

    await _on_user(database, account_id, user_id, now, work)


async def remove_member(
    database: Database, actor: Actor, account_id: str, user_id: str, now: datetime
) -> None:
    """Take a user out of the permission set for refunds. Twice is once.

    Raises AccessRefused (may not manage), NotFound.
    """

    async def work(tx: Tx, held: Credentials) -> None:
        _check_may_manage(actor, held.user.role)
        if await users.remove_from_set(tx, held.user):
            change = Change("permission_set.member_removed", "permission_set", REFUND_SET_NAME,
                            before=_member(held.user))  # fmt: skip
            await audit(tx, account_id, actor, change, now)

    await _on_user(database, account_id, user_id, now, work)


async def _join(tx: Tx, actor: Actor, user: User, now: datetime) -> None:
    if await users.add_to_set(tx, user, now):
        change = Change("permission_set.member_added", "permission_set", REFUND_SET_NAME,
                        after=_member(user))  # fmt: skip
        await audit(tx, user.account_id, actor, change, now)


async def _on_user(
    database: Database,
    account_id: str,
    user_id: str,
    now: datetime,
    work: Callable[[Tx, Credentials], Awaitable[T]],
) -> T:
    """Run `work` on a user who is not deleted, with nobody else changing people of the account.

    The lock on the account comes first: of two who demote each other one must see the other's
    change, and of two administrators one is then the last.
    """

    async def run(tx: Tx) -> T:
        await users.lock_account(tx, account_id)
        held = await users.lock_user(tx, account_id, user_id, now)
        if held is None or held.status is UserStatus.DEPROVISIONED:
            raise NotFound("User", user_id)
        return await work(tx, held)

    return await database.run(run)


async def _check_others_administer(tx: Tx, held: Credentials) -> None:
    """Refuse to lose the last administrator; the account is locked."""
    if held.user.role is not Role.ADMINISTRATOR:
        return
    others = await users.other_administrators(tx, held.user.account_id, held.user.id)
    if is_last_administrator(held.status, others):
        raise AccessRefused(AccessRefusal.LAST_ADMINISTRATOR)


def _check_may_manage(actor: Actor, *roles: Role) -> None:
    """The command line may manage everybody: whoever has it has the database as well."""
    if actor.kind in ("command", "system"):
        return
    if actor.role is None or not may_manage(actor.role, *roles):
        raise AccessRefused(AccessRefusal.ONLY_ADMINISTRATORS)


def _checked_email(text: str) -> str:
    email = text.strip()
    if not _EMAIL.fullmatch(email):
        raise AccessRefused(AccessRefusal.EMAIL_INVALID)
    return email


def _checked_name(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise AccessRefused(AccessRefusal.NAME_MISSING)
    return name


async def _audit(
    tx: Tx, actor: Actor, user: User, action: str, before: User | None, after: User | None,
    now: datetime,
) -> None:  # fmt: skip
    change = Change(action, "user", user.id, _shown(before), _shown(after))
    await audit(tx, user.account_id, actor, change, now)


def _shown(user: User | None) -> dict[str, Any] | None:
    """What the audit log tells of a user."""
    if user is None:
        return None
    return {
        "email": user.email,
        "name": user.name,
        "type": user.type,
        "role": user.role,
        "status": user.status,
        "totp": user.totp_on,
    }


def _member(user: User) -> dict[str, Any]:
    return {"userId": user.id, "email": user.email}
