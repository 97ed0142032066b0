"""The eight money components of an order line, as one tuple of minor units."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

from refundry.domain.allocation import allocate

Cells = tuple[int, ...]
"""One figure for each `Component`, in its order, in minor units."""


class Component(IntEnum):
    """What a line's money is for; the order breaks ties when an amount is shared out."""

    PRODUCT = 0
    TAX = 1
    SHIPPING = 2
    SHIPPING_TAX = 3
    DUTY = 4
    IMPORTER_TAX = 5
    FEES = 6
    FEES_TAX = 7


COMPONENT_NAMES = (
    "product",
    "tax",
    "shipping",
    "shippingTax",
    "duty",
    "importerTax",
    "fees",
    "feesTax",
)
EMPTY: Cells = (0,) * len(Component)


def add(left: Cells, right: Cells) -> Cells:
    """The sum, component by component."""
    return tuple([a + b for a, b in zip(left, right, strict=True)])


def subtract(left: Cells, right: Cells) -> Cells:
    """The difference, component by component."""
    return tuple([a - b for a, b in zip(left, right, strict=True)])


def only(cells: Cells, components: Iterable[Component]) -> Cells:
    """`cells` with every component that is not named set to zero."""
    wanted = set(components)
    return tuple([value if i in wanted else 0 for i, value in enumerate(cells)])


def spread(total: int, weights: Sequence[Cells]) -> list[Cells]:
    """Share `total` minor units over the cells of several lines, in proportion to `weights`.

    Ties go to the earlier line, then to the earlier component.
    """
    flat = allocate(total, [weight for cells in weights for weight in cells])
    size = len(Component)
    return [tuple(flat[i : i + size]) for i in range(0, len(flat), size)]
