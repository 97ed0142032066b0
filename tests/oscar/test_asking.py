"""What the refund form offers and asks for."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refundry_sync.oscar.asking import (
    COMPONENTS,
    KINDS,
    Ask,
    BadAsk,
    Chosen,
    Kind,
    Line,
    Offer,
    ask,
)
from refundry_sync.sync.requesting import asked_fields

CELLS = (
    "product", "tax", "shipping", "shipping_tax", "duty", "importer_tax", "fees", "fees_tax",
)  # fmt: skip
OWN_AMOUNT: tuple[Kind, ...] = ("shipping", "duty", "fees")
LEFT = st.dictionaries(
    st.sampled_from(CELLS), st.integers(0, 10_000).map(lambda cents: Decimal(cents).scaleb(-2))
)


def offer(*lefts: dict[str, Decimal]) -> Offer:
    lines = [Line(f"1-{n}", "Tee", 2, left) for n, left in enumerate(lefts)]
    total = sum((sum(left.values(), Decimal(0)) for left in lefts), Decimal(0))
    return Offer("EUR", total, total, Decimal(0), "complete", lines)


@given(st.lists(LEFT, min_size=1, max_size=4))
def test_a_complete_order_and_its_fees_are_all_that_is_left(
    lefts: list[dict[str, Decimal]],
) -> None:
    found = offer(*lefts)
    assert found.of("complete") + found.of("fees") == found.available
    parts = [found.of(kind) for kind in ("items", "shipping", "duty", "importer_tax")]
    assert sum(parts) == found.of("complete") == found.of("amount")
    assert all(found.of(kind) <= found.available for kind in KINDS)
    assert found.of("items") == sum(line.available for line in found.lines)


def test_what_is_filled_in_becomes_one_measure() -> None:
    all_of_it, amount = Decimal(100), Decimal("12.50")
    chosen = [Chosen("1-1", 2), Chosen("1-2", 1, Decimal("4.00"))]
    assert ask("complete", None, ()) == Ask(percent=all_of_it)
    assert ask("tax", None, ()) == Ask(type="tax", percent=all_of_it)
    assert ask("importer_tax", None, ()) == Ask(type="importer_tax", percent=all_of_it)
    assert ask("amount", amount, ()) == Ask(amount=amount)
    for kind in OWN_AMOUNT:
        assert ask(kind, amount, ()) == Ask(type=kind, amount=amount)
    assert ask("items", None, chosen).lines == [
        {"itemId": "1-1", "quantity": 2, "percent": all_of_it},
        {"itemId": "1-2", "quantity": 1, "amount": Decimal("4.00")},
    ]


@given(st.sampled_from(KINDS), st.decimals(Decimal("0.01"), 999, places=2))
def test_every_kind_is_a_request(kind: Kind, amount: Decimal) -> None:
    made = ask(kind, amount, [Chosen("1-1", 1)])
    fields = asked_fields(
        lines=made.lines or None, amount=made.amount, percent=made.percent, type=made.type,
        reason=None, metadata=None,
    )  # fmt: skip
    assert ("type" in fields) == (kind not in ("complete", "items", "amount"))
    assert set(COMPONENTS[kind]) <= set(CELLS)


@pytest.mark.parametrize("amount", [None, Decimal(0), Decimal(-1)])
@pytest.mark.parametrize("kind", [*OWN_AMOUNT, "amount"])
def test_an_amount_has_to_be_there(kind: Kind, amount: Decimal | None) -> None:
    with pytest.raises(BadAsk, match="Fill in an amount"):
        ask(kind, amount, ())


def test_a_line_has_to_be_chosen() -> None:
    with pytest.raises(BadAsk, match="Choose a line"):
        ask("items", None, ())
