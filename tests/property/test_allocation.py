"""Shares add up, stay close to the exact quota, and never ask a cell for more than it has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.domain.allocation import allocate
from refundry.domain.cells import spread

bounded = settings(max_examples=200, deadline=None)
weights_of_any_size = st.lists(
    st.one_of(st.integers(0, 5), st.integers(0, 10**12)), min_size=1, max_size=40
).filter(any)


@bounded
@given(st.integers(0, 10**14), weights_of_any_size)
def test_shares_add_up_and_stay_within_one_unit(total: int, weights: list[int]) -> None:
    shares = allocate(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - total * weight) < sum(weights)


@bounded
@given(weights_of_any_size, st.data())
def test_no_share_exceeds_its_weight_while_there_is_enough(
    weights: list[int], data: st.DataObject
) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    for share, weight in zip(allocate(total, weights), weights, strict=True):
        assert 0 <= share <= weight


@bounded
@given(st.integers(0, 10**6), weights_of_any_size)
def test_left_over_units_go_to_the_largest_remainders_and_ties_to_the_earlier(
    total: int, weights: list[int]
) -> None:
    whole = sum(weights)
    shares = allocate(total, weights)
    extra = [share - total * weight // whole for share, weight in zip(shares, weights, strict=True)]
    assert set(extra) <= {0, 1}
    # What got a unit stands before what got none, by remainder and then by place.
    ranks = [(-(total * weight % whole), place) for place, weight in enumerate(weights)]
    winners = [rank for rank, unit in zip(ranks, extra, strict=True) if unit]
    losers = [rank for rank, unit in zip(ranks, extra, strict=True) if not unit]
    assert not winners or not losers or max(winners) < min(losers)


@bounded
@given(st.lists(st.just(0), max_size=10))
def test_nothing_is_shared_over_anything(weights: list[int]) -> None:
    assert allocate(0, weights) == weights


@bounded
@given(
    st.lists(st.lists(st.integers(0, 50), min_size=8, max_size=8), min_size=1, max_size=5),
    st.data(),
)
def test_cells_are_shared_as_one_row_line_by_line(
    rows: list[list[int]], data: st.DataObject
) -> None:
    flat = [figure for row in rows for figure in row]
    total = data.draw(st.integers(0, sum(flat)))
    cells = spread(total, [tuple(row) for row in rows])
    assert [figure for line in cells for figure in line] == allocate(total, flat)
    assert [len(line) for line in cells] == [8] * len(rows)
