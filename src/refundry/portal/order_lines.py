"""What order lines are called, and what is passed through of them."""

from typing import Any, cast

import msgspec

from refundry.orders.store import StoredOrder


def line_details(stored: StoredOrder, position: int) -> dict[str, Any]:
    """What came along with a line and no rule looks at."""
    return msgspec.json.decode(stored.facts.line_details[position])


def line_name(stored: StoredOrder, position: int) -> str:
    """The product's name, else the SKU, else the line's id."""
    line = stored.order.lines[position]
    product: Any = line_details(stored, position).get("productDetails")
    name: Any = as_object(product).get("name")
    return name if isinstance(name, str) and name else line.sku_id or line.id


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for everything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
