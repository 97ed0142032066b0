"""The API log as pages show it: lists with filters, newest first, and single calls."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from refundry.api_log.entry import collection_of, id_at
from refundry.db.database import Database, Record, Session
from refundry.tenant import Tenant

_BEGINNING = UUID(int=0)
_END = UUID(int=(1 << 128) - 1)
# Before 1970 and after this there are no calls; an id holds no such time.
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls are wanted; None: any. since: inclusive; until: exclusive; both in real time.

    status_class: 2, 4 or 5. path: that path and every path below it. application: without its
    version.
    """

    since: datetime | None = None
    until: datetime | None = None
    status_class: int | None = None
    method: str | None = None
    key_name: str | None = None
    upstream_id: str | None = None
    application: str | None = None
    path: str | None = None
    resource_id: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    shopper_address: str | None = None


EVERY_CALL = CallFilter()


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call, without its bodies. called_at: real time. duration_ms: until the answer was sent.

    error_message: the messages of all errors, a line each. replayed: the answer was that of an
    earlier call with the same idempotency key. resource_id: what the call made, changed or read;
    of a refused POST the order that it named.
    """

    id: UUID
    called_at: datetime
    duration_ms: float
    key_id: str | None
    key_name: str | None
    key_kind: str | None
    method: str
    path: str
    query: str | None
    status: int
    error_code: str | None
    error_message: str | None
    replayed: bool
    upstream_id: str | None
    application: str | None
    application_version: str | None
    session_id: str | None
    shopper_address: str | None
    request_id: str
    resource_id: str | None

    @property
    def url(self) -> str:
        """The path with its query."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call with its bodies as they are kept: masked, and cut with a mark where they were long."""

    call: LoggedCall
    request_body: str | None
    answer_body: str | None


_COLUMNS = """id, called_at, duration_ms, key_id, key_name, key_kind, method, path, query, status,
       error_code, error_message, replayed, upstream_id, application, application_version,
       session_id, shopper_address, request_id, resource_id"""


async def list_calls(
    database: Database,
    tenant: Tenant,
    wanted: CallFilter = EVERY_CALL,
    *,
    limit: int = 25,
    after: UUID | None = None,
    before: UUID | None = None,
) -> tuple[list[LoggedCall], bool]:
    """A page of calls, newest first, and whether there are more that way.

    after: the older ones than this call; before: the next newer ones. At most one of them; the
    call itself need not be there any more.
    """
    assert after is None or before is None
    backwards = before is not None
    rows = await database.fetch_planned(
        f"""
        SELECT {_COLUMNS}
          FROM api_log
         WHERE account_id = $1 AND live = $2 AND id >= $3 AND id < $4
           AND ($5::integer IS NULL OR status BETWEEN $5 * 100 AND $5 * 100 + 99)
           AND ($6::text IS NULL OR method = $6)
           AND ($7::text IS NULL OR key_name = $7)
           AND ($8::text IS NULL OR upstream_id = $8)
           AND ($9::text IS NULL OR application = $9)
           AND ($10::text IS NULL OR collection = $10)
           AND ($11::text IS NULL OR path = $11 OR starts_with(path, $11 || '/'))
           AND ($12::text IS NULL OR resource_id = $12)
           AND ($13::text IS NULL OR request_id = $13)
           AND ($14::text IS NULL OR session_id = $14)
           AND ($15::text IS NULL OR shopper_address = $15)
         ORDER BY id {"ASC" if backwards else "DESC"}
         LIMIT $16
        """,
        tenant.account_id, tenant.live, *_range(wanted, after, before), *_arguments(wanted),
        limit + 1,
    )  # fmt: skip
    calls = [LoggedCall(**dict(row)) for row in rows[:limit]]
    return calls[::-1] if backwards else calls, len(rows) > limit


async def find_call(session: Session, tenant: Tenant, call_id: UUID) -> CallRecord | None:
    """One call with its bodies; None if there is none, or none any more."""
    row = await session.fetchrow(
        f"""
        SELECT {_COLUMNS}, request_body, answer_body
          FROM api_log
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        tenant.account_id, tenant.live, call_id,
    )  # fmt: skip
    return _record(row) if row else None


async def find_creation(session: Session, tenant: Tenant, resource_id: str) -> CallRecord | None:
    """The call that made an object, with its bodies; None if no call did, or it is too long ago."""
    row = await session.fetchrow(
        f"""
        SELECT {_COLUMNS}, request_body, answer_body
          FROM api_log
         WHERE account_id = $1 AND live = $2 AND resource_id = $3
           AND method = 'POST' AND status = 201 AND NOT replayed
         ORDER BY id
         LIMIT 1
        """,
        tenant.account_id, tenant.live, resource_id,
    )  # fmt: skip
    return _record(row) if row else None


def _record(row: Record) -> CallRecord:
    values = dict(row)
    request, answer = values.pop("request_body"), values.pop("answer_body")
    return CallRecord(LoggedCall(**values), request, answer)


def _range(wanted: CallFilter, after: UUID | None, before: UUID | None) -> tuple[UUID, UUID]:
    """The ids between which a page lies: from the first, inclusive, to the second, exclusive."""
    first = id_at(_within(wanted.since), 0) if wanted.since else _BEGINNING
    last = id_at(_within(wanted.until), 0) if wanted.until else _END
    if after is not None:
        last = min(last, after)
    if before is not None:
        first = max(first, UUID(int=min(before.int + 1, _END.int)))
    return first, last


def _within(moment: datetime) -> datetime:
    return min(max(moment, _FIRST), _LAST)


def _arguments(wanted: CallFilter) -> tuple[int | str | None, ...]:
    path = wanted.path.split("?")[0].rstrip("/") if wanted.path else None
    collection = collection_of(path) if path else None
    return (
        wanted.status_class, wanted.method and wanted.method.upper(), wanted.key_name,
        wanted.upstream_id, wanted.application,
        # Of `/refundry` and `/refundry/v1` every collection is one below.
        None if collection and _is_stem(collection) else collection,
        path, wanted.resource_id, wanted.request_id, wanted.session_id,
        wanted.shopper_address and wanted.shopper_address.lower(),
    )  # fmt: skip


def _is_stem(collection: str) -> bool:
    return collection in ("/refundry", "/refundry/v1")
