"""The answer to an idempotency key, stored in the transaction of its effect."""

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from refundry.db.database import Database, Session, Tx
from refundry.domain.refusal import KeyInUse, KeyReused
from refundry.errors import Refused, required
from refundry.ids import new_uuid
from refundry.sealing import Vault
from refundry.tenant import Tenant

LIFE = timedelta(hours=24)
# A longer path does not fit an index; its hash stands for it.
_LONGEST_PATH = 200
# A request still running after this long has died with its process; its key may be taken over.
_ABANDONED = timedelta(seconds=60)
# How long the answer to a request waits until its key is given back.
_RELEASE_SECONDS = 1.0
_RELEASE_AGAIN_SECONDS = 0.2
# Keys beyond these are free only when they are taken for abandoned.
_MOST_RELEASES = 10_000
log = structlog.get_logger("refundry.http")


class Overtaken(Exception):
    """Another request took this key over in the meantime; nothing may be written under it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer to a key."""

    status: int
    body: bytes


class Keeper(Protocol):
    """Keeps what a request came to, in the transaction of its effect."""

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Keep the answer, or raise, which rolls the effect back."""
        ...


@dataclass(slots=True)
class Receipt:
    """The right to answer under an idempotency key; `store` it once, with the effect."""

    tenant: Tenant
    method: str
    path: str
    key: str
    owner: str
    vault: Vault
    stored: bool = field(default=False)

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Keep the answer. Raises Overtaken, which rolls the effect back."""
        answer = self.vault.seal(body.decode()) if sealed else body
        row = await tx.fetchrow(
            """
            UPDATE idempotency_keys
               SET status = $7, answer = $8, sealed = $9
             WHERE account_id = $1 AND live = $2 AND method = $3 AND path = $4 AND key = $5
               AND owner = $6 AND status IS NULL
            RETURNING 1
            """,
            *self.identity, self.owner, status, answer, sealed,
        )  # fmt: skip
        if row is None:
            raise Overtaken
        self.stored = True

    async def release(self, database: Database) -> None:
        """Let the key be used afresh: the request ended without an answer to keep."""
        await database.execute(
            """
            DELETE FROM idempotency_keys
             WHERE account_id = $1 AND live = $2 AND method = $3 AND path = $4 AND key = $5
               AND owner = $6 AND status IS NULL
            """,
            *self.identity, self.owner,
        )  # fmt: skip

    @property
    def identity(self) -> tuple[str, bool, str, str, str]:
        """What a key is known by."""
        tenant = self.tenant
        return tenant.account_id, tenant.live, self.method, self.path, self.key


class Releases:
    """Gives back the keys of requests that ended without an answer to keep.

    Where the database cannot be reached this is done as soon as it can be, so that the client's
    next try need not wait until its key is taken for abandoned.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Receipt] = deque()
        self._task: asyncio.Task[None] | None = None

    async def add(self, receipt: Receipt) -> None:
        """Give a key back; later where that takes longer than a moment."""
        if len(self._waiting) >= _MOST_RELEASES:
            return
        self._waiting.append(receipt)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._empty())
        await asyncio.wait({self._task}, timeout=_RELEASE_SECONDS)

    async def _empty(self) -> None:
        while self._waiting:
            receipt = self._waiting.popleft()
            try:
                # What the request had begun may still run and end well: then its row is locked
                # until it has stored its answer, and stays.
                await receipt.release(self._database)
            except Exception as error:  # the loop outlives whatever one key brings
                log.warning("key_not_released", error=f"{type(error).__name__}: {error}")
                self._waiting.append(receipt)
                await asyncio.sleep(_RELEASE_AGAIN_SECONDS)


async def reserve(
    database: Database,
    vault: Vault,
    tenant: Tenant,
    releases: Releases,
    *,
    method: str,
    path: str,
    key: str,
    body: bytes,
    now: datetime,
    real_now: datetime,
) -> Receipt | Replay:
    """Take a key for a request, or find its stored answer. Raises Refused.

    body: in canonical form. now: on the tenant's clock; real_now: of the machine.
    """
    digest = hashlib.sha256(body).digest()
    if len(path) > _LONGEST_PATH:
        path = hashlib.sha256(path.encode()).hexdigest()
    receipt = Receipt(tenant, method, path, key, new_uuid(), vault)
    try:
        taken = await _take(database, receipt, digest, now, real_now)
    except BaseException:
        await releases.add(receipt)  # it may be taken, and nobody has heard of it
        raise
    return receipt if taken else await _replay(database, vault, receipt.identity, digest)


async def _take(
    database: Database, receipt: Receipt, digest: bytes, now: datetime, real_now: datetime
) -> bool:
    """Note that the key is in use; False where it was before."""
    row = await database.fetchrow(
        """
        INSERT INTO idempotency_keys AS k (account_id, live, method, path, key, body_hash, owner,
                                           created_at, started_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (account_id, live, method, path, key) DO UPDATE
           SET body_hash = excluded.body_hash, owner = excluded.owner, status = NULL,
               answer = NULL, created_at = excluded.created_at, started_at = excluded.started_at
         WHERE k.created_at <= $10 OR (k.status IS NULL AND k.started_at <= $11)
        RETURNING 1
        """,
        *receipt.identity, digest, receipt.owner, now, real_now, now - LIFE,
        real_now - _ABANDONED,
    )  # fmt: skip
    return row is not None


async def _replay(
    database: Database, vault: Vault, identity: tuple[str, bool, str, str, str], digest: bytes
) -> Replay:
    row = await database.fetchrow(
        """
        SELECT body_hash, status, answer, sealed
          FROM idempotency_keys
         WHERE account_id = $1 AND live = $2 AND method = $3 AND path = $4 AND key = $5
        """,
        *identity,
    )
    if row is None:
        raise Refused(KeyInUse())  # Released this instant; the client's next try takes it.
    if row["body_hash"] != digest:
        raise Refused(KeyReused())
    if row["status"] is None:
        raise Refused(KeyInUse())
    answer: bytes = required(row["answer"])
    body = vault.open(answer).encode() if row["sealed"] else answer
    return Replay(row["status"], body)


async def purge(session: Session, real_now: datetime) -> int:
    """Delete keys past their life; gives how many. Bounded, so that it never blocks for long."""
    tag = await session.execute(
        """
        DELETE FROM idempotency_keys
         WHERE ctid IN (SELECT ctid FROM idempotency_keys
                         WHERE created_at <= $1 AND started_at <= $1 LIMIT 1000)
        """,
        real_now - LIFE,
    )
    return int(tag.split()[-1])
