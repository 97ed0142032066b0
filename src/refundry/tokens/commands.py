"""What a token is good for: seeing what is asked, and giving it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from refundry.domain.charge import Charge, OperationState
from refundry.domain.settlement import operations_of
from refundry.errors import BadFields, required
from refundry.http.call import Services
from refundry.http.document import raw_members
from refundry.languages.language import COUNTRIES
from refundry.operations.commands import Books
from refundry.operations.information import Details, give_information
from refundry.orders.store import StoredOrder, find_order
from refundry.refunds.store import StoredRefund, find_refund
from refundry.tokens import store
from refundry.tokens.countries import Field, fixed_country, form_for
from refundry.tokens.reading import read_details
from refundry.tokens.store import TokenOwner

_TOKEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MINUTE = timedelta(minutes=1)
_MOST_REQUESTS = 20
_MOST_REFUSED = 10
_LOCK = timedelta(hours=1)


class TokenUnknown(Exception):
    """No refund ever had this token."""


class TokenDead(Exception):
    """The token was used, has expired, or its refund has ended."""


class TokenBusy(Exception):
    """The token was used too often. wait_seconds: whole, >= 1."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(wait_seconds)
        self.wait_seconds = wait_seconds


class CountryUnknown(Exception):
    """No country has this code."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A refund that waits for bank details. amount: minor units, of the records that wait.

    method: the type of the payment source. country: None where nobody said one.
    """

    owner: TokenOwner
    stored: StoredRefund
    amount: int
    method: str
    country: str | None

    @property
    def expires_at(self) -> datetime:
        """When the token ends, on the clock of its mode."""
        return required(self.stored.refund.token).expires_at

    def moved_to(self, country: str) -> "Waiting":
        """The same with the fields of another country, where the method leaves a choice.

        Raises CountryUnknown.
        """
        code = known_country(country)
        return replace(self, country=fixed_country(self.method) or code)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is asked."""
        return form_for(self.country)


async def find_owner(services: Services, secret: str) -> TokenOwner:
    """The refund that a token was made for, in either case. Raises TokenUnknown."""
    owner = None
    if _TOKEN.fullmatch(secret.lower()):
        owner = await store.find_owner(services.database, secret.lower(), services.clock.now())
    if owner is None:
        raise TokenUnknown
    return owner


async def find_waiting(services: Services, owner: TokenOwner, country: str | None) -> Waiting:
    """What a token asks for; country: the one that the shopper chose.

    Each call counts against the token's limit. Raises TokenDead, TokenBusy and CountryUnknown.
    """
    await _count(services, owner)
    stored = await find_refund(services.database, owner.tenant, owner.refund_id)
    if stored is None or not _is_valid(stored, owner.now):
        raise TokenDead
    order = await find_order(services.database, owner.tenant, owner.order_id)
    return _waiting(owner, stored, required(order), country)


async def submit_details(
    services: Services, waiting: Waiting, values: Mapping[str, object]
) -> None:
    """Take the details and let the refund go on. Raises BadFields and TokenDead."""
    try:
        details = read_details(waiting.fields, values)
    except BadFields:
        await note_refusal(services, waiting.owner)
        raise
    given: Details = {**details, "country": waiting.country} if waiting.country else details
    owner = waiting.owner
    books = Books(services.database, services.vault)
    if not await give_information(
        books, owner.tenant, owner.order_id, owner.refund_id, given, owner.now
    ):
        raise TokenDead
    services.wake()


async def note_refusal(services: Services, owner: TokenOwner) -> None:
    """Count a submission that was refused."""
    await store.count_refusal(services.database, owner, _MOST_REFUSED, _LOCK)


async def _count(services: Services, owner: TokenOwner) -> None:
    uses = await store.count_use(services.database, owner, _MINUTE)
    until = uses.locked_until
    if until is None and uses.requests > _MOST_REQUESTS:
        until = uses.minute_began_at + _MINUTE
    if until is not None:
        raise TokenBusy(max(1, math.ceil((until - owner.now).total_seconds())))


def _is_valid(stored: StoredRefund, now: datetime) -> bool:
    token = stored.refund.token
    return token is not None and token.expires_at > now


def _waiting(
    owner: TokenOwner, stored: StoredRefund, order: StoredOrder, wanted: str | None
) -> Waiting:
    parts = {part.operation_id: part for part in stored.refund.parts}
    records = [
        operation
        for operation in operations_of(order.order, stored.refund)
        if operation.state is OperationState.PENDING_INFORMATION
    ]
    if not records:
        raise TokenDead  # It went on between our two looks.
    charge = order.order.charge(records[0].charge_id)
    amount = sum(parts[operation.id].amount for operation in records)
    country = _country(order, charge, wanted)
    return Waiting(owner, stored, amount, charge.source_type, country)


def _country(order: StoredOrder, charge: Charge, wanted: str | None) -> str | None:
    """The country of the account: of the payment method, of the request, or of an address."""
    chosen = known_country(wanted) if wanted is not None else None
    chosen = fixed_country(charge.source_type) or chosen
    if chosen is not None:
        return chosen
    owner = _members(raw_members(order.facts.sources[charge.id].details).get("owner"))
    details = raw_members(order.facts.details)
    for party in (owner, _members(details.get("billTo")), _members(details.get("shipTo"))):
        code = _text(_members(party.get("address")).get("country")).upper()
        if code in COUNTRIES:
            return code
    return None


def known_country(text: str) -> str:
    """A country's code, in either case. Raises CountryUnknown."""
    if text.upper() not in COUNTRIES:
        raise CountryUnknown(text)
    return text.upper()


def _members(value: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """The members of what was passed through, if it is an object."""
    text = b"" if value is None else bytes(value)
    return raw_members(text.decode()) if text.lstrip()[:1] == b"{" else {}


def _text(value: msgspec.Raw | None) -> str:
    """What was passed through, if it is a string."""
    found: object = msgspec.json.decode(value) if value is not None else None
    return found if isinstance(found, str) else ""
