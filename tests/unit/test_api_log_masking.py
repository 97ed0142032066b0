"""Nothing secret is kept of a call, and everything else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refundry.api_log import masking
from refundry.api_log.masking import (
    KEPT_BYTES,
    MASK,
    HarmlessBodies,
    masked_body,
    masked_query,
    masked_text,
)  # fmt: skip

KEY = "sk_test_" + "0123456789abcdef" * 2
# Of other countries and shapes than the examples in the documents.
IBANS = ["DE89370400440532013000", "GB29NWBK60161331926819", "NL91ABNA0417164300",
         "NO9386011117947", "FR1420041010050500013M02606",
         "MT84MALT011000012345MTLCAST001S"]  # fmt: skip
CARDS = ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005"]


def kept(document: Any) -> str:
    body = json.dumps(document).encode()
    text = masked_body(body, len(body))
    assert text is not None
    return text


def test_what_holds_nothing_secret_is_kept_as_it_is() -> None:
    body = (
        b'{"orderId": "500000001234",\n "amount":1.00, "reason":"too small", "items":[{"qty":1}]}'
    )
    assert masked_body(body, len(body)) == body.decode()
    assert masked_body(b"", 0) is None


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "clientSecret", "client_secret", "token", "refundToken", "iban",
     "IBAN", "accountNumber", "account-number", "accountHolderName", "sortCode", "bic", "swiftBic",
     "taxId", "routingNumber", "bsb", "apiKey", "cardNumber", "cvv", "httpCredentials",
     "bankCode"],
)  # fmt: skip
@pytest.mark.parametrize(
    "value", ["Zq7secret", 8714650, -1.5, True, ["Zq7secret"], {"a": ["Zq7secret"]}]
)
def test_what_stands_under_a_secret_name_is_not_kept(name: str, value: object) -> None:
    text = kept({"before": 1, "nested": [{name: value}], "after": "still here"})
    assert json.loads(text) == {"before": 1, "nested": [{name: MASK}], "after": "still here"}


def test_the_bank_details_of_a_shopper_are_not_kept_but_the_form_is() -> None:
    assert json.loads(kept({"country": "US", "fields": {"anything": "Zq7"}})) == {
        "country": "US",
        "fields": MASK,
    }
    form = {"fields": [{"name": "iban", "label": "IBAN", "maxLength": 34}]}
    assert json.loads(kept(form)) == form


@pytest.mark.parametrize("name", ["reason", "note", "metadata.x"])
@pytest.mark.parametrize("secret", [*IBANS, *CARDS, KEY, f"Bearer {KEY}", "Basic dXNlcjpwYXNz"])
def test_what_looks_like_a_secret_is_not_kept_wherever_it_stands(name: str, secret: str) -> None:
    for text in (secret, f"please pay to {secret}, thanks", secret.lower()):
        found = kept({name: text, "amount": 1.5})
        assert secret[:-4] not in found
        assert secret[:-4].lower() not in found
        assert json.loads(found)["amount"] == 1.5


def test_an_iban_in_groups_of_four_is_not_kept() -> None:
    for iban in IBANS:
        spaced = " ".join(iban[n : n + 4] for n in range(0, len(iban), 4))
        assert spaced[:-5] not in kept({"reason": f"to {spaced} today"})


def test_a_card_number_that_is_a_number_is_not_kept() -> None:
    assert json.loads(kept({"value": 4111111111111111})) == {"value": f"{MASK}1111"}


@pytest.mark.parametrize(
    "text", ["re_32a00080-9cbb-4898-9ce9-69b6e709f344", "500000001234", "2024-05-01T09:58:12Z",
             "AB12CDEFGHIJKLMNOP", "4111111111111112", "ORDER-2024-000123", "It's 5 o'clock"]
)  # fmt: skip
def test_what_only_looks_a_little_like_a_secret_is_kept(text: str) -> None:
    assert json.loads(kept({"upstreamId": text})) == {"upstreamId": text}


def test_addresses_are_kept_without_passwords_and_tokens() -> None:
    address = "https://user:Zq7@shop.example/hook?token=Zq7&shop=5"
    assert masked_text(address) == f"https://{MASK}@shop.example/hook?token={MASK}&shop=5"
    assert (
        masked_query("limit=5&api_key=Zq7&state=failed") == f"limit=5&api_key={MASK}&state=failed"
    )


@pytest.mark.parametrize(
    "message",
    ["'Zq7' is not a valid httpCredentials.password.", "'Zq7' is not a valid fields.iban.",
     "'Zq7' is not a valid fields.zip.",
     """'{"password":"Zq7' is not a valid metadata.x."""],
)  # fmt: skip
def test_a_refusal_does_not_repeat_a_secret_value(message: str) -> None:
    text = kept({"type": "bad_request", "errors": [{"code": "x", "message": message}]})
    assert "Zq7" not in text
    assert message.split("' ")[1] in text


def test_other_refusals_are_kept() -> None:
    body = {"errors": [{"message": "'XYZ' is not a valid currency."}]}
    assert json.loads(kept(body)) == body


@pytest.mark.parametrize(
    "body",
    ["password=Zq7", "{password: Zq7}", '{"password" "Zq7"}', '{"password": "a" "Zq7"}',
     '{"a": {"password": {"b": ], "c": "Zq7"}}', '{"password": {"b": 1} "Zq7"}', '"password": Zq7',
     '{"pass\\qword": "Zq7"}', '{"password": "\\x", "a": "Zq7"}', "Zq7", '{"password": \x00"Zq7"}'],
)  # fmt: skip
def test_what_is_no_json_is_not_kept(body: str) -> None:
    text = masked_body(body.encode(), len(body))
    assert text is not None
    assert "Zq7" not in text
    assert text.endswith(f"[no JSON from here: {len(body)} bytes in all]")


def test_an_escaped_name_is_a_name_and_an_equal_name_does_not_hide_another() -> None:
    for body in (rb'{"p\u0061ssword": "Zq7"}', b'{"a": {"password": "Zq7"}, "a": 1}'):
        assert "Zq7" not in (masked_body(body, len(body)) or "")


def test_a_long_body_is_cut_between_two_values_with_a_mark() -> None:
    body = json.dumps({"password": "Zq7", "lines": ["DE89370400440532013000"] * 2000}).encode()
    text = masked_body(body[:KEPT_BYTES], len(body))
    assert text is not None
    assert text.endswith(f" [cut: {len(body)} bytes in all]")
    assert "Zq7" not in text
    assert "DE89" not in text
    assert 10_000 < masked_length(text) < KEPT_BYTES


def masked_length(text: str) -> int:
    return text.count(f"{MASK}3000") * len("DE89370400440532013000")


SECRET = "Zq7" + "w" * 5
names = st.text(max_size=8) | st.sampled_from(["fields", "items", "metadata", "id", "amount"])
secret_names = st.sampled_from(
    ["password", "clientSecret", "iban", "accountNumber", "token", "httpCredentials", "oauth_token"]
)
secrets = (
    st.just(SECRET)
    | st.lists(st.just(SECRET), max_size=2)
    | st.dictionaries(names, st.just(SECRET), max_size=2)
)
patterns = st.sampled_from([*IBANS, *CARDS, KEY])
plain = st.none() | st.booleans() | st.integers() | st.text(max_size=10)
documents = st.recursive(
    plain | patterns,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names, inner, max_size=3)
        | st.dictionaries(secret_names, secrets, min_size=1, max_size=2)
    ),
    max_leaves=12,
)


@given(st.dictionaries(names, documents, min_size=1, max_size=4), st.booleans(), st.data())
def test_no_secret_survives_in_any_nesting_nor_where_the_body_is_cut(
    document: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "replace")
    cut = data.draw(st.integers(0, len(body)))
    for given_body in (body, body[:cut]):
        found = masked_body(given_body, len(body)) or ""
        assert SECRET not in found
        assert not [each for each in (*IBANS, *CARDS, KEY) if each[:-4] in found]


@given(st.dictionaries(st.text(max_size=8), plain, max_size=4))
def test_what_is_kept_of_a_whole_body_is_json_with_the_same_names(document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    assert json.loads(masked_body(body, len(body)) or "{}").keys() == document.keys()


pieces = st.sampled_from(
    ["Zoë O'Neil", "a=b&token=Zq7", "https://u:pw@example.com/?x=1", ":id", '":', "Bearer abc",
     "basic abc", "ba\u017fic abc", "1.50", "2026-11-21T14:22:56Z", "'x' is not a valid iban.",
     "550e8400-e29b-41d4-a716-446655440000", "blue wool cap", *IBANS, *CARDS, KEY],
)  # fmt: skip
texts = st.lists(pieces | st.text(max_size=4), max_size=3).map("".join)
values = st.recursive(
    texts | st.integers(0, 10**17) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | names, inner, max_size=3),
    max_leaves=10,
)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")])


@given(st.dictionaries(texts | names | secret_names, values, max_size=4), spacing, st.booleans())
def test_the_quick_way_keeps_what_reading_token_by_token_keeps(
    document: dict[str, Any], separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, separators=separators)
    body = text.encode("utf-8", "replace")
    quickly = masking.quickly_masked(body, body)
    assert quickly in (None, masking.Masking(body.decode()).run())


def test_most_bodies_are_kept_the_quick_way() -> None:
    for body in (
        b'{"id":"1","createdTime":"2026-11-21T14:22:56Z","owner":{"lastName":"O\'Neil"}}',
        '{"id": "550e8400-e29b-41d4-a716-446655440000", "city": "Z\u00fcrich"}'.encode(),
        b'{"metadata":{"note":"4111 1111 1111 1111"}}',
    ):
        assert masking.quickly_masked(body, body) is not None


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b'{"a":"\xff"}', b'{"\xc3\x28":1}', b"\x80"])
def test_bytes_that_are_no_text_are_kept_as_far_as_they_can_be(body: bytes) -> None:
    assert masked_body(body, len(body)) is not None


def test_a_body_that_is_known_is_kept_as_before() -> None:
    known = HarmlessBodies(most=2)
    order = b'{"id":"1","session":{"clientSecret":"a_b"}}'
    secret = b'{"note":"DE89370400440532013000"}'
    others = [b'{"id":"2"}', b'{"id":"3"}']
    for _ in range(2):
        assert masked_body(order, len(order), known=known) == order.decode().replace("a_b", MASK)
        assert "DE89" not in (masked_body(secret, len(secret), known=known) or "")
        assert (known.has(order), known.has(secret)) == (True, False)
    for other in others:
        masked_body(other, len(other), known=known)
    assert [known.has(each) for each in (order, *others)] == [False, True, True]
