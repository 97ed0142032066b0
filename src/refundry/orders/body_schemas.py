"""The shapes of the bodies that orders and fulfilments are made from."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, field

from refundry.domain import refusal as no
from refundry.domain.money import known_currencies
from refundry.domain.order import LineState
from refundry.errors import FieldProblem
from refundry.http.shapes import (
    Amount,
    Id,
    Metadata,
    PositiveAmount,
    Sent,
    Text,
    Timestamp,
    about,
    above_zero,
    given,
    text,
    whole,
)
from refundry.processors.sandbox import CARDS

_MOST_UNITS = 1_000_000
_PASSED_ON = "Kept and returned as sent."
_PAST = "Not in the future."
_Tracking = Annotated[str, text(2048)]
_Units = Annotated[int, whole(0, _MOST_UNITS)]
_Currency = Annotated[str, Meta(extra_json_schema={"enum": [c.code for c in known_currencies()]})]
_CardNumber = Annotated[str, Meta(extra_json_schema={"enum": sorted(CARDS)})]
_FraudState = Literal["review_opened", "blocked", "passed"]
_CustomerType = Literal["individual", "business"]
_IngestedState = Literal[
    "accepted", "pending_payment", "in_review", "blocked", "fulfilled", "complete", "returned"
]


class NewAmount(Struct, rename="camel"):
    """An amount in major units."""

    amount: Annotated[Sent[Amount], about("0 by default.", 0)] = UNSET


class NewTax(Struct, rename="camel"):
    """The tax on a line's product."""

    amount: Annotated[Sent[Amount], about("In major units; 0 by default.", 1.61)] = UNSET
    rate: Annotated[Any, about(_PASSED_ON, 0.08025)] = UNSET


class NewFees(Struct, rename="camel"):
    """The regulatory fees of a line."""

    amount: Annotated[Sent[Amount], about("In major units; 0 by default.", 16)] = UNSET
    tax_amount: Annotated[Sent[Amount], about("The tax on them.", 1.2)] = UNSET
    details: Annotated[Any, about(_PASSED_ON)] = UNSET


class NewShipping(Struct, rename="camel"):
    """What shipping costs; everything else in it is kept as sent."""

    amount: Annotated[Sent[Amount], about("In major units; 0 by default.", 5)] = UNSET
    tax_amount: Annotated[Sent[Amount], about("The tax on it.", 0.4)] = UNSET


class NewItem(Struct, rename="camel"):
    """A line of an order."""

    RULES: ClassVar[dict[str, Any]] = {"anyOf": [given("skuId"), given("productDetails")]}

    amount: Annotated[Amount, about("Price of the whole line, net of discount, without tax.", 20)]
    quantity: Annotated[Annotated[int, whole(1, _MOST_UNITS)], about("Units.", 2)]
    id: Annotated[Sent[Id], about("Unique in the account; generated if absent.")] = UNSET
    sku_id: Annotated[
        Sent[Text], about("Required unless `productDetails` is given.", "sku-tee")
    ] = UNSET
    product_details: Annotated[
        Sent[dict[str, Any]],
        about(
            "What the product is; kept as sent. `physical: false` keeps it out of a spread of the"
            " shipping amounts.",
            {"id": "tee", "name": "Tee", "physical": True},
        ),
    ] = UNSET
    tax: Sent[NewTax] = UNSET
    importer_tax: Sent[NewAmount] = UNSET
    duties: Sent[NewAmount] = UNSET
    fees: Sent[NewFees] = UNSET
    shipping: Annotated[
        Sent[NewShipping],
        about("This line's part of `shippingChoice`; spread over the lines if none has it."),
    ] = UNSET
    state: Annotated[Sent[LineState], about("`created` by default.")] = UNSET
    fulfilled_quantity: Annotated[Sent[_Units], about("Only for an imported order.")] = UNSET
    cancelled_quantity: Annotated[Sent[_Units], about("Only for an imported order.")] = UNSET
    metadata: Annotated[Sent[Metadata], about("Your own data.")] = UNSET
    discount: Annotated[Any, about(_PASSED_ON)] = UNSET
    subscription_info: Annotated[Any, about(_PASSED_ON)] = UNSET
    seller_tax_identifier: Annotated[Any, about(_PASSED_ON)] = UNSET
    ship_from: Annotated[Any, about(_PASSED_ON)] = UNSET


class NewOwner(Struct, rename="camel"):
    """Who pays: firstName, lastName, email and address; kept as sent."""

    last_name: Annotated[
        Sent[Text], about("In test mode it may make the sandbox fail.", "Lind")
    ] = UNSET


class NewCard(Struct, rename="camel"):
    """A card: brand, lastFourDigits, expirationMonth, expirationYear ...; kept as sent."""

    number: Annotated[
        Sent[_CardNumber],
        about(
            "Only in test mode, and only a number of the sandbox. Never kept: `brand` and"
            " `lastFourDigits` are.",
            "4444222233331111",
        ),
    ] = UNSET


class NewSource(Struct, rename="camel"):
    """A source that pays a part of the order, with the object that its type names."""

    type: Annotated[
        str,
        Meta(
            pattern="^[a-z][A-Za-z0-9]{0,39}$",
            description="`creditCard`, `payPal`, `wireTransfer`, `customerCredit` ...",
            examples=["creditCard"],
        ),
    ]
    amount: Annotated[PositiveAmount, about("The sources add up to `totalAmount`.", 27.01)]
    id: Annotated[Sent[Id], about("Generated if absent.")] = UNSET
    owner: Sent[NewOwner] = UNSET
    credit_card: Sent[NewCard] = UNSET
    upstream_id: Annotated[Any, about(_PASSED_ON)] = UNSET
    processor_reference: Annotated[
        Sent[Text], about("Names the payment at the processor; never returned.")
    ] = UNSET


class PastRecord(Struct, rename="camel"):
    """An operation that was complete before the order was imported."""

    amount: Annotated[PositiveAmount, about("In major units.", 27.01)]
    id: Annotated[Sent[Id], about("Generated if absent.")] = UNSET
    created_time: Annotated[Sent[Timestamp], about(_PAST)] = UNSET


_PastRecords = Annotated[list[PastRecord], Meta(max_length=1000)]


class NewCharge(Struct, rename="camel"):
    """A charge as it stood when the order was imported."""

    id: Annotated[Sent[Id], about("Unique in the account; generated if absent.")] = UNSET
    type: Annotated[
        Sent[Text],
        about("`customer_initiated`, `merchant_initiated` or `moto`.", "customer_initiated"),
    ] = UNSET
    amount: Annotated[Sent[Amount], about("That of its source.", 27.01)] = UNSET
    source_id: Annotated[Sent[Text], about("The source that was charged.")] = UNSET
    captures: Annotated[Sent[_PastRecords], about("Complete ones; only for an imported order.")] = (
        UNSET
    )
    cancels: Annotated[Sent[_PastRecords], about("Complete ones; only for an imported order.")] = (
        UNSET
    )
    refunds: Annotated[Sent[_PastRecords], about("Complete ones; only for an imported order.")] = (
        UNSET
    )


class NewPayment(Struct, rename="camel"):
    """How the order is paid."""

    sources: Annotated[
        Sent[Annotated[list[NewSource], Meta(max_length=50)]],
        about("Required unless nothing is to be paid; at most one other than customerCredit."),
    ] = UNSET
    charges: Annotated[
        Sent[Annotated[list[NewCharge], Meta(max_length=50)]],
        about("One per source if absent."),
    ] = UNSET


class PastStates(Struct):
    """When an imported order entered its states."""

    pending_payment: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    in_review: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    accepted: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    blocked: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    cancelled: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    fulfilled: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    complete: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    dispute: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    returned: Annotated[Sent[Timestamp], about(_PAST)] = UNSET


class PastFraudStates(Struct):
    """When an imported order passed through the fraud check."""

    review_opened: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    blocked: Annotated[Sent[Timestamp], about(_PAST)] = UNSET
    passed: Annotated[Sent[Timestamp], about(_PAST)] = UNSET


_CHECKED = "Must equal the computed figure if given."


class NewOrder(Struct, rename="camel"):
    """An order whose amounts are already computed. Members that are not listed are ignored."""

    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "currency", "'XYZ' is not a valid currency."),
        FieldProblem(
            "invalid_parameter", "items[0].quantity", "'0' is not a valid items[0].quantity."
        ),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.InvalidField("totalAmount", "27.02"),
        no.InvalidField("payment.sources", "27.0"),
        no.SourceDeclined(),
        no.OrderExists("256469221483"),
    )

    currency: Annotated[_Currency, about("An ISO 4217 code, in either case.", "USD")]
    items: Annotated[list[NewItem], Meta(min_length=1, max_length=500, description="The lines.")]
    payment: Annotated[Sent[NewPayment], about("Required unless nothing is to be paid.")] = UNSET
    id: Annotated[Sent[Id], about("Generated if absent.", "256469221483")] = UNSET
    state: Annotated[
        Sent[_IngestedState],
        about(
            "`accepted` by default. In `fulfilled`, `complete` and `returned` the order is imported"
            " with its past and emits no event."
        ),
    ] = UNSET
    shipping_choice: Annotated[Sent[NewShipping], about("Absent: no shipping.")] = UNSET
    total_amount: Annotated[Sent[Amount], about(_CHECKED, 27.01)] = UNSET
    subtotal: Annotated[Sent[Amount], about(_CHECKED, 25)] = UNSET
    total_tax: Annotated[Sent[Amount], about(_CHECKED, 2.01)] = UNSET
    total_fees: Annotated[Sent[Amount], about(_CHECKED, 0)] = UNSET
    total_duty: Annotated[Sent[Amount], about(_CHECKED, 0)] = UNSET
    total_importer_tax: Annotated[Sent[Amount], about(_CHECKED, 0)] = UNSET
    total_shipping: Annotated[Sent[Amount], about(_CHECKED, 5)] = UNSET
    upstream_id: Annotated[Sent[Text], about("The order's number in the shop.")] = UNSET
    customer_id: Annotated[Sent[Text], about("The shopper's number in the shop.")] = UNSET
    checkout_id: Annotated[Sent[Text], about("The checkout that it came from.")] = UNSET
    application_id: Annotated[Sent[Text], about("The shop application.")] = UNSET
    email: Annotated[Sent[Text], about("The shopper's.", "ana.lind@example.com")] = UNSET
    locale: Annotated[Sent[Text], about("The shopper's.", "en_US")] = UNSET
    browser_ip: Annotated[Sent[Text], about("The shopper's address.")] = UNSET
    customer_type: Annotated[Sent[_CustomerType], about("Who buys.")] = UNSET
    invoice_id: Annotated[
        Sent[Annotated[str, text(64)]],
        about("Lets a refund name the order by its invoice.", "INV-2024-118"),
    ] = UNSET
    created_time: Annotated[
        Sent[Timestamp], about("Only for an imported order; not in the future.")
    ] = UNSET
    state_transitions: Sent[PastStates] = UNSET
    fraud_state: Annotated[Sent[_FraudState], about("What a fraud check said.")] = UNSET
    fraud_state_transitions: Sent[PastFraudStates] = UNSET
    request_to_be_forgotten: Annotated[Sent[bool], about("`false` by default.")] = UNSET
    metadata: Annotated[Sent[Metadata], about("Your own data.")] = UNSET
    ship_to: Annotated[Any, about(_PASSED_ON)] = UNSET
    ship_from: Annotated[Any, about(_PASSED_ON)] = UNSET
    bill_to: Annotated[Any, about(_PASSED_ON)] = UNSET
    organization: Annotated[Any, about(_PASSED_ON)] = UNSET
    purchase_location: Annotated[Any, about(_PASSED_ON)] = UNSET
    selling_entity: Annotated[Any, about(_PASSED_ON)] = UNSET
    tax_identifiers: Annotated[Any, about(_PASSED_ON)] = UNSET
    disclosures: Annotated[Any, about(_PASSED_ON)] = UNSET
    invoice_pdfs: Annotated[Any, about(_PASSED_ON)] = field(default=UNSET, name="invoicePDFs")
    credit_memo_pdfs: Annotated[Any, about(_PASSED_ON)] = field(
        default=UNSET, name="creditMemoPDFs"
    )
    discount: Annotated[Any, about(_PASSED_ON)] = UNSET
    total_discount: Annotated[
        Any, about("For information: the lines' amounts are net of it. Kept as sent.", 0.0)
    ] = UNSET
    importer_of_record_tax: Annotated[Any, about("`true` marks the order so.")] = UNSET


class OrderUpdate(Struct, rename="camel"):
    """What may be changed of an order; members that are not listed are ignored."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"metadata": {"ticket": "CS-881"}}
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "metadata.tags", "'[]' is not a valid metadata.tags."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (no.ConcurrentUpdate(),)

    metadata: Annotated[
        Sent[Metadata],
        about("Merged key by key; null removes a key, or all of them in place of the object."),
    ] = UNSET
    upstream_id: Annotated[Sent[Text], about("The order's number in the shop.")] = UNSET
    request_to_be_forgotten: Annotated[
        Sent[bool], about("Whether the shopper asked for deletion.")
    ] = UNSET
    state: Annotated[
        Any,
        about(
            "`accepted` accepts an order in `pending_payment` or `in_review`; anything else is"
            " ignored.",
            "accepted",
        ),
    ] = UNSET


class NewFulfillmentItem(Struct, rename="camel", forbid_unknown_fields=True):
    """Units of one line, shipped or given up."""

    RULES: ClassVar[dict[str, Any]] = {
        "anyOf": [given("itemId"), given("skuId")],
        "allOf": [{"anyOf": [above_zero("quantity"), above_zero("cancelQuantity")]}],
    }

    item_id: Annotated[
        Sent[Text], about("The line's id. Required unless `skuId` is given.", "181629488650")
    ] = UNSET
    sku_id: Annotated[
        Sent[Text], about("The line's SKU, which must stand on one line only.", "sku-tee")
    ] = UNSET
    quantity: Annotated[
        Sent[_Units], about("Units shipped. This or `cancelQuantity` is above 0.", 2)
    ] = UNSET
    cancel_quantity: Annotated[Sent[_Units], about("Units given up.", 0)] = UNSET
    shipment_item_id: Annotated[Sent[_Tracking], about(_PASSED_ON)] = UNSET


class NewFulfillment(Struct, rename="camel", forbid_unknown_fields=True):
    """Units of an order that were shipped or are given up."""

    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem(
            "invalid_parameter", "items[0].quantity", "'1.5' is not a valid items[0].quantity."
        ),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.OrderUnknown("256469221483"),
        no.OrderNotSubmitted("256469221483"),
        no.OrderCancelled("256469221483"),
        no.OrderFulfilled("256469221483"),
        no.ItemUnknown("items[0].itemId", "181629488650"),
        no.SkuAmbiguous("items[0].skuId", "sku-tee"),
        no.FulfillmentTooLarge("items[0].quantity"),
        no.ConcurrentUpdate(),
    )

    order_id: Annotated[Annotated[str, text(64)], about("The order.", "256469221483")]
    items: Annotated[
        list[NewFulfillmentItem],
        Meta(min_length=1, max_length=500, description="The lines concerned."),
    ]
    shipment_id: Annotated[Sent[_Tracking], about(_PASSED_ON)] = UNSET
    tracking_company: Annotated[Sent[_Tracking], about(_PASSED_ON, "UPS")] = UNSET
    tracking_number: Annotated[Sent[_Tracking], about(_PASSED_ON, "1Z999AA10123456784")] = UNSET
    tracking_url: Annotated[Sent[_Tracking], about(_PASSED_ON)] = UNSET
    metadata: Annotated[Sent[Metadata], about("Your own data.")] = UNSET
