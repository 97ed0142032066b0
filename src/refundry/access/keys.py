"""API keys: made, rotated, changed and ended; each change is in the audit log with it.

All of it works in the caller's transaction, in which a page also takes its form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from refundry.access import store
from refundry.access.audit_log import Actor, Change, audit
from refundry.access.store import StoredKey
from refundry.db.database import Tx
from refundry.errors import NotFound
from refundry.ids import new_secret_hex, new_uuid
from refundry.sealing import Vault
from refundry.tenant import RESOURCES, VERSIONS, Tenant

_PREFIXES = {"secret": "sk", "public": "pk", "restricted": "rk"}
_LONGEST_NAME = 100
PERMISSIONS = ("none", "read", "write", "read_write")
BASES = ("line", "unit")
"""What `items[].amount` of a refund request means: the whole element, or one unit."""
OLD_KEY_LIVES = {
    "now": timedelta(),
    "1h": timedelta(hours=1),
    "12h": timedelta(hours=12),
    "24h": timedelta(hours=24),
}
"""How long a key that was rotated out may stay valid (contract, http, section 1)."""


class KeyRefusal(StrEnum):
    """Why something about keys was refused, in the words that people are shown."""

    NAME_MISSING = f"A key needs a name of at most {_LONGEST_NAME} characters."
    NO_RIGHT = "A restricted key needs at least one permission that is not None."
    PERMISSION_UNKNOWN = "A permission is for a resource, and none, read, write or read and write."
    VERSION_UNKNOWN = "There is no such API version."
    BASIS_UNKNOWN = "An item amount is for the line or for one unit."
    STANDARD = "Standard keys can be rotated, never deleted."
    ENDED = "This key has ended already, or ends by itself."


class KeyRefused(Exception):
    """A rule about keys said no; nothing has changed."""

    def __init__(self, refusal: KeyRefusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made. kind: secret, public or restricted. name: without one, it gets one.

    version, item_amount_basis: None for those of the key that it replaces, or for the usual ones.
    """

    kind: str
    name: str | None = None
    permissions: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str | None = None
    item_amount_basis: str | None = None


@dataclass(frozen=True, slots=True)
class KeyEdit:
    """What is to be changed of a key; None: as it is. name, permissions: of restricted keys."""

    name: str | None = None
    permissions: Mapping[str, str] | None = None
    version: str | None = None
    item_amount_basis: str | None = None


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was made just now. text: the key itself, which is not kept."""

    id: str
    name: str
    text: str = field(repr=False)


async def add_key(tx: Tx, actor: Actor, tenant: Tenant, new: NewKey, now: datetime) -> MadeKey:
    """Make a restricted key. now: real time. Raises KeyRefused."""
    assert new.kind == "restricted"
    _check(new.permissions, new.version, new.item_amount_basis)
    name = None if new.name is None else _checked_name(new.name)
    made = await insert_key(tx, tenant, replace(new, name=name), now)
    key = await _lock(tx, tenant, made.id)
    await _audit(tx, actor, "key.created", key, None, facts(key), now)
    return made


async def replace_standing(
    tx: Tx, actor: Actor, tenant: Tenant, new: NewKey, now: datetime, old_lives: timedelta
) -> MadeKey:
    """Make a secret or public key in the place of the one before it. Raises KeyRefused."""
    _check(None, new.version, new.item_amount_basis)
    for old in await store.lock_lasting_keys(tx, tenant):
        if old.kind == new.kind:
            return await _replace(tx, actor, old, new, now, old_lives)
    made = await insert_key(tx, tenant, new, now)
    key = await _lock(tx, tenant, made.id)
    await _audit(tx, actor, "key.created", key, None, facts(key), now)
    return made


async def rotate_key(
    tx: Tx, actor: Actor, tenant: Tenant, key_id: str, now: datetime, old_lives: timedelta
) -> MadeKey:
    """Make a key like this one, which ends after `old_lives`. Raises NotFound and KeyRefused."""
    old = await _lock_lasting(tx, tenant, key_id)
    name = old.name if old.kind == "restricted" else None
    new = NewKey(old.kind, name, old.permissions)
    return await _replace(tx, actor, old, new, now, old_lives)


async def _replace(
    tx: Tx, actor: Actor, old: StoredKey, new: NewKey, now: datetime, old_lives: timedelta
) -> MadeKey:
    ended = replace(old, expires_at=now + old_lives)
    await store.save_key(tx, ended)
    like_old = replace(
        new,
        version=new.version or old.version,
        item_amount_basis=new.item_amount_basis or old.item_amount_basis,
    )
    made = await insert_key(tx, old.tenant, like_old, now)
    after = facts(ended) | {"replacedBy": made.id}
    await _audit(tx, actor, "key.rotated", old, facts(old), after, now)
    return made


async def edit_key(
    tx: Tx, actor: Actor, tenant: Tenant, key_id: str, edit: KeyEdit, now: datetime
) -> StoredKey:
    """Change a key. Raises NotFound and KeyRefused."""
    key = await _lock_lasting(tx, tenant, key_id)
    after = replace(
        key,
        version=edit.version or key.version,
        item_amount_basis=edit.item_amount_basis or key.item_amount_basis,
    )
    if key.kind == "restricted":
        after = replace(
            after,
            name=key.name if edit.name is None else _checked_name(edit.name),
            permissions=key.permissions if edit.permissions is None else _rights(edit.permissions),
        )
    restricted = after.permissions if key.kind == "restricted" else None
    _check(restricted, after.version, after.item_amount_basis)
    if after != key:
        await store.save_key(tx, after)
        await _audit(tx, actor, "key.edited", key, facts(key), facts(after), now)
    return after


async def end_key(tx: Tx, actor: Actor, tenant: Tenant, key_id: str, now: datetime) -> None:
    """Delete a restricted key: it is refused from now on. Raises NotFound and KeyRefused.

    Also one that was rotated out and would still be valid for a while.
    """
    key = await _lock(tx, tenant, key_id)
    if key.kind != "restricted" and key.expires_at is None:
        raise KeyRefused(KeyRefusal.STANDARD)
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyRefused(KeyRefusal.ENDED)
    await store.save_key(tx, replace(key, expires_at=now))
    await _audit(tx, actor, "key.deleted", key, facts(key), None, now)


async def set_version(
    tx: Tx, actor: Actor, tenant: Tenant, version: str, now: datetime
) -> list[str]:
    """Give every key of the mode an API version; gives the ids of those that had another.

    Raises KeyRefused. Keys that end by themselves keep theirs.
    """
    changed: list[str] = []
    for key in await store.lock_lasting_keys(tx, tenant):
        after = await edit_key(tx, actor, tenant, key.id, KeyEdit(version=version), now)
        if after != key:
            changed.append(key.id)
    return changed


async def insert_key(
    tx: Tx, tenant: Tenant, new: NewKey, now: datetime, vault: Vault | None = None
) -> MadeKey:
    """Draw a key and store what may be kept of it. vault: seals its text; for the sandbox alone."""
    mode = "live" if tenant.live else "test"
    text = f"{_PREFIXES[new.kind]}_{mode}_{new_secret_hex()}"
    key_id = new_uuid()
    name = new.name or f"{mode} {new.kind} {key_id[:8]}"
    await store.insert_key(
        tx,
        store.NewKey(
            id=key_id,
            tenant=tenant,
            kind=new.kind,
            name=name,
            secret_hash=store.key_hash(text),
            permissions=_rights(new.permissions),
            version=new.version or VERSIONS[0],
            item_amount_basis=new.item_amount_basis or BASES[0],
            created_at=now,
            last_four=text[-4:],
            public_text=text if new.kind == "public" else None,
            sealed_secret=vault.seal(text) if vault else None,
        ),
    )
    return MadeKey(key_id, name, text)


def facts(key: StoredKey) -> dict[str, Any]:
    """What the audit log tells of a key; nothing that could be used in its place."""
    found: dict[str, Any] = {
        "name": key.name,
        "kind": key.kind,
        "version": key.version,
        "itemAmountBasis": key.item_amount_basis,
    }
    if key.kind == "restricted":
        found["permissions"] = key.permissions
    if key.expires_at is not None:
        found["ends"] = key.expires_at.isoformat(timespec="seconds")
    return found


def _rights(permissions: Mapping[str, str]) -> dict[str, str]:
    """What a key may do; where it may nothing is not kept."""
    return {name: right for name, right in permissions.items() if right != "none"}


def _check(permissions: Mapping[str, str] | None, version: str | None, basis: str | None) -> None:
    """permissions: of a restricted key; None for others. Raises KeyRefused."""
    if version is not None and version not in VERSIONS:
        raise KeyRefused(KeyRefusal.VERSION_UNKNOWN)
    if basis is not None and basis not in BASES:
        raise KeyRefused(KeyRefusal.BASIS_UNKNOWN)
    if permissions is None:
        return
    if not (set(permissions) <= set(RESOURCES) and set(permissions.values()) <= set(PERMISSIONS)):
        raise KeyRefused(KeyRefusal.PERMISSION_UNKNOWN)
    if not _rights(permissions):
        raise KeyRefused(KeyRefusal.NO_RIGHT)


def _checked_name(text: str) -> str:
    name = " ".join(text.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise KeyRefused(KeyRefusal.NAME_MISSING)
    return name


async def _lock(tx: Tx, tenant: Tenant, key_id: str) -> StoredKey:
    key = await store.lock_key(tx, tenant, key_id)
    if key is None:
        raise NotFound("Key", key_id)
    return key


async def _lock_lasting(tx: Tx, tenant: Tenant, key_id: str) -> StoredKey:
    key = await _lock(tx, tenant, key_id)
    if key.expires_at is not None:
        raise KeyRefused(KeyRefusal.ENDED)
    return key


async def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    key: StoredKey,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    now: datetime,
) -> None:
    change = Change(action, "key", key.id, before, after, key.tenant.live)
    await audit(tx, key.tenant.account_id, actor, change, now)
