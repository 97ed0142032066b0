"""The shapes of disputes and sales transactions on the wire, as the reference shows them."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Struct

from refundry.domain import refusal as no
from refundry.domain.dispute import DisputeState
from refundry.errors import FieldProblem
from refundry.http.shapes import (
    Made,
    Money,
    PositiveAmount,
    Sent,
    Shown,
    ShownMetadata,
    Text,
    Time,
    about,
    given,
)

EXAMPLE_DISPUTE: dict[str, Any] = {
    "id": "dp_0f4f1d86-5d8b-4f0e-9d6a-6c5c41d3d0aa",
    "createdTime": "2024-05-07T08:30:00Z",
    "orderId": "253346090907",
    "chargeId": "201bc772-15bc-4e4f-b07f-0feb0e674f74",
    "currency": "USD",
    "amount": 27.01,
    "reason": "fraudulent",
    "state": "lost",
    "resolvedTime": "2024-05-09T15:00:03Z",
    "chargebackAmount": 10.0,
    "fraud": True,
    "salesTransactionIds": ["st_f5f7d07a-978c-4ab9-a5ae-747421695eec"],
    "liveMode": False,
}
EXAMPLE_SALES_TRANSACTION: dict[str, Any] = {
    "id": "st_f5f7d07a-978c-4ab9-a5ae-747421695eec",
    "createdTime": "2024-05-09T15:00:03Z",
    "updatedTime": "2024-05-09T15:00:03Z",
    "saleTime": "2024-05-09T15:00:03Z",
    "currency": "USD",
    "amount": -10.0,
    "type": "fraud_chargeback",
    "orderId": "253346090907",
    "orderUpstreamId": "WEB-100501",
    "skuId": "sku-tee",
    "quantity": 2,
    "lineItemId": "176417286565",
    "payoutAmounts": {
        "currency": "USD",
        "exchangeRate": 1.0,
        "amount": -10.0,
        "tax": -0.75,
        "shipping": -1.85,
        "regulatoryFees": 0.0,
        "landedCost": 0.0,
        "productPrice": -7.4,
        "digitalRiverShare": 0.0,
        "distributorShare": 0.0,
        "transactionFees": 0.0,
        "shippingDiscount": 0.0,
        "regulatoryFeeDiscount": 0.0,
        "remitShipping": 0.0,
        "remitLandedCost": 0.0,
        "payoutAmount": -10.0,
        "storeCredit": 0.0,
    },
    "payerId": "seller",
    "payerName": "Example Seller Inc.",
    "payeeId": "merchant",
    "payeeName": "Example Merchant",
    "shipToCountry": "US",
    "billToCountry": "US",
    "paymentType": "creditCard",
    "orderMetadata": {},
    "lineItemMetadata": {},
    "liveMode": False,
}
_ZERO = "Always 0.0."


class NewDispute(Struct, rename="camel", forbid_unknown_fields=True):
    """A dispute that the bank has opened."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"amount": 27.01, "reason": "fraudulent"}
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "amount", "'-5' is not a valid amount."),
        FieldProblem("invalid_parameter", "chargeId", "'ch_9' is not a valid chargeId."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.ChargeInDispute("253346090907"),
        no.NotDisputable("cancelled"),
        no.ConcurrentUpdate(),
    )

    charge_id: Annotated[Sent[Text], about("The disputed charge; the primary one by default.")] = (
        UNSET
    )
    amount: Annotated[
        Sent[PositiveAmount],
        about("What is disputed; by default what the charge took and has not paid back.", 27.01),
    ] = UNSET
    reason: Annotated[Sent[Text], about("The bank's reason.", "fraudulent")] = UNSET
    processor_reference: Annotated[
        Sent[Text], about("The processor's id of the dispute, by which notifications find it.")
    ] = UNSET


class DisputeResolution(Struct, rename="camel", forbid_unknown_fields=True):
    """How a dispute ended."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"outcome": "lost", "amount": 10.0, "fraud": True}
    RULES: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {
                **given("outcome", {"const": "won"}),
                "not": {"anyOf": [given("amount"), given("fraud")]},
            },
            {"allOf": [given("outcome", {"const": "lost"}), given("fraud")]},
        ]
    }
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("missing_parameter", "fraud", "A parameter is missing."),
        FieldProblem("invalid_parameter", "amount", "'27.02' is not a valid amount."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.DisputeClosed("dp_0f4f1d86-5d8b-4f0e-9d6a-6c5c41d3d0aa"),
        no.ConcurrentUpdate(),
    )

    outcome: Annotated[Literal["won", "lost"], about("Who won, the merchant or the shopper.")]
    amount: Annotated[
        Sent[PositiveAmount],
        about("For `lost`: what the bank took; by default all that is left of what is disputed."),
    ] = UNSET
    fraud: Annotated[
        Sent[bool], about("For `lost`, required: whether the bank calls it fraud.")
    ] = UNSET


class Dispute(Struct, rename="camel"):
    """The bank's case on a charge."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_DISPUTE

    id: Annotated[str, about("`dp_` and a UUID.")]
    created_time: Made
    order_id: Annotated[str, about("The order.", "253346090907")]
    charge_id: Annotated[str, about("The disputed charge.")]
    currency: Annotated[str, about("The order's currency.", "USD")]
    amount: Annotated[Money, about("What is disputed.", 27.01)]
    state: DisputeState
    live_mode: Annotated[bool, about("Whether real money moves.")]
    reason: Annotated[Shown[str], about("The bank's reason.", "fraudulent")] = UNSET
    resolved_time: Annotated[Shown[Time], about("When it ended.")] = UNSET
    chargeback_amount: Annotated[Shown[Money], about("What the bank took; if lost.", 10.0)] = UNSET
    fraud: Annotated[Shown[bool], about("Whether the bank calls it fraud; if lost.")] = UNSET
    sales_transaction_ids: Annotated[
        Shown[list[str]], about("The sales transactions of its chargeback.")
    ] = UNSET
    processor_reference: Annotated[Shown[str], about("The processor's id of it.")] = UNSET


class DisputeList(Struct, rename="camel"):
    """A page of disputes, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_DISPUTE]}

    has_more: Annotated[bool, about("Whether there are more in the direction of the page.")]
    data: Annotated[list[Dispute], about("The disputes of this page.")]


class PayoutAmounts(Struct, rename="camel"):
    """What a sales transaction is made of; each figure negative or 0.0."""

    currency: Annotated[str, about("The order's currency.", "USD")]
    exchange_rate: Annotated[float, about("Always 1.0.", 1.0)]
    amount: Annotated[Money, about("The whole.", -10.0)]
    tax: Annotated[Money, about("Tax on product, shipping and fees.", -0.75)]
    shipping: Annotated[Money, about("Shipping.", -1.85)]
    regulatory_fees: Annotated[Money, about("Regulatory fees.", 0.0)]
    landed_cost: Annotated[Money, about("Duty and importer tax.", 0.0)]
    product_price: Annotated[Money, about("The product.", -7.4)]
    digital_river_share: Annotated[Money, about(_ZERO)]
    distributor_share: Annotated[Money, about(_ZERO)]
    transaction_fees: Annotated[Money, about(_ZERO)]
    shipping_discount: Annotated[Money, about(_ZERO)]
    regulatory_fee_discount: Annotated[Money, about(_ZERO)]
    remit_shipping: Annotated[Money, about(_ZERO)]
    remit_landed_cost: Annotated[Money, about(_ZERO)]
    payout_amount: Annotated[Money, about("The whole.", -10.0)]
    store_credit: Annotated[Money, about(_ZERO)]


class SalesTransaction(Struct, rename="camel"):
    """What a chargeback took of one line of an order."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_SALES_TRANSACTION

    id: Annotated[str, about("`st_` and a UUID.")]
    created_time: Made
    updated_time: Annotated[Time, about("When it was made.")]
    sale_time: Annotated[Time, about("When it was made.")]
    currency: Annotated[str, about("The order's currency.", "USD")]
    amount: Annotated[Money, about("Negative: what was taken of the line.", -10.0)]
    type: Annotated[
        Literal["fraud_chargeback", "non_fraud_chargeback"], about("By the bank's word.")
    ]
    order_id: Annotated[str, about("The order.", "253346090907")]
    quantity: Annotated[int, about("The ordered quantity of the line.", 2)]
    line_item_id: Annotated[str, about("The line.", "176417286565")]
    payout_amounts: PayoutAmounts
    payer_id: Annotated[Any, about("The selling entity, or the account.")]
    payer_name: Annotated[Any, about("Its name.")]
    payee_id: Annotated[str, about("The account.")]
    payee_name: Annotated[str, about("Its name.")]
    payment_type: Annotated[str, about("The type of the charged source.", "creditCard")]
    order_metadata: Annotated[ShownMetadata, about("The order's metadata.")]
    line_item_metadata: Annotated[ShownMetadata, about("The line's metadata.")]
    live_mode: Annotated[bool, about("Whether real money moved.")]
    order_upstream_id: Annotated[Shown[str], about("Your id of the order.")] = UNSET
    sku_id: Annotated[Shown[str], about("The line's SKU.", "sku-tee")] = UNSET
    sku_tax_code: Annotated[Shown[Any], about("The product's tax code, if it came along.")] = UNSET
    ship_from_country: Annotated[Shown[Any], about("From the order.", "US")] = UNSET
    ship_to_country: Annotated[Shown[Any], about("From the order.", "US")] = UNSET
    bill_to_country: Annotated[Shown[Any], about("From the order.", "US")] = UNSET


class SalesTransactionList(Struct, rename="camel"):
    """A page of sales transactions, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_SALES_TRANSACTION]}

    has_more: Annotated[bool, about("Whether there are more in the direction of the page.")]
    data: Annotated[list[SalesTransaction], about("The sales transactions of this page.")]
