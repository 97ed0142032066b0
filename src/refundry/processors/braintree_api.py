"""Braintree's gateway through its SDK: each call gives facts of ours, or raises.

The SDK builds attributes as the answer has them, so that each one is read with a default here.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # The SDK warns of a class of its own while it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    import braintree as sdk  # pyright: ignore[reportMissingTypeStubs] - it ships without types
    from braintree.exceptions.braintree_error import BraintreeError  # pyright: ignore
    from braintree.exceptions.http.timeout_error import TimeoutError as SdkTimeout  # pyright: ignore
    from braintree.exceptions.invalid_signature_error import InvalidSignatureError  # pyright: ignore

from refundry.processors.threads import CallThreads

_braintree: Any = sdk

# Enough for a worker: a call takes some hundred milliseconds.
_THREADS = 16
# Of a search's results, how many are fetched by one call.
_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class BraintreeCredentials:
    """What the connector needs of a merchant's Braintree gateway.

    request_keys: whether Braintree has switched on At-Most-Once Processing for the gateway.
    """

    merchant_id: str
    public_key: str
    private_key: str = field(repr=False)
    live: bool = False
    request_keys: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """A sale, or the refund of one (type credit). amount: major units.

    authorized: what was authorised, of which `amount` is what was captured then. refund_ids: of a
    sale's refunds. refunded_id: the sale of a refund. code, message: of the last word of the
    processor, of the authorisation or of the settlement.
    """

    id: str
    type: str
    status: str
    amount: Decimal
    authorized: Decimal
    currency: str
    created_at: datetime
    order_id: str | None
    refunded_id: str | None
    refund_ids: tuple[str, ...]
    code: str | None
    message: str | None
    arn: str | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A case of the shopper's bank. amount: major units; kind: chargeback, retrieval ..."""

    id: str
    kind: str
    status: str
    reason: str
    amount: Decimal
    currency: str
    transaction: str
    reply_by: datetime | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused: codes of validation errors, or what the bank declined."""

    codes: tuple[str, ...]
    message: str
    transaction: Transaction | None


@dataclass(frozen=True, slots=True)
class Event:
    """What a verified webhook is about; the ids are empty where it is about something else."""

    kind: str
    timestamp: datetime
    transaction: str = ""
    dispute: str = ""


class Missing(Exception):
    """Braintree has nothing under an id."""


class NotAllowed(Exception):
    """Braintree refuses the credentials, or their role; the message says which."""


class BraintreeApi:
    """The calls we make; each raises Missing, NotAllowed, or OSError where there is no answer that
    can be read (TimeoutError where there is none in time)."""

    def __init__(
        self, credentials: BraintreeCredentials, timeout_seconds: float, base_url: str | None
    ) -> None:
        self._request_keys = credentials.request_keys
        self._threads = CallThreads(_THREADS, timeout_seconds)
        self._gateway = _gateway(credentials, timeout_seconds, base_url)

    async def find(self, reference: str) -> Transaction:
        """A transaction by Braintree's id."""
        return await self._ask(lambda: _transaction(self._gateway.transaction.find(reference)))

    async def find_dispute(self, reference: str) -> Dispute:
        """A dispute by Braintree's id."""
        return await self._ask(lambda: _dispute(self._gateway.dispute.find(reference)))

    async def refund(self, sale: str, key: str, amount: str) -> Transaction | Refused:
        """Refund a part of a sale, with our id as its order id. amount: major units."""
        options = {"amount": amount, "order_id": key, **self._key(key)}
        return await self._ask(lambda: _result(self._gateway.transaction.refund(sale, options)))

    async def settle(self, sale: str, key: str, amount: str) -> Transaction | Refused:
        """Submit an authorised sale for settlement, once. amount: major units."""
        settle = self._gateway.transaction.submit_for_settlement
        return await self._ask(lambda: _result(settle(sale, amount, self._key(key))))

    async def void(self, sale: str, key: str) -> Transaction | Refused:
        """Give an authorisation up."""
        options = self._key(key) or None
        return await self._ask(lambda: _result(self._gateway.transaction.void(sale, options)))

    async def refunds_with(self, order_id: str) -> list[Transaction]:
        """The refunds with an order id, failed ones included."""
        return await self._search(_braintree.TransactionSearch.order_id == order_id)

    async def refund_ids_since(self, since: datetime) -> list[str]:
        """The ids of the refunds made since."""
        at = since.astimezone(UTC).replace(tzinfo=None)
        query = [_ONLY_REFUNDS, _braintree.TransactionSearch.created_at >= at]
        return await self._ask(
            lambda: [str(one) for one in self._gateway.transaction.search(query).ids]
        )

    async def find_all(self, ids: Sequence[str]) -> list[Transaction]:
        """The refunds with these ids, at most a page of them."""
        return await self._search(_braintree.TransactionSearch.ids.in_list(list(ids)))

    def read_event(self, signature: str, payload: str) -> Event:
        """What a webhook says; raises ValueError unless it is signed with our key."""
        try:
            return _event(self._gateway.webhook_notification.parse(signature, payload))
        except InvalidSignatureError as error:
            raise ValueError(str(error)) from error
        except Exception as error:
            # As in `_ask`.
            raise ValueError(f"unreadable: {type(error).__name__}: {error}"[:300]) from error

    def close(self) -> None:
        """Take no more calls."""
        self._threads.close()

    def _key(self, key: str) -> dict[str, str]:
        return {"api_request_key": key} if self._request_keys else {}

    async def _search(self, node: object) -> list[Transaction]:
        def found() -> list[Transaction]:
            collection = self._gateway.transaction.search([_ONLY_REFUNDS, node])
            return [_transaction(one) for one in collection.items]

        return await self._ask(found)

    async def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return await self._threads.call(call)
        except _braintree.exceptions.NotFoundError as error:
            raise Missing(str(error)) from error
        except _braintree.exceptions.AuthenticationError as error:
            raise NotAllowed("Braintree does not know the keys, or not in this mode") from error
        except _braintree.exceptions.AuthorizationError as error:
            raise NotAllowed("the role of the keys' user does not allow it") from error
        except SdkTimeout as error:
            raise TimeoutError("no answer in time") from error
        except BraintreeError as error:
            raise OSError(f"{type(error).__name__}: {error}"[:300]) from error
        except OSError:
            raise
        except Exception as error:
            # The SDK reads an answer without asking whether it is one, and trips in many ways.
            raise OSError(f"unreadable answer: {type(error).__name__}: {error}"[:300]) from error


_ONLY_REFUNDS: Any = _braintree.TransactionSearch.refund == True  # noqa: E712 - builds a criterion


def batches(ids: Sequence[str]) -> list[Sequence[str]]:
    """`ids` in pages of what one call fetches."""
    return [ids[at : at + _PAGE_SIZE] for at in range(0, len(ids), _PAGE_SIZE)]


def _result(result: Any) -> Transaction | Refused:
    if result.is_success:
        return _transaction(result.transaction)
    codes = tuple(str(error.code) for error in result.errors.deep_errors)
    declined = result.transaction
    return Refused(codes, str(result.message), _transaction(declined) if declined else None)


def _transaction(given: Any) -> Transaction:
    settled = _text(given, "processor_settlement_response_code")
    said = "processor_settlement_response" if settled else "processor_response"
    created = _time(given.created_at)
    assert created is not None
    return Transaction(
        id=str(given.id),
        type=str(given.type),
        status=str(given.status),
        amount=cast(Decimal, given.amount),
        authorized=_authorized(given),
        currency=str(given.currency_iso_code),
        created_at=created,
        order_id=_text(given, "order_id"),
        refunded_id=_text(given, "refunded_transaction_id"),
        refund_ids=tuple(str(one) for one in getattr(given, "refund_ids", None) or ()),
        code=_text(given, f"{said}_code"),
        message=_text(given, f"{said}_text"),
        arn=_text(given, "acquirer_reference_number"),
    )


def _authorized(given: Any) -> Decimal:
    history: Sequence[Any] = getattr(given, "status_history", None) or ()
    amounts = [event.amount for event in history if event.status == "authorized"]
    return cast(Decimal, amounts[0] if amounts else given.amount)


def _dispute(given: Any) -> Dispute:
    return Dispute(
        id=str(given.id),
        kind=str(given.kind),
        status=str(given.status),
        reason=_text(given, "reason") or "",
        amount=cast(Decimal, given.amount_disputed),
        currency=str(given.currency_iso_code),
        transaction=str(given.transaction.id),
        reply_by=_time(getattr(given, "reply_by_date", None)),
    )


def _event(given: Any) -> Event:
    at = _time(given.timestamp)
    assert at is not None
    return Event(
        str(given.kind),
        at,
        str(getattr(getattr(given, "transaction", None), "id", "")),
        str(getattr(getattr(given, "dispute", None), "id", "")),
    )


def _text(given: Any, name: str) -> str | None:
    value: object = getattr(given, name, None)
    return str(value) if value not in (None, "") else None


def _time(given: object) -> datetime | None:
    """A time of Braintree's, which is UTC without saying so; of a date its beginning."""
    if isinstance(given, datetime):
        return given.replace(tzinfo=UTC)
    return datetime.combine(given, time(), UTC) if isinstance(given, date) else None


def _gateway(credentials: BraintreeCredentials, timeout: float, base_url: str | None) -> Any:
    """The SDK's gateway, whose calls go to `base_url` instead of Braintree where that is given."""
    environment = _braintree.Environment
    chosen = environment.Production if credentials.live else environment.Sandbox
    if base_url is not None:
        parts = urlsplit(base_url)
        chosen = environment("loopback", parts.hostname, str(parts.port), "", False, None)
    configuration = _braintree.Configuration(
        environment=chosen,
        merchant_id=credentials.merchant_id,
        public_key=credentials.public_key,
        private_key=credentials.private_key,
        timeout=timeout,
        wrap_http_exceptions=True,
    )
    return _braintree.BraintreeGateway(configuration)
