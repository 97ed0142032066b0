"""The shapes of orders, charges, sources and fulfilments on the wire, for the reference."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Struct, field

from refundry.domain.charge import ChargeState, OperationState
from refundry.domain.order import LineState, OrderState
from refundry.http.shapes import Made, Money, Shown, ShownMetadata, Time, about
from refundry.orders.body_schemas import NewFulfillment, NewOrder, OrderUpdate
from refundry.orders.examples import (
    EXAMPLE_CHARGE_ANSWER,
    EXAMPLE_FULFILLMENT,
    EXAMPLE_FULFILLMENT_ANSWER,
    EXAMPLE_ORDER,
    EXAMPLE_ORDER_ANSWER,
    EXAMPLE_SOURCE_ANSWER,
)

__all__ = [
    "EXAMPLE_FULFILLMENT",
    "EXAMPLE_ORDER",
    "Charge",
    "ChargeList",
    "Fulfillment",
    "FulfillmentList",
    "NewFulfillment",
    "NewOrder",
    "Order",
    "OrderList",
    "OrderUpdate",
    "Source",
]

_AS_SENT = "As it was sent."
_MORE = "Whether there are more in the direction of the page."
_LIVE = "Whether real money moves."
_FraudState = Literal["review_opened", "blocked", "passed"]


class Tax(Struct, rename="camel"):
    """The tax on a line's product."""

    amount: Annotated[Money, about("In major units.", 1.61)]
    rate: Annotated[Any, about(_AS_SENT, 0.08025)] = UNSET


class AmountOnly(Struct, rename="camel"):
    """An amount in major units."""

    amount: Annotated[Money, about("In major units.", 0.0)]


class Fees(Struct, rename="camel"):
    """The regulatory fees of a line."""

    amount: Annotated[Money, about("In major units.", 0.0)]
    tax_amount: Annotated[Money, about("The tax on them.", 0.0)]
    details: Annotated[Any, about(_AS_SENT)] = UNSET


class Shipping(Struct, rename="camel"):
    """What shipping costs. In `shippingChoice`, what else was sent stands beside."""

    amount: Annotated[Money, about("In major units.", 5.0)]
    tax_amount: Annotated[Money, about("The tax on it.", 0.4)]


class Item(Struct, rename="camel"):
    """A line of an order."""

    id: Annotated[str, about("Unique in the account.", "181629488650")]
    amount: Annotated[Money, about("Price of the whole line, net of discount, without tax.", 20.0)]
    quantity: Annotated[int, about("Units.", 2)]
    state: LineState
    state_transitions: Annotated[dict[str, Time], about("When it entered each state, by state.")]
    tax: Tax
    importer_tax: AmountOnly
    duties: AmountOnly
    fees: Fees
    shipping: Annotated[Shipping, about("Its share of `shippingChoice`.")]
    available_to_refund_amount: Annotated[
        Money, about("What of the product and its tax is captured and not refunded.", 10.8)
    ]
    sku_id: Annotated[Shown[str], about("The SKU, if it was sent.", "sku-tee")] = UNSET
    product_details: Annotated[
        Shown[dict[str, Any]],
        about("As it was sent; `physical` and `metadata` only with `expand=true`."),
    ] = UNSET
    discount: Annotated[Any, about(_AS_SENT)] = UNSET
    subscription_info: Annotated[Any, about(_AS_SENT)] = UNSET
    seller_tax_identifier: Annotated[Any, about(_AS_SENT)] = UNSET
    ship_from: Annotated[Any, about(_AS_SENT)] = UNSET
    metadata: Annotated[Shown[ShownMetadata], about("Left out while empty.")] = UNSET


class OrderRecord(Struct, rename="camel"):
    """A capture, cancel or refund as an order shows it."""

    created_time: Made
    amount: Annotated[Money, about("In major units.", 27.01)]
    state: OperationState
    id: Annotated[Shown[str], about("Not for refunds.")] = UNSET


class ChargeRecord(Struct, rename="camel"):
    """A capture, cancel or refund of a charge."""

    id: Annotated[str, about("Also the idempotency key at the processor.")]
    created_time: Made
    updated_time: Annotated[Time, about("When its state last changed.")]
    amount: Annotated[Money, about("In major units.", 27.01)]
    state: OperationState
    fulfillment_id: Annotated[
        Shown[str], about("The fulfillment that caused a capture or cancel.")
    ] = UNSET
    failure_code: Annotated[
        Shown[str], about("The processor's code of a failure.", "failed-request")
    ] = UNSET
    failure_message: Annotated[
        Shown[str], about("The processor's words on it.", "Failed to operate on charge")
    ] = UNSET


class OrderCharge(Struct, rename="camel"):
    """A charge as its order shows it."""

    id: Annotated[str, about("Unique in the account.")]
    created_time: Made
    currency: Annotated[str, about("The order's.", "USD")]
    amount: Annotated[Money, about("Never changes.", 27.01)]
    state: ChargeState
    captured: Annotated[bool, about("Whether it has any capture, in whatever state.")]
    refunded: Annotated[bool, about("Whether it has any refund, in whatever state.")]
    source_id: Annotated[str, about("The payment source that is charged.")]
    type: Annotated[str, about("Who set it off.", "customer_initiated")]
    captures: Annotated[Shown[list[OrderRecord]], about("Left out while empty.")] = UNSET
    cancels: Annotated[Shown[list[OrderRecord]], about("Left out while empty.")] = UNSET
    refunds: Annotated[Shown[list[OrderRecord]], about("Left out while empty.")] = UNSET


class Charge(Struct, rename="camel"):
    """The money taken from one payment source, and what became of it."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_CHARGE_ANSWER

    id: Annotated[str, about("Unique in the account.")]
    created_time: Made
    currency: Annotated[str, about("The order's.", "USD")]
    amount: Annotated[Money, about("Never changes.", 27.01)]
    state: ChargeState
    order_id: Annotated[str, about("The order.", "256469221483")]
    captured: Annotated[bool, about("Whether it has any capture, in whatever state.")]
    refunded: Annotated[bool, about("Whether it has any refund, in whatever state.")]
    source_id: Annotated[str, about("The payment source that is charged.")]
    payment_session_id: Annotated[str, about("That of the order's payment session.")]
    type: Annotated[str, about("Who set it off.", "customer_initiated")]
    live_mode: Annotated[bool, about(_LIVE)]
    captures: Annotated[Shown[list[ChargeRecord]], about("Left out while empty.")] = UNSET
    cancels: Annotated[Shown[list[ChargeRecord]], about("Left out while empty.")] = UNSET
    refunds: Annotated[Shown[list[ChargeRecord]], about("Left out while empty.")] = UNSET
    failure_code: Annotated[Shown[str], about("If the charge failed.", "failed-request")] = UNSET
    failure_message: Annotated[Shown[str], about("If the charge failed.")] = UNSET


class ChargeList(Struct, rename="camel"):
    """A page of charges, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_CHARGE_ANSWER]}

    has_more: Annotated[bool, about(_MORE)]
    data: Annotated[list[Charge], about("The charges of this page.")]


class OrderSource(Struct, rename="camel"):
    """A payment source of an order, with the object that its type names (`creditCard` ...)."""

    id: Annotated[str, about("As sent, or generated.")]
    type: Annotated[str, about("How it pays.", "creditCard")]
    amount: Annotated[Money, about("What it pays of the order.", 27.01)]
    owner: Annotated[Shown[dict[str, Any]], about("Who pays, as sent.")] = UNSET
    upstream_id: Annotated[Any, about(_AS_SENT)] = UNSET
    credit_card: Annotated[
        Shown[dict[str, Any]],
        about("Brand, last four digits and what was sent but the number."),
    ] = UNSET


class Source(Struct, rename="camel"):
    """A payment source, with the object that its type names (`creditCard` ...)."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_SOURCE_ANSWER

    id: Annotated[str, about("As sent, or generated.")]
    created_time: Made
    type: Annotated[str, about("How it pays.", "creditCard")]
    amount: Annotated[Money, about("What it pays of the order.", 27.01)]
    reusable: Annotated[bool, about("Always `false`.")]
    state: Annotated[Literal["consumed"], about("Always `consumed`.")]
    flow: Annotated[
        Literal["standard", "redirect", "receiver"],
        about("How the shopper pays with it; `receiver` needs bank details for a refund."),
    ]
    live_mode: Annotated[bool, about(_LIVE)]
    owner: Annotated[Shown[dict[str, Any]], about("Who pays, as sent.")] = UNSET
    upstream_id: Annotated[Any, about(_AS_SENT)] = UNSET
    credit_card: Annotated[
        Shown[dict[str, Any]],
        about("Brand, last four digits and what was sent but the number."),
    ] = UNSET


class Session(Struct, rename="camel"):
    """The payment session of an order."""

    id: Annotated[str, about("A UUID.")]
    amount_contributed: Annotated[Money, about("The order's total.", 27.01)]
    amount_remaining_to_be_contributed: Annotated[Money, about("Always 0.0.", 0.0)]
    state: Annotated[Literal["complete"], about("Always `complete`.")]
    client_secret: Annotated[str, about("There for compatibility.")]


class Payment(Struct, rename="camel"):
    """How an order is paid."""

    charges: Annotated[list[OrderCharge], about("One per source.")]
    sources: Annotated[list[OrderSource], about("What pays.")]
    session: Session


class FraudTimes(Struct):
    """When an order passed through the fraud check."""

    review_opened: Annotated[Shown[Time], about("A review was opened.")] = UNSET
    blocked: Annotated[Shown[Time], about("It was blocked.")] = UNSET
    passed: Annotated[Shown[Time], about("It passed.")] = UNSET


class OrderDetails(Struct, rename="camel"):
    """An order without its payment."""

    id: Annotated[str, about("As sent, or twelve digits.", "256469221483")]
    created_time: Made
    updated_time: Annotated[
        Time, about("Of the last change of the order, its charges or its refunds.")
    ]
    version: Annotated[int, about("Grows by one with every change that is published.", 1)]
    currency: Annotated[str, about("An ISO 4217 code.", "USD")]
    total_amount: Annotated[Money, about("The sum of everything.", 27.01)]
    subtotal: Annotated[Money, about("`totalAmount` without `totalTax`.", 25.0)]
    total_fees: Annotated[Money, about("Regulatory fees.", 0.0)]
    total_tax: Annotated[Money, about("Taxes on products, shipping and fees.", 2.01)]
    total_importer_tax: Annotated[Money, about("Importer taxes.", 0.0)]
    total_duty: Annotated[Money, about("Duties.", 0.0)]
    total_discount: Annotated[
        Any, about("As it was sent, else 0.0. The lines' amounts are net of it.", 0.0)
    ]
    total_shipping: Annotated[Money, about("Shipping without its tax.", 5.0)]
    items: Annotated[list[Item], about("The lines, as they were sent.")]
    state: OrderState
    state_transitions: Annotated[
        dict[str, Time], about("When it last entered each state, by state.")
    ]
    request_to_be_forgotten: Annotated[bool, about("Whether the shopper asked for deletion.")]
    captured_amount: Annotated[Money, about("Really taken so far.", 27.01)]
    cancelled_amount: Annotated[Money, about("Given up so far.", 0.0)]
    refunded_amount: Annotated[Money, about("Paid back, chargebacks included.", 13.51)]
    available_to_refund_amount: Annotated[
        Money, about("What is captured and neither refunded nor asked for.", 13.5)
    ]
    live_mode: Annotated[bool, about(_LIVE)]
    email: Annotated[Shown[str], about("The shopper's.")] = UNSET
    shipping_choice: Shown[Shipping] = UNSET
    upstream_id: Annotated[Shown[str], about("The order's number in the shop.")] = UNSET
    invoice_id: Annotated[Shown[str], about("A refund may name the order by it.")] = UNSET
    locale: Annotated[Shown[str], about(_AS_SENT, "en_US")] = UNSET
    customer_id: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    checkout_id: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    application_id: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    browser_ip: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    customer_type: Annotated[Shown[Literal["individual", "business"]], about(_AS_SENT)] = UNSET
    importer_of_record_tax: Annotated[
        Shown[bool], about("`true` where importer tax is due or it was sent so.")
    ] = UNSET
    fraud_state: Annotated[Shown[_FraudState], about("What the fraud check says.")] = UNSET
    fraud_state_transitions: Shown[FraudTimes] = UNSET
    over_refunded: Annotated[
        Shown[bool],
        about("`true` where the bank took what a refund under way then paid back as well."),
    ] = UNSET
    metadata: Annotated[Shown[ShownMetadata], about("Left out while empty.")] = UNSET
    ship_to: Annotated[Any, about(_AS_SENT)] = UNSET
    ship_from: Annotated[Any, about(_AS_SENT)] = UNSET
    bill_to: Annotated[Any, about(_AS_SENT)] = UNSET
    organization: Annotated[Any, about(_AS_SENT)] = UNSET
    purchase_location: Annotated[Any, about(_AS_SENT)] = UNSET
    selling_entity: Annotated[Any, about(_AS_SENT)] = UNSET
    tax_identifiers: Annotated[Any, about(_AS_SENT)] = UNSET
    disclosures: Annotated[Any, about(_AS_SENT)] = UNSET
    invoice_pdfs: Annotated[Any, about(_AS_SENT)] = field(default=UNSET, name="invoicePDFs")
    credit_memo_pdfs: Annotated[Any, about(_AS_SENT)] = field(default=UNSET, name="creditMemoPDFs")
    discount: Annotated[Any, about(_AS_SENT)] = UNSET


class Order(OrderDetails, rename="camel", kw_only=True):
    """An order: what was bought, how it is paid, what was captured and what can be refunded."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_ORDER_ANSWER

    payment: Payment


class OrderList(Struct, rename="camel"):
    """A page of orders, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_ORDER_ANSWER]}

    has_more: Annotated[bool, about(_MORE)]
    data: Annotated[list[Order], about("The orders of this page.")]


class FulfilledItem(Struct, rename="camel"):
    """Units of one line, shipped or given up."""

    item_id: Annotated[str, about("The line's id.", "181629488650")]
    quantity: Annotated[int, about("Units shipped.", 2)]
    cancel_quantity: Annotated[int, about("Units given up.", 0)]
    sku_id: Annotated[Shown[str], about("The line's SKU, if it has one.", "sku-tee")] = UNSET
    shipment_item_id: Annotated[Shown[str], about(_AS_SENT)] = UNSET


class Fulfillment(Struct, rename="camel"):
    """Units of an order that were shipped or are given up."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_FULFILLMENT_ANSWER

    id: Annotated[str, about("`ful_` and a UUID.")]
    created_time: Made
    order_id: Annotated[str, about("The order.", "256469221483")]
    items: Annotated[list[FulfilledItem], about("The lines concerned.")]
    live_mode: Annotated[bool, about(_LIVE)]
    shipment_id: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    tracking_company: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    tracking_number: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    tracking_url: Annotated[Shown[str], about(_AS_SENT)] = UNSET
    metadata: Annotated[Shown[ShownMetadata], about("Left out while empty.")] = UNSET
    charge_operation_ids: Annotated[
        Shown[list[str]], about("Its captures and cancels; not in the answer that creates it.")
    ] = UNSET
    order_details: Annotated[
        Shown[OrderDetails],
        about("The order without payment; not in the answer that creates it."),
    ] = UNSET


class FulfillmentList(Struct, rename="camel"):
    """A page of fulfillments, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "hasMore": False,
        "data": [
            EXAMPLE_FULFILLMENT_ANSWER
            | {"chargeOperationIds": ["f40b7452-9a7b-438f-8502-a9a2e5e8bf9a"]}
        ],
    }

    has_more: Annotated[bool, about(_MORE)]
    data: Annotated[list[Fulfillment], about("The fulfillments of this page.")]
