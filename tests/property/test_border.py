"""Bytes from outside: they are read or refused, in a time that grows no faster than they do."""

import ast
import gc
import string
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refundry.errors import BadFields
from refundry.http.document import MAX_BODY_BYTES, read_object, shown, to_json
from refundry.http.fields import number_of, parse_timestamp
from refundry.http.query import Filter, Kind, Query, read_filters, read_page
from refundry.processors.signature import sign, verify
from tests.property.test_document import problems_of
from tests.support.service import ROOT

bounded = settings(max_examples=200, deadline=None)

# Pieces of which JSON is made, whole and broken: random bytes seldom get past the first one.
TOKENS = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b'"a"', b'"a":', b'{"a":', b"null", b"true",
    b"1", b"-", b"0.1", b"1e400", b"1E-999999999", b"NaN", b"-Infinity", b"9" * 5000, b"\\u0000",
    b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\xff", b"\xef\xbb\xbf", b"\x00", b" ", b"\n",
    "é".encode(), b"[" * 70, b'{"a":' * 70, b"[" * 100_000,
]  # fmt: skip
near_json = st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join)
inside = near_json.map(lambda text: b'{"a":' + text + b"}")

FILTERS = (
    Filter("amount", Kind.NUMBER, "t.amount"),
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("email", Kind.EQUAL, "t.email", fold=True),
    Filter("state", Kind.EQUAL, "t.state", values=("pending",)),
)
PIECES = [
    b"amount", b"createdTime", b"ids", b"ids[]", b"email", b"state", b"limit", b"startingAfter",
    b"endingBefore", b"0", b"[", b"]", b"[gt]", b"[]", b"=", b"&", b";", b"+", b"%", b"%00", b"%ff",
    b"%ed%a0%80", b",", b"1e999999999", b"9" * 400, b"NaN", b"sNaN", b"Infinity", b"-0",
    b"2024-02-30", b"9999-12-31T23:59:59Z", b"0000-01-01", b"\xd9\xa3", b"{}", b"'", b"--",
]  # fmt: skip
near_query = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@bounded
@given(st.one_of(near_json, inside, st.binary(max_size=200)))
@example(b'{"a":' * 100_000)
@example(b'{"a":"' + b"\\ud800" * 1000 + b'"}')
def test_any_bytes_are_an_object_or_bad_fields(body: bytes) -> None:
    problems = problems_of(lambda: read_object(body))
    assert [each.code for each in problems] in ([], ["invalid_format"])
    if not problems:
        document = read_object(body)
        assert read_object(to_json(document)) == document
        to_json(document).decode("utf-8", "strict")


@bounded
@given(st.one_of(near_query, st.binary(max_size=100)))
@example(b"ids=" + b"a," * 5000)
@example(b"&".join(b"amount[gt]=%d" % number for number in range(3000)))
def test_any_query_gives_conditions_without_its_text_or_bad_fields(query_string: bytes) -> None:
    query = Query(query_string)
    problems = problems_of(lambda: (read_page(query), read_filters(query, FILTERS)))
    assert [each.code for each in problems] in ([], ["invalid_parameter"])
    if problems:
        return
    conditions = read_filters(query, FILTERS)
    assert 1 <= read_page(query).limit <= 100
    assert len(conditions) <= len(FILTERS) * 5  # each with each operator, however many were sent
    own = set(string.ascii_letters + string.digits + "._ (){}=<>:[]")
    for each in conditions:
        assert set(each.sql) <= own
        assert each.sql.startswith(("t.", "lower(t."))


header_text = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[0-9 ]{0,14}, ?[A-Za-z0-9+/]{0,44}=?"),
    st.sampled_from(["", ",", ", ", "1,", f"1, {'A' * 43}=", f"{'9' * 12},{'A' * 43}="]),
)


@bounded
@given(header_text, st.binary(max_size=20), st.text(max_size=10), st.integers(0, 10**12 - 1))
@example("١" * 10 + ", " + "A" * 43 + "=", b"", "", 0)
def test_any_header_but_the_right_one_is_no_signature(
    header: str, body: bytes, secret: str, moment: int
) -> None:
    right = sign(secret, moment, body)
    assert verify(secret, right, body, now=moment)
    assert not verify(secret, header, body, now=moment) or _same(header, right)
    assert not verify(secret, right, body + b" ", now=moment)
    assert not verify(secret + "x", right, body, now=moment)


def _same(header: str, right: str) -> bool:
    """Whether they say the same; zeros before the time and the space after it are free."""
    (one, first), (two, second) = (text.split(",") for text in (header, right))
    return int(one) == int(two) and first.strip() == second.strip()


@bounded
@given(st.integers(0, 10**12 - 1), st.integers(0, 43), st.sampled_from(string.ascii_letters))
def test_a_signature_with_one_character_changed_is_none(
    moment: int, place: int, letter: str
) -> None:
    stamp, _, signature = sign("secret", moment, b"{}").partition(", ")
    changed = signature[:place] + letter + signature[place + 1 :]
    assert verify("secret", f"{stamp}, {changed}", b"{}", now=moment) == (changed == signature)


# What a body may be filled with to keep a reader busy; each is repeated to the size asked for.
FILLINGS: dict[str, tuple[bytes, bytes, bytes]] = {
    "arrays side by side": (b'{"a":[', b"[],", b"0]}"),
    "arrays in arrays": (b'{"a":', b"[", b""),
    "objects in objects": (b"", b'{"a":', b""),
    "members of one name": (b"{", b'"a":1,', b'"b":1}'),
    "digits": (b'{"a":', b"9", b"}"),
    "digits after the point": (b'{"a":0.', b"0", b"1}"),
    "digits of an exponent": (b'{"a":1e', b"9", b"}"),
    "escapes": (b'{"a":"', b"\\u0041", b'"}'),
    "halves of characters": (b'{"a":"', b"\\ud83d", b'"}'),
    "backslashes": (b'{"a":"', b"\\\\", b'"}'),
    "quotes": (b"{", b'"', b"}"),
    "space": (b"{", b" ", b"}"),
    "letters": (b'{"a":"', "é".encode(), b'"}'),
    "rubbish": (b"", b"\xff", b""),
}


@pytest.mark.check
@pytest.mark.parametrize("filling", FILLINGS)
def test_the_time_to_read_a_body_grows_as_the_body_does(filling: str) -> None:
    def read(size: int) -> None:
        before, repeated, after = FILLINGS[filling]
        text = before + repeated * (size // len(repeated)) + after
        try:
            for value in read_object(text).values():
                number_of(value)
                shown(value)
        except BadFields:
            pass

    assert_grows_as_its_input(read, MAX_BODY_BYTES)


TEXTS = {
    "card numbers": "4111 1111 1111 1111 ",
    "digits apart": "1 ",
    "digits and lines": "1-1 -",
    "stars": "*",
    "dates": "2024-01-01T00:00:00.",
}


@pytest.mark.check
@pytest.mark.parametrize("text", TEXTS)
def test_the_time_to_show_a_value_grows_as_the_value_does(text: str) -> None:
    def read(size: int) -> None:
        value = TEXTS[text] * (size // len(TEXTS[text]))
        shown(value)
        number_of(value)
        parse_timestamp(value)

    assert_grows_as_its_input(read, 1 << 18)


QUERIES = {
    "values": (b"ids=", b"a,"),
    "parameters": (b"", b"ids=a&"),
    "numbers": (b"", b"0=a&"),
    "unknown ones": (b"", b"x=y&"),
    "brackets": (b"a", b"[a]"),
    "escapes": (b"email=", b"%41"),
    "digits": (b"amount=", b"9"),
    "ranges": (b"", b"amount[gt]=1&"),
}


@pytest.mark.check
@pytest.mark.parametrize("query", QUERIES)
def test_the_time_to_read_a_query_grows_as_the_query_does(query: str) -> None:
    def read(size: int) -> None:
        before, repeated = QUERIES[query]
        text = before + repeated * (size // len(repeated))
        try:
            parsed = Query(text)
            read_page(parsed)
            read_filters(parsed, FILTERS)
        except BadFields:
            pass

    assert_grows_as_its_input(read, 1 << 18)


@pytest.mark.check
@pytest.mark.parametrize("piece", ["1", ",", " ", "A", "1, ", "=", "a="])
def test_the_time_to_check_a_signature_grows_as_its_header_does(piece: str) -> None:
    assert_grows_as_its_input(lambda size: verify("s", piece * size, b"", now=0), 1 << 18)


def test_a_time_that_grows_with_the_square_is_noticed() -> None:
    def quadratic(size: int) -> None:
        text = b"a" * (size // 64)
        for _ in range(size // 64):
            text.count(b"b")

    with pytest.raises(AssertionError, match="times as long"):
        assert_grows_as_its_input(quadratic, MAX_BODY_BYTES)


STEP = 4
# Of `STEP` times the input, it may take so many times as long: 4 would be in proportion, and 16
# the square. Caches and the allocator make it more than 4, and twice that twice in a row no chance.
MOST = 10.0
# What is over sooner than this costs nobody anything, and cannot be measured.
NEGLIGIBLE_SECONDS = 0.004


def assert_grows_as_its_input(run: Callable[[int], object], largest: int) -> None:
    """run: takes a size in bytes. Time of the processor, the least of several, up to `largest`."""
    sizes = [largest // STEP**2, largest // STEP, largest]
    times = [max(min(_seconds(run, size) for _ in range(3)), NEGLIGIBLE_SECONDS) for size in sizes]
    for before, after in pairwise(times):
        assert after / before < MOST, (
            f"{after / before:.1f} times as long, of {STEP} times the input"
        )


def _seconds(run: Callable[[int], object], size: int) -> float:
    gc.collect()
    begun = time.process_time()
    run(size)
    return time.process_time() - begun


# What is compared with these would tell by its time how much of it was right.
SECRETS = ("secret", "signature", "digest", "expected", "password", "token", "hmac")
# Comparisons that are none with a secret, and why.
HARMLESS = {
    "idempotency: row['body_hash'] != digest": "of two requests of one caller",
    "oauth: self._token == instead_of": "both are ours, and neither is the caller's",
    "archive: counted.part() != expected": "sums that find damage",
    "signing_in: held.password_hash == known.password_hash": "what is stored, read twice",
    "signing_in: current.password_hash != held.password_hash": "what is stored, read twice",
}


def secret_comparisons(tree: ast.AST) -> list[str]:
    """Comparisons by == and != in which a name sounds like a secret, but with a literal."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = (node.left, *node.comparators)
            if not any(isinstance(each, ast.Constant) for each in sides) and any(
                _sounds_secret(each) for each in sides
            ):
                found.append(ast.unparse(node))
    return found


def _sounds_secret(node: ast.expr) -> bool:
    name = getattr(node, "id", None) or getattr(node, "attr", None) or ""
    return any(word in name.lower() for word in SECRETS)


def test_secrets_are_compared_in_constant_time() -> None:
    """API keys are found by their hash; what is compared at all goes through compare_digest."""
    found = {
        f"{path.stem}: {text}"
        for path in (ROOT / "src" / "refundry").rglob("*.py")
        for text in secret_comparisons(ast.parse(path.read_text("utf-8")))
    }
    assert found == set(HARMLESS)


def test_a_comparison_that_tells_its_time_is_noticed() -> None:
    seen = secret_comparisons(ast.parse("if match[2] == expected: pass\nx = a.secret != given"))
    assert seen == ["match[2] == expected", "a.secret != given"]
    assert secret_comparisons(ast.parse("if kind == 'secret' and digest in known: pass")) == []
