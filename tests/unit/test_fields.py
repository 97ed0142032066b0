import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from refundry.domain.order import LineState
from refundry.errors import BadFields, FieldProblem
from refundry.http.document import read_object
from refundry.http.fields import Fields, metadata_text, number_of, parse_timestamp
from tests.unit.given import currency

NO_TIMESTAMPS = """
    2024-05-01T09:58:12 2024-05-01T09:58Z 2024-05-01T09:58:12+00:00 2024-05-01t09:58:12z
    2024-5-1 20240501 2024-05-01Z 2024-02-30 2024-13-01 2024-05-01T24:00:00Z 2024-05-01T23:60:00Z
    2024-05-01T23:59:60Z 0000-01-01 2024-05-01T09:58:12.Z 2024-05-01T09:58:12.1234567890Z
    ٢٠٢٤-٠٥-٠١ 1714557492 now
"""


def fields(body: dict[str, Any]) -> Fields:
    return Fields(read_object(json.dumps(body).encode()), [])


def raw(text: str) -> Fields:
    """One member `x`, its value as JSON text."""
    return Fields(read_object(f'{{"x":{text}}}'.encode()), [])


def messages(read: Fields) -> list[str]:
    return [problem.message for problem in read.problems]


def moment(hour: int = 0, minute: int = 0, second: int = 0, micros: int = 0) -> datetime:
    return datetime(2024, 5, 1, hour, minute, second, micros, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-05-01T09:58:12Z", moment(9, 58, 12)),
        ("2024-05-01T09:58:12.1Z", moment(9, 58, 12, 100_000)),
        ("2024-05-01T09:58:12.120334Z", moment(9, 58, 12, 120_334)),
        ("2024-05-01T09:58:12.120334999Z", moment(9, 58, 12, 120_334)),
        ("2024-05-01", moment()),
        ("2024-05-01T00:00:00Z", moment()),
    ],
)
def test_timestamps_are_instants_in_utc(text: str, instant: datetime) -> None:
    assert parse_timestamp(text) == instant


@pytest.mark.parametrize("text", NO_TIMESTAMPS.split())
def test_other_forms_are_no_timestamps(text: str) -> None:
    assert parse_timestamp(text) is None
    assert parse_timestamp(text + "\n") is None
    assert parse_timestamp(" " + text) is None


@pytest.mark.parametrize(
    ("json_text", "value"),
    [
        ("27.01", "27.01"),
        ("1e3", "1000"),
        ('"27.01"', "27.01"),
        ('"2.0000"', "2"),
        ('"-5"', "-5"),
    ],
)
def test_numbers_come_as_numbers_or_as_plain_decimals(json_text: str, value: str) -> None:
    assert number_of(raw(json_text).value("x")) == Decimal(value)


@pytest.mark.parametrize(
    "json_text",
    ['"1e3"', '"1E3"', '" 10 "', '"1_0"', '"١٢"', '""', '"NaN"', "true", "null", "[1]", "1e999"],
)
def test_nothing_else_is_a_number(json_text: str) -> None:
    assert number_of(raw(json_text).value("x")) is None


READERS: dict[str, tuple[Callable[[Fields], Any], list[tuple[str, Any]], list[str]]] = {
    "text": (
        lambda f: f.text("x", most=3),
        [('"abc"', "abc"), ('"é😀x"', "é😀x"), ("null", None)],
        ['""', '"abcd"', "1", "true", "[]", "{}"],
    ),
    "pattern": (
        lambda f: f.text("x", pattern=re.compile("[a-c]+")),
        [('"abc"', "abc")],
        ['"abcd"', '"abc\\n"', '"xabc"'],
    ),
    "enum": (
        lambda f: f.enum("x", LineState),
        [('"PAID"', LineState.PAID), ('"paid"', LineState.PAID), ("null", None)],
        ['"pai"', '""', "1", '["paid"]'],
    ),
    "some of an enum": (
        lambda f: f.enum("x", LineState, [LineState.PAID]),
        [('"paid"', LineState.PAID)],
        ['"created"'],
    ),
    "flag": (
        lambda f: f.flag("x"),
        [("true", True), ("false", False), ("null", None)],
        ['"true"', "1", "0", "[]"],
    ),
    "integer": (
        lambda f: f.integer("x", least=1, most=10),
        [("1", 1), ("10", 10), ('"2.0000"', 2), ("2.0", 2), ("1e1", 10), ("null", None)],
        ["0", "11", "1.5", "-1", "true", '"1e1"', '"two"', "1e99", "1e999", "{}"],
    ),
    "percent": (
        lambda f: f.percent("x"),
        [("0.01", Decimal("0.01")), ("100.00", 100), ("33.333333", Decimal("33.333333"))],
        ['"half"', "true", "[50]"],
    ),
    "money": (
        lambda f: f.minor("x", currency()),
        [("27.01", 2701), ('"27.01"', 2701), ("0", 0), ("0.30000000000000004", 30)],
        ["27.011", "-1", "1000000000000", '"a"', "true", "{}"],
    ),
    "money of a currency that is not known": (
        lambda f: f.minor("x", None),
        [("27.011", None)],
        ['"a"', "true"],
    ),
    "decimal": (
        lambda f: f.decimal("x", lambda value: 0 < value < 5),
        [("4.99", Decimal("4.99"))],
        ["0", "5", "-1", '"a"', "false"],
    ),
    "time": (
        lambda f: f.time("x"),
        [('"2024-05-01T09:58:12.9Z"', moment(9, 58, 12)), ("null", None)],
        ['"yesterday"', "1714557492", "{}"],
    ),
    "object": (lambda f: f.object("x") and "read", [("{}", "read"), ("null", None)], ["[]", '"a"']),
    "objects": (
        lambda f: f.objects("x", most=2, least=1) and "read",
        [("[{}]", "read"), ("[{},{}]", "read"), ("null", None)],
        ["[]", "[{},{},{}]", "{}", '"a"', "1"],
    ),
}
GOOD = [(read, text, value) for read, good, _ in READERS.values() for text, value in good]
BAD = [(read, text) for read, _, bad in READERS.values() for text in bad]


@pytest.mark.parametrize(("read", "text", "value"), GOOD)
def test_readers_take_what_fits(read: Callable[[Fields], Any], text: str, value: object) -> None:
    body = raw(text)
    assert read(body) == value
    assert body.problems == []


@pytest.mark.parametrize(("read", "text"), BAD)
def test_readers_note_what_does_not_fit_and_go_on(read: Callable[[Fields], Any], text: str) -> None:
    body = raw(text)
    assert read(body) is None
    (problem,) = body.problems
    assert (problem.code, problem.parameter) == ("invalid_parameter", "x")
    assert problem.message == f"'{text.strip(chr(34))}' is not a valid x.".replace("\\n", "\n")


@pytest.mark.parametrize("text", ["0", "0.0099", "100.001", "-5", "1e99"])
def test_a_percentage_out_of_range_has_words_of_its_own(text: str) -> None:
    body = raw(text)
    assert body.percent("x") is None
    assert messages(body) == ["The value must be between 0.01 and 100.00 inclusive."]


def test_a_required_member_may_be_neither_absent_nor_null() -> None:
    for body in (fields({}), fields({"x": None})):
        assert body.text("x", required=True) is None
        assert body.integer("x", least=0, most=1, required=True) is None
        assert body.objects("x", most=1, required=True) is None
        assert (
            body.problems == [FieldProblem("missing_parameter", "x", "A parameter is missing.")] * 3
        )


def test_problems_name_the_whole_path_and_keep_the_order_of_reading() -> None:
    body = fields({"a": {"b": [{"c": 1}, 5, {"c": True}]}, "z": 1})
    inner = body.object("a")
    assert inner is not None
    elements = inner.objects("b", most=9)
    assert elements is not None
    assert [element.integer("c", least=2, most=9) for element in elements] == [None, None]
    body.unknown()
    assert messages(body) == [
        "'5' is not a valid a.b[1].",
        "'1' is not a valid a.b[0].c.",
        "'true' is not a valid a.b[2].c.",
        "'z' is an unknown parameter.",
    ]
    assert [problem.parameter for problem in body.problems] == [
        "a.b[1]",
        "a.b[0].c",
        "a.b[2].c",
        "z",
    ]
    with pytest.raises(BadFields) as caught:
        body.finish()
    assert caught.value.problems == body.problems


def test_unknown_members_that_are_null_count_as_absent() -> None:
    body = fields({"x": 1, "y": None})
    body.unknown()
    assert messages(body) == ["'x' is an unknown parameter."]


def test_without_problems_reading_finishes() -> None:
    fields({"x": 1}).finish()


def test_the_rest_is_what_nobody_read_and_is_not_null() -> None:
    body = fields({"a": "1", "b": "2", "c": None, "d": "4"})
    body.text("a")
    assert body.rest(without=frozenset({"d"})) == {"b": "2"}


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"a": "x" * 500, "b": True, "c": 1.5, "d": None, "e": ""}, []),
        ({"k" * 40: 1}, []),
        ({f"k{n}": n for n in range(50)}, []),
        ({"k" * 41: 1}, ["metadata." + "k" * 41]),
        ({"": 1}, ["metadata."]),
        ({"a": "x" * 501}, ["metadata.a"]),
        ({"a": []}, ["metadata.a"]),
        ({"a": {"b": 1}, "c": [1]}, ["metadata.a", "metadata.c"]),
        ({f"k{n}": n for n in range(51)}, ["metadata"]),
        ([], ["metadata"]),
        ("text", ["metadata"]),
    ],
)
def test_metadata_is_flat_and_small(members: object, wrong: list[str]) -> None:
    body = fields({"metadata": members})
    read = body.metadata()
    assert [problem.parameter for problem in body.problems] == wrong
    assert wrong or read is not None


def test_metadata_is_kept_without_its_nulls_and_with_its_numbers_as_they_stood() -> None:
    body = Fields(read_object(b'{"metadata":{"a":1.50,"b":null,"c":"x"}}'), [])
    assert metadata_text(body.metadata()) == '{"a":1.50,"c":"x"}'
    assert metadata_text({"a": None}) is None
    assert metadata_text({}) is None
    assert metadata_text(None) is None
