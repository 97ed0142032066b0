"""From an exported Order resource to the order that is stored, or to what is wrong with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

import msgspec

from refundry.domain.money import major_text
from refundry.errors import BadFields, FieldProblem, Refused
from refundry.http.document import JsonValue, read_object, shown
from refundry.http.fields import Fields
from refundry.http.problems import error_of, problem_element
from refundry.importing.exports import Entry
from refundry.orders.commands import judge_order
from refundry.orders.reading import ReadOrder, read_order
from refundry.orders.store import StoredOrder

Errors = list[dict[str, str]]
"""As the API would answer: code, parameter and message of each."""

_RECORDS = ("captures", "cancels", "refunds")
# Where an order was before its dispute, as far as its times tell: the furthest counts.
_BEFORE_DISPUTE = ("returned", "complete", "fulfilled", "accepted")


@dataclass(frozen=True, slots=True)
class Judged:
    """An order that can be stored. notes: what will not be as the export says."""

    read: ReadOrder
    stored: StoredOrder
    notes: tuple[str, ...]


class _Named(msgspec.Struct):
    id: str | None = None


_named = msgspec.json.Decoder(_Named)


def id_of(content: bytes) -> str | None:
    """The id of an order in JSON text, without reading the rest of it; None if it has none."""
    try:
        return _named.decode(content).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def judge(entry: Entry, *, live: bool, now: datetime) -> Judged | Errors:
    """Read an order and decide on it, by the rules of `POST /orders`."""
    if entry.problem:
        return [{"code": "invalid_format", "message": entry.problem}]
    try:
        document = read_object(entry.content)
        notes = to_body(document)
        body = Fields(document, [])
        if not body.has("id"):
            # Without one nobody could tell, in a second run, that it is there already.
            body.missing("id")
        read = read_order(body, live=live, now=now, exported=True)
        stored = judge_order(read, now)
    except BadFields as error:
        return [problem_element(each) for each in error.problems]
    except Refused as error:
        return [error_of(error.refusal)]
    return Judged(read, stored, (*notes, *_other_lines(read, stored)))


def to_body(document: dict[str, JsonValue]) -> list[str]:
    """Make an exported resource what `POST /orders` takes, in place; gives notes on what changed.

    Records that failed moved nothing and go; charges come in the order of their sources; an order
    in dispute is as it was before. Raises BadFields for a record without an outcome.
    """
    payment = document.get("payment")
    if isinstance(payment, dict):
        _settle_charges(cast("dict[str, JsonValue]", payment))
    if _lower(document.get("state")) != "dispute":
        return []
    times = document.get("stateTransitions")
    known = cast("dict[str, JsonValue]", times) if isinstance(times, dict) else {}
    document["state"] = next((s for s in _BEFORE_DISPUTE if known.get(s) is not None), "complete")
    return [f"state: in dispute; imported as {document['state']}"]


def _lower(value: JsonValue) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _settle_charges(payment: dict[str, JsonValue]) -> None:
    charges = _objects(payment.get("charges"))
    if charges is None:
        return
    problems: list[FieldProblem] = []
    for index, charge in enumerate(charges):
        for name in _RECORDS:
            records = _objects(charge.get(name))
            if records is not None:
                path = f"payment.charges[{index}].{name}"
                charge[name] = _ended(records, path, problems)
    if problems:
        raise BadFields(problems)
    places = _places(_objects(payment.get("sources")) or [])
    payment["charges"] = sorted(
        charges, key=lambda charge: places.get(shown(charge.get("sourceId")), len(places))
    )


def _objects(value: JsonValue) -> list[dict[str, JsonValue]] | None:
    """An array of objects; None for what is none, which the rules refuse later."""
    if not isinstance(value, list):
        return None
    members = cast("list[JsonValue]", value)
    if not all(isinstance(member, dict) for member in members):
        return None
    return cast("list[dict[str, JsonValue]]", members)


def _places(sources: list[dict[str, JsonValue]]) -> dict[str, int]:
    """The place of each source by its id."""
    return {shown(source.get("id")): place for place, source in enumerate(sources)}


def _ended(
    records: list[dict[str, JsonValue]], path: str, problems: list[FieldProblem]
) -> list[JsonValue]:
    """The records that moved money; what waits for its outcome is a problem."""
    kept: list[JsonValue] = []
    for index, record in enumerate(records):
        state = _lower(record.get("state"))
        if state in ("pending", "pending_information", "processing"):
            where = f"{path}[{index}].state"
            words = f"'{state}' is not a valid {where}: export the order again once it has ended."
            problems.append(FieldProblem("invalid_parameter", where, words))
        elif state != "failed":
            kept.append(record)
    return kept


def _other_lines(read: ReadOrder, stored: StoredOrder) -> list[str]:
    """Lines that have other amounts available than the export says."""
    order, told = stored.order, read.ask.told
    assert told is not None
    exponent = order.currency.exponent
    return [
        f"items[{line.position}].availableToRefundAmount: {major_text(left, exponent)} in the"
        f" export, {major_text(line.available_to_refund, exponent)} here"
        for line, left in zip(order.lines, told.lines, strict=True)
        if left is not None and left != line.available_to_refund
    ]
