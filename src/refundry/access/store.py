"""Accounts and API keys in the database."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.db.database import Record, Session, Tx
from refundry.tenant import VERSIONS, ApiKey, Tenant


def key_hash(text: str) -> bytes:
    """What is stored of a key: keys hold 128 random bits, so a plain hash is enough."""
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored; secret_hash stands for its text."""

    id: str
    tenant: Tenant
    kind: str
    name: str
    secret_hash: bytes
    permissions: dict[str, str]
    version: str
    item_amount_basis: str
    created_at: datetime
    last_four: str
    public_text: str | None = None
    sealed_secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is kept. last_four, public_text: None where only its hash is known.

    public_text: of a public key, the whole of it. expires_at: None while nothing ends it.
    """

    id: str
    tenant: Tenant
    kind: str
    name: str
    permissions: dict[str, str]
    version: str
    item_amount_basis: str
    created_at: datetime
    expires_at: datetime | None
    last_four: str | None
    public_text: str | None
    needs_approval: bool


async def find_key(session: Session, secret_hash: bytes, now: datetime) -> ApiKey | None:
    """The key with this hash, unless it has ended; now: real time."""
    row = await session.fetchrow(
        """
        SELECT k.account_id, k.live, k.id, k.kind, k.name, k.permissions::text AS permissions,
               k.api_version, k.item_amount_basis, a.test_clock_shift,
               k.needs_approval
          FROM api_keys k JOIN accounts a ON a.id = k.account_id
         WHERE k.secret_hash = $1 AND (k.expires_at IS NULL OR k.expires_at > $2)
        """,
        secret_hash, now,
    )  # fmt: skip
    if row is None:
        return None
    return ApiKey(
        id=row["id"],
        name=row["name"],
        tenant=Tenant(row["account_id"], row["live"]),
        kind=row["kind"],
        permissions=json.loads(row["permissions"]),
        version=row["api_version"],
        item_amount_basis=row["item_amount_basis"],
        clock_shift=timedelta() if row["live"] else row["test_clock_shift"],
        needs_approval=row["needs_approval"],
    )


async def insert_account(tx: Tx, account_id: str, name: str, now: datetime) -> bool:
    """Make an account; False if the name is taken."""
    row = await tx.fetchrow(
        """
        INSERT INTO accounts (id, name, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO NOTHING RETURNING 1
        """,
        account_id, name, now,
    )  # fmt: skip
    return row is not None


async def find_account(session: Session, name: str | None) -> str | None:
    """The id of the account with this name; without a name, of the oldest one."""
    return await session.fetchval(
        """
        SELECT id FROM accounts
         WHERE ($1::text IS NULL OR name = $1)
         ORDER BY created_at, id LIMIT 1
        """,
        name,
    )


async def account_name(session: Session, account_id: str) -> str:
    """The name of an account."""
    return await session.fetchval("SELECT name FROM accounts WHERE id = $1", account_id)


async def insert_key(tx: Tx, key: NewKey) -> None:
    """Store a key. It needs approvals if a key of its kind does: a new key, or one that takes
    another's place, is no way around them."""
    await tx.execute(
        """
        INSERT INTO api_keys (account_id, live, id, kind, name, secret_hash, sealed_secret,
                              permissions, api_version, item_amount_basis, created_at, last_four,
                              public_text, needs_approval)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13,
                EXISTS (SELECT FROM api_keys
                         WHERE account_id = $1 AND live = $2 AND kind = $4 AND needs_approval))
        """,
        key.tenant.account_id, key.tenant.live, key.id, key.kind, key.name, key.secret_hash,
        key.sealed_secret, json.dumps(key.permissions), key.version, key.item_amount_basis,
        key.created_at, key.last_four, key.public_text,
    )  # fmt: skip


_COLUMNS = """id, account_id, live, kind, name, permissions::text AS permissions, api_version,
       item_amount_basis, created_at, expires_at, last_four, public_text, needs_approval"""


async def list_keys(session: Session, tenant: Tenant, now: datetime) -> list[StoredKey]:
    """The keys that are valid: secret, public, then restricted by name. now: real time."""
    rows = await session.fetch(
        f"""
        SELECT {_COLUMNS}
          FROM api_keys
         WHERE account_id = $1 AND live = $2 AND (expires_at IS NULL OR expires_at > $3)
         ORDER BY array_position(ARRAY['secret', 'public', 'restricted'], kind),
                  CASE WHEN kind = 'restricted' THEN lower(name) END,
                  expires_at DESC NULLS FIRST, created_at DESC, id
        """,
        tenant.account_id, tenant.live, now,
    )  # fmt: skip
    return [_stored_key(row) for row in rows]


async def lock_key(tx: Tx, tenant: Tenant, key_id: str) -> StoredKey | None:
    """The key, its row locked until the transaction ends; None if there is none."""
    row = await tx.fetchrow(
        f"""
        SELECT {_COLUMNS}
          FROM api_keys
         WHERE account_id = $1 AND live = $2 AND id = $3
           FOR UPDATE
        """,
        tenant.account_id, tenant.live, key_id,
    )  # fmt: skip
    return _stored_key(row) if row else None


async def lock_lasting_keys(tx: Tx, tenant: Tenant) -> list[StoredKey]:
    """The keys that nothing ends, locked."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS}
          FROM api_keys
         WHERE account_id = $1 AND live = $2 AND expires_at IS NULL
         ORDER BY id
           FOR UPDATE
        """,
        tenant.account_id, tenant.live,
    )  # fmt: skip
    return [_stored_key(row) for row in rows]


async def save_key(tx: Tx, key: StoredKey) -> None:
    """Store what can be changed of a key; its row must be locked."""
    await tx.execute(
        """
        UPDATE api_keys
           SET name = $4, permissions = $5::jsonb, api_version = $6, item_amount_basis = $7,
               expires_at = $8
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        key.tenant.account_id, key.tenant.live, key.id, key.name, json.dumps(key.permissions),
        key.version, key.item_amount_basis, key.expires_at,
    )  # fmt: skip


async def account_version(session: Session, tenant: Tenant) -> str:
    """The API version of the account's secret key, which webhooks have by default."""
    version = await session.fetchval(
        """
        SELECT api_version FROM api_keys
         WHERE account_id = $1 AND live = $2 AND kind = 'secret' AND expires_at IS NULL
        """,
        tenant.account_id, tenant.live,
    )  # fmt: skip
    return version or VERSIONS[0]


def _stored_key(row: Record) -> StoredKey:
    return StoredKey(
        id=row["id"],
        tenant=Tenant(row["account_id"], row["live"]),
        kind=row["kind"],
        name=row["name"],
        permissions=json.loads(row["permissions"]),
        version=row["api_version"],
        item_amount_basis=row["item_amount_basis"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_four=row["last_four"],
        public_text=row["public_text"],
        needs_approval=row["needs_approval"],
    )


async def sandbox_secret(session: Session) -> bytes | None:
    """The encrypted text of the sandbox's standing test key, if there is one."""
    return await session.fetchval(
        """
        SELECT sealed_secret FROM api_keys
         WHERE sealed_secret IS NOT NULL AND NOT live AND kind = 'secret' AND expires_at IS NULL
         ORDER BY created_at LIMIT 1
        """
    )


async def clock_shift(session: Session, tenant: Tenant) -> timedelta:
    """How far a tenant's clock is from real time; nothing in live mode."""
    if tenant.live:
        return timedelta()
    return await session.fetchval(
        "SELECT test_clock_shift FROM accounts WHERE id = $1", tenant.account_id
    )


async def shift_test_clock(session: Session, account_id: str, by: timedelta) -> timedelta | None:
    """Move an account's test clock forward; gives how far it now is from real time.

    None, and nothing moved, beyond two centuries: dates have an end.
    """
    return await session.fetchval(
        """
        UPDATE accounts SET test_clock_shift = test_clock_shift + $2
         WHERE id = $1 AND test_clock_shift + $2 <= interval '200 years'
        RETURNING test_clock_shift
        """,
        account_id, by,
    )  # fmt: skip


async def standing_keys(session: Session, tenant: Tenant, now: datetime) -> list[ApiKey]:
    """The keys that may write and have not ended; now: real time."""
    rows = await session.fetch(
        """
        SELECT id, kind, name, permissions::text AS permissions, api_version, item_amount_basis,
               needs_approval
          FROM api_keys
         WHERE account_id = $1 AND live = $2 AND kind <> 'public'
           AND (expires_at IS NULL OR expires_at > $3)
         ORDER BY kind DESC, name, created_at
        """,
        tenant.account_id, tenant.live, now,
    )  # fmt: skip
    return [
        ApiKey(
            row["id"], row["name"], tenant, row["kind"], json.loads(row["permissions"]),
            row["api_version"], row["item_amount_basis"], timedelta(), row["needs_approval"],
        )
        for row in rows
    ]  # fmt: skip


async def mark_keys(tx: Tx, tenant: Tenant, ids: list[str]) -> None:
    """Let limits apply to the refunds of these keys, and of no others."""
    await tx.execute(
        """
        UPDATE api_keys SET needs_approval = (id = ANY ($3::text[]))
         WHERE account_id = $1 AND live = $2 AND needs_approval <> (id = ANY ($3::text[]))
        """,
        tenant.account_id, tenant.live, ids,
    )  # fmt: skip


async def mark_key(tx: Tx, tenant: Tenant, key_id: str, *, needs: bool) -> bool:
    """Let limits apply to the refunds of one key, or no more; False if they did, or did not.

    A public key makes no refunds and is left as it is.
    """
    row = await tx.fetchrow(
        """
        UPDATE api_keys SET needs_approval = $4
         WHERE account_id = $1 AND live = $2 AND id = $3 AND kind <> 'public'
           AND needs_approval <> $4
        RETURNING 1
        """,
        tenant.account_id, tenant.live, key_id, needs,
    )  # fmt: skip
    return row is not None
