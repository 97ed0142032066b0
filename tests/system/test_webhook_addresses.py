"""Where a webhook may not lead, at creation and at the moment of delivery."""

from collections.abc import Iterator

import pytest

from tests.support.answers import OK
from tests.support.certificates import Authority
from tests.support.fixtures import advance, given_accepted, settle
from tests.support.http import Api, Doc, assert_bad
from tests.support.receiver import Receiver
from tests.support.service import Service
from tests.support.tokens import Tokens
from tests.support.webhooks import (
    LOOPBACK,
    attempts,
    delivery_states,
    event_ids,
    subscribe,
    webhook_environment,
)

SETTING = "REFUNDRY_WEBHOOK_ALLOW_NETWORKS"
FORBIDDEN = [
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/",
    "http://172.16.3.4:8080/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a00:1]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
]
LOCAL = [
    "http://127.0.0.1:9/",
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
]


@pytest.fixture(scope="module")
def own_service(authority: Authority) -> Iterator[Service]:
    """A service that this module restarts; it has no SMTP."""
    with Service(env=webhook_environment(authority)) as service:
        yield service


def restart(service: Service, **env: str | None) -> None:
    """Start again with other settings; None takes one away."""
    service.stop()
    service.environment |= {name: value for name, value in env.items() if value is not None}
    for name in [name for name, value in env.items() if value is None]:
        service.environment.pop(name, None)
    service.start()


def refused(api: Api, address: str) -> None:
    answer = api.post("/webhooks", {"types": ["refund.complete"], "address": address})
    assert_bad(answer, "invalid_parameter", "address", f"'{address}' is not a valid address.")


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_open_network_opens_no_other(webhook_service: Service, address: str) -> None:
    refused(webhook_service.api(webhook_service.open_account().secret_test), address)


@pytest.mark.parametrize("address", LOCAL)
def test_loopback_is_refused_unless_it_is_opened(api: Api, address: str) -> None:
    """`api` is of the plain service, without any setting."""
    refused(api, address)


def test_an_address_is_refused_when_it_is_changed_too(webhook_service: Service) -> None:
    api = webhook_service.api(webhook_service.open_account().secret_test)
    webhook = subscribe(api, "http://127.0.0.1:9/")
    answer = api.patch(f"/webhooks/{webhook['id']}", {"address": FORBIDDEN[0]})
    message = f"'{FORBIDDEN[0]}' is not a valid address."
    assert_bad(answer, "invalid_parameter", "address", message)


def test_an_address_is_judged_again_at_every_delivery(
    own_service: Service, receiver: Receiver
) -> None:
    """What was open at creation is not open any more, as if the name led elsewhere by now."""
    service = own_service
    api = service.api(service.open_account().secret_test)
    tokens = Tokens(receiver)
    plain, named, guarded = (receiver.endpoint(OK) for _ in range(3))
    webhooks: list[Doc] = [
        subscribe(api, plain),
        subscribe(api, named.url.replace("127.0.0.1", "localhost")),
        subscribe(api, guarded, transportType="OAUTH", oauth=tokens.oauth()),
    ]
    given_accepted(api, "A")
    restart(service, **{SETTING: None})
    settle(api)
    assert plain.arrivals == named.arrivals == guarded.arrivals == []
    assert tokens.requests == []
    for webhook in webhooks:
        (attempt,) = attempts(service, webhook)
        assert attempt.status is None
        assert attempt.error
        assert delivery_states(service, webhook) == ["pending"]
    restart(service, **{SETTING: LOOPBACK})
    advance(api, 600)
    for endpoint in (plain, named, guarded):
        assert len(event_ids(endpoint)) == 1


def test_the_log_says_what_was_opened(own_service: Service) -> None:
    restart(own_service, **{SETTING: "127.0.0.0/8", "REFUNDRY_WEBHOOK_ALLOW_HTTP": "1"})
    said = own_service.log_since(0)
    assert "127.0.0.0/8" in said
    assert "allow_http" in said.lower()
