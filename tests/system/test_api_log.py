"""The API log of a running service: what stands in it (B-20), and what outlives the service."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from refundry.api_log.reading import (
    CallFilter,
    CallRecord,
    LoggedCall,
    find_call,
    find_creation,
    list_calls,
)
from refundry.db.database import Database, open_database
from refundry.settings import Settings
from refundry.tenant import Tenant
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import advance, ask, given_captured, refund
from tests.support.http import Api, expect
from tests.support.processes import eventually, kill
from tests.support.service import Account, Service

T = TypeVar("T")
AVAILABLE = "The requested refund amount is greater than the available amount."


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


def on_database(data_dir: Path, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with open_database(Settings(data_dir=data_dir)) as database:
            return await work(database)

    return asyncio.run(run())


class Log:
    """An account's API log as pages read it."""

    def __init__(self, service: Service, account: Account) -> None:
        self._service = service
        self.tenant = Tenant(account.account_id, live=False)

    def calls(self, **wanted: Any) -> list[LoggedCall]:
        """Those wanted, newest first."""
        calls, _ = on_database(
            self._service.data_dir,
            lambda database: list_calls(database, self.tenant, CallFilter(**wanted), limit=1000),
        )
        return calls

    def one(self, **wanted: Any) -> CallRecord:
        """The only call that is wanted, as soon as it is written."""
        assert eventually(lambda: bool(self.calls(**wanted)))
        (call,) = self.calls(**wanted)
        found = on_database(
            self._service.data_dir, lambda database: find_call(database, self.tenant, call.id)
        )
        assert found is not None
        return found

    def creation(self, resource_id: str) -> CallRecord | None:
        return on_database(
            self._service.data_dir,
            lambda database: find_creation(database, self.tenant, resource_id),
        )


@pytest.fixture
def log(service: Service, account: Account) -> Log:
    return Log(service, account)


def test_a_refused_call_stands_there_with_its_message_and_both_bodies(api: Api, log: Log) -> None:
    order = given_captured(api, "A")
    headers = {
        "upstream-id": "cart-7", "upstream-application-id": "shopware/6.5",
        "upstream-session-id": "s-1", "forwarded": "for=192.0.2.60", "X-Request-Id": "req-R07",
    }  # fmt: skip
    body = {"orderId": order["id"], "currency": "USD", "amount": 27.02}
    refused = api.post("/refunds", body, headers)
    assert refused.status_code == 400
    found = log.one(status_class=4)
    call = found.call
    assert (call.method, call.url, call.status) == ("POST", "/refunds", 400)
    assert (call.error_code, call.error_message) == ("invalid_parameter", AVAILABLE)
    assert json.loads(found.request_body or "") == body
    assert found.answer_body == refused.text
    assert (call.key_kind, call.resource_id) == ("secret", order["id"])
    assert call.request_id == refused.headers["X-Request-Id"] == "req-R07"
    assert (call.upstream_id, call.application, call.application_version) == (
        "cart-7", "shopware", "6.5",
    )  # fmt: skip
    assert (call.session_id, call.shopper_address) == ("s-1", "192.0.2.60")
    assert 0 < call.duration_ms < 60_000
    assert abs(call.called_at.timestamp() - time.time()) < 60


def test_a_refund_leads_to_the_call_that_made_it_though_it_was_repeated(api: Api, log: Log) -> None:
    order = given_captured(api, "A")
    key = {"Idempotency-Key": "once"}
    body = {"orderId": order["id"], "currency": "USD", "amount": 1.00}
    made = expect(api.post("/refunds", body, key), 201)
    expect(api.post("/refunds", body, key), 201)
    expect(api.get(f"/refunds/{made['id']}?expand=x"))
    assert eventually(lambda: len(log.calls(resource_id=made["id"])) == 3)
    read, replay, first = log.calls(resource_id=made["id"])
    assert [read.method, replay.replayed, first.replayed] == ["GET", True, False]
    assert read.url == f"/refunds/{made['id']}?expand=x"
    creation = log.creation(made["id"])
    assert creation is not None
    assert creation.call == first


def test_every_call_with_a_key_is_there_and_no_other(service: Service, api: Api, log: Log) -> None:
    stranger = service.api("sk_test_" + "0" * 32)
    advance(api, 1)
    for method, path in (
        ("GET", "/orders"), ("HEAD", "/orders"), ("OPTIONS", "/orders"), ("PUT", "/refunds"),
        ("GET", "/refund"), ("DELETE", "/webhooks/none"), ("POST", "/orders"),
    ):  # fmt: skip
        api.request(method, path)
        stranger.request(method, path)
        service.api(None).request(method, path)
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        api.get(path)
        api.request("PUT", path)
    assert eventually(lambda: len(log.calls()) >= 8)
    assert sorted((call.method, call.path, call.status) for call in log.calls()) == [
        ("DELETE", "/webhooks/none", 404), ("GET", "/orders", 200), ("GET", "/refund", 404),
        ("HEAD", "/orders", 405), ("OPTIONS", "/orders", 405), ("POST", "/orders", 400),
        ("POST", "/refundry/v1/test/advance", 200), ("PUT", "/refunds", 405),
    ]  # fmt: skip
    calls = "SELECT count(*) AS n FROM api_log WHERE account_id NOT IN (SELECT id FROM accounts)"
    assert run_sql(service.data_dir, calls)[0]["n"] == 0


def test_no_secret_stands_in_the_log(service: Service, api: Api, log: Log) -> None:
    credentials = {"username": "shop", "password": "Zq7-hidden"}
    body = {"types": ["refund.pending"], "address": "https://u:Zq7-hidden@shop.example/hook",
            "transportType": "http", "httpCredentials": credentials}  # fmt: skip
    api.post("/webhooks", body)
    wrong = credentials | {"password": 5 * ["Zq7-hidden"]}
    api.post("/webhooks", body | {"httpCredentials": wrong})
    api.post("/refunds?access_token=Zq7-hidden", {"note": api.key, "password": "Zq7-hidden"})
    assert eventually(lambda: len(log.calls()) == 3)
    rows = run_sql(service.data_dir, "SELECT l::text AS text FROM api_log l WHERE account_id = $1",
                   log.tenant.account_id)  # fmt: skip
    text = "\n".join(row["text"] for row in rows)
    assert "httpCredentials" in text
    assert "Zq7-hidden" not in text
    assert api.key is not None
    assert api.key not in text


def test_a_database_that_keeps_the_log_waiting_delays_no_request(
    service: Service, api: Api, log: Log
) -> None:
    order = given_captured(api, "A")

    async def refund_meanwhile(database: Database) -> list[int]:
        async with database.transaction() as tx:
            await tx.execute("LOCK TABLE api_log IN ACCESS EXCLUSIVE MODE")
            answers: list[int] = []
            for _ in range(3):
                answer = await asyncio.to_thread(ask, api, order, amount=0.01)
                answers.append(answer.status_code)
                await asyncio.sleep(0.5)
            return answers

    assert on_database(service.data_dir, refund_meanwhile) == [201, 201, 201]
    assert eventually(lambda: len(log.calls(path="/refunds", status_class=2)) == 3)


def test_sigterm_loses_nothing_and_the_log_survives_a_restart(
    service: Service, account: Account, api: Api, log: Log
) -> None:
    order = given_captured(api, "A")
    made = [refund(api, order, amount=0.01)["id"] for _ in range(20)]
    service.stop()
    service.start()
    assert {call.resource_id for call in log.calls(path="/refunds")} == set(made)


def test_kill_9_loses_the_last_second_at_most(log: Log, api: Api, service: Service) -> None:
    order = given_captured(api, "A")
    begun = time.monotonic()
    made: list[tuple[str, float]] = []
    while time.monotonic() < begun + 2.5:
        made.append((refund(api, order, amount=0.01)["id"], time.monotonic()))
        time.sleep(0.1)
    killed = time.monotonic()
    kill(service.pid)
    service.kill()
    service.start()
    kept = {call.resource_id for call in log.calls(path="/refunds")}
    assert {each for each, at in made if at < killed - 1} <= kept <= {each for each, _ in made}
    assert len(kept) > 5


def test_retain_deletes_old_calls(service: Service, api: Api, log: Log) -> None:
    api.get("/orders")
    young = log.one().call
    run_sql(
        service.data_dir,
        """
        INSERT INTO api_log (account_id, live, id, called_at, duration_ms, method, collection,
                             path, status, replayed, request_id)
        VALUES ($1, false, '00000000-0000-7000-8000-000000000000', now() - interval '31 days', 1,
                'GET', '/orders', '/orders', 200, false, 'old')
        """,
        log.tenant.account_id,
    )
    env = {n: v for n, v in service.environment.items() if n.startswith("REFUNDRY_")}
    short = env | {"REFUNDRY_RETAIN_API_LOG": "29"}
    refused = refundry("retain", data_dir=service.data_dir, env=short)
    assert "retain_api_log" in refused.stderr
    done = refundry("retain", data_dir=service.data_dir, env=env)
    assert "API log: 1 deleted" in said(done).splitlines()
    assert [call.id for call in log.calls()] == [young.id]
