"""How a JSON object becomes a model: exact amounts, unknown fields kept but not looked at."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from refundry_sync.errors import BadAnswer

# A JSON object as it came; fractions are Decimal.
Document = dict[str, Any]
Json = Document | list[Any] | str | int | Decimal | bool | None
Model = TypeVar("Model", bound="Part")

# Where a model finds the object that it was made of; no field of the API is named so.
_ITSELF = "$document"
ZERO = Decimal(0)
_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


class Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An object within a resource. What it does not name is in the resource's `document`."""


class Resource(Part, frozen=True, rename="camel", kw_only=True):
    """An object of the API as it was answered or announced.

    document: the whole JSON object as it came, with what is not known here; fractions as Decimal.
    """

    document: Document = msgspec.field(default_factory=dict[str, Any], name=_ITSELF)

    def __repr__(self) -> str:
        """Name and id only: people's data and passwords do not belong into logs."""
        return f"{type(self).__name__}(id={self.document.get('id')!r})"


def parse(body: bytes) -> Json:
    """The JSON of a body. Raises BadAnswer if it is none."""
    try:
        return _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"not JSON: {error}") from error


def read(model: type[Model], document: Json | Mapping[str, Any]) -> Model:
    """A model of a JSON object. Raises BadAnswer if a field is missing or of another kind."""
    if not isinstance(document, Mapping):
        raise BadAnswer(f"{model.__name__}: not a JSON object")
    found = {**document, _ITSELF: document} if issubclass(model, Resource) else document
    try:
        return msgspec.convert(found, model)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"{model.__name__}: {error}") from error
