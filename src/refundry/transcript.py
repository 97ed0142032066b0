"""What `refundry listen` says of an event: one line, its verdict on the signature, and gaps."""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

import click

from refundry.webhooks.signing import sign

_TOLERANCE_SECONDS = 300
# Deliveries overtake each other; what is under way has arrived, or failed, after 3 seconds.
PATIENCE_SECONDS = 5.0
# Event types by their last word, as colours.
_COLOURS = {
    "complete": "green", "succeeded": "green", "accepted": "green", "refunded": "green",
    "resolved": "green", "failed": "red", "blocked": "red", "dispute": "red", "chargeback": "red",
    "pending": "yellow", "pending_information": "yellow", "pending_payment": "yellow",
}  # fmt: skip


class Verdict(StrEnum):
    """What became of the check of a signature."""

    OK = "signature ok"
    BAD = "signature BAD"
    UNCHECKED = "signature not checked"


_VERDICT_COLOURS = {Verdict.OK: "green", Verdict.BAD: "red", Verdict.UNCHECKED: "yellow"}


def judge(header: str | None, body: bytes, tokens: Sequence[str], now: float) -> Verdict:
    """Whether one of the header's signatures is of one of `tokens` and of the last 300 seconds.

    now: Unix seconds. Without tokens nothing can be said.
    """
    if not tokens:
        return Verdict.UNCHECKED
    stamp, *signatures = (header or "").split(", ")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return Verdict.BAD
    _, *good = sign([token.encode() for token in tokens], int(stamp), body).split(", ")
    genuine = any(hmac.compare_digest(s.encode(), own.encode()) for s in signatures for own in good)
    fresh = abs(now - int(stamp)) <= _TOLERANCE_SECONDS
    return Verdict.OK if genuine and fresh else Verdict.BAD


def read_event(body: bytes) -> dict[str, Any] | None:
    """The event in a body, its numbers as the text that was sent; None if it is none."""
    try:
        found = json.loads(body, parse_float=str)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    event = cast("dict[str, Any]", found)
    named = isinstance(event.get("id"), str) and isinstance(event.get("type"), str)
    inner: Any = event.get("data")
    resource = cast("dict[str, Any]", inner).get("object") if isinstance(inner, dict) else None
    return event if named and isinstance(resource, dict) else None


def order_of(event: Mapping[str, Any]) -> str | None:
    """The order that an event belongs to."""
    resource: Mapping[str, Any] = event["data"]["object"]
    kind = str(event["type"])
    is_order = kind.startswith("order.") and not kind.startswith("order.charge.")
    return resource.get("id") if is_order else resource.get("orderId")


def event_line(event: Mapping[str, Any], verdict: Verdict, *, colour: bool) -> str:
    """An event as one line: time, type, what and how much, its place, its signature."""
    resource: Mapping[str, Any] = event["data"]["object"]
    order, kind = order_of(event), str(event["type"])
    amount = resource.get("amount", resource.get("totalAmount"))
    parts: list[tuple[str, str | None]] = [
        (_second(str(event.get("createdTime", ""))), "bright_black"),
        (kind, _COLOURS.get(kind.rpartition(".")[2], "cyan")),
        (str(resource.get("id", "")), None),
        (f"order {order}" if order and order != resource.get("id") else "", None),
        (f"{amount} {resource.get('currency', '')}".strip() if amount is not None else "", None),
        (str(resource.get("state", "")), None),
        (f"#{event['sequence']}" if "sequence" in event else "", "bright_black"),
        (verdict.value, _VERDICT_COLOURS[verdict]),
    ]
    return "  ".join(click.style(text, fg=fg) if colour else text for text, fg in parts if text)


def _second(time: str) -> str:
    """A time to the second: the rest is for machines."""
    return f"{time[:19]}Z" if len(time) > 19 else time


@dataclass(slots=True)
class _Row:
    """The events of one order. next: the first that was not seen; ahead: those seen after it."""

    next: int
    ahead: set[int] = field(default_factory=set[int])
    since: float | None = None

    def close_up(self, at: float) -> None:
        """Go on over what was seen; a hole that is left is as old as `at`."""
        before = self.next
        while self.next in self.ahead:
            self.ahead.remove(self.next)
            self.next += 1
        if not self.ahead:
            self.since = None
        elif self.since is None or self.next != before:
            self.since = at


class Gaps:
    """Notices the numbers that are missing among the events of each order.

    An order's first event that comes is where its numbers begin, whatever was before.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def see(self, order_id: str, sequence: int, at: float) -> None:
        """Note an event; at: seconds of any one clock."""
        row = self._rows.setdefault(order_id, _Row(sequence))
        if sequence >= row.next:
            row.ahead.add(sequence)
            row.close_up(at)

    def overdue(self, at: float, patience_seconds: float) -> list[str]:
        """What has been missing for so long, in words, each hole once."""
        found: list[str] = []
        for order_id, row in self._rows.items():
            while row.since is not None and at - row.since >= patience_seconds:
                first, last = row.next, min(row.ahead) - 1
                which = f"{first}" if first == last else f"{first} to {last}"
                found.append(f"gap: order {order_id}: sequence {which} did not come")
                row.next, since = last + 1, row.since
                row.close_up(since)
        return found
