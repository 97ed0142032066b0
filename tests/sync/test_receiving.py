"""The endpoints take what the service delivers, under servers of each kind, and nothing else."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import httpx
import pytest
import uvicorn

from refundry_sync.client import Client
from refundry_sync.models import Event, Refund, parse, read
from refundry_sync.receiving import LARGEST_BODY_BYTES, asgi, wsgi
from refundry_sync.signature import HEADER, verify
from tests.support.fixtures import given_captured, refund, settle
from tests.support.http import Api
from tests.support.processes import eventually
from tests.support.service import (
    Service,
    environment,
    free_port,
    start_process,
    stop_process,
    wait_until_up,
)
from tests.support.webhooks import token_of
from tests.sync.arrivals import recorded, recorder


@dataclass(frozen=True)
class Site:
    """A running server with one endpoint, and the file of what has arrived there."""

    url: str
    arrivals: Path


@contextmanager
def asgi_site(folder: Path) -> Generator[Site]:
    arrivals, port = folder / "asgi", free_port()
    config = uvicorn.Config(
        asgi.endpoint(recorder(arrivals)), host="127.0.0.1", port=port, log_level="critical"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert eventually(lambda: server.started, 30)
    yield Site(f"http://127.0.0.1:{port}/", arrivals)
    server.should_exit = True
    thread.join()


@contextmanager
def wsgi_site(folder: Path) -> Generator[Site]:
    arrivals = folder / "wsgi"
    with make_server("127.0.0.1", 0, wsgi.endpoint(recorder(arrivals)), QuietServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Site(f"http://127.0.0.1:{server.server_port}/", arrivals)
        server.shutdown()
        thread.join()


class QuietServer(WSGIServer):
    def finish_request(self, request: Any, client_address: Any) -> None:
        self.RequestHandlerClass(request, client_address, self)


@contextmanager
def django_site(folder: Path) -> Generator[Site]:
    arrivals, port = folder / "django", free_port()
    log = folder / "django.log"
    command = ["tests.sync.django_site", "--port", str(port), "--arrivals", str(arrivals)]
    process = start_process(command, environment({}), log, Path.cwd())
    wait_until_up(process, f"http://127.0.0.1:{port}/healthz", log)
    yield Site(f"http://127.0.0.1:{port}/webhooks/digitalriver", arrivals)
    stop_process(process, signal.SIGTERM)


@pytest.fixture(scope="module", params=[asgi_site, wsgi_site, django_site])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with request.param(tmp_path_factory.mktemp("site")) as site:
        yield site


def test_a_delivery_of_the_service_arrives(
    site: Site, service: Service, api: Api, client: Client
) -> None:
    webhook = client.webhooks.create({"types": ["refund.complete"], "address": site.url})
    made = refund(api, given_captured(api, "A"), amount=13.51)
    settle(api)
    assert eventually(lambda: bool(recorded(site.arrivals)), 15)
    headers, body = recorded(site.arrivals)[-1]
    token = token_of(service, webhook.document)
    verify(headers[HEADER], body, [token], now=time.time())
    assert headers["content-type"].startswith("application/json")
    event = read(Event, parse(body))
    changed = event.resource()
    assert isinstance(changed, Refund)
    assert changed.id == made["id"]
    (attempt,) = client.webhooks.attempts(webhook.id)
    assert (attempt.status, attempt.response) == (202, '{"taken":true}')


def test_only_post_and_only_so_much(site: Site) -> None:
    before = len(recorded(site.arrivals))
    refused = httpx.get(site.url, trust_env=False)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    largest = httpx.post(site.url, content=b"x" * LARGEST_BODY_BYTES, trust_env=False)
    assert largest.status_code == 202
    assert head_of(site.url, LARGEST_BODY_BYTES + 1) == 413
    empty = httpx.post(site.url, content=b"", trust_env=False)
    assert (empty.status_code, empty.content) == (200, b"")
    assert [len(body) for _, body in recorded(site.arrivals)[before:]] == [LARGEST_BODY_BYTES, 0]


def head_of(url: str, length: int) -> int:
    """The status for a body of a length that is sent as slowly as the server takes it."""
    target = httpx.URL(url)
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
    with socket.create_connection((target.host, target.port or 80), timeout=10) as line:
        line.sendall(f"{head}Content-Length: {length}\r\nConnection: close\r\n\r\n".encode())
        with suppress(ConnectionError):
            line.sendall(b"x" * length)
        return int(line.recv(4096).split(b" ")[1])


def test_what_is_cut_short_is_not_taken(site: Site) -> None:
    before = len(recorded(site.arrivals))
    target = httpx.URL(site.url)
    with socket.create_connection((target.host, target.port or 80), timeout=10) as line:
        line.sendall(f"POST {target.path} HTTP/1.1\r\nHost: {target.host}\r\n".encode())
        line.sendall(b"Content-Length: 10\r\n\r\n{}")
        line.shutdown(socket.SHUT_WR)
        line.recv(4096)
    assert len(recorded(site.arrivals)) == before


def test_a_fault_is_a_500_so_that_the_event_comes_again(site: Site) -> None:
    assert httpx.post(site.url, content=b"fail", trust_env=False).status_code == 500


def test_a_wsgi_server_must_say_where_the_body_ends(tmp_path: Path) -> None:
    arrivals = tmp_path / "arrivals"
    application = wsgi.endpoint(recorder(arrivals))
    statuses: list[str] = []

    def call(**more: Any) -> None:
        environ = {"REQUEST_METHOD": "POST", "wsgi.input": sys.stdin.buffer, **more}
        list(application(environ, lambda status, _headers: statuses.append(status)))

    for length in ("", "x", "-1", "٣", "1" * 20):
        call(CONTENT_LENGTH=length)
    assert statuses == [*["411 Length Required"] * 4, "413 Request Entity Too Large"]
    assert not arrivals.exists()
