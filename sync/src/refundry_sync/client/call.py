"""A call as data: what is to be sent, and how the answer is read. Nothing here does I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from refundry_sync.errors import BadAnswer
from refundry_sync.models import Json, Resource, read

Found = TypeVar("Found")
Model = TypeVar("Model", bound=Resource)
# The body of a POST: names and values as the API has them; amounts are Decimal or int.
Body = Mapping[str, Any]
Query = tuple[tuple[str, str], ...]

_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Call(Generic[Found]):
    """One operation with its values.

    template: the path, with names in braces for `values`. key: the idempotency key that was given;
    one is made if `keyed`. open: sent without the API key. read: the answer's JSON (None for an
    empty one) to what the caller gets; raises BadAnswer.
    """

    method: str
    template: str
    read: Callable[[Json], Found]
    values: tuple[tuple[str, str], ...] = ()
    query: Query = ()
    body: bytes | None = None
    key: str | None = None
    keyed: bool = False
    open: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """With its values and query."""
        path = self.template.format(**{name: quote(value, safe="") for name, value in self.values})
        return f"{path}?{urlencode(self.query)}" if self.query else path

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.keyed or self.method != "POST"


@dataclass(frozen=True, slots=True)
class Page(Generic[Found]):
    """A page of a list, and the call for the one after it, if there is one."""

    found: tuple[Found, ...]
    following: "Call[Page[Found]] | None"


@dataclass(frozen=True, slots=True)
class Listing(Generic[Found]):
    """A list, to be read page by page. first: the call for its first page."""

    first: Call[Page[Found]]


def get(template: str, model: type[Model], **values: str) -> Call[Model]:
    """A resource by its id. An id that would lead to another path is a ValueError."""
    return Call("GET", template, reader(model), values=_checked(values))


def post(
    template: str, model: type[Model], body: Body, key: str | None, **values: str
) -> Call[Model]:
    """A POST that is carried out once, however often it has to be sent."""
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ValueError("an idempotency key has 1 to 255 printable ASCII characters")
    content = encode(body)
    checked = _checked(values)
    return Call("POST", template, reader(model), checked, body=content, key=key, keyed=True)


def reader(model: type[Model]) -> Callable[[Json], Model]:
    """Reads an answer as a model."""
    return lambda document: read(model, document)


def read_nothing(_document: Json) -> None:
    """Reads the answer to a DELETE."""


def encode(body: Body) -> bytes:
    """The JSON of a body. A float, a number that is not finite, a time without a zone: an error."""
    _check(body, "")
    return _ENCODER.encode(body)


def listing(template: str, model: type[Model], query: Query, **values: str) -> Listing[Model]:
    """All of a list from where the query begins; with `endingBefore`, backwards from there."""
    backwards = any(name == "endingBefore" for name, _ in query)
    cursor = "endingBefore" if backwards else "startingAfter"
    call: Call[Page[Model]] = Call("GET", template, _unread, _checked(values), query)
    return Listing(_page_call(call, model, cursor))


def _page_call(call: Call[Page[Model]], model: type[Model], cursor: str) -> Call[Page[Model]]:
    """The call for a page, which knows how the following one is asked for."""

    def read_page(document: Json) -> Page[Model]:
        elements, more = _elements(document)
        found = tuple(read(model, each) for each in elements)
        if not more:
            return Page(_ordered(found, cursor), None)
        last = _last_id(elements, cursor)
        if (cursor, last) in call.query:
            raise BadAnswer("the list goes on with the object that it was to go on from")
        kept = tuple(each for each in call.query if each[0] != cursor)
        following = replace(call, query=(*kept, (cursor, last)))
        return Page(_ordered(found, cursor), _page_call(following, model, cursor))

    return replace(call, read=read_page)


def _ordered(found: tuple[Model, ...], cursor: str) -> tuple[Model, ...]:
    """As a reader goes: pages are newest first, and backwards is towards the newest."""
    return found[::-1] if cursor == "endingBefore" else found


def _elements(document: Json) -> tuple[list[Any], bool]:
    """The elements of a page and whether more follow; some lists are bare arrays."""
    if isinstance(document, list):
        return document, False
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise BadAnswer("not a page of a list")
    return document["data"], document.get("hasMore") is True


def _last_id(elements: Sequence[Any], cursor: str) -> str:
    """What the next page begins after. elements: newest first."""
    if not elements:
        raise BadAnswer("a page without elements says that more follow")
    found = elements[0 if cursor == "endingBefore" else -1].get("id")
    if not isinstance(found, str):
        raise BadAnswer("an element of a list has no id")
    return found


def _unread(_document: Json) -> Page[Any]:
    raise AssertionError("replaced by _page_call")


def _checked(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in values.items():
        if value in ("", ".", ".."):
            raise ValueError(f"{value!r} is no {name}")
    return tuple(values.items())


def _check(value: object, where: str) -> None:
    """Raises TypeError or ValueError, with the place, for what would not arrive as it was meant."""
    if isinstance(value, float):
        raise TypeError(f"{where}: a float is not exact; use Decimal")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{where}: {value} is no amount")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{where}: a time without a zone")
    if isinstance(value, Mapping):
        for name, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            _check(each, f"{where}.{name}" if where else str(name))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            _check(each, f"{where}[{number}]")  # pyright: ignore[reportUnknownArgumentType]
