"""What narrows the list of refunds: the fields of its form, and the conditions they stand for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from refundry.db.listing import Condition
from refundry.domain.charge import FAILURE_REASONS
from refundry.domain.choices import Choice
from refundry.domain.money import parse_numeral
from refundry.http.query import Query
from refundry.portal.lists import day_conditions
from refundry.portal.pages import Visit, Wrong
from refundry.portal.refund_rows import STATES
from refundry.refunds.store import NAMES_ARTICLE

FIELDS = (
    "state", "attention", "type", "reason", "failure", "sku", "currency", "from", "to", "min",
    "max",
)  # fmt: skip
"""The fields of the form, as their values stand in the address."""

_MOST = Decimal(10) ** 12
_AMOUNT = "t.amount_minor * 10::numeric ^ -t.exponent"
# Refunds have no index by currency and orders do: what few orders have is found by them.
_CURRENCY = (
    "t.currency = {0}::text AND t.order_id IN (SELECT o.id FROM orders o"
    " WHERE o.account_id = $1 AND o.live = $2 AND lower(o.currency) = lower({0}::text))"
)
_ATTENTION = "t.attention_since IS NOT NULL AND {}::boolean"
_COMPLETE_ORDER = "(t.elements IS NULL AND t.type IS NULL) AND {}::boolean"
# The API's types, as `choice_of` tells the choices from them: of a refund of items every element
# has the same one. An element is stored as a list; its fourth member is its type.
_OF_TYPE = (
    "t.type = {0}::text OR (t.elements IS NOT NULL AND (SELECT bool_and(e ->> 3 = {0}::text"
    " AND e ->> 3 IS NOT NULL) FROM json_array_elements(t.elements::json) AS e))"
)
_OF_ITEMS = (
    "t.elements IS NOT NULL AND {}::boolean AND (SELECT count(DISTINCT e ->> 3) <> 1"
    " OR bool_or(e ->> 3 IS NULL) FROM json_array_elements(t.elements::json) AS e)"
)


@dataclass(frozen=True, slots=True)
class RefundFilters:
    """The fields as they are to be shown again, and what they ask for together."""

    values: Mapping[str, str]
    conditions: list[Condition]

    @property
    def active(self) -> int:
        """How many fields narrow the list."""
        return sum(map(bool, self.values.values()))


def read_filters(visit: Visit) -> RefundFilters:
    """The filters in the address of a visit; a choice that there is not counts for nothing.

    Raises Wrong where a day or an amount cannot be read.
    """
    values = {name: _value(visit.query, name) for name in FIELDS}
    return RefundFilters(values, [*day_conditions(visit, "t.created_at"), *_conditions(values)])


_KNOWN: Mapping[str, frozenset[str]] = {
    "state": frozenset(STATES),
    "attention": frozenset({"true"}),
    "type": frozenset(Choice),
    "failure": frozenset(FAILURE_REASONS),
}


def _value(query: Query, name: str) -> str:
    text = (query.one(name) or "").strip()[:255]
    return text if name not in _KNOWN or text in _KNOWN[name] else ""


def _conditions(values: Mapping[str, str]) -> Iterator[Condition]:
    if state := values["state"]:
        yield Condition("lower(t.state) = {}::text", state)
    if values["attention"]:
        yield Condition(_ATTENTION, True)
    if choice := values["type"]:
        yield type_condition(Choice(choice))
    if reason := values["reason"]:
        yield Condition("t.reason = {}::text", reason)
    if failure := values["failure"]:
        yield Condition("t.failure_reason = {}::text", failure)
    if sku := values["sku"]:
        yield Condition(NAMES_ARTICLE, sku)
    if currency := values["currency"]:
        yield Condition(_CURRENCY, currency.upper(), walk=True)
    if least := values["min"]:
        yield Condition(f"{_AMOUNT} >= {{}}::numeric", _amount(least), walk=True)
    if most := values["max"]:
        yield Condition(f"{_AMOUNT} <= {{}}::numeric", _amount(most), walk=True)


def type_condition(choice: Choice) -> Condition:
    """The refunds that a choice would have made, whatever made them."""
    if choice is Choice.ORDER:
        return Condition(_COMPLETE_ORDER, True, walk=True)
    if choice is Choice.ITEMS:
        return Condition(_OF_ITEMS, True, walk=True)
    return Condition(_OF_TYPE, choice.value, walk=True)


def _amount(text: str) -> Decimal:
    """An amount in major units, of whatever currency. Raises Wrong."""
    found = parse_numeral(text)
    if found is None or abs(found) >= _MOST:
        raise Wrong(f"'{text[:20]}' is not an amount. Write it like 27.01.")
    return found
