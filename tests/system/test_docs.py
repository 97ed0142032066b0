"""The pages of docs/: examples run, tables say what the code says, figures are computed again."""

import json
import re
import shlex
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import click
import pytest
from prometheus_client import REGISTRY

from refundry import metrics
from refundry.app import documented_operations
from refundry.cli import cli
from refundry.domain.allocation import allocate
from refundry.domain.cells import COMPONENT_NAMES
from refundry.domain.charge import BANK_DETAIL_SOURCES, FAILURE_REASONS, Failure, OperationKind
from refundry.domain.event import EventType
from refundry.domain.fulfillment import units_amount
from refundry.domain.money import half_up
from refundry.domain.refund import (
    ITEM_TYPES,
    ElementAsk,
    Refund,
    RefundAsk,
    RefundState,
    RefundType,
    plan_refund,
)
from refundry.domain.retry import needs_attention, next_attempt
from refundry.domain.settlement import TOKEN_LIFE
from refundry.event_reference import event_reference
from refundry.http.problems import TYPES
from refundry.http.query import Kind
from refundry.processors.contract import Declined, Submission
from refundry.processors.http_protocol import read_answer, request_body
from refundry.processors.sandbox import (
    _LAST_NAMES as LAST_NAMES,  # pyright: ignore[reportPrivateUsage]
)
from refundry.processors.sandbox import CARDS, Trigger
from refundry.processors.signature import sign
from refundry.settings import Settings
from refundry.tenant import RESOURCES, VERSIONS, Tenant
from tests.support.http import expect
from tests.support.service import ROOT, Service
from tests.system.test_readme import BLOCK, follow, links, pages, sandbox_key, steps
from tests.unit.given import NOW, captured, cells, currency, line, sum_of

DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
RUNS = "bash # runs-as-test"
WITH_EXAMPLES = [page for page in pages() if f"```{RUNS}\n" in page.read_text("utf-8")]
CODE = re.compile(r"`([^`]+)`")
# What the pages call the outcomes of the sandbox's triggers.
WORDS = {
    None: "everything succeeds",
    Trigger.SOURCE_FAILS: "the order is refused with 409",
    Trigger.CHARGE_WAITS: "the order waits in `pending_payment`, its charge stays pending",
    Trigger.CHARGE_FAILS_LATE: "the same, and the charge fails after the delay",
    Trigger.CAPTURE_FAILS: "captures fail",
    Trigger.CAPTURE_FAILS_LATE: "captures fail after the delay",
    Trigger.CAPTURE_WAITS: "captures stay pending",
    Trigger.CANCEL_FAILS: "cancels fail",
    Trigger.REFUND_CARD_EXPIRED: "refunds fail: `expired_or_canceled_card`",
    Trigger.REFUND_FROZEN_LATE: "refunds fail after the delay: `account_frozen`",
    Trigger.REFUND_DECLINED: "refunds fail: `declined`",
    Trigger.REFUND_CLOSED_LATE: "refunds fail after the delay: `account_closed`",
    Trigger.REFUND_CLOSED_AFTER_DETAILS: "refunds wait for bank details, and fail after them:"
    " `account_closed`",
}
Row = dict[str, str]


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def table(name: str, *heads: str) -> list[Row]:
    """The rows of the tables of a page whose columns begin with `heads`."""
    rows: list[Row] = []
    columns: list[str] = []
    for text in BLOCK.sub("", page(name)).splitlines():
        values = [value.strip() for value in text.strip("|").split("|")]
        if not text.startswith("|"):
            columns = []
        elif not columns:
            columns = values
        elif set(text) - set("|-") and columns[: len(heads)] == list(heads):
            rows.append(dict(zip(columns, values, strict=True)))
    assert rows, f"{name} has no table {heads}"
    return rows


def codes(text: str) -> list[str]:
    """What stands as code in a text."""
    return CODE.findall(text)


def minor(text: str, digits: int = 2) -> int:
    return int(Decimal(text).scaleb(digits))


@pytest.fixture(scope="module")
def served() -> Iterator[Service]:
    with Service(kind="serve") as service:
        yield service


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
def test_examples_run_as_shown(served: Service, path: Path) -> None:
    variables = {"URL": f"http://127.0.0.1:{served.port}", "KEY": sandbox_key(served)}
    assert follow(served.client, steps(path.read_text("utf-8"), RUNS), variables)


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_pages_are_whole(path: Path) -> None:
    text = path.read_text("utf-8")
    for kind, block in BLOCK.findall(text):
        # Every block of bash in the README runs; elsewhere those that say so.
        runs = kind == ("bash" if path.parent == ROOT else RUNS)
        assert runs or "curl " not in block, f"not run: {block}"
    for target in links(text):
        assert (path.parent / target).exists(), target
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text):
        other = (path.parent / target).read_text("utf-8") if target else text
        assert anchor in anchors(other), f"{target}#{anchor}"
    for wrong in ("../shared", "/work/", "/root/", "pypi", "jq "):
        assert wrong not in text, wrong
    assert not [each for each in BLOCK.sub("", text).splitlines() if is_too_long(each)]


def is_too_long(text: str) -> bool:
    return len(text) > 105 and not text.startswith(("|", "!["))


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_setting_is_documented_as_it_is() -> None:
    rows = table("configuration.md", "Setting", "Variable", "Default")
    names = [codes(row["Setting"])[0] for row in rows]
    assert sorted(names) == sorted(Settings.__struct_fields__)
    settings = Settings()
    for name, row in zip(names, rows, strict=True):
        value = getattr(settings, name)
        shown = "none" if value is None else f"`{str(value).lower()}`"
        assert row["Variable"] == f"`REFUNDRY_{name.upper()}`"
        assert row["Default"] == shown, name
        assert row["Meaning"].endswith(".")


def test_every_card_is_documented() -> None:
    rows = table("testing.md", "Number", "Brand")
    documented = {row["Number"]: (row["Brand"], row["What happens"]) for row in rows}
    assert len(rows) == len(documented)
    assert documented == {
        number: (card.brand, WORDS[card.trigger]) for number, card in CARDS.items()
    }


def test_every_last_name_is_documented() -> None:
    documented: dict[tuple[str, str], str] = {}
    for row in table("testing.md", "Source", "Last name"):
        for kind in codes(row["Source"]):
            for name in codes(row["Last name"]):
                documented[kind, name] = row["What happens"].removesuffix(
                    ", without asking for bank details"
                )
    assert documented == {
        (kind, name): WORDS[trigger]
        for kind, names in LAST_NAMES.items()
        for name, trigger in names.items()
    }
    assert str(Settings().sandbox_delay) + " seconds" in page("testing.md")


def test_the_worked_allocation_is_right() -> None:
    *rows, together = table("refunds-explained.md", "Cell", "Available", "Exact share, in cents")
    weights = [minor(row["Available"]) for row in rows]
    amount = minor(together["Share"])
    assert sum(weights) == minor(together["Available"])
    assert amount == half_up(Fraction(sum(weights), 2))
    exact = [Fraction(amount * weight, sum(weights)) for weight in weights]
    for row, share, given in zip(rows, exact, allocate(amount, weights), strict=True):
        assert row["Exact share, in cents"] == f"{float(share):.3f}"
        assert row["Whole cents"] == str(int(share))
        assert row["Fraction"] == f"{float(share % 1):.3f}"
        assert minor(row["Share"]) == given
    assert together["Whole cents"] == str(sum(int(share) for share in exact))
    order = captured(line(cells(weights[0], weights[1], shipping=(weights[2], weights[3])), 2))
    shares = planned_shares(order, RefundAsk("o1", None, "USD", percent=Decimal(50)))
    assert list(shares[:4]) == [minor(row["Share"]) for row in rows]


def planned_shares(order: Any, ask: RefundAsk) -> tuple[int, ...]:
    """What a refund takes from each cell, over all lines; nothing where it is refused."""
    refund = plan_refund(order, ask, refund_id="r1", now=NOW)
    return sum_of(refund.shares) if isinstance(refund, Refund) else (0,) * len(COMPONENT_NAMES)


def test_percent_and_half_up() -> None:
    for row in table("refunds-explained.md", "Of", "Percent", "Exact"):
        amount, code = row["Of"].split()
        digits = currency(code).exponent
        order = captured(line(cells(minor(amount, digits))), code=code)
        ask = RefundAsk("o1", None, code, percent=Decimal(row["Percent"]))
        refunded = sum(planned_shares(order, ask))
        assert refunded == minor(row["Refunded"], digits)
        assert minor(amount, digits) - refunded == minor(row["Left"], digits)
        assert Decimal(row["Exact"]) == Decimal(amount) * Decimal(row["Percent"]) / 100


def test_what_each_refund_takes_from() -> None:
    order = captured(line(cells(1, 2, shipping=(4, 8), duty=16, importer_tax=32, fees=(64, 128))))
    rows = table("refunds-explained.md", "Refund", "Order-level: cells of every line")
    assert len(rows) == 1 + len(RefundType)
    for row in rows:
        name = codes(row["Refund"])[0]
        kind = None if name == "type" else RefundType(name)
        ask = RefundAsk("o1", None, "USD", percent=Decimal(100), type=kind)
        assert cells_named(row["Order-level: cells of every line"]) == taken(order, ask)
        inside = row["In `items[]`: cells of that line"]
        assert (inside == "not to be had") == (kind is not None and kind not in ITEM_TYPES)
        if inside != "not to be had":
            element = ElementAsk("line0", None, None, None, Decimal(100), kind)
            ask = RefundAsk("o1", None, "USD", items=(element,))
            assert cells_named(inside) == taken(order, ask)


def taken(order: Any, ask: RefundAsk) -> set[str]:
    shares = planned_shares(order, ask)
    return {name for name, share in zip(COMPONENT_NAMES, shares, strict=True) if share}


def cells_named(text: str) -> set[str]:
    names = set(codes(text))
    if text.startswith("all but"):
        return {name for name in COMPONENT_NAMES if name not in names}
    return names


def test_what_a_unit_is_worth() -> None:
    rows = table("orders.md", "Units processed before", "Sum after, exact")
    whole = minor(rows[-1]["Half up"])
    for done, row in enumerate(rows):
        after = Fraction(whole * (done + 1), len(rows))
        assert row["Units processed before"] == str(done)
        assert Decimal(row["Sum after, exact"]) == round(Decimal(float(after) / 100), 4)
        assert minor(row["Half up"]) == half_up(after)
        assert minor(row["This unit"]) == units_amount(whole, len(rows), done, 1)
    assert allocate(2161, [6000, 482]) == [2000, 161]
    assert "captures 20.00 of `product` and 1.61 of\n`tax`" in page("orders.md")


def test_totals_are_the_sums_that_are_said(served: Service) -> None:
    """An order whose cells are powers of two, so that a sum says what is in it."""
    body = {
        "currency": "USD",
        "items": [
            {
                "skuId": "a", "amount": 0.01, "quantity": 1, "tax": {"amount": 0.02},
                "duties": {"amount": 0.16}, "importerTax": {"amount": 0.32},
                "fees": {"amount": 0.64, "taxAmount": 1.28},
            }
        ],
        "shippingChoice": {"amount": 0.04, "taxAmount": 0.08},
        "payment": {"sources": [{"type": "payPal", "amount": 2.55}]},
    }  # fmt: skip
    order = expect(served.api(sandbox_key(served)).post("/orders", body), 201)
    for row in table("orders.md", "Total", "Sum of"):
        sums = [codes(part) for part in row["Sum of"].split(";")]
        sums = [list(COMPONENT_NAMES)] if row["Sum of"] == "all eight" else sums
        for total, names in zip(codes(row["Total"]), sums, strict=True):
            cents = sum(1 << COMPONENT_NAMES.index(name) for name in names)
            assert order[total] == Decimal(cents) / 100, total


def test_unknown_outcomes_are_asked_again_as_said() -> None:
    waits = [(next_attempt(n, NOW, NOW) - NOW).total_seconds() for n in (1, 2, 3, 30)]
    assert waits == [1, 2, 4, 600]
    day = NOW + timedelta(hours=24)
    assert needs_attention(NOW, day)
    assert not needs_attention(NOW, day - timedelta(seconds=1))
    assert next_attempt(30, NOW, day) - day == timedelta(hours=1)
    for name in ("refunds-explained.md", "processors.md"):
        text = " ".join(page(name).split())
        assert "after 1, 2, 4 … seconds, at most 10 minutes apart, for 24 hours" in text
    assert timedelta(days=30) == TOKEN_LIFE


def test_every_filter_is_documented() -> None:
    columns = {
        "Equality": (Kind.EQUAL,),
        "Several values": (Kind.ANY,),
        "Range": (Kind.TIME, Kind.NUMBER),
    }
    documented = {codes(row["List"])[0]: row for row in table("api-conventions.md", "List")}
    lists = [each for each in documented_operations(Settings()) if each.paged]
    assert set(documented) == {each.path for each in lists}
    for each in lists:
        for column, kinds in columns.items():
            names = [f.name for f in each.filters if f.kind in kinds]
            assert codes(documented[each.path][column]) == names, each.path


def test_errors_keys_and_versions_are_those_of_the_code() -> None:
    text = page("api-conventions.md")
    for row in table("api-conventions.md", "Status", "`type`"):
        assert codes(row["`type`"]) == [TYPES[int(row["Status"])]]
    assert all(f"`{name}`" in text for name in (*RESOURCES, *VERSIONS))
    for name in BANK_DETAIL_SOURCES:
        assert f"`{name}`" in page("refunds-explained.md")


def test_states_reasons_and_events_are_those_of_the_code() -> None:
    text = page("refunds-explained.md")
    for name in (*RefundState, *FAILURE_REASONS):
        assert f"`{name}`" in text
    events = {event.value for event in EventType}
    mentioned = set(re.findall(r"`((?:refund|order|fulfillment)\.[a-z_.]+)`", text))
    assert mentioned <= events
    assert {event for event in events if event.startswith("refund.")} <= mentioned
    picture = ElementTree.parse(DOCS / "images" / "refund-states.svg")  # our own file
    drawn = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {state.value for state in RefundState} <= drawn


def test_the_event_reference_is_what_the_code_says() -> None:
    """Made again with: python -m refundry.event_reference > docs/events.md"""
    assert page("events.md") == f"{event_reference()}\n"


def test_the_reasons_of_a_processor_are_listed() -> None:
    (listed,) = re.findall(r"`--reason` is one of (.+?)\. The note", page("processors.md"), re.S)
    assert set(codes(listed)) == set(FAILURE_REASONS)


def test_the_example_of_the_http_protocol_is_what_is_sent() -> None:
    (block,) = [text for _, text in BLOCK.findall(page("processors.md")) if "POST /" in text]
    head, body = block.strip().split("\n\n")
    shown = json.loads(body)
    submission = Submission(
        key=shown["operationId"], tenant=Tenant("a", live=True), kind=OperationKind.REFUND,
        charge_id=shown["chargeId"], amount=minor(str(shown["amount"])), currency=currency(),
        processor_reference=shown["processorReference"], source_type="creditCard", trigger=None,
        first_attempt_at=NOW, now=NOW, attempt=1,
    )  # fmt: skip
    assert request_body(submission).decode() == body
    header = head.partition("Refundry-Signature: ")[2]
    seconds = int(header.partition(",")[0])
    assert header == sign("kept-between-us", seconds, body.encode())


def test_the_check_of_a_signature_works_as_shown() -> None:
    (source,) = [text for kind, text in BLOCK.findall(page("processors.md")) if kind == "python"]
    names: dict[str, Any] = {}
    exec(source, names)
    is_genuine = cast("Callable[[str, str, bytes], bool]", names["is_genuine"])
    now, body = int(time.time()), b'{"operationId":"1"}'
    assert is_genuine("secret", sign("secret", now, body), body)
    assert not is_genuine("secret", sign("other", now, body), body)
    assert not is_genuine("secret", sign("secret", now, body), body + b" ")
    assert not is_genuine("secret", sign("secret", now - 301, body), body)


def test_answers_and_notifications_are_read_as_shown(served: Service) -> None:
    shown = [text for kind, text in BLOCK.findall(page("processors.md")) if kind == "json"]
    answer, notification = shown
    assert read_answer(200, answer.encode()) == Declined(
        Failure("51", "Not sufficient funds", "insufficient_funds")
    )
    for row in table("processors.md", "`state`", "Means"):
        body = json.dumps({"state": codes(row["`state`"])[0]})
        assert type(read_answer(200, body.encode())).__name__ != "Unknown"
    for row in table("processors.md", "`type`", "Effect"):
        for kind in codes(row["`type`"]):
            data = json.loads(notification)["data"]
            received = expect(served.notify(kind, data, f"docs {kind}"))
            assert received == {"received": True, "duplicate": False}


def test_every_metric_is_documented() -> None:
    assert metrics.REQUESTS
    real = {
        family.name: family.type
        for family in REGISTRY.collect()
        if family.name.startswith("refundry_")
    }
    rows = table("operations.md", "Metric", "Kind")
    assert {codes(row["Metric"])[0]: row["Kind"] for row in rows} == real


def test_the_data_directory_holds_what_is_said(served: Service) -> None:
    named = {codes(row["Name"])[0].rstrip("/") for row in table("operations.md", "Name", "Holds")}
    assert {path.name for path in served.data_dir.iterdir()} == named


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """The names of every command below a group."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


def test_every_command_is_documented() -> None:
    documented = {codes(row["Command"])[0] for row in table("operations.md", "Command", "Does")}
    known = {f"refundry {' '.join(path)}" for path in commands(cli)}
    assert {text.removesuffix(" --drain") for text in documented} == known


def named_commands() -> Iterator[str]:
    """Every line of the pages that calls the command with arguments."""
    for path in pages():
        text = path.read_text("utf-8")
        blocks = "\n".join(block for kind, block in BLOCK.findall(text) if kind == "text")
        yield from re.findall(r"^(?:\$ )?(refundry [a-z].+)$", blocks, re.MULTILINE)
        yield from re.findall(r"`(refundry [a-z][^`]*)`", " ".join(BLOCK.sub("", text).split()))


def test_commands_are_called_as_they_may_be() -> None:
    lines = set(named_commands())
    assert len(lines) > 20
    for text in lines:
        words = shlex.split(text, comments=True)[1:]
        command: click.Command = cli
        while isinstance(command, click.Group) and words:
            assert words[0] in command.commands, text
            command = command.commands[words.pop(0)]
        options = {option for each in command.params for option in each.opts}
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, text


def test_the_code_tree_is_the_code() -> None:
    named: set[str] = set()
    for row in table("architecture.md", "Where", "What"):
        named |= set(codes(row["Where"]))
    package = ROOT / "src" / "refundry"
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert named == folders | modules


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_decisions_have_one_form(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 40
    assert text.startswith(f"# {path.name[:4]}. ")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads == ["Context", "Decision", "Consequences", "Alternatives"]
    assert f"({path.name})" in page("decisions/README.md")
    assert int(path.name[:4]) == DECISIONS.index(path) + 1


def test_every_runtime_dependency_has_its_reasons() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = [re.split(r"[>=; ]", text)[0] for text in project["dependencies"]]
    rows = table("decisions/0010-runtime-dependencies.md", "Package", "For")
    assert [row["Package"] for row in rows] == required
