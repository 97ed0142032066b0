"""The shapes of refunds on the wire, as the reference shows them."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct

from refundry.domain import refusal as no
from refundry.domain.charge import OperationState
from refundry.domain.refund import RefundState, RefundType
from refundry.errors import FieldProblem
from refundry.http.shapes import (
    Made,
    Metadata,
    Money,
    Percent,
    PositiveAmount,
    Sent,
    Shown,
    ShownMetadata,
    Text,
    Time,
    about,
    given,
    text,
    whole,
)

EXAMPLE_REFUND: dict[str, Any] = {
    "orderId": "248133597195",
    "currency": "USD",
    "percent": 50,
    "reason": "requested_by_customer",
}
EXAMPLE_REFUND_ANSWER: dict[str, Any] = {
    "id": "re_5280a62e-a527-405b-a76e-0e59d192bf1b",
    "amount": 13.51,
    "createdTime": "2024-05-01T09:58:12Z",
    "currency": "USD",
    "items": [],
    "orderId": "248133597195",
    "reason": "requested_by_customer",
    "refundedAmount": 0.0,
    "state": "pending",
    "liveMode": False,
}
EXAMPLE_REFUNDED: dict[str, Any] = EXAMPLE_REFUND_ANSWER | {
    "refundedAmount": 13.51,
    "state": "succeeded",
    "charges": [
        {
            "id": "676f8ef5-18ce-4539-a5eb-0297b2e93857",
            "captured": True,
            "refunded": True,
            "refunds": [
                {"createdTime": "2024-05-01T09:58:13Z", "amount": 13.51, "state": "complete"}
            ],
            "sourceId": "ac23cb34-d50c-49c3-aed1-04fc8d4d528a",
        }
    ],
}
_ITEMS = given("items", {"type": "array", "minItems": 1})
PayoutWay = Literal["bank_transfer", "store_credit", "by_hand"]
_ITEM_TYPE = Literal["shipping", "duty", "fees"]


class NewRefundItem(Struct, rename="camel", forbid_unknown_fields=True):
    """What to refund of one line of the order."""

    RULES: ClassVar[dict[str, Any]] = {
        "anyOf": [given("itemId"), given("skuId")],
        "oneOf": [given("amount"), given("percent")],
    }

    item_id: Annotated[
        Sent[Text], about("The line's id. Required unless `skuId` is given.", "186557576856")
    ] = UNSET
    sku_id: Annotated[
        Sent[Text], about("The line's SKU, which must stand on one line only.", "sku-tee")
    ] = UNSET
    quantity: Annotated[
        Sent[Annotated[int, whole(1, 10**9)]],
        about("Units, from 1 to the ordered quantity, which is the default.", 2),
    ] = UNSET
    amount: Annotated[
        Sent[PositiveAmount],
        about(
            "Amount in major units, exact to the currency's minor unit: of the whole element, or"
            " of one unit if the key says so. This or `percent`.",
            21.61,
        ),
    ] = UNSET
    percent: Annotated[
        Sent[Percent],
        about("Share of the line's units in question, 0.01 to 100. This or `amount`.", 50),
    ] = UNSET
    type: Annotated[
        Sent[_ITEM_TYPE],
        about("What of the line to refund; without it, the product and its tax.", "shipping"),
    ] = UNSET


class NewRefund(Struct, rename="camel", forbid_unknown_fields=True):
    """A refund asked for: of an order as a whole, or of some of its lines."""

    RULES: ClassVar[dict[str, Any]] = {
        "anyOf": [given("orderId"), given("invoiceId")],
        "oneOf": [given("amount"), given("percent"), _ITEMS],
        "not": {"allOf": [given("type"), _ITEMS]},
    }
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "amount", "'-5' is not a valid amount."),
        FieldProblem(
            "invalid_parameter", "percent", "The value must be between 0.01 and 100.00 inclusive."
        ),
        FieldProblem(
            "invalid_parameter", "items", "Only one of amount, percent and items may be provided."
        ),
        FieldProblem(
            "invalid_parameter",
            "items[0].percent",
            "Only one of amount and percent may be provided.",
        ),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.OrderUnknown("248133597195"),
        no.InvoiceUnknown("INV-2024-118"),
        no.RefundDuringDispute(),
        no.CurrencyNotSupported("EUR"),
        no.ItemUnknown("items[0].itemId", "186557576856"),
        no.SkuAmbiguous("items[0].skuId", "sku-tee"),
        no.QuantityAboveOrder("items[0].quantity"),
        no.OnlyFullTax(),
        no.BelowSmallestAmount(),
        no.AmountUnavailable(),
        no.ConcurrentUpdate(),
    )

    currency: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z]{3}$",
            description="The order's currency, an ISO 4217 code.",
            examples=["USD"],
        ),
    ]
    order_id: Annotated[
        Sent[Text],
        about("The order. Required unless `invoiceId` is given.", "248133597195"),
    ] = UNSET
    invoice_id: Annotated[
        Sent[Text], about("The order's invoice, in place of `orderId`.", "INV-2024-118")
    ] = UNSET
    amount: Annotated[
        Sent[PositiveAmount],
        about(
            "Amount in major units, exact to the currency's minor unit. Exactly one of `amount`,"
            " `percent` and `items` is given.",
            13.51,
        ),
    ] = UNSET
    percent: Annotated[
        Sent[Percent],
        about("Share of what is still available, 0.01 to 100; 100 takes all of it.", 50),
    ] = UNSET
    type: Annotated[
        Sent[RefundType],
        about(
            "What to refund; without it, everything but regulatory fees. Not with `items`. `tax`"
            " and `importer_tax` are refunded in full only.",
            "shipping",
        ),
    ] = UNSET
    items: Annotated[
        Sent[Annotated[list[NewRefundItem], Meta(max_length=500)]],
        about("Lines of the order, each at most once per `type`; an empty list counts as absent."),
    ] = UNSET
    reason: Annotated[
        Sent[Annotated[str, text(64)]],
        about("Why, in your words.", "requested_by_customer"),
    ] = UNSET
    metadata: Annotated[
        Sent[Metadata], about("Your own data: text, numbers and booleans by key.")
    ] = UNSET


class RefundUpdate(Struct, rename="camel", forbid_unknown_fields=True):
    """The only part of a refund that can be changed."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"metadata": {"ticket": "CS-881"}}
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "metadata.tags", "'[]' is not a valid metadata.tags."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (no.ConcurrentUpdate(),)

    metadata: Annotated[
        Sent[Metadata],
        about("Merged key by key; null removes a key, or all of them in place of the object."),
    ] = UNSET


class RefundItem(Struct, rename="camel"):
    """What a refund takes of one line."""

    item_id: Annotated[str, about("The line's id.", "186557576856")]
    quantity: Annotated[int, about("Units asked for; the ordered quantity by default.", 2)]
    amount: Annotated[Money, about("Requested for the whole element.", 21.61)]
    refunded_amount: Annotated[Money, about("Really reimbursed; 0.0 until success.", 0.0)]
    sku_id: Annotated[Shown[str], about("The line's SKU, if it has one.", "sku-tee")] = UNSET
    type: Annotated[Shown[_ITEM_TYPE], about("As requested.", "fees")] = UNSET


class RefundRecord(Struct, rename="camel"):
    """What one charge was asked to pay back for a refund."""

    created_time: Made
    amount: Annotated[Money, about("This charge's share.", 13.51)]
    state: OperationState


class RefundCharge(Struct, rename="camel"):
    """A charge that a refund touches, with this refund's records only."""

    id: Annotated[str, about("The charge.")]
    captured: Annotated[bool, about("Whether it has any capture.")]
    refunded: Annotated[bool, about("Whether it has any refund.")]
    refunds: Annotated[list[RefundRecord], about("Their states and amounts.")]
    source_id: Annotated[str, about("The payment source that was charged.")]


class TokenInformation(Struct, rename="camel"):
    """What the shopper needs to hand in bank details."""

    token: Annotated[str, about("For the operations on refund tokens.")]
    expires_time: Annotated[Time, about("The refund expires then.")]


class Refund(Struct, rename="camel"):
    """Money on its way back to a shopper."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_REFUNDED

    id: Annotated[str, about("`re_` and a UUID.", "re_5280a62e-a527-405b-a76e-0e59d192bf1b")]
    created_time: Made
    order_id: Annotated[str, about("The order.", "248133597195")]
    currency: Annotated[str, about("The order's currency.", "USD")]
    items: Annotated[list[RefundItem], about("Empty for a refund of the order; else as requested.")]
    refunded_amount: Annotated[
        Money, about("What was really reimbursed; 0.0 unless `state` is `succeeded`.", 0.0)
    ]
    state: RefundState
    live_mode: Annotated[bool, about("Whether real money moves.")]
    amount: Annotated[
        Shown[Money],
        about("Requested amount, computed if `percent` was sent. Not with items.", 13.51),
    ] = UNSET
    type: Annotated[Shown[RefundType], about("As requested.", "shipping")] = UNSET
    invoice_id: Annotated[Shown[str], about("The order's invoice, if it has one.")] = UNSET
    reason: Annotated[Shown[str], about("As requested.")] = UNSET
    token_information: Annotated[
        Shown[TokenInformation], about("Only in state `pending_information`.")
    ] = UNSET
    expires_time: Annotated[
        Shown[Time], about("When the token expires; only in `pending_information`.")
    ] = UNSET
    failure_reason: Annotated[
        Shown[str],
        about(
            "Why it failed, expired or was paid only in part: `expired_or_canceled_card`,"
            " `lost_or_stolen_card`, `account_closed`, `account_frozen`, `insufficient_funds`,"
            " `declined`, `invalid_bank_details`, `information_not_provided`,"
            " `partially_refunded` or `unknown`; more may come.",
            "declined",
        ),
    ] = UNSET
    charges: Annotated[
        Shown[list[RefundCharge]], about("The charges it touches, once it was submitted.")
    ] = UNSET
    metadata: Annotated[Shown[ShownMetadata], about("Left out while empty.")] = UNSET
    needs_attention: Annotated[
        Shown[bool],
        about(
            "`true` where its outcome stays unknown, or it may be paid twice, and an operator"
            " must look."
        ),
    ] = UNSET
    replaces: Annotated[
        Shown[str], about("The refund that failed and in whose place this one was made.")
    ] = UNSET
    payout_way: Annotated[
        Shown[PayoutWay],
        about("How it is paid, if not through the payment that it pays back.", "bank_transfer"),
    ] = UNSET


class RefundList(Struct, rename="camel"):
    """A page of refunds, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_REFUNDED]}

    has_more: Annotated[bool, about("Whether there are more in the direction of the page.")]
    data: Annotated[list[Refund], about("The refunds of this page.")]
