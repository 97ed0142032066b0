from datetime import UTC, datetime
from decimal import Decimal

import pytest

from refundry.db.listing import Bound, Condition, Page
from refundry.errors import BadFields, FieldProblem
from refundry.http.query import (
    Filter,
    Kind,
    Query,
    bad_cursor,
    read_filters,
    read_page,
)

FILTERS = (
    Filter("amount", Kind.NUMBER, "t.amount"),
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("state", Kind.EQUAL, "t.state", values=("pending", "pending_information")),
    Filter("email", Kind.EQUAL, "t.email", fold=True),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter("skuId", Kind.EQUAL, "{} = ANY (t.skus)"),
)
MIDNIGHT = datetime(2024, 5, 1, tzinfo=UTC)


def conditions(text: str, *more: Filter) -> list[Condition]:
    return read_filters(Query(text.encode()), FILTERS + more)


def problem(text: str, *more: Filter) -> FieldProblem:
    """The one problem with a query string."""
    query = Query(text.encode())
    with pytest.raises(BadFields) as caught:
        _ = read_page(query), read_filters(query, FILTERS + more)
    (found,) = caught.value.problems
    assert found.code == "invalid_parameter"
    return found


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("", Page(10)),
        ("limit=1", Page(1)),
        ("limit=100", Page(100)),
        ("limit=007", Page(7)),
        ("limit=5&limit=6", Page(6)),
        ("startingAfter=re_1", Page(10, after="re_1")),
        ("endingBefore=re_1&limit=3", Page(3, before="re_1")),
    ],
)
def test_a_page_is_a_limit_and_a_cursor(text: str, page: Page) -> None:
    assert read_page(Query(text.encode())) == page


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.0", "ten", "", "+5", "1e1", "٥", "9" * 30])
def test_a_bad_limit_is_named(limit: str) -> None:
    found = problem(f"limit={limit.replace('+', '%2B')}")
    assert (found.parameter, found.message) == ("limit", f"'{limit}' is not a valid limit.")


def test_a_list_may_have_larger_pages() -> None:
    assert read_page(Query(b"limit=5000"), most=5000).limit == 5000
    assert read_page(Query(b""), default=50).limit == 50


def test_one_cursor_at_most() -> None:
    found = problem("startingAfter=a&endingBefore=b")
    assert found.parameter == "endingBefore"
    assert found.message == "Only one of startingAfter and endingBefore may be provided."


@pytest.mark.parametrize(
    ("page", "name"), [(Page(1, after="x"), "startingAfter"), (Page(1, before="x"), "endingBefore")]
)
def test_an_unknown_cursor_is_named(page: Page, name: str) -> None:
    (found,) = bad_cursor(page).problems
    assert (found.parameter, found.message) == (name, f"'x' is not a valid {name}.")


@pytest.mark.parametrize(
    ("text", "sql", "argument"),
    [
        ("amount=20.99", "t.amount = {}::numeric", Decimal("20.99")),
        ("amount[eq]=20.99", "t.amount = {}::numeric", Decimal("20.99")),
        ("amount[gt]=-1", "t.amount > {}::numeric", Decimal(-1)),
        ("amount%5Bgte%5D=1", "t.amount >= {}::numeric", Decimal(1)),
        ("amount[lt]=1", "t.amount < {}::numeric", Decimal(1)),
        ("amount[lte]=1", "t.amount <= {}::numeric", Decimal(1)),
        ("createdTime=2024-05-01", "t.created_at = {}::timestamptz", MIDNIGHT),
        ("createdTime[lt]=2024-05-01T00:00:00Z", "t.created_at < {}::timestamptz", MIDNIGHT),
        ("state=Pending", "t.state = {}::text", "pending"),
        ("email=A%40b.c", "lower(t.email) = lower({}::text)", "A@b.c"),
        ("orderId=a+b", "t.order_id = {}::text", "a b"),
        ("orderId=", "t.order_id = {}::text", ""),
        ("skuId=x", "{} = ANY (t.skus)", "x"),
    ],
)
def test_a_filter_is_one_condition(text: str, sql: str, argument: object) -> None:
    assert conditions(text) == [Condition(sql, argument)]


def test_several_conditions_on_one_name_all_count() -> None:
    found = conditions("amount[gte]=10&state=pending&amount[lt]=20")
    assert [each.sql for each in found] == [
        "t.amount >= {}::numeric",
        "t.state = {}::text",
        "t.amount < {}::numeric",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "ids=a&ids=b",
        "ids=a,b",
        "ids[]=a&ids[]=b",
        "ids[0]=a&ids[1]=b",
        "ids%5B%5D=a&ids=b",
        "0=a&1=b",
        "ids=,a,,b,",
    ],
)
def test_several_values_come_in_many_spellings(text: str) -> None:
    assert conditions(text) == [Condition("t.id = ANY ({}::text[])", ["a", "b"])]


def test_bare_numbers_mean_nothing_where_two_filters_take_several_values() -> None:
    assert conditions("0=a", Filter("upstreamIds", Kind.ANY, "t.upstream")) == []


def test_a_filter_may_limit_how_many_values_it_takes() -> None:
    types = Filter("types", Kind.ANY, "t.type", most=2)
    assert conditions("types=a,b", types) == [Condition("t.type = ANY ({}::text[])", ["a", "b"])]
    assert problem("types=a,b,c", types).message == "'a,b,c' is not a valid types."
    assert problem("types=", types).message == "'' is not a valid types."


@pytest.mark.parametrize("text", ["unknown=1", "State=pending", "a[b][c]=1", "=", "&&", "[gt]=1"])
def test_unknown_parameters_are_ignored(text: str) -> None:
    assert conditions(text) == []


@pytest.mark.parametrize(
    ("text", "parameter", "message"),
    [
        ("amount=x", "amount", "'x' is not a valid amount."),
        ("amount=", "amount", "'' is not a valid amount."),
        ("amount=NaN", "amount", "'NaN' is not a valid amount."),
        ("amount=1e99", "amount", "'1e99' is not a valid amount."),
        ("amount=%201", "amount", "' 1' is not a valid amount."),
        ("amount[near]=1", "amount", "'near' is not a valid amount operator."),
        ("amount[]=1", "amount", "'' is not a valid amount operator."),
        ("createdTime[GT]=2024-05-01", "createdTime", "'GT' is not a valid createdTime operator."),
        ("createdTime=today", "createdTime", "today is not a valid timestamp."),
        ("createdTime[gt]=2024-05-01T10:00Z", "createdTime",
         "2024-05-01T10:00Z is not a valid timestamp."),
        ("state=open", "state", "'open' is not a valid state."),
        ("orderId=a%00b", "orderId", "'ab' is not a valid orderId."),
        ("ids=%00", "ids", "'' is not a valid ids."),
        ("startingAfter=%00x", "startingAfter", "'x' is not a valid startingAfter."),
    ],
)  # fmt: skip
def test_bad_values_are_named(text: str, parameter: str, message: str) -> None:
    found = problem(text)
    assert (found.parameter, found.message) == (parameter, message)


def test_bytes_that_are_no_utf_8_do_no_harm() -> None:
    assert conditions("orderId=%ff") == [Condition("t.order_id = {}::text", "\ufffd")]
    assert read_filters(Query(b"orderId=\xff"), FILTERS) == [
        Condition("t.order_id = {}::text", "\ufffd")
    ]


@pytest.mark.parametrize(
    ("text", "flag"),
    [("expand=true", True), ("expand=TRUE", True), ("expand=1", False), ("", False)],
)
def test_a_flag_is_true_or_not(text: str, flag: bool) -> None:
    assert Query(text.encode()).flag("expand") is flag


KINDS = ("refund.created", "refund.failed", "order.charge.failed", "order.complete", "odd[type]?")


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("*", list(KINDS)),
        ("refund.*", ["refund.created", "refund.failed"]),
        ("*.failed", ["refund.failed", "order.charge.failed"]),
        ("order*failed", ["order.charge.failed"]),
        ("*a*e*", ["refund.created", "refund.failed", "order.charge.failed"]),
        ("odd[type]*", ["odd[type]?"]),
        ("[or]*", []),
        ("refund.create?*", []),
        ("REFUND.*", []),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_does(pattern: str, known: list[str]) -> None:
    kind = Filter("type", Kind.EQUAL, "t.type", wild=KINDS)
    (condition,) = conditions(f"type={pattern}", kind)
    assert condition == Condition("t.type = ANY ({}::text[])", known, each="t.type")


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    kind = Filter("type", Kind.EQUAL, "t.type", wild=("a" * 60,))
    assert conditions("type=" + "*a" * 40 + "*b", kind)[0].argument == []


def test_values_that_are_read_one_by_one_are_named_once() -> None:
    kinds = Filter("types", Kind.ANY, "t.type", spread=True)
    (condition,) = conditions("types=a,b&types=a", kinds)
    assert condition == Condition("t.type = ANY ({}::text[])", ["a", "b"], each="t.type")


@pytest.mark.parametrize(
    ("operator", "bound"), [("[lt]", "t.a < {}"), ("[lte]", "t.a <= {}"), ("", "t.a <= {}")]
)
def test_a_later_time_bounds_the_earlier_one_from_above(operator: str, bound: str) -> None:
    later = Filter("end", Kind.TIME, "t.b", since=Bound("t.a {sign} {{}}", unless="t.a > t.b"))
    (condition,) = conditions(f"end{operator}=2024-05-01T00:00:00Z", later)
    assert condition.bound == Bound(bound, unless="t.a > t.b")


@pytest.mark.parametrize("operator", ["[gt]", "[gte]"])
def test_a_later_time_says_nothing_of_the_earlier_one_from_below(operator: str) -> None:
    later = Filter("end", Kind.TIME, "t.b", since=Bound("t.a {sign} {{}}"))
    (condition,) = conditions(f"end{operator}=2024-05-01T00:00:00Z", later)
    assert condition.bound is None
