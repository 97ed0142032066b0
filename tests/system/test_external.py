"""The service on a PostgreSQL of somebody else's: by URL, over TLS, behind pgbouncer."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.answers import OK
from tests.support.certificates import Authority
from tests.support.command import Done, complaint, refundry, said
from tests.support.fixtures import ask, fulfil, get_order, get_refund, given_accepted
from tests.support.http import Api, Doc, assert_error, expect
from tests.support.postgres import (
    ROLE,
    SYSTEM_PROGRAMS,
    Bouncer,
    External,
    bouncer_program,
)
from tests.support.processes import eventually
from tests.support.receiver import Receiver
from tests.support.service import Service
from tests.support.webhooks import event_ids, subscribe, webhook_environment

# A real clock and a real worker; one key for all who use a database.
COMMON: dict[str, str | None] = {
    "REFUNDRY_TEST_CLOCK": None,
    "REFUNDRY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
}


@pytest.fixture(scope="module")
def external() -> Iterator[External]:
    """The embedded wheel's PostgreSQL as a server of its own, on a port."""
    with External("max_connections=40") as server:
        yield server


def served(url: str, authority: Authority, *options: str, **env: str) -> Service:
    """`refundry serve` on an external database, with a real worker and a real clock."""
    variables = {"REFUNDRY_DATABASE_URL": url, **webhook_environment(authority), **COMMON}
    named = {f"REFUNDRY_{name.upper()}": value for name, value in env.items()}
    return Service("serve", variables | named, options=options)


def live_a_refund(service: Service, receiver: Receiver) -> None:
    """The whole life of a refund: order, capture, refund, settlement, webhook."""
    api = service.api(service.open_account().secret_test)
    endpoint = receiver.endpoint(OK)
    subscribe(api, endpoint, "refund.complete", "order.refunded")
    order = given_captured_by_worker(api)
    made = expect(ask(api, order, percent=50), 201)
    assert eventually(lambda: get_refund(api, made)["state"] == "succeeded")
    assert eventually(lambda: len(event_ids(endpoint)) == 2)
    everything = expect(api.get("/events?types=refund.complete,order.refunded"))["data"]
    assert {event["id"] for event in everything} == set(event_ids(endpoint))
    again = api.post(
        "/refunds",
        {"orderId": order["id"], "currency": order["currency"], "amount": 1},
        headers={"Idempotency-Key": "once"},
    )
    assert again.status_code == 201


def given_captured_by_worker(api: Api) -> Doc:
    order = given_accepted(api, "A")
    fulfil(api, order, *(item["quantity"] for item in order["items"]))
    assert eventually(lambda: get_order(api, order)["state"] == "complete")
    return get_order(api, order)


def by_url(service: Service, *arguments: str) -> str:
    """What a command says that is given nothing but the service's environment."""
    return said(refundry(*arguments, data_dir=service.data_dir, env=service.environment))


@pytest.fixture(scope="module")
def outside(external: External, authority: Authority) -> Iterator[Service]:
    """The service on it, with pools that are larger than it has connections for."""
    with served(external.url(), authority, "--processes", "2", pool_size="30") as service:
        yield service


def test_everything_runs_on_an_external_database_by_its_url(
    outside: Service, external: External, receiver: Receiver
) -> None:
    assert outside.children("postgres") == []
    assert "external PostgreSQL" in outside.log_since(0)
    live_a_refund(outside, receiver)
    assert "0 do not add up" in by_url(outside, "audit")
    # The worker is woken at once: it listens.
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    assert external.sql(listening) == 1


def test_pools_are_made_smaller_to_fit_into_what_the_database_allows(outside: Service) -> None:
    """40 connections, 3 of them for superusers, 3 spare, 1 to be woken by: 11 for each of 3."""
    (line,) = re.findall(r'.*"pool_shrunk".*', outside.log_since(0))
    assert json.loads(line)["pool_size"] == 11
    assert {pool_size_of(pid) for pid in outside.children("api")} == {"11"}


def pool_size_of(pid: int) -> str:
    variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    (found,) = (each for each in variables if each.startswith("REFUNDRY_POOL_SIZE="))
    return found.partition("=")[2]


def test_too_many_clients_is_a_503_that_passes(outside: Service, external: External) -> None:
    """The role may open no connection more, and those that it had are cut."""
    api = outside.api(outside.open_account().secret_test)
    assert expect(api.get("/orders"))["data"] == []
    cut = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{ROLE}'"
    external.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", cut)
    try:
        begun = outside.log_size()
        assert eventually(lambda: "too many connections" in said_to(api, outside, begun))
        refused = api.get("/orders")
    finally:
        external.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
    message = "service_unavailable"
    assert_error(refused, 503, message, message, None, message)
    assert int(refused.headers["retry-after"]) >= 1
    assert eventually(lambda: api.get("/orders").status_code == 200)


def said_to(api: Api, service: Service, begun: int) -> str:
    """What the log has got since `begun` once a request was answered with 503 or 200."""
    assert api.get("/orders").status_code in (200, 503)
    return service.log_since(begun)


def test_a_database_that_allows_too_few_connections_is_refused_in_words(
    outside: Service, external: External, tmp_path: Path
) -> None:
    outside.stop()
    external.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT 9")
    env = {"REFUNDRY_DATABASE_URL": external.url(), **COMMON}
    done = refundry("serve", "--processes", "2", "--port", "0", data_dir=tmp_path, env=env)
    assert "allows 9 connections; 3 processes need at least 10" in complaint(done)


needs_bouncer = pytest.mark.skipif(
    bouncer_program() is None or not SYSTEM_PROGRAMS.exists(),
    reason="pgbouncer or PostgreSQL 15 is not installed: apt-get install pgbouncer postgresql-15",
)


@needs_bouncer
@pytest.mark.check
@pytest.mark.parametrize("direct", [False, True])
def test_a_refund_lives_behind_pgbouncer_in_transaction_mode(
    authority: Authority, receiver: Receiver, direct: bool
) -> None:
    """On the oldest version that is supported. direct: with a way past it, to be woken by."""
    with ExitStack() as stack:
        server = stack.enter_context(External(programs=SYSTEM_PROGRAMS))
        bouncer = stack.enter_context(Bouncer(server))
        env = {"pgbouncer": "1"} | ({"direct_url": server.url()} if direct else {})
        service = stack.enter_context(served(bouncer.url(), authority, "--processes", "2", **env))
        for _ in range(3):
            live_a_refund(service, receiver)
        assert "0 do not add up" in by_url(service, "audit")
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        assert server.sql(listening) == int(direct)
        # No more than pgbouncer was told to open, and what we listen on.
        ours = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{ROLE}'"
        assert server.sql(ours) <= 6 + int(direct)
        log = service.log_since(0)
        assert '"level":"error"' not in log.replace(" ", "")


@needs_bouncer
@pytest.mark.check
def test_the_database_is_reached_over_tls_and_its_certificate_is_checked(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    certificate = authority.server_certificate()
    with External(programs=SYSTEM_PROGRAMS, certificate=certificate) as server:

        def migrated(trusted: Path) -> Done:
            url = server.url(f"?sslmode=verify-full&sslrootcert={trusted}")
            return refundry("migrate", data_dir=tmp_path, env={"REFUNDRY_DATABASE_URL": url})

        said(migrated(authority.path))
        assert "the database cannot be reached: " in complaint(migrated(stranger.path))
