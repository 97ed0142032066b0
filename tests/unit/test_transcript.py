"""What `refundry listen` says: lines, verdicts on signatures, gaps."""

import json
from typing import Any

import click
import pytest

from refundry.processors.signature import sign
from refundry.transcript import Gaps, Verdict, event_line, judge, order_of, read_event

NOW = 1_714_557_600
BODY = b'{"id":"e1"}'


def event(kind: str, resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {"id": "e1", "type": kind, "data": {"object": resource}, **more}
    found = read_event(json.dumps(made).encode())
    assert found is not None
    return found


def overdue(*sequences: int, at: float = 100.0) -> list[str]:
    """What is missing after these, all of one order, which came at 0 seconds."""
    gaps = Gaps()
    for sequence in sequences:
        gaps.see("o1", sequence, 0.0)
    return gaps.overdue(at, 5.0)


def test_a_line_says_what_and_how_much() -> None:
    resource = {"id": "re_1", "orderId": "o1", "amount": 13.5, "currency": "USD", "state": "failed"}
    shown = event(
        "refund.failed", resource, createdTime="2024-05-01T09:58:12.40291Z", sequence=6
    )  # fmt: skip
    line = event_line(shown, Verdict.OK, colour=False)
    assert line == (
        "2024-05-01T09:58:12Z  refund.failed  re_1  order o1  13.5 USD  failed  #6  signature ok"
    )
    painted = event_line(shown, Verdict.OK, colour=True)
    assert painted != line
    assert click.unstyle(painted) == line


def test_amounts_are_shown_as_they_were_sent() -> None:
    body = (
        b'{"id":"e","type":"refund.pending","data":{"object":{"id":"re_1","amount":0.1000000000}}}'
    )
    found = read_event(body)
    assert found is not None
    assert "0.1000000000" in event_line(found, Verdict.UNCHECKED, colour=False)


@pytest.mark.parametrize(
    ("kind", "resource", "order"),
    [
        ("order.refunded", {"id": "o1"}, "o1"),
        ("order.charge.refund.complete", {"id": "c1", "orderId": "o1"}, "o1"),
        ("refund.complete", {"id": "re_1", "orderId": "o1"}, "o1"),
        ("return.created", {"id": "ret_1"}, None),
    ],
)
def test_the_order_of_an_event(kind: str, resource: dict[str, Any], order: str | None) -> None:
    assert order_of(event(kind, resource)) == order


def test_an_order_is_named_once_and_with_its_total() -> None:
    order = event("order.refunded", {"id": "o1", "totalAmount": 27.01, "currency": "USD"})
    line = event_line(order, Verdict.BAD, colour=False)
    assert line == "order.refunded  o1  27.01 USD  signature BAD"


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{}", b'{"id":"e","type":"t","data":{}}', b'{"id":1,"type":"t"}']
)
def test_what_is_no_event_is_none(body: bytes) -> None:
    assert read_event(body) is None


def test_any_signature_of_a_trusted_token_will_do() -> None:
    header = sign("new", NOW, BODY)
    both = f"{header}, {sign('old', NOW, BODY).partition(', ')[2]}"
    assert judge(header, BODY, ["new"], NOW) is Verdict.OK
    assert judge(both, BODY, ["old"], NOW) is Verdict.OK
    assert judge(both, BODY, ["other", "old"], NOW + 300) is Verdict.OK
    assert judge(header, BODY, [], NOW) is Verdict.UNCHECKED


@pytest.mark.parametrize("header", [None, "", "x", f"{NOW}", f"{NOW}, ", "², x", f"{NOW}, ü"])
def test_a_header_that_is_none_is_bad(header: str | None) -> None:
    assert judge(header, BODY, ["new"], NOW) is Verdict.BAD


def test_other_bytes_tokens_and_times_are_bad() -> None:
    header = sign("new", NOW, BODY)
    assert judge(header, BODY + b" ", ["new"], NOW) is Verdict.BAD
    assert judge(header, BODY, ["old"], NOW) is Verdict.BAD
    assert judge(header, BODY, ["new"], NOW + 301) is Verdict.BAD
    assert judge(header, BODY, ["new"], NOW - 301) is Verdict.BAD


def test_a_hole_that_stays_is_told_once() -> None:
    assert overdue(4, 5, 7) == ["gap: order o1: sequence 6 did not come"]
    assert overdue(4, 9) == ["gap: order o1: sequence 5 to 8 did not come"]
    gaps = Gaps()
    for sequence in (1, 3, 5):
        gaps.see("o1", sequence, 0.0)
    assert len(gaps.overdue(5.0, 5.0)) == 2
    assert gaps.overdue(50.0, 5.0) == []


def test_what_overtakes_repeats_or_began_before_is_no_gap() -> None:
    assert overdue(2, 4, 3, 5) == []
    assert overdue(2, 2, 3, 3) == []
    assert overdue(5, 4, 6) == []
    assert overdue(1, 3, at=4.9) == []


def test_orders_are_counted_apart() -> None:
    gaps = Gaps()
    for order, sequence in (("o1", 1), ("o2", 7), ("o1", 2), ("o2", 8)):
        gaps.see(order, sequence, 0.0)
    assert gaps.overdue(100.0, 5.0) == []
