"""The shapes of what processors tell and of the sandbox's clock, as the reference shows them."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct

from refundry.domain import refusal as no
from refundry.errors import FieldProblem
from refundry.http.shapes import (
    PositiveAmount,
    Sent,
    Text,
    Time,
    Timestamp,
    about,
    decimal,
    given,
    text,
)

_TEN_YEARS = 10 * 366 * 24 * 3600


class NotificationData(Struct, rename="camel", forbid_unknown_fields=True):
    """What a notification is about: an operation, or a dispute."""

    operation_id: Annotated[
        Sent[Text], about("The operation, as it was named to the processor.")
    ] = UNSET
    processor_reference: Annotated[Sent[Text], about("The processor's id of the dispute.")] = UNSET
    charge_id: Annotated[Sent[Text], about("For `dispute.opened`: the disputed charge.")] = UNSET
    amount: Annotated[
        Sent[PositiveAmount],
        about("What is disputed, or for `dispute.lost` what the bank took; major units."),
    ] = UNSET
    reason: Annotated[Sent[Text], about("For `dispute.opened`: the bank's reason.")] = UNSET
    fraud: Annotated[Sent[bool], about("For `dispute.lost`: whether the bank calls it fraud.")] = (
        UNSET
    )
    code: Annotated[Sent[Text], about("The processor's code of a failure.")] = UNSET
    message: Annotated[
        Sent[Annotated[str, text(500)]], about("The processor's words on a failure.")
    ] = UNSET
    failure_reason: Annotated[
        Sent[Text], about("Why a refund failed, in Refundry's words.", "account_closed")
    ] = UNSET


_MEMBERS = (
    "operationId", "code", "message", "failureReason", "processorReference", "chargeId", "amount",
    "reason", "fraud",
)  # fmt: skip


def _about(types: list[str], required: list[str], allowed: list[str]) -> dict[str, Any]:
    """The rule of some types: what their data must hold, and what it may hold besides."""
    others = [name for name in _MEMBERS if name not in (*required, *allowed)]
    data = {
        "allOf": [given(name) for name in required],
        "not": {"anyOf": [given(name) for name in others]},
    }
    return {"properties": {"type": {"enum": types}, "data": data}}


_OUTCOMES = [
    "capture.complete", "capture.failed", "cancel.complete", "cancel.failed", "refund.complete",
    "refund.failed", "refund.pending_information",
]  # fmt: skip


class Notification(Struct, rename="camel", forbid_unknown_fields=True):
    """What became of an operation, or of a dispute, at the processor."""

    RULES: ClassVar[dict[str, Any]] = {
        "anyOf": [
            _about(_OUTCOMES, ["operationId"], ["code", "message", "failureReason"]),
            _about(["dispute.opened"], ["processorReference", "chargeId", "amount"], ["reason"]),
            _about(["dispute.won"], ["processorReference"], []),
            _about(["dispute.lost"], ["processorReference", "amount", "fraud"], []),
        ]
    }

    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "type", "'refund.maybe' is not a valid type."),
    )
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "id": "ntf_20240501_000481",
        "type": "refund.complete",
        "occurredTime": "2024-05-01T09:58:30Z",
        "data": {"operationId": "c4fb3aed-fdf6-484a-928b-722c23e6f9c0"},
    }

    id: Annotated[Text, about("The processor's id of it; applied once.", "ntf_20240501_000481")]
    type: Annotated[
        Literal[
            "capture.complete",
            "capture.failed",
            "cancel.complete",
            "cancel.failed",
            "refund.complete",
            "refund.failed",
            "refund.pending_information",
            "dispute.opened",
            "dispute.won",
            "dispute.lost",
        ],
        about("What happened.", "refund.complete"),
    ]
    data: NotificationData
    occurred_time: Annotated[Sent[Timestamp], about("When it happened.")] = UNSET


class NotificationReceived(Struct, rename="camel"):
    """Thanks to the processor."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"received": True, "duplicate": False}

    received: Annotated[bool, about("Always `true`.")]
    duplicate: Annotated[bool, about("Whether it came before; a repeat has no effect.")]


class ClockAdvance(Struct, rename="camel", forbid_unknown_fields=True):
    """How far to move the test clock."""

    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "seconds", "'-1' is not a valid seconds."),
    )
    seconds: Annotated[
        Annotated[float, decimal(_TEN_YEARS)],
        Meta(description="At most ten years; 0 only runs what is due.", examples=[60]),
    ]


class ClockNow(Struct, rename="camel"):
    """The test clock after the step."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"now": "2024-05-01T10:00:00Z"}

    now: Annotated[Time, about("The account's test time.")]


class AnotherWay(Struct, rename="camel", forbid_unknown_fields=True):
    """How a refund that failed is to be paid, and why."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"way": "bank_transfer", "reason": "The card is closed."}
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "way", "'cheque' is not a valid way."),
        FieldProblem("missing_parameter", "reason", "A parameter is missing."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.RefundDuringDispute(),
        no.AmountUnavailable(),
        no.RefundNotFailed("re_5280a62e-a527-405b-a76e-0e59d192bf1b"),
        no.RefundReplaced(
            "re_5280a62e-a527-405b-a76e-0e59d192bf1b", "re_2f3c0d0e-6c5b-4a55-9d0f-0a8f3f7f1c11"
        ),
        no.RefundPaidAfterAll("re_5280a62e-a527-405b-a76e-0e59d192bf1b"),
        no.ApprovalRequired(),
        no.ConcurrentUpdate(),
    )

    way: Annotated[
        Literal["retry", "bank_transfer", "store_credit", "by_hand"],
        about("How it is paid.", "bank_transfer"),
    ]
    reason: Annotated[
        Annotated[str, text(500)], about("Why; kept with the key's name.", "The card is closed.")
    ]
