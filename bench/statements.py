"""Scripts for pgbench that do what the service does.

The service's own statements are taken from its code while it runs one refund and one read. What
differs from one request to the next is drawn or made by pgbench or PostgreSQL; all else is passed
as a parameter, as the service does. For refunds there is a plain form as well: a service that
groups requests may send forms that cost more where there is but one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import asyncpg

from bench.laying import FIRST_ORDER
from bench.order import REFUND
from bench.plan import OWN, PLAIN
from refundry.db.database import Database, Record, connect_arguments
from refundry.domain.refund import RefundAsk
from refundry.orders.store import find_order
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.settings import Settings
from refundry.tenant import Tenant

# The order that the statements are taken from gets these, so that they are known again among the
# arguments, and so are the numbers that the service counts up from them.
VERSION = 1_000_003
EVENT_SEQUENCE = 2_000_003
_COUNTED_UP = 10

_PLAIN = Path(__file__).with_name("plain.sql")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACE = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Script:
    """A script for pgbench and the values of its variables."""

    text: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scripts:
    """What to run on each side of plan.SIDES that pgbench takes."""

    orders: Mapping[str, Script]
    refunds: Mapping[str, Script]


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement that was sent, with its arguments."""

    query: str
    arguments: tuple[Any, ...]


class _Recorder(Database):
    """A database that notes what is sent to it."""

    def __init__(self, pool: "asyncpg.Pool[Record]") -> None:
        super().__init__(pool)
        self.sent: list[Sent] = []

    async def fetch(self, query: str, *args: Any) -> list[Record]:
        self.sent.append(Sent(query, args))
        return await super().fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Record | None:
        self.sent.append(Sent(query, args))
        return await super().fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        self.sent.append(Sent(query, args))
        return await super().fetchval(query, *args)


async def take_scripts(settings: Settings, tenant: Tenant, order_id: str, orders: int) -> Scripts:
    """Run a read and a refund on `order_id`; the scripts do so on `orders` others, by lot."""
    arguments = connect_arguments(settings)
    async with asyncpg.create_pool(**arguments, min_size=1, max_size=1) as pool:
        await pool.execute(
            "UPDATE orders SET version = $1, event_sequence = $2 WHERE id = $3",
            VERSION, EVENT_SEQUENCE, order_id,
        )  # fmt: skip
        read, refund = _Recorder(pool), _Recorder(pool)
        await find_order(read, tenant, order_id)
        body = await create_refund(refund, tenant, _request(order_id))
        written = await _written(pool, order_id)
    draw = f"\\set order_id random({FIRST_ORDER}, {FIRST_ORDER + orders - 1})\n"
    known = {"account_id": tenant.account_id, "object": body.decode(), **written}
    return Scripts(
        {OWN: to_script(draw, read.sent, tenant, order_id)},
        {
            PLAIN: Script(draw + _PLAIN.read_text(), known),
            OWN: to_script(draw, refund.sent, tenant, order_id),
        },
    )


def _request(order_id: str) -> RefundRequest:
    ask = RefundAsk(
        order_id=order_id,
        invoice_id=None,
        currency=REFUND["currency"],
        amount=Decimal(str(REFUND["amount"])),
    )
    return RefundRequest(ask, datetime.now(UTC), timedelta(), None)


async def _written(pool: "asyncpg.Pool[Record]", order_id: str) -> dict[str, str]:
    """What the one refund of an order wrote, as the variables of plain.sql."""
    row = await pool.fetchrow(
        """
        SELECT array_agg(l.position)::text AS held_lines, array_agg(l.held::text)::text AS held,
               min(r.amount_minor)::text AS amount_minor, min(r.share_lines)::text AS share_lines,
               min(r.shares)::text AS shares
          FROM refunds r
          JOIN order_lines l ON l.account_id = r.account_id AND l.live = r.live
           AND l.order_id = r.order_id AND l.position = ANY (r.share_lines)
         WHERE r.order_id = $1
        """,
        order_id,
    )
    assert row is not None
    return dict(row)


@dataclass(slots=True)
class _Arguments:
    """Turns arguments into what stands for them in a script, and collects its variables."""

    tenant: Tenant
    order_id: str
    variables: dict[str, str] = field(default_factory=dict[str, str])

    def expression(self, value: Any) -> str:
        """An argument."""
        if isinstance(value, list):
            parts = cast("list[Any]", value)
            if any(self._drawn(part) for part in parts):
                return f"ARRAY[{', '.join(map(self.expression, parts))}]"
        return self._drawn(value) or self._constant(value)

    def _drawn(self, value: Any) -> str | None:
        """What makes a value that differs from one request to the next; None for a constant."""
        match value:
            case datetime():
                return "now()"
            case str() if value == self.order_id:
                return ":order_id"
            case str() if value.startswith("re_"):
                return "'re_' || gen_random_uuid()"
            case str() if _UUID.fullmatch(value) and value != self.tenant.account_id:
                return "gen_random_uuid()::text"
            case int() if VERSION <= value < VERSION + _COUNTED_UP:
                return _counted_up("version", value - VERSION)
            case int() if EVENT_SEQUENCE <= value < EVENT_SEQUENCE + _COUNTED_UP:
                return _counted_up("event_sequence", value - EVENT_SEQUENCE)
            case _:
                return None

    def _constant(self, value: Any) -> str:
        if value is None:
            return "NULL"
        text = to_text(value)
        for name, known in self.variables.items():
            if known == text:
                return f":{name}"
        name = f"constant_{len(self.variables) + 1}"
        self.variables[name] = text
        return f":{name}"


def _counted_up(name: str, by: int) -> str:
    return f":{name} + {by}" if by else f":{name}"


def to_script(draw: str, sent: Sequence[Sent], tenant: Tenant, order_id: str) -> Script:
    """A script that first draws an order and then sends the same.

    What a read finds becomes variables, so that a later statement is guarded by the version read.
    """
    arguments = _Arguments(tenant, order_id)
    parts: list[str] = []
    for each in sent:
        expressions = [arguments.expression(value) for value in each.arguments]
        query = _PLACE.sub(lambda found, of=expressions: of[int(found[1]) - 1], each.query)
        parts.append(query.strip())
    # What the last one finds nobody asks for.
    return Script(draw + "\n\\gset\n".join(parts) + ";\n", arguments.variables)


def to_text(value: Any) -> str:
    """A value in PostgreSQL's text form."""
    match value:
        case bool():
            return "true" if value else "false"
        case [*parts]:
            return "{" + ",".join(_element(part) for part in parts) + "}"
        case _:
            return str(value)


def _element(value: Any) -> str:
    """An element of an array."""
    if value is None:
        return "NULL"
    escaped = to_text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
