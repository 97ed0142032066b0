"""The pages "Connect your shop" and "Checklists" work as shown and say what the code says."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any, get_args
from wsgiref.simple_server import WSGIRequestHandler, make_server

import click
import pytest

from refundry_sync import configuring
from refundry_sync.cli import cli
from refundry_sync.sync.announcing import Kind
from refundry_sync.sync.views import RefundStatus
from tests.support.fixtures import given_captured, settle
from tests.support.http import Api
from tests.support.processes import eventually
from tests.support.service import ROOT, Account, Service, free_port
from tests.support.webhooks import subscribe, token_of
from tests.system.test_readme import BLOCK

PAGE = ROOT / "docs" / "connect-your-shop.md"
CHECKLISTS = ROOT / "docs" / "checklists.md"
SHOWN = [text for kind, text in BLOCK.findall(PAGE.read_text("utf-8")) if kind == "python"]
# A cell of the first column, of a table or of a list in code.
FIRST = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \|", re.MULTILINE)
TEST_LINK = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")


@dataclass
class Books:
    """The shop that the page calls `shop`."""

    statuses: dict[str, tuple[str, Decimal]] = field(default_factory=dict[str, tuple[str, Decimal]])
    mails: dict[str, str] = field(default_factory=dict[str, str])

    def save_refund_status(self, order_id: str, status: str, amount: Decimal) -> None:
        self.statuses[order_id] = (status, amount)

    def send_once(self, mail_id: str, order_id: str, text: str) -> None:
        self.mails.setdefault(f"{order_id} {mail_id}", text)


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """No line for each request."""


@contextmanager
def served(names: dict[str, Any], port: int) -> Generator[None]:
    """The page's `application` behind an HTTP server; in the end all that it opened is closed."""
    server = make_server("127.0.0.1", port, names["application"], handler_class=Quiet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        names["stopping"].set()
        names["worker"].join()
        for name in ("sync", "client", "store"):
            names[name].close()


def test_the_page_works_as_shown(
    service: Service,
    account: Account,
    api: Api,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    order, port, shop = given_captured(api, "A"), free_port(), Books()
    webhook = subscribe(api, f"http://127.0.0.1:{port}/", "refund.pending", "refund.complete")
    token = token_of(service, webhook)
    names: dict[str, Any] = {"URL": url, "KEY": account.secret_test, "TOKEN": token, "shop": shop}
    setting_up, asking = SHOWN
    exec(setting_up, names)
    with served(names, port):
        exec(asking, names | {"order_id": order["id"], "print": _drop})
        assert eventually(lambda: shop.statuses.get(order["id"], ("", 0))[0] == "pending", 10)
        settle(api)
        told = ("partially_refunded", Decimal("1.5"))
        assert eventually(lambda: shop.statuses.get(order["id"]) == told, 20)
        assert eventually(lambda: bool(shop.mails), 10)
        assert list(shop.mails.values()) == ["1.5 USD refunded"]


def test_the_library_takes_thirty_lines() -> None:
    setting_up = SHOWN[0].strip()
    assert len([text for text in setting_up.splitlines() if text.strip()]) <= 30


def test_statuses_kinds_variables_and_commands_are_those_of_the_code() -> None:
    cells = FIRST.findall(PAGE.read_text("utf-8"))
    named = {name.split(" --")[0] for cell in cells for name in _codes(cell)}
    source = Path(configuring.__file__).read_text("utf-8")
    variables = set(re.findall(r'given(?:\.get\(|\[|, )"([A-Z_]+)"', source))
    assert {"URL", "STORE", "FULL_SECONDS"} < variables
    assert isinstance(cli, click.Group)
    assert named == {
        *get_args(RefundStatus),
        *get_args(Kind),
        *(f"REFUNDRY_SYNC_{name}" for name in variables),
        *(f"refundry-sync {name}" for name in cli.commands),
    }


def test_the_tests_that_the_checklists_name_exist() -> None:
    named = TEST_LINK.findall(CHECKLISTS.read_text("utf-8"))
    assert len(named) > 15
    for name, file in named:
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{file}: {name}"


def test_the_checklists_answer_every_question() -> None:
    text = CHECKLISTS.read_text("utf-8")
    for number in ("RV-1", "RV-2", "RV-3", "RV-4", "SY-1", "SY-2", "SY-3"):
        (row,) = re.findall(rf"^\| {number} \| .+\? \|.*$", text, re.MULTILINE)
        assert TEST_LINK.search(row), number


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _drop(*_values: object) -> None:
    """What the page prints is for its reader."""
