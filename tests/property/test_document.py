"""Whatever comes in: a body is read or refused, and never breaks the reader."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from refundry.domain.refund import AmountBasis
from refundry.errors import BadFields, FieldProblem
from refundry.http.document import ascii_json, canonical_json, read_object, to_json
from refundry.http.fields import Fields
from refundry.http.query import Filter, Kind, Query, read_filters, read_page
from refundry.orders.reading import read_order
from refundry.refunds.reading import read_refund
from tests.property.generated import NOW

bounded = settings(max_examples=150, deadline=None)

NAMES = """
    orderId invoiceId currency amount percent type items itemId skuId quantity reason metadata
    id state shippingChoice taxAmount payment sources charges captures refunds creditCard number
    owner lastName fees tax productDetails createdTime stateTransitions totalAmount
"""
names = st.sampled_from(NAMES.split()).map(str)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**13),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["USD", "pending", "1", "27.01", "1e3", "2024-05-01T00:00:00Z", "creditCard"]),
    st.text(max_size=8),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
# Bodies of any shape, and good ones of which some members are changed.
GOOD_REFUND: dict[str, Any] = {"orderId": "1", "currency": "USD", "amount": 1.5}
GOOD_ORDER: dict[str, Any] = {
    "currency": "USD",
    "items": [{"skuId": "a", "amount": 27.01, "quantity": 1}],
    "payment": {"sources": [{"type": "creditCard", "amount": 27.01}]},
}
changes = st.dictionaries(names, values, max_size=4)


def bodies(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    changed = changes.map(lambda change: good | change)
    return st.one_of(changes, changed).filter(lambda body: "\\u0000" not in json.dumps(body))


def problems_of(read: Callable[[], object]) -> list[FieldProblem]:
    """What is wrong with what is read; nothing if it was read."""
    try:
        read()
    except BadFields as error:
        return error.problems
    return []


@bounded
@given(st.one_of(st.binary(max_size=60), st.text(max_size=30).map(lambda text: text.encode())))
def test_a_body_is_an_object_or_refused(body: bytes) -> None:
    problems = problems_of(lambda: read_object(body))
    assert [problem.code for problem in problems] in ([], ["invalid_format"])
    if not problems:
        assert json.loads(to_json(read_object(body))) == json.loads(body)


@bounded
@given(bodies({}))
def test_a_document_is_written_as_it_was_read(body: dict[str, Any]) -> None:
    document = read_object(json.dumps(body).encode())
    assert json.loads(to_json(document)) == body
    assert canonical_json(document) == canonical_json(dict(reversed(document.items())))


@bounded
@given(st.text(max_size=50))
def test_escaped_json_says_the_same_in_ascii(text: str) -> None:
    written = json.dumps(text, ensure_ascii=False)
    assert ascii_json(written).isascii()
    assert json.loads(ascii_json(written)) == text


def fields(body: dict[str, Any]) -> Fields:
    return Fields(read_object(json.dumps(body).encode()), [])


@bounded
@given(bodies(GOOD_REFUND), st.sampled_from(AmountBasis))
@example({"type": "sku", "items": [{"itemId": "1", "amount": 1}]}, AmountBasis.LINE)
def test_a_refund_is_read_or_every_problem_is_named_once(
    body: dict[str, Any], basis: AmountBasis
) -> None:
    problems = problems_of(lambda: read_refund(fields(body), basis))
    assert len(set(problems)) == len(problems)


@bounded
@given(bodies(GOOD_ORDER), st.booleans())
def test_an_order_is_read_or_every_problem_is_named_once(body: dict[str, Any], live: bool) -> None:
    problems = problems_of(lambda: read_order(fields(body), live=live, now=NOW))
    assert len(set(problems)) == len(problems)


FILTERS = (
    Filter("amount", Kind.NUMBER, "t.amount"),
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("state", Kind.EQUAL, "t.state", values=("pending",)),
)
PARAMETERS = """
    limit startingAfter endingBefore ids ids[] ids[0] 0 state amount amount[gt] amount[x]
    createdTime createdTime[lte] unknown
"""
parameters = st.one_of(
    st.sampled_from(PARAMETERS.split()),
    st.text(max_size=5),
)


@bounded
@given(
    st.lists(
        st.tuples(parameters, st.text("abc0123456789.-:TZ,%\x00é", max_size=12)), max_size=5
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode())
)
def test_a_query_string_is_read_or_one_parameter_is_named(query_string: bytes) -> None:
    query = Query(query_string)
    problems = problems_of(lambda: (read_page(query), read_filters(query, FILTERS)))
    assert [problem.code for problem in problems] in ([], ["invalid_parameter"])
    if not problems:
        assert 1 <= read_page(query).limit <= 100
        assert all(each.sql.count("{}") == 1 for each in read_filters(query, FILTERS))
