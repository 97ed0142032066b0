"""Units per line: the rows of a form, and what a form says of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from refundry.domain.order import Line
from refundry.http.document import JsonValue
from refundry.orders.store import StoredOrder
from refundry.portal.forms import Form
from refundry.portal.order_lines import line_name

_PREFIX = "qty-"


@dataclass(frozen=True, slots=True)
class Row:
    """A line in a form. most: how many of its units can be chosen; value: what the field holds."""

    line: Line
    name: str
    most: int
    value: str


def quantity_rows(
    stored: StoredOrder, form: Form, most: Callable[[Line], int], *, all_of_it: bool = False
) -> list[Row]:
    """A row for each line that has something to choose. all_of_it: what is proposed."""
    return [
        Row(
            line,
            line_name(stored, line.position),
            units,
            form.text(_PREFIX + line.id) or (str(units) if all_of_it else "0"),
        )
        for line in stored.order.lines
        if (units := most(line)) > 0
    ]


def asked_units(form: Form) -> dict[str, str]:
    """Line id -> units as they were typed; lines without any are left out."""
    return {
        line_id: value for line_id, value in form.numbered(_PREFIX) if value.strip("0") and value
    }


def hidden_units(form: Form) -> list[tuple[str, str]]:
    """The same as fields of the next form."""
    return [(_PREFIX + line_id, units) for line_id, units in asked_units(form).items()]


def item_members(form: Form, name: str, **more: JsonValue) -> list[Mapping[str, JsonValue]]:
    """`items` of a request. name: of the member with the units; more: further members of each."""
    return [
        {"itemId": line_id, name: units, **more} for line_id, units in asked_units(form).items()
    ]
