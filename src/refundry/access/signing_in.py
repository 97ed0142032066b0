"""Signing in, giving the password again, and what users change of their own credentials."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher

from refundry.access import totp, users
from refundry.access.audit_log import SYSTEM, Change, audit
from refundry.access.links import delete_link, find_link, take_link
from refundry.access.passwords import Checked, Passwords
from refundry.access.rights import AccessRefusal, AccessRefused, UserStatus, check_password
from refundry.access.sessions import WebSession, end_sessions, insert_session, note_authenticated
from refundry.access.users import Credentials, User
from refundry.clock import Clock
from refundry.db.database import Database, Tx
from refundry.errors import required
from refundry.ids import new_web_token
from refundry.sealing import Vault

# More than a hash takes, so that most refusals come after the same time: what is written for an
# address that has a user is some milliseconds, and would tell who has one.
_REFUSAL_SECONDS = 0.25
# To take up a phone, add the secret and type a code.
_ENROLMENT_TIME = timedelta(minutes=10)
# Longer than any address that mail can be sent to.
_LONGEST_EMAIL = 320


@dataclass(frozen=True, slots=True)
class Gate:
    """What everything about passwords and codes needs.

    refusal_seconds: a refused sign-in is answered after a whole multiple of it.
    """

    database: Database
    passwords: Passwords
    vault: Vault
    clock: Clock
    refusal_seconds: float = _REFUSAL_SECONDS


@asynccontextmanager
async def open_gate(
    database: Database, vault: Vault, clock: Clock, hasher: PasswordHasher | None = None
) -> AsyncGenerator[Gate]:
    """A gate of this process; its threads end with the block. hasher: another cost than usual."""
    passwords = Passwords(hasher)
    try:
        yield Gate(database, passwords, vault, clock)
    finally:
        passwords.close()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret for an authenticator app that is yet to be confirmed by a code."""

    secret: str
    uri: str


async def sign_in(gate: Gate, email: str, password: str, code: str | None = None) -> str | None:
    """Begin a session; gives its token, always a new one. None: refused, and nobody learns why.

    Unknown addresses, wrong passwords, missing codes and lock-outs take the same time. Raises
    TooBusy.
    """
    began = gate.clock.monotonic()
    token = await _try_to_enter(gate, email, password, code)
    if token is None and gate.refusal_seconds:
        taken = gate.clock.monotonic() - began
        await asyncio.sleep(gate.refusal_seconds - taken % gate.refusal_seconds)
    return token


async def _try_to_enter(gate: Gate, email: str, password: str, code: str | None) -> str | None:
    known = None
    if len(email) <= _LONGEST_EMAIL and email.isprintable():
        known = await users.find_credentials(gate.database, email.strip(), gate.clock.now())
    checked = await gate.passwords.check(known.password_hash if known else None, password)
    if known is None:
        return None
    now = gate.clock.now()

    async def work(tx: Tx) -> str | None:
        held = await _lock(tx, known.user, now)
        step = _step(gate, held, code, now)
        if not _may_enter(held, known, checked, now):
            await _note_failure(tx, held, checked, now)
            return None
        if held.user.totp_on and step is None:
            await _note_failure(tx, held, Checked(right=False), now)
            return None
        return await _enter(tx, held, checked, step, now)

    return await gate.database.run(work)


def _may_enter(held: Credentials, known: Credentials, checked: Checked, now: datetime) -> bool:
    """Whether the password opens the door. known: of which it was checked, before the lock."""
    return (
        checked.right
        and held.password_hash == known.password_hash
        and held.status is UserStatus.ACTIVE
        and not held.attempts.is_locked(now)
    )


async def _enter(
    tx: Tx, held: Credentials, checked: Checked, step: int | None, now: datetime
) -> str:
    if checked.rehashed is not None:
        await users.store_rehashed(tx, held.user, held.password_hash, checked.rehashed)
    await users.set_signed_in(tx, held.user, step if held.user.totp_on else None, now)
    token = new_web_token()
    await insert_session(tx, held.user, token, now)
    change = Change("user.signed_in", "user", held.user.id)
    await audit(tx, held.user.account_id, held.user.actor, change, now)
    return token


async def _note_failure(tx: Tx, held: Credentials, checked: Checked, now: datetime) -> None:
    """Count a failure of an active user; the fifth locks them out."""
    if checked.right or held.status is not UserStatus.ACTIVE or held.attempts.is_locked(now):
        return
    after = held.attempts.after_failure(now)
    await users.set_attempts(tx, held.user, after)
    if after.is_locked(now):
        change = Change("user.locked_out", "user", held.user.id)
        await audit(tx, held.user.account_id, SYSTEM, change, now)


async def reauthenticate(gate: Gate, web: WebSession, password: str) -> bool:
    """Whether the session's user gave the right password; failures count towards the lock-out.

    Raises TooBusy.
    """
    held = await _check_own(gate, web.user, password)
    if held is None:
        return False
    await note_authenticated(gate.database, web, gate.clock.now())
    return True


async def change_password(gate: Gate, web: WebSession, old: str, new: str) -> None:
    """Give the session's user another password; all their other sessions end.

    Raises AccessRefused and TooBusy.
    """
    check_password(new)
    held = await _own(gate, web.user, old)
    hashed = await gate.passwords.hash(new)
    now = gate.clock.now()

    async def work(tx: Tx) -> None:
        current = await _lock(tx, held.user, now)
        if current.password_hash != held.password_hash or current.status != UserStatus.ACTIVE:
            raise AccessRefused(AccessRefusal.PASSWORD_WRONG)
        await users.set_password(tx, held.user, hashed)
        await end_sessions(tx, held.user, but=web.token_hash)
        await delete_link(tx, held.user)
        change = Change("user.password_changed", "user", held.user.id)
        await audit(tx, held.user.account_id, held.user.actor, change, now)

    await gate.database.run(work)


async def set_password_by_link(gate: Gate, token: str, password: str) -> User:
    """Use a link up: the password is set, the user active, all their sessions end.

    Raises AccessRefused and TooBusy.
    """
    owner = await find_link(gate.database, token, gate.clock.now())
    if owner is None:
        raise AccessRefused(AccessRefusal.LINK_INVALID)
    check_password(password)
    hashed = await gate.passwords.hash(password)
    now = gate.clock.now()

    async def work(tx: Tx) -> User:
        # Locked before the link is: whoever makes another link locks the user first, too.
        held = await _lock(tx, owner, now)
        if held.status not in (UserStatus.STAGED, UserStatus.RECOVERY) or not await take_link(
            tx, token, now
        ):
            raise AccessRefused(AccessRefusal.LINK_INVALID)
        await users.set_password(tx, owner, hashed)
        await end_sessions(tx, owner)
        change = Change("user.password_set", "user", owner.id,
                        {"status": held.status}, {"status": UserStatus.ACTIVE})  # fmt: skip
        await audit(tx, owner.account_id, owner.actor, change, now)
        return required(await users.find_user(tx, owner.account_id, owner.id, now))

    return await gate.database.run(work)


async def enrol_totp(gate: Gate, web: WebSession, password: str) -> Enrolment:
    """Give the session's user a new secret; codes are asked for once one has confirmed it.

    Raises AccessRefused (a wrong password; codes are on already) and TooBusy.
    """
    held = await _own(gate, web.user, password)
    secret = totp.new_secret()
    now = gate.clock.now()

    async def work(tx: Tx) -> None:
        if (await _lock(tx, held.user, now)).user.totp_on:
            raise AccessRefused(AccessRefusal.NOT_IN_THIS_STATUS)
        await users.set_totp(tx, held.user, gate.vault.seal(secret), on=False)
        await note_authenticated(tx, web, now)

    await gate.database.run(work)
    return Enrolment(secret, totp.enrolment_uri(secret, held.user.email))


async def pending_enrolment(gate: Gate, web: WebSession) -> Enrolment | None:
    """The secret that waits to be confirmed, while the session gave the password just now."""
    now = gate.clock.now()
    if now - web.authenticated_at > _ENROLMENT_TIME:
        return None
    held = await users.find_credentials(gate.database, web.user.email, now)
    if held is None or held.user.totp_on or held.totp_sealed is None:
        return None
    secret = gate.vault.open(held.totp_sealed)
    return Enrolment(secret, totp.enrolment_uri(secret, held.user.email))


async def confirm_totp(gate: Gate, web: WebSession, code: str) -> None:
    """Ask for codes from now on, if this one shows that the app has the secret.

    Raises AccessRefused.
    """
    now = gate.clock.now()

    async def work(tx: Tx) -> None:
        held = await _lock(tx, web.user, now)
        step = _step(gate, held, code, now)
        if held.user.totp_on or held.totp_sealed is None:
            raise AccessRefused(AccessRefusal.NOT_IN_THIS_STATUS)
        if step is None:
            raise AccessRefused(AccessRefusal.CODE_WRONG)
        await users.set_totp(tx, web.user, held.totp_sealed, on=True, step=step)
        change = Change("user.totp_changed", "user", web.user.id, {"totp": False}, {"totp": True})
        await audit(tx, web.user.account_id, web.user.actor, change, now)

    await gate.database.run(work)


async def disable_totp(gate: Gate, web: WebSession, password: str) -> None:
    """Ask the session's user for no codes any more. Raises AccessRefused and TooBusy."""
    held = await _own(gate, web.user, password)
    now = gate.clock.now()

    async def work(tx: Tx) -> None:
        current = await _lock(tx, held.user, now)
        await users.set_totp(tx, held.user, None, on=False)
        change = Change("user.totp_changed", "user", held.user.id,
                        {"totp": current.user.totp_on}, {"totp": False})  # fmt: skip
        await audit(tx, held.user.account_id, held.user.actor, change, now)

    await gate.database.run(work)


async def _own(gate: Gate, user: User, password: str) -> Credentials:
    """The credentials of a user who gave the right password. Raises AccessRefused."""
    held = await _check_own(gate, user, password)
    if held is None:
        raise AccessRefused(AccessRefusal.PASSWORD_WRONG)
    return held


async def _check_own(gate: Gate, user: User, password: str) -> Credentials | None:
    """Check the password of somebody who is signed in; a failure is counted."""
    known = await users.find_credentials(gate.database, user.email, gate.clock.now())
    checked = await gate.passwords.check(known.password_hash if known else None, password)
    now = gate.clock.now()

    async def work(tx: Tx) -> Credentials | None:
        held = await _lock(tx, user, now)
        if known is not None and _may_enter(held, known, checked, now):
            return held
        await _note_failure(tx, held, checked, now)
        return None

    return await gate.database.run(work)


async def _lock(tx: Tx, user: User, now: datetime) -> Credentials:
    return required(await users.lock_user(tx, user.account_id, user.id, now))


def _step(gate: Gate, held: Credentials, code: str | None, now: datetime) -> int | None:
    """The step of a right code; None without one."""
    if held.totp_sealed is None or not code:
        return None
    secret = gate.vault.open(held.totp_sealed)
    return totp.matching_step(secret, code, now, held.totp_step)
