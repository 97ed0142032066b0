"""Reads the fields of a posted form."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File

from refundry.http.document import storable_text

# More fields than any page of ours has; a form is not a way to make us work.
_MOST_FIELDS = 5000


class BadForm(Exception):
    """A body that no browser sends for our pages."""


class Wrong(Exception):
    """A form cannot be taken as it is; the message is for the person who filled it in."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form. name: as the visitor's computer calls it."""

    name: str
    content: bytes


class Form:
    """The fields of a form, in their order; of several with one name the last counts."""

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]] = (),
        files: Mapping[str, Upload] | None = None,
    ) -> None:
        self.pairs = list(pairs)
        self._last = dict(pairs)
        self._files = dict(files or {})

    def file(self, name: str) -> Upload | None:
        """A file that was chosen; None if there is none."""
        return self._files.get(name)

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


def read_multipart(body: bytes, content_type: str) -> Form:
    """The fields and files of a `multipart/form-data` body. Raises BadForm."""
    pairs: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}

    def on_field(field: Field) -> None:
        pairs.append((_text(field.field_name), _text(field.value)))

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        content = file.file_object.read()
        if file.file_name or content:  # a field that was left empty is sent as a file of nothing
            files[_text(file.field_name)] = Upload(_text(file.file_name), content)
        file.close()

    try:
        parser = create_form_parser(
            {"Content-Type": content_type.encode("latin-1")},
            on_field,
            on_file,
            # Nothing is put on the disk: the body is in memory anyway, and bounded.
            config={"MAX_FIELDS": _MOST_FIELDS, "MAX_MEMORY_FILE_SIZE": len(body) + 1},
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise BadForm from error
    return Form(pairs, files)


def _text(raw: bytes | None) -> str:
    text = (raw or b"").decode("utf-8")
    if not storable_text(text):
        raise ValueError(text)
    return text


_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def whole(text: str) -> int | None:
    """A whole number of a field; None if it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None
