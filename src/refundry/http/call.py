"""A request on its way through an operation, and the operations themselves."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from refundry.clock import Clock
from refundry.db.database import Database
from refundry.domain.refund import AmountBasis
from refundry.errors import required
from refundry.http.admission import Admission
from refundry.http.answer import Answer
from refundry.http.document import JsonValue, bad_format, read_object
from refundry.http.fields import Fields
from refundry.http.query import Filter, Query
from refundry.idempotency import Receipt
from refundry.sealing import Vault
from refundry.settings import Settings
from refundry.tenant import ApiKey, Tenant

T = TypeVar("T")
Drain = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Services:
    """What operations work with. wake: tells the workers that something is due.

    drain: runs the due work of an account until none is left.
    """

    database: Database
    settings: Settings
    clock: Clock
    vault: Vault
    wake: Callable[[], None]
    drain: Drain
    parts: Mapping[type, object] = field(default_factory=dict[type, object])
    admission: Admission = field(default_factory=Admission)

    def part(self, kind: type[T]) -> T:
        """The part of a feature that lives as long as the process, by its class."""
        found = self.parts[kind]
        assert isinstance(found, kind)
        return found


@dataclass(slots=True)
class Trace:
    """What became known of a call on its way, for the API log. tenant: None as long as nobody
    knows whose it is."""

    tenant: Tenant | None = None
    key: ApiKey | None = None
    body: bytes = b""


@dataclass(slots=True)
class Call:
    """One request: its services, key, time, parameters and body.

    now: on the clock of the key's mode. raw_key: None where an operation needs no key.
    """

    services: Services
    raw_key: ApiKey | None
    now: datetime
    path: Mapping[str, str]
    query: Query
    body: bytes
    headers: Mapping[str, str]
    request_id: str
    trace: Trace
    receipt: Receipt | None = field(default=None)
    _document: dict[str, JsonValue] | None = field(default=None)

    @property
    def key(self) -> ApiKey:
        """The key of the request."""
        return required(self.raw_key)

    @property
    def tenant(self) -> Tenant:
        """The account and mode of the key."""
        return self.key.tenant

    @property
    def database(self) -> Database:
        """The database."""
        return self.services.database

    @property
    def basis(self) -> AmountBasis:
        """What item amounts mean for this key."""
        return AmountBasis(self.key.item_amount_basis)

    @property
    def document(self) -> dict[str, JsonValue]:
        """The body as a JSON object; raises BadFields."""
        if self._document is None:
            kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
            if kind not in ("", "application/json", "text/plain"):
                raise bad_format()
            self._document = read_object(self.body)
        return self._document

    def fields(self) -> Fields:
        """The members of the body, to be read one by one."""
        return Fields(self.document, [])

    def belongs_to(self, tenant: Tenant) -> None:
        """Say whose call it is where no key does, so that it stands in the right API log."""
        self.trace.tenant = tenant


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API: where it is, who may use it, and what the reference says of it.

    resource: what a restricted key needs a permission for; None: secret keys only. body, answer:
    the shapes as msgspec Structs; a list of one is a bare array, None no content. subject: the
    shape whose id stands in the path, where it is not the answer. most: how many objects a page
    may hold. open: needs no key. read_only: changes nothing, whatever its method. any_media: does
    not answer in JSON alone. example: a body that works on the sandbox's first order. headers: on
    every answer of its path, errors included.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    answer: Any
    resource: str | None = None
    description: str = ""
    body: Any = None
    status: int = 200
    filters: tuple[Filter, ...] = ()
    paged: bool = False
    most: int = 100
    expands: bool = False
    refusals: tuple[int, ...] = ()
    open: bool = False
    read_only: bool = False
    documented: bool = True
    any_media: bool = False
    example: Mapping[str, Any] | None = None
    answer_example: Any = None
    subject: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def writes(self) -> bool:
        """Whether a restricted key needs Write for it, rather than Read."""
        return self.method != "GET" and not self.read_only
