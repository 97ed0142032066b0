"""Bodies of webhooks: what is taken, what is refused, in which words and order."""

import json
from typing import Any

import pytest

from refundry.errors import BadFields
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.webhooks.reading import (
    Basic,
    OAuth,
    Rules,
    WebhookAsk,
    host_of,
    named_hosts,
    read_webhook,
)
from refundry.webhooks.types import EXPANDABLE, SUBSCRIBABLE, Transport

TEST = Rules(live=False, allow_http=False, expands=False, refused_hosts=frozenset())
LIVE = Rules(live=True, allow_http=False, expands=False, refused_hosts=frozenset())
OPEN_LIVE = Rules(live=True, allow_http=True, expands=False, refused_hosts=frozenset())
GUARDED = Rules(
    live=False, allow_http=False, expands=False, refused_hosts=frozenset({"127.0.0.1", "::1"})
)
EXPANDING = Rules(live=False, allow_http=False, expands=True, refused_hosts=frozenset())
BASE: dict[str, Any] = {"types": ["refund.complete"], "address": "https://shop.example/hook"}
OAUTH: dict[str, Any] = {
    "tokenEndPoint": "https://id.shop.example/token",
    "clientID": "c",
    "clientSecret": "s",
}


def read(body: dict[str, Any], rules: Rules = TEST, current: Transport | None = None) -> WebhookAsk:
    return read_webhook(Fields(read_object(json.dumps(body).encode()), []), rules, current)


def problems(
    body: dict[str, Any], rules: Rules = TEST, current: Transport | None = None
) -> list[tuple[str, str | None, str]]:
    """The problems with `body`: code, parameter, message."""
    with pytest.raises(BadFields) as caught:
        read(body, rules, current)
    return [(each.code, each.parameter, each.message) for each in caught.value.problems]


def missing(parameter: str) -> tuple[str, str, str]:
    return "missing_parameter", parameter, "A parameter is missing."


def unknown(parameter: str) -> tuple[str, str, str]:
    return "unknown_parameter", parameter, f"'{parameter}' is an unknown parameter."


def bad(parameter: str, value: str) -> tuple[str, str, str]:
    return "invalid_parameter", parameter, f"'{value}' is not a valid {parameter}."


def test_the_least_is_types_and_address() -> None:
    ask = read(BASE)
    assert ask == WebhookAsk(
        types=("refund.complete",),
        address="https://shop.example/hook",
        api_version=None,
        enabled=None,
        transport=None,
        authentication=None,
        oauth=None,
        expanded_types=None,
    )


def test_an_update_may_say_nothing() -> None:
    nothing = WebhookAsk(None, None, None, None, None, None, None, None)
    assert read({}, current=Transport.HTTP) == nothing
    assert read({"types": None, "oauth": None}, current=Transport.HTTP) == nothing


def test_every_bad_field_is_named_in_the_tables_order() -> None:
    body = {
        "colour": "red",
        "expandedTypes": ["order.accepted"],
        "oauth": OAUTH,
        "authentication": {"password": "p", "age": 1},
        "transportType": "HTTP",
        "enabled": "yes",
        "apiVersion": "2019-01-01",
        "address": "shop.example",
        "types": ["foo.bar"],
    }
    assert problems(body) == [
        bad("types[0]", "foo.bar"),
        bad("address", "shop.example"),
        bad("apiVersion", "2019-01-01"),
        bad("enabled", "yes"),
        missing("authentication.userName"),
        unknown("authentication.age"),
        unknown("oauth"),
        unknown("expandedTypes"),
        unknown("colour"),
    ]
    assert problems({}) == [missing("types"), missing("address")]


def test_types_are_kept_once_in_their_order_and_spelling() -> None:
    types = ["refund.failed", "REFUND.COMPLETE", "refund.failed", "FILELINK.created"]
    assert read(BASE | {"types": types}).types == (
        "refund.failed",
        "refund.complete",
        "fileLink.created",
    )


@pytest.mark.parametrize("types", [[], "refund.complete", {}, ["refund.complete"] * 501])
def test_types_that_are_no_list_of_some_are_refused(types: Any) -> None:
    (problem,) = problems(BASE | {"types": types})
    assert problem[:2] == ("invalid_parameter", "types")


def test_each_unknown_type_is_named_by_its_place() -> None:
    body = BASE | {"types": ["refund.complete", "refund.*", 7, None]}
    assert problems(body) == [
        bad("types[1]", "refund.*"),
        bad("types[2]", "7"),
        bad("types[3]", "null"),
    ]


@pytest.mark.parametrize("name", SUBSCRIBABLE)
def test_every_subscribable_type_is_taken(name: str) -> None:
    assert read(BASE | {"types": [name]}).types == (name,)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://shop.example/hook", "shop.example"),
        ("HTTPS://Shop.Example", "shop.example"),
        ("http://shop.example:8080?a=b", "shop.example"),
        ("https://203.0.113.7/x", "203.0.113.7"),
        ("https://[2001:DB8::1]:8443/x", "2001:db8::1"),
        ("http://a_b-c.internal./", "a_b-c.internal."),
        ("https://h/" + "p" * 2038, "h"),
    ],
)
def test_an_absolute_address_names_its_host(address: str, host: str) -> None:
    assert host_of(address) == host
    assert read(BASE | {"address": address}).address == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "shop.example",
        "/hook",
        "//shop.example/hook",
        "ftp://shop.example/",
        "https:///hook",
        "https://user@shop.example/",
        "https://user:word@shop.example/",
        "https://127.0.0.1\\@shop.example/",
        "https://shop.example:0/",
        "https://shop.example:65536/",
        "https://shop.example:/",
        "https://shop example/",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://shop.example\n",
        "https://%31.example/",
        "https://[::1%25lo]/",
        "https://[1:2]/",
        "https://h/" + "p" * 2039,
    ],
)
def test_what_is_no_absolute_address_is_refused(address: str) -> None:
    assert host_of(address) is None
    (problem,) = problems(BASE | {"address": address})
    assert problem == bad("address", address)


def test_an_address_that_is_no_text_is_refused() -> None:
    assert problems(BASE | {"address": 7}) == [bad("address", "7")]
    assert problems(BASE | {"address": None}) == [missing("address")]


def test_live_mode_takes_https_alone_unless_the_server_allows_http() -> None:
    plain = BASE | {"address": "http://shop.example"}
    assert problems(plain, LIVE) == [bad("address", "http://shop.example")]
    assert read(plain, OPEN_LIVE).address == "http://shop.example"
    assert read(plain, TEST).address == "http://shop.example"
    assert read(BASE, LIVE).address == BASE["address"]


def test_a_token_end_point_keeps_to_the_rules_of_an_address() -> None:
    for rules, address in ((LIVE, "http://id.example"), (GUARDED, "https://[::1]/token")):
        body = BASE | {"transportType": "OAUTH", "oauth": OAUTH | {"tokenEndPoint": address}}
        assert problems(body, rules) == [bad("oauth.tokenEndPoint", address)]


def test_a_host_that_the_guard_refused_is_no_valid_address() -> None:
    address = "http://127.0.0.1:9/x"
    assert problems(BASE | {"address": address}, GUARDED) == [bad("address", address)]


def test_the_guard_is_asked_about_every_host_in_a_body() -> None:
    body = BASE | {"oauth": OAUTH}
    assert named_hosts(body) == {"shop.example", "id.shop.example"}
    assert named_hosts({"address": 7, "oauth": [1]}) == set()


@pytest.mark.parametrize(
    "names",
    [{"userName": "u"}, {"username": "u"}, {"userName": "u", "username": "u"}],
)
def test_basic_credentials_are_taken_in_either_spelling(names: dict[str, str]) -> None:
    body = BASE | {"authentication": {**names, "password": "p"}}
    assert read(body).authentication == Basic("u", "p")


def test_two_spellings_must_agree() -> None:
    body = BASE | {"authentication": {"userName": "u", "username": "v", "password": "p"}}
    assert problems(body) == [bad("authentication.username", "v")]


def test_basic_credentials_must_be_whole() -> None:
    assert problems(BASE | {"authentication": {}}) == [
        missing("authentication.userName"),
        missing("authentication.password"),
    ]


def test_what_would_break_the_header_is_refused_and_no_secret_is_repeated() -> None:
    body = BASE | {"authentication": {"userName": "a:b", "password": "p\nq"}}
    assert problems(body) == [
        bad("authentication.userName", "a:b"),
        bad("authentication.password", "********"),
    ]


def test_oauth_is_read_with_its_default_grant() -> None:
    body = BASE | {"transportType": "oauth", "oauth": OAUTH}
    ask = read(body)
    assert ask.transport is Transport.OAUTH
    assert ask.oauth == OAuth(OAUTH["tokenEndPoint"], "c", "s", None, None, "password")
    more = {"userName": "u", "password": "p", "grantType": "CLIENT_CREDENTIALS"}
    ask = read(BASE | {"transportType": "OAUTH", "oauth": OAUTH | more})
    assert ask.oauth == OAuth(OAUTH["tokenEndPoint"], "c", "s", "u", "p", "client_credentials")


def test_oauth_must_be_there_and_whole() -> None:
    asked = BASE | {"transportType": "OAUTH"}
    assert problems(asked) == [missing("oauth")]
    assert problems(asked | {"oauth": {}}) == [
        missing("oauth.tokenEndPoint"),
        missing("oauth.clientID"),
        missing("oauth.clientSecret"),
    ]
    assert problems(asked | {"oauth": OAUTH | {"grantType": "implicit", "scope": "x"}}) == [
        bad("oauth.grantType", "implicit"),
        unknown("oauth.scope"),
    ]


def test_credentials_of_the_other_transport_are_unknown() -> None:
    basic = {"userName": "u", "password": "p"}
    body = BASE | {"transportType": "OAUTH", "oauth": OAUTH, "authentication": basic}
    assert problems(body) == [unknown("authentication")]
    assert problems(BASE | {"oauth": OAUTH}) == [unknown("oauth")]
    update = {"authentication": basic}
    assert problems(update, current=Transport.OAUTH) == [unknown("authentication")]
    assert problems({"oauth": OAUTH}, current=Transport.HTTP) == [unknown("oauth")]


def test_another_transport_wants_its_own_credentials() -> None:
    to_oauth, to_http = {"transportType": "OAUTH"}, {"transportType": "HTTP"}
    assert problems(to_oauth, current=Transport.HTTP) == [missing("oauth")]
    assert problems(to_http, current=Transport.OAUTH) == [missing("authentication")]
    assert read(to_oauth, current=Transport.OAUTH).oauth is None
    assert read(to_http, current=Transport.HTTP).authentication is None


def test_an_unreadable_transport_says_nothing_of_credentials() -> None:
    body = BASE | {"transportType": "MAIL", "oauth": OAUTH}
    assert problems(body) == [bad("transportType", "MAIL")]


def test_expanded_types_are_known_only_while_they_are_switched_on() -> None:
    body = BASE | {"expandedTypes": [*EXPANDABLE, "ORDER.REFUNDED"]}
    assert problems(body) == [unknown("expandedTypes")]
    assert read(body, EXPANDING).expanded_types == EXPANDABLE
    assert read(BASE | {"expandedTypes": []}, EXPANDING).expanded_types == ()
    refused = BASE | {"expandedTypes": ["refund.complete"]}
    assert problems(refused, EXPANDING) == [bad("expandedTypes[0]", "refund.complete")]


@pytest.mark.parametrize("version", ["default", "latest", "2021-12-13", "2021-03-23"])
def test_every_version_is_taken(version: str) -> None:
    assert read(BASE | {"apiVersion": version.upper()}).api_version == version


def test_what_an_answer_adds_may_not_be_sent() -> None:
    for name in ("id", "liveMode", "createdTime", "updatedTime", "failingSince"):
        assert problems(BASE | {name: "x"}) == [unknown(name)]
