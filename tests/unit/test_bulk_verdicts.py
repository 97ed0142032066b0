"""What a check says of the lines of a file."""

from dataclasses import replace

import pytest

from refundry.bulk.reading import read_sheet
from refundry.bulk.verdicts import (
    Known,
    LineState,
    Verdict,
    confirms,
    judge,
    totals_of,
    totals_text,
)
from refundry.domain.order import Order, OrderState
from tests.unit.given import NOW, captured, cells, line

READY, DUPLICATE, REFUSED = LineState.READY, LineState.DUPLICATE, LineState.REFUSED


def order(order_id: str = "1", minor: int = 1000, code: str = "USD") -> Order:
    return replace(captured(line(cells(minor), 2, sku="tee"), code=code), id=order_id)


def check(
    text: str, *orders: Order, with_duplicates: bool = False, **earlier: int
) -> list[Verdict]:
    """Verdicts on lines of order, amount and currency. earlier: refunds of order 1 by id."""
    rows = read_sheet(f"order_id,upstream_id,amount,percent,currency\n{text}".encode()).rows
    known = Known(
        {each.id: each for each in orders},
        {"shop-1": ["1"], "shop-x": ["1", "2"]},
        {("1", minor): name for name, minor in earlier.items()},
    )
    return judge(rows, known, now=NOW, with_duplicates=with_duplicates)


def states(verdicts: list[Verdict]) -> list[LineState]:
    return [each.state for each in verdicts]


def test_a_line_sees_what_earlier_lines_take() -> None:
    found = check("1,,6,,USD\n1,,5,,USD\n1,,,100,USD\n", order())
    assert states(found) == [READY, REFUSED, READY]
    assert [each.amount for each in found] == [600, None, 400]
    assert "greater than the available amount" in found[1].remark
    assert totals_of(found) == {"USD": 1000}


def test_the_same_amount_of_the_same_order_is_left_out_unless_it_is_asked_for() -> None:
    text = "1,,3,,USD\n1,,3.00,,USD\n2,,3,,USD\n"
    found = check(text, order(), order("2"))
    assert states(found) == [READY, DUPLICATE, READY]
    assert found[1].remark == "Same order and amount as line 2."
    assert totals_of(found) == {"USD": 600}
    included = check(text, order(), order("2"), with_duplicates=True)
    assert states(included) == [READY, READY, READY]
    assert included[1].remark == found[1].remark


def test_what_is_left_out_takes_nothing_from_later_lines() -> None:
    text = "1,,4,,USD\n1,,4,,USD\n1,,,100,USD\n"
    assert [v.amount for v in check(text, order())] == [400, 400, 600]
    assert [v.amount for v in check(text, order(), with_duplicates=True)] == [400, 400, 200]


def test_a_refund_of_the_last_day_marks_a_line() -> None:
    (found,) = check("1,,3,,USD\n", order(), re_7=300)
    assert found.state is DUPLICATE
    assert found.remark == "Same order and amount as refund re_7 of the last 24 hours."
    assert states(check("1,,3.01,,USD\n", order(), re_7=300)) == [READY]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9,,1,,USD", "Order '9' not found."),
        (",nope,1,,USD", "No order has the upstream ID 'nope'."),
        (",shop-x,1,,USD", "Upstream ID 'shop-x' belongs to 2 orders."),
        ("2,shop-1,1,,USD", "Order '2' has another upstream ID."),
        ("1,,1,,EUR", "Currency EUR is not supported."),
        ("1,,1.001,,USD", "'1.001' is not a valid amount."),
        ("1,,1,50,USD", "Only one of amount, percent and items may be provided."),
        ("1,,,,USD", "A parameter is missing."),
    ],
)
def test_a_refused_line_says_why_in_the_words_of_the_api(text: str, words: str) -> None:
    (found,) = check(f"{text}\n", order(), order("2"))
    assert (found.state, found.remark) == (REFUSED, words)
    assert (found.body, found.amount) == (None, None)


def test_an_order_is_found_by_its_upstream_id() -> None:
    found = check(",shop-1,1,,USD\n1,shop-1,2,,USD\n", order())
    assert states(found) == [READY, READY]
    assert {each.order_id for each in found} == {"1"}
    assert '"orderId":"1"' in (found[0].body or "")


def test_an_order_in_dispute_is_refused() -> None:
    disputed = replace(order(), state=OrderState.DISPUTE)
    assert states(check("1,,1,,USD\n", disputed)) == [REFUSED]


def test_the_total_has_to_be_typed_as_it_is() -> None:
    one, two = {"USD": 2701}, {"USD": 2701, "JPY": 3301}
    assert totals_text(two) == "3301 JPY + 27.01 USD"
    assert totals_text({}) == ""
    for text in ("27.01 USD", " 27.01 ", "27.01 usd", "27.010 USD"):
        assert confirms(text, one), text
    for text in ("3301 JPY + 27.01 USD", "27.01 USD, 3301 JPY"):
        assert confirms(text, two), text
    for text in ("", "27.02", "27,01", "27.01 EUR", "27.01 USD + 27.01 USD", "yes", "2701"):
        assert not confirms(text, one), text
    for text in ("27.01", "27.01 USD", "27.01 + 3301"):
        assert not confirms(text, two), text
    assert not confirms("", {})
