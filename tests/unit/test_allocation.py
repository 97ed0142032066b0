from refundry.domain.allocation import allocate
from refundry.domain.cells import COMPONENT_NAMES, Component, add, only, spread, subtract


def test_worked_example_of_the_contract() -> None:
    assert allocate(1351, [2000, 161, 500, 40]) == [1000, 81, 250, 20]


def test_equal_remainders_go_to_the_earlier() -> None:
    assert allocate(2, [1, 1, 1]) == [1, 1, 0]
    assert allocate(5, [10, 0, 10]) == [3, 0, 2]


def test_a_larger_remainder_goes_before_an_earlier_one() -> None:
    assert allocate(1, [1, 2]) == [0, 1]


def test_the_whole_gives_each_its_weight() -> None:
    assert allocate(27, [20, 0, 7]) == [20, 0, 7]


def test_nothing_is_shared_even_over_nothing() -> None:
    assert allocate(0, [0, 0]) == [0, 0]
    assert allocate(0, []) == []


def test_cells_of_several_lines_tie_by_line_and_then_by_component() -> None:
    row = (1, 1, 0, 0, 0, 0, 0, 0)
    assert spread(3, [row, row]) == [(1, 1, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0, 0)]


def test_cells_are_added_subtracted_and_picked_by_component() -> None:
    ones, twos = (1,) * 8, (2,) * 8
    assert add(ones, twos) == (3,) * 8
    assert subtract(ones, twos) == (-1,) * 8
    assert only(twos, (Component.TAX, Component.FEES_TAX)) == (0, 2, 0, 0, 0, 0, 0, 2)


def test_components_stand_in_the_order_of_the_contract() -> None:
    names = "product tax shipping shippingTax duty importerTax fees feesTax"
    assert " ".join(COMPONENT_NAMES) == names
    assert [Component[name].value for name in ("PRODUCT", "SHIPPING_TAX", "FEES_TAX")] == [0, 3, 7]
