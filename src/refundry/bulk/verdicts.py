"""What would become of each line of a file, by the rules of the requests themselves. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from refundry.bulk.reading import Row, body_text, read_request
from refundry.domain.money import Currency, find_currency, parse_numeral, to_major, to_minor
from refundry.domain.order import Order
from refundry.domain.preview import preview_refund
from refundry.domain.refund import RefundAsk
from refundry.errors import required
from refundry.http.problems import message_of


class LineState(StrEnum):
    """Where a line stands: three verdicts of the check, then what became of it."""

    READY = "ready"
    """Will be refunded."""
    DUPLICATE = "duplicate"
    """Looks like a refund that was made or comes earlier in the file, and is left out."""
    REFUSED = "refused"
    MADE = "made"
    FAILED = "failed"
    """Was ready, and refused when its turn came."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check says of a line. amount: minor units of currency, where it comes to one.

    body: the request as it is stored; None where there is none. remark: for people.
    """

    row: Row
    state: LineState
    remark: str = ""
    order_id: str | None = None
    body: str | None = None
    amount: int | None = None
    currency: Currency | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the check looks lines up in. by_upstream: the orders with an upstream id.

    earlier: order and minor units of the refunds of the last day, with their ids.
    """

    orders: Mapping[str, Order]
    by_upstream: Mapping[str, Sequence[str]]
    earlier: Mapping[tuple[str, int], str]


def judge(
    rows: Iterable[Row], known: Known, *, now: datetime, with_duplicates: bool
) -> list[Verdict]:
    """A verdict on each line; each sees what earlier lines of the file take from its order."""
    orders = dict(known.orders)
    seen: dict[tuple[str, int], int] = {}
    verdicts: list[Verdict] = []
    for row in rows:
        order_id = _order_of(row, known)
        verdict, order = (
            _judge_line(row, orders[order_id], now)
            if isinstance(order_id, str)
            else (_refused(row, *order_id), None)
        )
        if order is not None and verdict.amount is not None:
            key = (order.id, verdict.amount)
            verdict = _mark(verdict, seen.get(key), known.earlier.get(key), with_duplicates)
            seen.setdefault(key, row.number)
            if verdict.state is LineState.READY:
                orders[order.id] = order
        verdicts.append(verdict)
    return verdicts


def _order_of(row: Row, known: Known) -> str | tuple[str, ...]:
    """The order that a line names, or why there is none."""
    if row.problems:
        return row.problems
    if not row.upstream_id:
        return row.order_id if row.order_id in known.orders else (_no_order(row.order_id),)
    found = known.by_upstream.get(row.upstream_id, ())
    if row.order_id:
        if row.order_id not in known.orders:
            return (_no_order(row.order_id),)
        if row.order_id not in found:
            return (f"Order '{row.order_id}' has another upstream ID.",)
        return row.order_id
    if len(found) > 1:
        return (f"Upstream ID '{row.upstream_id}' belongs to {len(found)} orders.",)
    return found[0] if found else (f"No order has the upstream ID '{row.upstream_id}'.",)


def _no_order(order_id: str) -> str:
    return f"Order '{order_id}' not found."


def _judge_line(row: Row, order: Order, now: datetime) -> tuple[Verdict, Order | None]:
    """A verdict, and the order after the refund if there would be one."""
    body = body_text({**row.body, "orderId": order.id})
    ask = read_request(body)
    if not isinstance(ask, RefundAsk):
        return _refused(row, *ask, order_id=order.id), None
    # A verdict names no charges, so it does not matter what is waiting for them.
    preview = preview_refund(order, ask, waiting=0, now=now)
    if preview.refund is None:
        words = [message_of(refusal) for refusal in preview.refusals]
        return _refused(row, *words, order_id=order.id), None
    amount, currency = preview.refund.amount, order.currency
    ready = Verdict(row, LineState.READY, "", order.id, body, amount, currency)
    return ready, preview.after


def _refused(row: Row, *problems: str, order_id: str | None = None) -> Verdict:
    remark = " ".join(dict.fromkeys(problems))
    return Verdict(row, LineState.REFUSED, remark, order_id or row.order_id or None)


def _mark(
    verdict: Verdict, same_line: int | None, refund_id: str | None, with_duplicates: bool
) -> Verdict:
    """The verdict on a line that would be refunded, after a look for its like."""
    likes = [f"line {same_line}"] if same_line is not None else []
    likes += [f"refund {refund_id} of the last 24 hours"] if refund_id is not None else []
    if not likes:
        return verdict
    state = LineState.READY if with_duplicates else LineState.DUPLICATE
    remark = f"Same order and amount as {' and '.join(likes)}."
    return Verdict(
        verdict.row, state, remark, verdict.order_id, verdict.body, verdict.amount, verdict.currency
    )


Totals = Mapping[str, int]
"""Minor units by the code of their currency."""


def totals_of(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """What the ready lines come to."""
    totals: dict[str, int] = {}
    for each in verdicts:
        if each.state is LineState.READY:
            code = required(each.currency).code
            totals[code] = totals.get(code, 0) + required(each.amount)
    return dict(sorted(totals.items()))


def totals_text(totals: Totals) -> str:
    """What has to be typed: `27.01 USD`, or `5.00 EUR + 27.01 USD`."""
    return " + ".join(
        f"{to_major(minor, required(find_currency(code))):f} {code}"
        for code, minor in sorted(totals.items())
    )


def confirms(text: str, totals: Totals) -> bool:
    """Whether somebody typed the total; of a single currency its code may be left out."""
    typed: dict[str, int] = {}
    for part in re.split(r"[+,;]", text):
        number, _, code = part.strip().partition(" ")
        code = code.strip().upper() or (next(iter(totals)) if len(totals) == 1 else "")
        currency, numeral = find_currency(code), parse_numeral(number)
        minor = to_minor(numeral, currency) if currency and numeral is not None else None
        if minor is None or code in typed:
            return False
        typed[code] = minor
    return bool(typed) and typed == dict(totals)
