"""`refundry listen` on a real service: what it shows, what it sends on, what it leaves behind."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import httpx
import pytest

from tests.support.command import complaint, refundry
from tests.support.fixtures import SUCCESS, event_log, given_captured, refund
from tests.support.http import Api, Doc, expect
from tests.support.processes import eventually
from tests.support.service import ROOT, Account, Service, environment, free_port
from tests.system.test_readme import BLOCK, form_of, sandbox_key

OPEN = {"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8"}
PATIENCE_SECONDS = 30.0
PAGE = ROOT / "docs" / "webhooks.md"


class Listener:
    """`refundry listen` as a process; its output is gathered line by line."""

    def __init__(
        self, service: Service, *options: str, data_dir: Path | None = None, key: str | None = None,
        env: dict[str, str | None] | None = None, stdout: int = subprocess.PIPE,
    ) -> None:  # fmt: skip
        """data_dir: where it looks for the database; the service's unless given."""
        where = [
            "--data-dir",
            str(data_dir or service.data_dir),
            "--url",
            str(service.client.base_url),
        ]
        keys = ["--key", key] if key else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "refundry", "listen", *where, *keys, *options],
            stdout=stdout, stderr=subprocess.PIPE, env=environment(env or {}),
            cwd=data_dir or service.data_dir,
        )  # fmt: skip
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._readers = [self._gather("stderr", self.notes)]
        if stdout == subprocess.PIPE:
            self._readers.append(self._gather("stdout", self.lines))

    def _gather(self, name: str, found: list[str]) -> threading.Thread:
        stream = getattr(self.process, name)

        def read() -> None:
            for text in stream:
                found.append(text.decode().rstrip("\n"))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        return reader

    def __enter__(self) -> Self:
        assert self.noted("listening on"), self.notes
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self.process.poll() is None:
            self.end()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal it and wait; gives its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        for reader in self._readers:
            reader.join(PATIENCE_SECONDS)
        return code

    def noted(self, text: str) -> bool:
        return eventually(lambda: any(text in note for note in self.notes), PATIENCE_SECONDS)

    def shows(self, count: int) -> bool:
        """Whether so many lines come."""
        return eventually(lambda: len(self.lines) >= count, PATIENCE_SECONDS)

    @property
    def address(self) -> str:
        (found,) = re.findall(r"listening on (\S+)", "\n".join(self.notes))
        return found


class Sink(ThreadingHTTPServer):
    """A receiver of one's own: keeps what comes, answers with `status`."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.requests: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Keeper)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def __exit__(self, *about: object) -> None:
        self.shutdown()
        self.server_close()


class _Keeper(BaseHTTPRequestHandler):
    server: Sink  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(kind="serve", env=OPEN) as service:
        yield service


def key_of(account: Account) -> str:
    return account.secret_test


def webhooks(api: Api) -> list[Doc]:
    answer = api.get("/webhooks")
    assert answer.status_code == 200
    return answer.json()


def post(listener: Listener, body: str, signature: str = "1, x") -> int:
    """Deliver something as if one were the service; gives the status."""
    headers = {"DigitalRiver-Signature": signature}
    return httpx.post(listener.address, content=body, headers=headers, trust_env=False).status_code


def made_up(sequence: int, order: str = "o1") -> str:
    resource = {"id": "re_1", "orderId": order}
    event = {"id": f"e{sequence}", "type": "refund.pending", "data": {"object": resource}}
    return json.dumps(event | {"sequence": sequence})


def test_every_event_of_a_refund_is_shown(service: Service, api: Api, account: Account) -> None:
    order = given_captured(api, "A")
    with Listener(service, key=key_of(account)) as listener:
        made = refund(api, order, percent=50)
        assert listener.shows(len(SUCCESS)), listener.lines
        assert listener.end() == 0
    shown = [text.split("  ") for text in listener.lines]
    events = {event["type"]: event for event in event_log(api)}
    assert sorted(words[1] for words in shown) == sorted(SUCCESS)
    assert {words[-1] for words in shown} == {"signature ok"}
    (line,) = [text for text in listener.lines if "  refund.complete  " in text]
    event = events["refund.complete"]
    assert line == "  ".join(
        [
            f"{event['createdTime'][:19]}Z", "refund.complete", made["id"], f"order {order['id']}",
            "13.51 USD", "succeeded", f"#{event['sequence']}", "signature ok",
        ]
    )  # fmt: skip
    assert not [note for note in listener.notes if "gap" in note]


def test_json_lines_are_the_events(service: Service, api: Api, account: Account) -> None:
    order = given_captured(api, "A")
    with Listener(service, "--json", "--types", "refund.*", key=key_of(account)) as listener:
        refund(api, order, amount=1)
        assert listener.shows(3)
    found = {event["id"]: event for event in map(json.loads, listener.lines)}
    types = {event["type"] for event in found.values()}
    assert types == {"refund.created", "refund.pending", "refund.complete"}
    for event_id, event in found.items():
        assert event == api.get(f"/events/{event_id}").json()


def test_the_page_shows_what_really_comes(service: Service, api: Api, account: Account) -> None:
    shown = [text for kind, text in BLOCK.findall(PAGE.read_text("utf-8")) if kind == "text"]
    (request,) = [text for text in shown if text.startswith("POST /refundry HTTP/1.1")]
    (screen,) = [text for text in shown if text.startswith("listening on")]
    order = given_captured(api, "A")
    with (
        Sink(200) as sink,
        Listener(service, "--forward-to", sink.url, key=key_of(account)) as listener,
    ):
        refund(api, order, percent=50, reason="requested_by_customer")
        assert listener.shows(len(SUCCESS))
        assert eventually(lambda: len(sink.requests) == len(SUCCESS))
    head, _, body = request.partition("\n\n")
    ((headers, real),) = [r for r in sink.requests if b'"type":"refund.complete"' in r[1]]
    for name, _, value in (text.partition(": ") for text in head.splitlines()[1:]):
        signature = name == "DigitalRiver-Signature"
        assert headers[name] == value or (signature and len(headers[name]) == len(value)), name
    assert form_of(body.strip()).fullmatch(real.decode())
    lines = sorted(listener.lines, key=lambda text: int(re.findall(r"#(\d+)", text)[0]))
    for line, said in zip(lines, screen.splitlines()[1:], strict=True):
        assert form_of(said).fullmatch(line), line


@pytest.mark.parametrize("status", [204, 503])
def test_events_are_forwarded_as_they_came(
    service: Service, api: Api, account: Account, status: int
) -> None:
    order = given_captured(api, "A")
    options = ["--json", "--types", "refund.complete", "--forward-to"]
    with (
        Sink(status) as sink,
        Listener(service, *options, sink.url, key=key_of(account)) as listener,
    ):
        refund(api, order, amount=1)
        assert listener.noted(f"-> refund.complete to {sink.url}: {status}")
        assert listener.shows(1)
        ((headers, body),) = sink.requests
    assert body.decode() == listener.lines[0]
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["User-Agent"] == "Refundry-Webhooks/1"
    assert re.fullmatch(r"\d{10}, [A-Za-z0-9+/]{43}=", headers["DigitalRiver-Signature"])


def test_a_forward_that_fails_is_told(service: Service, api: Api, account: Account) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    order = given_captured(api, "A")
    with Listener(service, "--forward-to", url, key=key_of(account)) as listener:
        refund(api, order, amount=1)
        assert listener.noted(f"to {url}: failed: ")
        assert listener.shows(len(SUCCESS))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_webhook_goes_when_it_ends(
    service: Service, api: Api, account: Account, number: signal.Signals
) -> None:
    with Listener(service, key=key_of(account)) as listener:
        (webhook,) = webhooks(api)
        assert webhook["address"] == listener.address
        assert listener.end(number) == 0
    assert webhooks(api) == []
    assert listener.notes[-1] == "stopped; the webhook is removed."


def test_the_webhook_goes_when_nobody_reads_on(
    service: Service, api: Api, account: Account
) -> None:
    """As with `refundry listen | head`; no event has to come for it to be noticed."""
    reading, writing = os.pipe()
    with Listener(service, key=key_of(account), stdout=writing) as listener:
        os.close(writing)
        assert len(webhooks(api)) == 1
        os.close(reading)
        assert listener.wait() == 0
    assert webhooks(api) == []
    assert "Traceback" not in "\n".join(listener.notes)


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours(
    service: Service, api: Api, account: Account, env: dict[str, str | None], coloured: bool
) -> None:
    order = given_captured(api, "A")
    ours, theirs = pty.openpty()
    with Listener(service, key=key_of(account), stdout=theirs, env=env):
        os.close(theirs)
        refund(api, order, amount=1)
        text, deadline = "", time.monotonic() + PATIENCE_SECONDS
        while text.count("\n") < len(SUCCESS):
            assert select.select([ours], [], [], deadline - time.monotonic())[0], text
            text += os.read(ours, 65536).decode()
    os.close(ours)
    assert ("\x1b[" in text) is coloured
    assert "  refund.complete  " in click.unstyle(text)


def test_without_a_key_it_is_the_sandbox_s(service: Service) -> None:
    sandbox = service.api(sandbox_key(service))
    with Listener(service):
        assert len(webhooks(sandbox)) == 1
    assert webhooks(sandbox) == []


def test_without_the_database_it_says_what_it_cannot_check(
    service: Service, api: Api, account: Account, tmp_path: Path
) -> None:
    with Listener(service, key=key_of(account), data_dir=tmp_path) as listener:
        assert listener.noted("signatures cannot be checked")
        assert post(listener, made_up(3)) == 200
        assert post(listener, made_up(5)) == 200
        assert post(listener, made_up(1, "o2")) == 200
        assert listener.shows(3)
        listener.end()
    assert {text.rpartition("  ")[2] for text in listener.lines} == {"signature not checked"}
    gaps = [note for note in listener.notes if note.startswith("gap")]
    assert gaps == ["gap: order o1: sequence 4 did not come"]
    assert list(tmp_path.iterdir()) == []


def test_what_the_service_did_not_send_is_refused(
    service: Service, api: Api, account: Account
) -> None:
    with Listener(service, key=key_of(account)) as listener:
        assert post(listener, made_up(3)) == 400
        assert listener.shows(1)
        assert post(listener, "{}") == 400
        assert listener.noted("a request that is no event (2 bytes)")
    assert listener.lines[0].endswith("signature BAD")


def complaint_of(service: Service, *options: str) -> str:
    url = str(service.client.base_url)
    return complaint(refundry("listen", "--url", url, *options, data_dir=service.data_dir))


def test_a_service_that_is_closed_says_how_to_open_it() -> None:
    with Service() as closed:
        said = complaint_of(closed, "--key", key_of(closed.open_account()))
        assert re.search(
            r"may not deliver to this machine"
            r" \('http://127\.0\.0\.1:\d+/' is not a valid address\);"
            r" start the service with REFUNDRY_WEBHOOK_ALLOW_NETWORKS=127\.0\.0\.0/8$",
            said,
        )


def test_no_service_is_one_sentence(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    said = complaint(refundry("listen", "--url", url, data_dir=tmp_path))
    assert said == (
        f"Error: no service answers at {url};"
        " start it (refundry serve), or say with --url where it is"
    )


def test_the_api_is_where_the_settings_say(tmp_path: Path) -> None:
    env = {"REFUNDRY_HOST": "0.0.0.0", "REFUNDRY_PORT": str(free_port())}
    said = complaint(refundry("listen", data_dir=tmp_path, env=env))
    assert f"http://127.0.0.1:{env['REFUNDRY_PORT']};" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--types", "refund.*,refund.sent"], "no event type is called refund.sent"),
        (["--key", "sk_test_" + "0" * 32], "the service does not know the key"),
    ],
)
def test_what_cannot_be_is_said(service: Service, options: Sequence[str], words: str) -> None:
    assert words in complaint_of(service, *options)


def test_a_port_that_is_taken_leaves_no_webhook(
    service: Service, api: Api, account: Account
) -> None:
    with Sink(200) as sink:
        said = complaint_of(service, "--key", key_of(account), "--port", str(sink.server_port))
    assert "address already in use" in said
    assert webhooks(api) == []


def test_a_key_without_the_right_is_told_so(service: Service, account: Account) -> None:
    key = account.create_key(kind="restricted", permissions={"orders": "read"})
    said = complaint_of(service, "--key", key)
    assert "403 The API key is not permitted to perform this operation." in said
    assert expect(service.api(key).get("/orders"))["data"] == []


def test_a_webhook_that_cannot_be_removed_is_named(
    service: Service, api: Api, account: Account
) -> None:
    with Listener(service, key=key_of(account)) as listener:
        (webhook,) = webhooks(api)
        service.stop()
        assert listener.end() == 1
    service.start()
    assert f"the webhook {webhook['id']} is left behind" in listener.notes[-1]
    assert [each["id"] for each in webhooks(api)] == [webhook["id"]]
