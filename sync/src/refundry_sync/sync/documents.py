"""JSON with exact numbers: what is read, what is stored, and what events and resources say."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec

from refundry_sync.sync.views import Document, Event

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)
View = TypeVar("View")


class Malformed(ValueError):
    """A document lacks a field or has one of another type. field: its path."""

    def __init__(self, field: str) -> None:
        super().__init__(f"'{field}' is missing or not as documented.")
        self.field = field


def read_json(text: str | bytes) -> Any:
    """The value, fractions as Decimal. Raises ValueError, also for what nests too deep."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None


def write_json(value: object) -> str:
    """Compact JSON; Decimals become numbers, digit for digit."""
    return _ENCODER.encode(value).decode()


def read_view(text: str, shape: type[View]) -> View:
    """A struct that `write_json` wrote."""
    return msgspec.convert(read_json(text), shape)


def read_event(document: object) -> Event:
    """An event of the API or of a webhook. Raises Malformed."""
    top = _object(document, "")
    kind = text_of(top, "type")
    inner = _object(_object(top.get("data"), "data").get("object"), "data.object")
    created = time_of(top, "createdTime")
    return Event(
        id=text_of(top, "id"),
        type=kind,
        created_time=created,
        order_id=_order_id(kind, inner),
        object=inner,
    )


def _order_id(kind: str, inner: Document) -> str:
    """The order that an event is about; "" for one of no order."""
    is_order = kind.startswith("order.") and not kind.startswith("order.charge.")
    found = inner.get("id" if is_order else "orderId")
    return found if isinstance(found, str) else ""


def text_of(document: Document, field: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not value:
        raise Malformed(field)
    return value


def optional_text(document: Document, field: str) -> str | None:
    value = document.get(field)
    return value if isinstance(value, str) else None


def amount_of(document: Document, field: str) -> Decimal:
    """Major units. Raises Malformed."""
    value = document.get(field)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Malformed(field)
    return Decimal(value)


def optional_amount(document: Document, field: str) -> Decimal | None:
    return amount_of(document, field) if document.get(field) is not None else None


def plain(amount: Decimal) -> str:
    """An amount as text, without zeros that say nothing, so that equal ones look equal."""
    return f"{amount.normalize():f}"


def time_of(document: Document, field: str) -> datetime:
    try:
        return read_time(text_of(document, field))
    except ValueError:
        raise Malformed(field) from None


def read_time(text: str) -> datetime:
    """An ISO-8601 time; without an offset it is UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def object_of(document: Document, field: str) -> Document:
    """An object within; an absent one is empty."""
    value = document.get(field)
    return {} if value is None else _object(value, field)


def objects_of(document: Document, field: str) -> list[Document]:
    """The objects in an array; an absent one is empty."""
    value = document.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(field)
    items = cast(list[object], value)
    return [_object(item, field) for item in items]


def _object(value: object, field: str) -> Document:
    if not isinstance(value, dict):
        raise Malformed(field)
    return cast(Document, value)
