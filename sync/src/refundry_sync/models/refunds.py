"""Refunds, what they would come to, and the bank details that some of them need."""

from datetime import datetime
from decimal import Decimal

from refundry_sync.models.orders import Metadata
from refundry_sync.models.resource import ZERO, Part, Resource


class RefundItem(Part, frozen=True):
    """What a refund takes of one line. amount: for the whole element."""

    item_id: str | None = None
    sku_id: str | None = None
    quantity: int | None = None
    amount: Decimal | None = None
    refunded_amount: Decimal = ZERO
    type: str | None = None


class TokenInformation(Part, frozen=True):
    """What the shopper needs to hand in bank details."""

    token: str
    expires_time: datetime | None = None

    def __repr__(self) -> str:
        return f"TokenInformation(expires_time={self.expires_time!r})"


class RefundRecord(Part, frozen=True):
    """What one charge was asked to pay back for a refund."""

    amount: Decimal
    state: str
    created_time: datetime | None = None


class RefundCharge(Part, frozen=True):
    """A charge that a refund touches, with this refund's records only."""

    id: str
    source_id: str | None = None
    captured: bool = False
    refunded: bool = False
    refunds: tuple[RefundRecord, ...] = ()


class Refund(Resource, frozen=True):
    """Money on its way back to a shopper.

    state: pending, pending_information, succeeded, failed or expired. amount: as asked for; None if
    it was asked for line by line. refunded_amount: what was really paid back, 0 until then.
    """

    id: str
    currency: str
    state: str
    order_id: str | None = None
    created_time: datetime | None = None
    amount: Decimal | None = None
    refunded_amount: Decimal = ZERO
    items: tuple[RefundItem, ...] = ()
    type: str | None = None
    invoice_id: str | None = None
    reason: str | None = None
    failure_reason: str | None = None
    token_information: TokenInformation | None = None
    expires_time: datetime | None = None
    charges: tuple[RefundCharge, ...] = ()
    metadata: Metadata | None = None
    needs_attention: bool = False
    replaces: str | None = None
    payout_way: str | None = None
    live_mode: bool | None = None


class PreviewError(Part, frozen=True):
    """Why a rule would refuse the refund."""

    message: str
    code: str | None = None
    parameter: str | None = None


class PreviewCells(Part, frozen=True):
    """An amount for each component of a price."""

    product: Decimal = ZERO
    tax: Decimal = ZERO
    shipping: Decimal = ZERO
    shipping_tax: Decimal = ZERO
    duty: Decimal = ZERO
    importer_tax: Decimal = ZERO
    fees: Decimal = ZERO
    fees_tax: Decimal = ZERO


class PreviewItem(Part, frozen=True):
    """What an element of the request comes to."""

    item_id: str
    amount: Decimal
    quantity: int | None = None
    sku_id: str | None = None
    type: str | None = None


class PreviewLine(Part, frozen=True):
    """What a line of the order would give, and what it would have left."""

    item_id: str
    amount: Decimal
    available_to_refund_amount: Decimal
    available_afterwards: Decimal
    components: PreviewCells
    left: PreviewCells
    sku_id: str | None = None


class PreviewCharge(Part, frozen=True):
    """What a charge would be asked to pay back."""

    id: str
    amount: Decimal
    source_id: str | None = None
    source_type: str | None = None


class PreviewLeftOut(Part, frozen=True):
    """Money that is left on the order but that such a request does not reach."""

    component: str
    amount: Decimal
    reason: str
    message: str
    type: str | None = None


class PreviewApproval(Part, frozen=True):
    """Why a refund would wait for somebody else's approval.

    rule: per_refund, per_day or no_limit.
    """

    rule: str
    message: str
    limit: Decimal | None = None
    spent: Decimal | None = None


class RefundPreview(Resource, frozen=True):
    """What a refund would come to, if it were asked for now. Refundry's own operation."""

    order_id: str
    currency: str
    allowed: bool
    amount: Decimal
    most_amount: Decimal
    available_to_refund_amount: Decimal
    available_afterwards: Decimal
    components: PreviewCells
    refusals: tuple[PreviewError, ...] = ()
    items: tuple[PreviewItem, ...] = ()
    lines: tuple[PreviewLine, ...] = ()
    charges: tuple[PreviewCharge, ...] = ()
    not_included: tuple[PreviewLeftOut, ...] = ()
    uncovered_amount: Decimal = ZERO
    approval: PreviewApproval | None = None
    live_mode: bool | None = None


class BankDetailsOption(Part, frozen=True):
    """A choice of a select field."""

    value: str
    label: str


class BankDetailsField(Part, frozen=True):
    """A field that names a part of a bank account. type: text or select."""

    name: str
    label: str
    type: str
    required: bool
    max_length: int | None = None
    pattern: str | None = None
    options: tuple[BankDetailsOption, ...] = ()


class BankDetailsForm(Resource, frozen=True):
    """What a refund token asks a shopper for."""

    refund_id: str
    amount: Decimal
    currency: str
    fields: tuple[BankDetailsField, ...]
    expires_time: datetime | None = None
    method: str | None = None
    country: str | None = None
    live_mode: bool | None = None


class BankDetailsTaken(Resource, frozen=True):
    """The details are with the server and go to the processor."""

    refund_id: str
    state: str
    complete: bool = True
