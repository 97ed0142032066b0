"""Files of refunds under Hypothesis: any text is read or refused, and no check gives away more
than there is."""

import contextlib
import csv
import io
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.bulk.reading import COLUMNS, BadSheet, read_row, read_sheet
from refundry.bulk.verdicts import Known, LineState, confirms, judge, totals_of, totals_text
from refundry.domain.order import Order
from tests.property.generated import NOW, captured_orders

bounded = settings(max_examples=100, deadline=None)
cells = st.one_of(st.text(max_size=12), st.sampled_from(["1", "50", "USD", "5.00", "tax", "1,0"]))
amounts = st.one_of(
    st.integers(1, 5_000).map(lambda minor: (f"{minor}", "")),
    st.sampled_from([("", "100"), ("", "33.33"), ("", "0.01"), ("0.01", "")]),
)


@bounded
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for content in (text, "order_id,amount,currency\n" + text):
        with contextlib.suppress(BadSheet):
            read_sheet(content.encode("utf-8", "replace"))


@bounded
@given(st.lists(st.lists(cells, min_size=len(COLUMNS), max_size=len(COLUMNS) + 1), max_size=5))
def test_a_line_is_judged_as_it_was_read_and_reads_the_same_again(rows: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([list(COLUMNS), *rows])
    try:
        sheet = read_sheet(file.getvalue().encode("utf-8", "replace"))
    except BadSheet:
        return
    for row in sheet.rows:
        assert read_row(row.number, sheet.head, row.cells) == row
    verdicts = judge(sheet.rows, Known({}, {}, {}), now=NOW, with_duplicates=True)
    assert all(each.state is LineState.REFUSED and each.remark for each in verdicts)


@bounded
@given(st.lists(captured_orders(), min_size=1, max_size=2), st.data())
def test_a_check_never_gives_away_more_than_there_is(
    orders: list[Order], data: st.DataObject
) -> None:
    named = {str(n): replace(order, id=str(n)) for n, order in enumerate(orders)}
    lines = data.draw(st.lists(st.tuples(st.sampled_from(sorted(named)), amounts), max_size=12))
    text = "".join(
        f"{name},{amount},{percent},{named[name].currency.code}\n"
        for name, (amount, percent) in lines
    )
    with_duplicates = data.draw(st.booleans())
    try:
        rows = read_sheet(f"order_id,amount,percent,currency\n{text}".encode()).rows
    except BadSheet:
        assert not lines
        return
    verdicts = judge(rows, Known(named, {}, {}), now=NOW, with_duplicates=with_duplicates)
    taken: Counter[str] = Counter()
    for each in verdicts:
        if each.state is LineState.READY:
            taken[each.order_id or ""] += each.amount or 0
    for name, order in named.items():
        assert taken[name] <= order.available_to_refund
    totals = totals_of(verdicts)
    assert sum(totals.values()) == sum(taken.values())
    assert not totals or confirms(totals_text(totals), totals)
