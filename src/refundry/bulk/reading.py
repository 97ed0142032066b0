"""From a CSV file to one request per line. Pure: nothing is looked up here."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from refundry.domain.refund import AmountBasis, RefundAsk
from refundry.errors import BadFields
from refundry.http.document import JsonValue, canonical_json, read_object, storable_text
from refundry.http.fields import Fields
from refundry.refunds.reading import read_refund

MOST_BYTES = 5_000_000
MOST_LINES = 10_000
COLUMNS = (
    "order_id", "upstream_id", "amount", "percent", "currency", "type", "item_id", "sku_id",
    "quantity", "reason",
)  # fmt: skip
"""What a file may hold besides `metadata.*`."""
RESULT_COLUMNS = ("line", "result", "refund_id", "refund_amount", "remark")
"""What a result file adds; such a file may be mended and sent again."""

TEMPLATE = (
    ",".join((*COLUMNS, "metadata.ticket")) + "\r\n"
    "123456789012,,13.51,,USD,,,,,requested_by_customer,T-1001\r\n"
    ",shop-4711,,100,USD,shipping,,,,late_delivery,T-1002\r\n"
    "123456789012,,,50,USD,,,sku-tee,1,product_unsatisfactory,T-1003\r\n"
)
"""A file to begin with."""

_METADATA = "metadata."
_LONGEST_CELL = 2_000
# One of these parts the columns; a spreadsheet that writes decimal commas uses the semicolon.
_DELIMITERS = ",;\t"


class BadSheet(Exception):
    """A file that cannot be read as a whole; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file. number: as an editor counts; problems: why it makes no request.

    cells: as they stood, at least one per column of the head. body: what POST /refunds would be
    sent, with `orderId` left out where only the upstream id is given.
    """

    number: int
    cells: tuple[str, ...]
    order_id: str
    upstream_id: str
    body: Mapping[str, JsonValue]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that was read: its columns and its lines, empty ones left out."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]


def read_sheet(content: bytes) -> Sheet:
    """The lines of a file. Raises BadSheet."""
    if len(content) > MOST_BYTES:
        raise BadSheet(f"The file is larger than {MOST_BYTES // 1_000_000} MB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSheet("The file is not UTF-8. Save it as 'CSV UTF-8'.") from error
    if not storable_text(text):
        raise BadSheet("The file holds characters that no text has.")
    first = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True
    )
    try:
        return _read_lines(reader)
    except csv.Error as error:
        raise BadSheet(f"Line {reader.line_num} is not CSV: {error}.") from error


class _Lines(Protocol):
    """What the csv module reads with."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def _read_lines(reader: _Lines) -> Sheet:
    head = _read_head(next(reader, list[str]()))
    rows: list[Row] = []
    before = reader.line_num
    for cells in reader:
        number, before = before + 1, reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) == MOST_LINES:
            raise BadSheet(f"The file has more than {MOST_LINES:,} lines.")
        rows.append(read_row(number, head, cells))
    if not rows:
        raise BadSheet("The file has no lines below its head.")
    return Sheet(head, tuple(rows))


def _read_head(cells: Sequence[str]) -> tuple[str, ...]:
    head = tuple(cell.strip().lower() for cell in cells)
    while head and not head[-1]:
        head = head[:-1]
    # The rest of the name of a metadata column is kept as it is written: it is the key.
    head = tuple(
        _METADATA + cell.strip()[len(_METADATA) :] if name.startswith(_METADATA) else name
        for name, cell in zip(head, cells, strict=False)
    )
    known = {*COLUMNS, *RESULT_COLUMNS}
    for name in head:
        if name not in known and not name.startswith(_METADATA):
            raise BadSheet(f"'{name[:60]}' is no column that we know.")
        if head.count(name) > 1:
            raise BadSheet(f"The column '{name[:60]}' is there twice.")
    for needed in (("order_id", "upstream_id"), ("amount", "percent"), ("currency",)):
        if not set(needed) & set(head):
            raise BadSheet(f"The column {' or '.join(needed)} is missing.")
    return head


def read_row(number: int, head: tuple[str, ...], cells: Sequence[str]) -> Row:
    """A line by itself, whether from the file or as it was stored."""
    # One character more than may be and every cell too many stay, so that what is stored is
    # refused when it is read again.
    found = [cell.strip()[: _LONGEST_CELL + 1] for cell in cells]
    found += [""] * (len(head) - len(found))
    problems: list[str] = []
    if any(found[len(head) :]):
        problems.append("The line has more cells than the head.")
    if any(len(cell) > _LONGEST_CELL for cell in found):
        problems.append(f"A cell is longer than {_LONGEST_CELL:,} characters.")
    named = {name: cell for name, cell in zip(head, found, strict=False) if cell}
    problems += _problems(named)
    order_id, upstream_id = named.get("order_id", ""), named.get("upstream_id", "")
    return Row(number, tuple(found), order_id, upstream_id, _body(named), tuple(problems))


def _problems(named: Mapping[str, str]) -> list[str]:
    """What a request cannot say, or must not be taken for."""
    found: list[str] = []
    if "order_id" not in named and "upstream_id" not in named:
        found.append("The line names no order.")
    if "refund_id" in named:
        found.append(f"The line was refunded already: {named['refund_id'][:80]}.")
    if "quantity" in named and "item_id" not in named and "sku_id" not in named:
        found.append("A quantity needs an item_id or a sku_id.")
    for name in ("amount", "percent"):
        # 1,000 is a thousand here and one there.
        if "," in named.get(name, ""):
            found.append(f"'{named[name][:40]}' has a comma; write it like 1234.56.")
    return found


def _body(named: Mapping[str, str]) -> dict[str, JsonValue]:
    """The body of the request, of texts alone: numerals stay as they were written."""
    amounts = {name: named[name] for name in ("amount", "percent", "type") if name in named}
    if "percent" in amounts:
        amounts["percent"] = amounts["percent"].removesuffix("%").strip()
    body: dict[str, JsonValue] = {
        api: named[name]
        for name, api in (("order_id", "orderId"), ("currency", "currency"), ("reason", "reason"))
        if name in named
    }
    item = {
        api: named[name]
        for name, api in (("item_id", "itemId"), ("sku_id", "skuId"), ("quantity", "quantity"))
        if name in named
    }
    if "itemId" in item or "skuId" in item:
        body["items"] = [item | amounts]
    else:
        body |= amounts
    metadata = {
        name.removeprefix(_METADATA): cell
        for name, cell in named.items()
        if name.startswith(_METADATA)
    }
    return body | ({"metadata": metadata} if metadata else {})


def read_request(body: str) -> RefundAsk | tuple[str, ...]:
    """The request in a stored body, read as the API reads one, or what is wrong with it."""
    try:
        return read_refund(Fields(read_object(body.encode()), []), AmountBasis.LINE)
    except BadFields as error:
        return tuple(problem.message for problem in error.problems)


def body_text(body: Mapping[str, JsonValue]) -> str:
    """A body as it is stored: equal requests have equal texts."""
    return canonical_json(dict(body)).decode()
