import json
from datetime import UTC, datetime

import pytest

from refundry.errors import BadFields
from refundry.http.document import (
    Numeral,
    ascii_json,
    canonical_json,
    microseconds,
    milliseconds,
    money,
    raw_members,
    read_object,
    seconds,
    shown,
    to_json,
    to_json_text,
)


def test_an_object_is_read_with_its_numbers_as_they_stood() -> None:
    body = '{"a":27.010,"b":-0,"c":1e5,"d":[true,null,"é"],"e":{}}'.encode()
    assert read_object(body) == {
        "a": Numeral("27.010"),
        "b": Numeral("-0"),
        "c": Numeral("1e5"),
        "d": [True, None, "é"],
        "e": {},
    }
    assert to_json(read_object(body)) == body


def test_a_number_may_have_more_digits_than_python_would_parse() -> None:
    digits = "1" * 5000
    assert read_object(f'{{"a":{digits}}}'.encode()) == {"a": Numeral(digits)}


def test_of_two_members_of_one_name_the_last_counts() -> None:
    assert read_object(b'{"a":1,"a":2}') == {"a": Numeral("2")}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b'[{"a":1}]',
        b"null",
        b"1",
        b'"a"',
        b"{",
        b'{"a":1}x',
        b'{"a":1}{"b":2}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xc3"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\x00"}',
        b'{"a":"\n"}',
        b'{"a":"\\u0000"}',
        b'{"\\u0000":1}',
        b'{"a":"\\ud800"}',
        b'{"a":["\\udc00\\ud800"]}',
        b'{"a":{"\\ud83d":1}}',
        b'{"a":"\\x41"}',
    ],
)
def test_everything_else_is_refused_as_one_problem(body: bytes) -> None:
    with pytest.raises(BadFields) as caught:
        read_object(body)
    (problem,) = caught.value.problems
    assert (problem.code, problem.parameter) == ("invalid_format", None)
    assert problem.message == "The format of your request is invalid."


def test_escapes_that_make_whole_characters_are_taken() -> None:
    assert read_object(b'{"a":"\\ud83d\\ude00 \\u00e9"}') == {"a": "😀 é"}


@pytest.mark.parametrize(("opening", "inner", "closing"), [("[", "", "]"), ('{"a":', "1", "}")])
def test_nesting_has_a_limit_at_every_depth(opening: str, inner: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return ('{"a":' + opening * levels + inner + closing * levels + "}").encode()

    assert read_object(nested(63))
    for levels in [64, 65, *range(100, 2000, 50), 100_000]:
        with pytest.raises(BadFields):
            read_object(nested(levels))


def test_many_objects_side_by_side_are_not_deep() -> None:
    body = json.dumps({"items": [{"amount": [n]} for n in range(500)]}).encode()
    assert len(read_object(body)["items"]) == 500


def test_json_is_compact_and_has_numerals_as_they_stood() -> None:
    value = {"b": Numeral("1.50"), "a": [money(1350, 2), "é", None, True]}
    assert to_json(value) == '{"b":1.50,"a":[13.5,"é",null,true]}'.encode()
    assert to_json_text(value) == to_json(value).decode()


def test_canonical_json_does_not_depend_on_order_or_space() -> None:
    left = read_object(b'{"b": {"y": 1, "x": 2}, "a": [1, 2]}')
    right = read_object(b'{"a":[1,2],"b":{"x":2,"y":1}}')
    assert canonical_json(left) == canonical_json(right) == b'{"a":[1,2],"b":{"x":2,"y":1}}'
    assert canonical_json(left) != canonical_json(read_object(b'{"a":[2,1],"b":{"x":2,"y":1}}'))


def test_members_of_a_stored_object_come_back_as_they_stand() -> None:
    assert raw_members("{}") == {}
    members = raw_members('{"a":1.50,"b":{"c":"é"}}')
    assert {name: bytes(raw).decode() for name, raw in members.items()} == {
        "a": "1.50",
        "b": '{"c":"é"}',
    }


@pytest.mark.parametrize(
    ("micros", "second", "milli", "micro"),
    [
        (120334, "58:12Z", "58:12.120Z", "58:12.120334Z"),
        (120000, "58:12Z", "58:12.120Z", "58:12.12Z"),
        (999999, "58:12Z", "58:12.999Z", "58:12.999999Z"),
        (7, "58:12Z", "58:12.000Z", "58:12.000007Z"),
        (0, "58:12Z", "58:12.000Z", "58:12Z"),
    ],
)
def test_times_have_the_digits_of_their_kind(
    micros: int, second: str, milli: str, micro: str
) -> None:
    moment = datetime(2024, 5, 1, 9, 58, 12, micros, tzinfo=UTC)
    start = "2024-05-01T09:"
    assert seconds(moment) == start + second
    assert milliseconds(moment) == start + milli
    assert microseconds(moment) == start + micro


def test_ascii_json_escapes_what_is_above_ascii_and_nothing_else() -> None:
    assert ascii_json('{"a":"<é>\\n","b":"😀\u2028"}') == (
        '{"a":"<\\u00e9>\\n","b":"\\ud83d\\ude00\\u2028"}'
    )
    plain = '{"a":"x\x7f"}'
    assert ascii_json(plain) == plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x y", "x y"),
        (Numeral("1.50"), "1.50"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ({"a": [Numeral("1")]}, '{"a":[1]}'),
        (["x" * 200], '["' + "x" * 98),
    ],
)
def test_messages_show_values_as_they_were_sent(value: object, text: str) -> None:
    assert shown(value) == text
