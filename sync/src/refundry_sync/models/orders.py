"""Orders, how they are paid, and what was shipped of them.

Amounts are in major units of the order's currency. Digital River leaves amounts out that are zero;
they are zero here too.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from refundry_sync.models.resource import ZERO, Document, Part, Resource

# The values are texts, booleans, int or Decimal.
Metadata = dict[str, Any]


class Tax(Part, frozen=True):
    """The tax on a line's product."""

    amount: Decimal = ZERO
    rate: Any = None


class AmountOnly(Part, frozen=True):
    """Duties, or importer tax."""

    amount: Decimal = ZERO


class Fees(Part, frozen=True):
    """The regulatory fees of a line, and the tax on them."""

    amount: Decimal = ZERO
    tax_amount: Decimal = ZERO
    details: Any = None


class Shipping(Part, frozen=True):
    """What shipping costs, and the tax on it."""

    amount: Decimal = ZERO
    tax_amount: Decimal = ZERO


class Item(Part, frozen=True):
    """A line. amount: of the whole line, without tax. available_...: of product and tax."""

    id: str
    amount: Decimal = ZERO
    quantity: int = 1
    state: str | None = None
    sku_id: str | None = None
    product_details: Document | None = None
    tax: Tax | None = None
    importer_tax: AmountOnly | None = None
    duties: AmountOnly | None = None
    fees: Fees | None = None
    shipping: Shipping | None = None
    available_to_refund_amount: Decimal = ZERO
    state_transitions: dict[str, datetime] | None = None
    discount: Any = None
    subscription_info: Any = None
    seller_tax_identifier: Any = None
    ship_from: Any = None
    metadata: Metadata | None = None


class OrderRecord(Part, frozen=True):
    """A capture, cancel or refund of a charge; refunds have no id here."""

    amount: Decimal
    state: str
    created_time: datetime | None = None
    id: str | None = None


class OrderCharge(Part, frozen=True):
    """A charge as its order shows it."""

    id: str
    amount: Decimal
    state: str
    source_id: str | None = None
    created_time: datetime | None = None
    currency: str | None = None
    captured: bool = False
    refunded: bool = False
    type: str | None = None
    captures: tuple[OrderRecord, ...] = ()
    cancels: tuple[OrderRecord, ...] = ()
    refunds: tuple[OrderRecord, ...] = ()


class OrderSource(Part, frozen=True):
    """A payment source as its order shows it, with the object that its type names."""

    id: str
    type: str
    amount: Decimal | None = None
    owner: Document | None = None
    upstream_id: Any = None
    credit_card: Document | None = None


class Session(Part, frozen=True):
    """The payment session of an order."""

    id: str
    amount_contributed: Decimal | None = None
    amount_remaining_to_be_contributed: Decimal | None = None
    state: str | None = None
    client_secret: str | None = None

    def __repr__(self) -> str:
        return f"Session(id={self.id!r})"


class Payment(Part, frozen=True):
    """How an order is paid."""

    charges: tuple[OrderCharge, ...] = ()
    sources: tuple[OrderSource, ...] = ()
    session: Session | None = None


class OrderDetails(Resource, frozen=True):
    """An order without its payment, as a fulfillment shows it."""

    id: str
    currency: str
    total_amount: Decimal
    state: str
    created_time: datetime | None = None
    updated_time: datetime | None = None
    version: int | None = None
    upstream_id: str | None = None
    subtotal: Decimal | None = None
    total_fees: Decimal = ZERO
    total_tax: Decimal = ZERO
    total_importer_tax: Decimal = ZERO
    total_duty: Decimal = ZERO
    total_discount: Any = None
    total_shipping: Decimal = ZERO
    items: tuple[Item, ...] = ()
    state_transitions: dict[str, datetime] | None = None
    fraud_state: str | None = None
    fraud_state_transitions: dict[str, datetime] | None = None
    captured_amount: Decimal = ZERO
    cancelled_amount: Decimal = ZERO
    refunded_amount: Decimal = ZERO
    available_to_refund_amount: Decimal = ZERO
    over_refunded: bool = False
    live_mode: bool | None = None
    email: str | None = None
    shipping_choice: Shipping | None = None
    invoice_id: str | None = None
    locale: str | None = None
    customer_id: str | None = None
    checkout_id: str | None = None
    application_id: str | None = None
    browser_ip: str | None = None
    customer_type: str | None = None
    importer_of_record_tax: bool | None = None
    request_to_be_forgotten: bool = False
    metadata: Metadata | None = None
    ship_to: Any = None
    ship_from: Any = None
    bill_to: Any = None
    organization: Any = None
    purchase_location: Any = None
    selling_entity: Any = None
    tax_identifiers: Any = None
    disclosures: Any = None
    invoice_pdfs: Any = msgspec.field(default=None, name="invoicePDFs")
    credit_memo_pdfs: Any = msgspec.field(default=None, name="creditMemoPDFs")
    discount: Any = None


class Order(OrderDetails, frozen=True):
    """An order: what was bought, how it is paid, what was captured and what can be refunded.

    version: grows with every change; other servers than Refundry may not have it.
    """

    payment: Payment | None = None


class ChargeRecord(Part, frozen=True):
    """A capture, cancel or refund of a charge."""

    amount: Decimal
    state: str
    id: str | None = None
    created_time: datetime | None = None
    updated_time: datetime | None = None
    fulfillment_id: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None


class Charge(Resource, frozen=True):
    """The money taken from one payment source, and what became of it."""

    id: str
    amount: Decimal
    currency: str
    state: str
    order_id: str | None = None
    source_id: str | None = None
    created_time: datetime | None = None
    captured: bool = False
    refunded: bool = False
    payment_session_id: str | None = None
    type: str | None = None
    live_mode: bool | None = None
    captures: tuple[ChargeRecord, ...] = ()
    cancels: tuple[ChargeRecord, ...] = ()
    refunds: tuple[ChargeRecord, ...] = ()
    failure_code: str | None = None
    failure_message: str | None = None


class Source(Resource, frozen=True):
    """A means of payment, with the object that its type names (`credit_card` has the brand)."""

    id: str
    type: str
    created_time: datetime | None = None
    amount: Decimal | None = None
    reusable: bool | None = None
    state: str | None = None
    flow: str | None = None
    live_mode: bool | None = None
    owner: Document | None = None
    upstream_id: Any = None
    credit_card: Document | None = None


class FulfilledItem(Part, frozen=True):
    """Units of one line, shipped or given up."""

    item_id: str | None = None
    sku_id: str | None = None
    quantity: int = 0
    cancel_quantity: int = 0
    shipment_item_id: str | None = None


class Fulfillment(Resource, frozen=True):
    """Units of an order that were shipped or are given up."""

    id: str
    order_id: str
    items: tuple[FulfilledItem, ...] = ()
    created_time: datetime | None = None
    live_mode: bool | None = None
    shipment_id: str | None = None
    tracking_company: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    metadata: Metadata | None = None
    charge_operation_ids: tuple[str, ...] = ()
    order_details: OrderDetails | None = None
