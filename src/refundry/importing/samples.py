"""Makes sample exports: Order resources as an API answers them, the same for the same seed."""

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from refundry.domain.allocation import allocate
from refundry.domain.cells import Component
from refundry.domain.money import Currency, find_currency
from refundry.errors import required
from refundry.http.document import money, seconds, to_json
from refundry.importing.sample_lives import LIVES, LineLife, OrderLife, live

View = dict[str, Any]

# Currency, country, tax in thousandths, locale; and of a hundred orders how many.
_MARKETS = (
    ("USD", "US", 80, "en_US", 42), ("EUR", "DE", 190, "de_DE", 18), ("EUR", "FR", 200, "fr_FR", 9),
    ("GBP", "GB", 200, "en_GB", 10), ("JPY", "JP", 100, "ja_JP", 9), ("CAD", "CA", 50, "en_CA", 5),
    ("CHF", "CH", 81, "de_CH", 3), ("KWD", "KW", 0, "ar_KW", 3), ("CLP", "CL", 190, "es_CL", 1),
)  # fmt: skip
_ARTICLES = ("tee", "mug", "lamp", "keyboard", "licence", "backpack", "camera", "chair")
_NAMES = ("Ana Lind", "Jonas Weber", "Yuki Tanaka", "Claire Martin", "Omar Saleh", "Mary Shaw")
_FIRST = datetime(2022, 1, 3, 8, tzinfo=UTC)
_HOURS = 3 * 365 * 24
# Each so many-th order of an export with refusable ones has something wrong with it.
_REFUSABLE = 0.02


@dataclass(frozen=True, slots=True)
class _Sale:
    """What every part of a resource needs. at: when it was ordered."""

    number: int
    seed: int
    chance: random.Random
    currency: Currency
    country: str
    tax: int
    locale: str
    at: datetime

    def money(self, minor: int) -> object:
        """An amount on the wire."""
        return money(minor, self.currency.exponent)

    def later(self, days: int) -> str:
        """A time after the order."""
        return seconds(self.at + timedelta(days=days))

    def uuid(self) -> str:
        """An id of a charge or a record."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))


def sample_orders(count: int, *, seed: int = 0, refusable: bool = False) -> Iterator[bytes]:
    """`count` orders as JSON lines. refusable: with some that no import should take."""
    chance = random.Random(seed)  # noqa: S311 - samples are not secret  # nosec
    for number in range(count):
        order = sample_order(number, seed, chance)
        if refusable and chance.random() < _REFUSABLE:
            chance.choice(_FAULTS)(order)
        yield to_json(order) + b"\n"


def sample_order(number: int, seed: int, chance: random.Random) -> View:
    """One Order resource. number: its place, which its ids are made of."""
    code, country, tax, locale, _ = chance.choices(_MARKETS, [each[-1] for each in _MARKETS])[0]
    sale = _Sale(
        number, seed, chance, required(find_currency(code)), country, tax, locale,
        _FIRST + timedelta(hours=chance.randrange(_HOURS)),
    )  # fmt: skip
    lines = _lines(sale)
    order = live(chance.choices(list(LIVES), list(LIVES.values()))[0], lines, chance)
    name = chance.choice(_NAMES)
    view: View = {
        "id": f"{10_000_000 + seed % 80 * 1_000_000 + number:08d}0336",
        "createdTime": seconds(sale.at),
        "updatedTime": sale.later(9),
        "currency": code,
        "email": f"{name.split()[0].lower()}.{number % 5000}@example.com",
        "upstreamId": f"WEB-{seed}-{number}",
        "customerId": f"cust-{number % 5000}",
        "locale": locale,
        "browserIp": f"192.0.2.{number % 250}",
        "billTo": {"name": name, "address": {"line1": "12 Harbor St", "country": country}},
        "shipTo": {"name": name, "address": {"line1": "12 Harbor St", "country": country}},
    }
    view |= _totals(sale, lines)
    view["items"] = [_item(sale, place, line) for place, line in enumerate(lines)]
    view["payment"] = _payment(sale, order)
    view["state"] = order.state
    view["stateTransitions"] = _transitions(sale, order.state)
    view |= _sums(sale, order)
    view["requestToBeForgotten"] = False
    view["liveMode"] = False
    view["metadata"] = {"shop": "samples", "batch": str(number // 1000)}
    return view


def _lines(sale: _Sale) -> list[LineLife]:
    chance, unit = sale.chance, 10**sale.currency.exponent
    lines: list[list[int]] = []
    quantities = [chance.choice((1, 1, 1, 2, 3)) for _ in range(chance.choice((1, 1, 2, 2, 3, 4)))]
    imported = chance.random() < 0.15
    for quantity in quantities:
        price = chance.randint(3 * unit, 180 * unit) if unit > 1 else chance.randint(300, 20_000)
        cells = [0] * len(Component)
        cells[Component.PRODUCT] = price * quantity
        cells[Component.TAX] = price * quantity * sale.tax // 1000
        if imported:
            cells[Component.DUTY] = price * quantity * 37 // 1000
            cells[Component.IMPORTER_TAX] = price * quantity * 11 // 1000
        if chance.random() < 0.08:
            cells[Component.FEES] = max(1, unit * quantity // 4)
            cells[Component.FEES_TAX] = cells[Component.FEES] * sale.tax // 1000
        lines.append(cells)
    freight = (
        chance.choice((0, 5 * unit, 795 * unit // 100)) if unit > 1 else chance.choice((0, 600))
    )
    weights = [cells[Component.PRODUCT] for cells in lines]
    for component, amount in (
        (Component.SHIPPING, freight), (Component.SHIPPING_TAX, freight * sale.tax // 1000)
    ):  # fmt: skip
        for cells, share in zip(lines, allocate(amount, weights), strict=True):
            cells[component] = share
    return [LineLife(tuple(c), q) for c, q in zip(lines, quantities, strict=True)]


def _sum(lines: Sequence[LineLife], *components: Component) -> int:
    return sum(line.ordered[component] for line in lines for component in components)


def _totals(sale: _Sale, lines: Sequence[LineLife]) -> View:
    total = _sum(lines, *Component)
    tax = _sum(lines, Component.TAX, Component.SHIPPING_TAX, Component.FEES_TAX)
    freight = _sum(lines, Component.SHIPPING)
    return {
        "totalAmount": sale.money(total),
        "subtotal": sale.money(total - tax),
        "totalFees": sale.money(_sum(lines, Component.FEES)),
        "totalTax": sale.money(tax),
        "totalImporterTax": sale.money(_sum(lines, Component.IMPORTER_TAX)),
        "totalDuty": sale.money(_sum(lines, Component.DUTY)),
        "totalDiscount": sale.money(0),
        "totalShipping": sale.money(freight),
        "shippingChoice": {
            "amount": sale.money(freight),
            "description": "standard",
            "serviceLevel": "SG",
            "taxAmount": sale.money(_sum(lines, Component.SHIPPING_TAX)),
        },
    }


def _item(sale: _Sale, place: int, line: LineLife) -> View:
    cells = [sale.money(cell) for cell in line.ordered]
    available = line.available
    left = available[Component.PRODUCT] + available[Component.TAX]
    article = sale.chance.choice(_ARTICLES)
    return {
        "id": f"{100_000_000 + sale.seed % 100 * 8_000_000 + sale.number * 8 + place}336",
        "skuId": f"sku-{article}",
        "productDetails": {
            "id": f"sku-{article}",
            "name": article.title(),
            "countryOfOrigin": "US",
        },
        "amount": cells[Component.PRODUCT],
        "quantity": line.quantity,
        "state": line.state,
        "stateTransitions": {"created": seconds(sale.at), line.state: sale.later(2)},
        "tax": {"rate": money(sale.tax, 3), "amount": cells[Component.TAX]},
        "importerTax": {"amount": cells[Component.IMPORTER_TAX]},
        "duties": {"amount": cells[Component.DUTY]},
        "availableToRefundAmount": sale.money(left),
        "fees": {"amount": cells[Component.FEES], "taxAmount": cells[Component.FEES_TAX]},
        "shipping": {
            "amount": cells[Component.SHIPPING],
            "taxAmount": cells[Component.SHIPPING_TAX],
        },
    }


def _transitions(sale: _Sale, state: str) -> View:
    ways = {
        "complete": ("accepted", "fulfilled", "complete"),
        "returned": ("accepted", "fulfilled", "complete", "returned"),
        "dispute": ("accepted", "fulfilled", "complete", "dispute"),
        "cancelled": ("accepted", "cancelled"),
    }
    way = ways.get(state, (state,))
    return {name: sale.later(day) for day, name in enumerate(way)}


def _sums(sale: _Sale, order: OrderLife) -> View:
    captured = sum(line.captured_amount for line in order.lines)
    refunded = sum(order.refunds)
    return {
        "capturedAmount": sale.money(captured),
        "cancelledAmount": sale.money(sum(line.cancelled_amount for line in order.lines)),
        "refundedAmount": sale.money(refunded),
        "availableToRefundAmount": sale.money(captured - refunded),
    }


def _payment(sale: _Sale, order: OrderLife) -> View:
    total = sum(sum(line.ordered) for line in order.lines)
    sources = _sources(sale, total)
    primary_first = range(len(sources))
    amounts = [amount for _, amount in sources]
    # A customer's credit, the last, is spent first and refunded last.
    captured = sum(line.captured_amount for line in order.lines)
    cancelled = sum(line.cancelled_amount for line in order.lines)
    taken = _fill([captured], amounts, primary_first[::-1])
    open_now = [amount - sum(part) for amount, part in zip(amounts, taken, strict=True)]
    gone = _fill([cancelled], open_now, primary_first)
    back = _fill(order.refunds, [sum(part) for part in taken], primary_first)
    views = [_source(sale, name, amount) for name, amount in sources]
    charges = [
        _charge(sale, views[i], amounts[i], (taken[i], gone[i], back[i])) for i in primary_first
    ]
    return {
        "charges": charges,
        "sources": views,
        "session": {
            "id": sale.uuid(),
            "amountContributed": sale.money(total),
            "amountRemainingToBeContributed": sale.money(0),
            "state": "complete",
        },
    }


def _fill(amounts: Sequence[int], rooms: Sequence[int], turns: Sequence[int]) -> list[list[int]]:
    """Each amount taken from the rooms, the first in `turns` first: the parts of each room."""
    left, parts = list(rooms), _empty(len(rooms))
    for amount in amounts:
        for turn in turns:
            part = min(amount, left[turn])
            if part:
                parts[turn].append(part)
                left[turn] -= part
                amount -= part
    return parts


def _empty(count: int) -> list[list[int]]:
    """An empty list for each of `count` charges."""
    return [[] for _ in range(count)]


def _sources(sale: _Sale, total: int) -> list[tuple[str, int]]:
    kinds = ("creditCard", "creditCard", "creditCard", "payPal", "wireTransfer", "klarnaCredit")
    kind = "konbini" if sale.country == "JP" and sale.chance.random() < 0.3 else None
    primary = kind or sale.chance.choice(kinds)
    credit = total // 5 if sale.chance.random() < 0.06 else 0
    return [(primary, total - credit)] + ([("customerCredit", credit)] if credit else [])


def _source(sale: _Sale, name: str, amount: int) -> View:
    view: View = {"id": sale.uuid(), "type": name, "amount": sale.money(amount)}
    if name == "creditCard":
        view["creditCard"] = {
            "brand": "Visa", "expirationMonth": 7, "expirationYear": 2030, "lastFourDigits": "1111",
        }  # fmt: skip
    else:
        view[name] = {}
    return view


def _charge(
    sale: _Sale, source: View, amount: int, parts: tuple[list[int], list[int], list[int]]
) -> View:
    captures, cancels, refunds = parts
    left = amount - sum(captures) - sum(cancels)
    ended = "complete" if captures else "cancelled"
    view: View = {
        "id": sale.uuid(),
        "createdTime": seconds(sale.at),
        "currency": sale.currency.code,
        "amount": sale.money(amount),
        "state": "capturable" if left else ended,
        "captured": bool(captures),
    }
    if captures:
        view["captures"] = [_record(sale, part, 2) for part in captures]
    if cancels:
        view["cancels"] = [_record(sale, part, 2) for part in cancels]
    view["refunded"] = bool(refunds)
    if refunds:
        view["refunds"] = [_record(sale, part, 8, named=False) for part in refunds]
        if sale.chance.random() < 0.1:
            failed = _record(sale, refunds[0], 7, named=False) | {"state": "failed"}
            view["refunds"].insert(0, failed)
    return view | {"sourceId": source["id"], "type": "customer_initiated"}


def _record(sale: _Sale, amount: int, days: int, *, named: bool = True) -> View:
    head = {"id": sale.uuid()} if named else {}
    return head | {
        "createdTime": sale.later(days),
        "amount": sale.money(amount),
        "state": "complete",
    }


def _without_id(order: View) -> None:
    del order["id"]


def _of_no_currency(order: View) -> None:
    order["currency"] = "XYZ"


def _with_another_total(order: View) -> None:
    order["totalAmount"] = money(99_999_999, 2)


def _with_a_pending_refund(order: View) -> None:
    record = {"createdTime": order["updatedTime"], "amount": money(100, 2), "state": "pending"}
    order["payment"]["charges"][0]["refunds"] = [record]


def _without_items(order: View) -> None:
    order["items"] = []


def _with_another_capture(order: View) -> None:
    order["capturedAmount"] = money(1, 2)


_FAULTS: tuple[Callable[[View], None], ...] = (
    _without_id,
    _of_no_currency,
    _with_another_total,
    _with_a_pending_refund,
    _without_items,
    _with_another_capture,
)
