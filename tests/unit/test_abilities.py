"""What a processor can do, as people read it, and what the engine takes from it."""

from datetime import UTC, datetime, timedelta

import pytest

from refundry.gateways.abilities import captured_once, in_words, too_old
from refundry.processors.contract import Abilities, Captures

CAPTURED = datetime(2026, 1, 1, tzinfo=UTC)


def abilities(
    *,
    captures: Captures = Captures.PARTIAL,
    partial_refunds: bool = True,
    refund_age: timedelta | None = None,
    repeats_for: timedelta = timedelta(hours=23),
    arn: bool = False,
    asynchronous: bool = False,
    bank_detail_refunds: bool = False,
    lists: bool = True,
) -> Abilities:
    return Abilities(
        captures, partial_refunds, refund_age, repeats_for, arn, asynchronous, bank_detail_refunds,
        lists,
    )  # fmt: skip


def test_what_is_said_is_what_it_can() -> None:
    assert in_words(abilities()) == [
        "Captures a payment once, in part or whole; the rest is released",
        "Refunds in part or whole",
        "Keeps a request's key for 23 hours: a repeat does nothing twice",
    ]
    other = abilities(
        captures=Captures.MULTIPLE,
        partial_refunds=False,
        refund_age=timedelta(days=180),
        repeats_for=timedelta(),
        arn=True,
        asynchronous=True,
        bank_detail_refunds=True,
        lists=False,
    )
    assert in_words(other) == [
        "Captures a payment in several parts",
        "Refunds only the whole",
        "Refunds a payment for 180 days after its capture",
        "Keeps no keys of refunds: before each repeat it is asked whether it knows the refund",
        "May say only later what became of a refund",
        "Tells the acquirer reference number (ARN)",
        "Pays to bank details of the shopper",
        "Lists no refunds: those made there are found by notification only",
    ]


def test_a_payment_is_too_old_from_the_moment_after_the_limit() -> None:
    limited = abilities(refund_age=timedelta(days=180))
    last = CAPTURED + timedelta(days=180)
    assert too_old(limited, CAPTURED, last) is None
    assert too_old(limited, CAPTURED, last + timedelta(seconds=1)) == (
        "refunds a payment for 180 days, and this one was captured 2026-01-01"
    )
    assert too_old(abilities(), CAPTURED, last + timedelta(days=9999)) is None


@pytest.mark.parametrize(
    ("captures", "once"),
    [
        (Captures.NONE, False),
        (Captures.FULL, True),
        (Captures.PARTIAL, True),
        (Captures.MULTIPLE, False),
    ],
)
def test_what_a_first_capture_leaves_is_gone_or_not(captures: Captures, once: bool) -> None:
    assert captured_once(abilities(captures=captures)) is once
