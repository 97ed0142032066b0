"""Reads the fields of a posted form."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl

from refundry.http.document import storable_text

# More fields than any page of ours has; a form is not a way to make us work.
_MOST_FIELDS = 5000


class BadForm(Exception):
    """A body that no browser sends for our pages."""


class Wrong(Exception):
    """A form cannot be taken as it is; the message is for the person who filled it in."""


class Form:
    """The fields of a form, in their order; of several with one name the last counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self.pairs = list(pairs)
        self._last = dict(pairs)

    def text(self, name: str, most: int = 1000) -> str:
        """A field without the blanks around it, cut to `most` characters; empty if absent."""
        return self._last.get(name, "").strip()[:most]

    def secret(self, name: str) -> str:
        """A field exactly as it was typed: blanks belong to a password."""
        return self._last.get(name, "")[:1000]

    def ticked(self, name: str) -> bool:
        """Whether a check box is ticked."""
        return name in self._last

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be there several times."""
        return [value for key, value in self.pairs if key == name]

    def numbered(self, prefix: str) -> Iterator[tuple[str, str]]:
        """The fields whose names begin with `prefix`: the rest of the name, and the value."""
        for name, value in self._last.items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix), value.strip()


def read_form(body: bytes) -> Form:
    """The fields of an `application/x-www-form-urlencoded` body. Raises BadForm."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise BadForm from error
    if not all(storable_text(name) and storable_text(value) for name, value in pairs):
        raise BadForm
    return Form(pairs)


_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def whole(text: str) -> int | None:
    """A whole number of a field; None if it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None
