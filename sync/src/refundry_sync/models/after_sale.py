"""Returns, disputes, and what chargebacks took."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from refundry_sync.models.orders import Metadata
from refundry_sync.models.resource import ZERO, Document, Part, Resource


class ReturnItem(Part, frozen=True):
    """Units of one line that come back."""

    item_id: str | None = None
    sku_id: str | None = None
    amount: Decimal | None = None
    quantity: int = 0
    quantity_accepted: int = 0
    state: str | None = None


class Return(Resource, frozen=True):
    """Goods on their way back. state: created or accepted."""

    id: str
    order_id: str
    state: str
    currency: str | None = None
    items: tuple[ReturnItem, ...] = ()
    created_time: datetime | None = None
    updated_time: datetime | None = None
    live_mode: bool | None = None
    reason: str | None = None
    location: Document | None = None
    refund_ids: tuple[str, ...] = ()
    metadata: Metadata | None = None


class Dispute(Resource, frozen=True):
    """The bank's case on a charge. state: open, won or lost. Refundry's own resource."""

    id: str
    order_id: str
    charge_id: str
    currency: str
    amount: Decimal
    state: str
    created_time: datetime | None = None
    resolved_time: datetime | None = None
    reason: str | None = None
    chargeback_amount: Decimal | None = None
    fraud: bool | None = None
    sales_transaction_ids: tuple[str, ...] = ()
    processor_reference: str | None = None
    live_mode: bool | None = None


class PayoutAmounts(Part, frozen=True):
    """What a sales transaction is made of; negative for a chargeback."""

    currency: str | None = None
    exchange_rate: Decimal | None = None
    amount: Decimal = ZERO
    tax: Decimal = ZERO
    shipping: Decimal = ZERO
    regulatory_fees: Decimal = ZERO
    landed_cost: Decimal = ZERO
    product_price: Decimal = ZERO
    digital_river_share: Decimal = ZERO
    distributor_share: Decimal = ZERO
    transaction_fees: Decimal = ZERO
    shipping_discount: Decimal = ZERO
    regulatory_fee_discount: Decimal = ZERO
    remit_shipping: Decimal = ZERO
    remit_landed_cost: Decimal = ZERO
    payout_amount: Decimal = ZERO
    store_credit: Decimal = ZERO


class SalesTransaction(Resource, frozen=True):
    """What a chargeback took of one line of an order. amount: negative."""

    id: str
    type: str
    currency: str
    amount: Decimal
    order_id: str | None = None
    created_time: datetime | None = None
    updated_time: datetime | None = None
    sale_time: datetime | None = None
    quantity: int | None = None
    line_item_id: str | None = None
    payout_amounts: PayoutAmounts | None = None
    payer_id: Any = None
    payer_name: Any = None
    payee_id: str | None = None
    payee_name: str | None = None
    payment_type: str | None = None
    order_metadata: Metadata | None = None
    line_item_metadata: Metadata | None = None
    order_upstream_id: str | None = None
    sku_id: str | None = None
    sku_tax_code: Any = None
    ship_from_country: Any = None
    ship_to_country: Any = None
    bill_to_country: Any = None
    live_mode: bool | None = None
