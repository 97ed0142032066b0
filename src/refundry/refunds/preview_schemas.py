"""The shapes of previews of refunds on the wire, as the reference shows them."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Struct

from refundry.domain import refusal as no
from refundry.domain.preview import Outside
from refundry.domain.refund import RefundType
from refundry.http.shapes import Money, Shown, about
from refundry.refunds.limits import Rule
from refundry.refunds.schemas import NewRefund

_COMPONENT = Literal[
    "product", "tax", "shipping", "shippingTax", "duty", "importerTax", "fees", "feesTax"
]
_NO_CELLS: dict[str, Any] = {
    "product": 0.0, "tax": 0.0, "shipping": 0.0, "shippingTax": 0.0,
    "duty": 0.0, "importerTax": 0.0, "fees": 0.0, "feesTax": 0.0,
}  # fmt: skip
_HALF = _NO_CELLS | {"product": 10.0, "tax": 0.81, "shipping": 2.5, "shippingTax": 0.2}


class PreviewedRefund(NewRefund, rename="camel", forbid_unknown_fields=True):
    """A refund to be looked at before it is asked for: the very body of a new refund."""

    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.OrderUnknown("248133597195"),
        no.InvoiceUnknown("INV-2024-118"),
    )


class PreviewError(Struct, rename="camel"):
    """Why a rule would refuse the refund, as an error of `POST /refunds` would say it."""

    code: Annotated[str, about("What is wrong.", "invalid_parameter")]
    parameter: Annotated[str, about("What it is about.", "amountRequested")]
    message: Annotated[
        str,
        about("In words.", "The requested refund amount is greater than the available amount."),
    ]


class PreviewCells(Struct, rename="camel"):
    """An amount for each component of a price."""

    product: Annotated[Money, about("The goods.")]
    tax: Annotated[Money, about("Tax on the goods.")]
    shipping: Annotated[Money, about("Shipping.")]
    shipping_tax: Annotated[Money, about("Tax on shipping.")]
    duty: Annotated[Money, about("Customs duty.")]
    importer_tax: Annotated[Money, about("Importer tax.")]
    fees: Annotated[Money, about("Regulatory fees.")]
    fees_tax: Annotated[Money, about("Tax on fees.")]


class PreviewItem(Struct, rename="camel"):
    """What an element of the request comes to."""

    item_id: Annotated[str, about("The line's id.", "186557576856")]
    quantity: Annotated[int, about("Units asked for; the ordered quantity by default.", 2)]
    amount: Annotated[Money, about("For the whole element.", 21.61)]
    sku_id: Annotated[Shown[str], about("The line's SKU, if it has one.", "sku-tee")] = UNSET
    type: Annotated[Shown[RefundType], about("As requested.", "fees")] = UNSET


class PreviewLine(Struct, rename="camel"):
    """What a line of the order would give, and what it would have left."""

    item_id: Annotated[str, about("The line's id.", "186557576856")]
    amount: Annotated[Money, about("All that it would give.", 13.51)]
    components: Annotated[PreviewCells, about("What each of its cells would give.")]
    available_to_refund_amount: Annotated[
        Money, about("Product and tax that are available now.", 21.61)
    ]
    available_afterwards: Annotated[Money, about("The same figure after the refund.", 10.8)]
    left: Annotated[PreviewCells, about("What each of its cells would have left.")]
    sku_id: Annotated[Shown[str], about("The line's SKU, if it has one.", "sku-tee")] = UNSET


class PreviewCharge(Struct, rename="camel"):
    """What a charge would be asked to pay back."""

    id: Annotated[str, about("The charge.")]
    source_id: Annotated[str, about("The payment source that was charged.")]
    source_type: Annotated[str, about("Its type.", "creditCard")]
    amount: Annotated[Money, about("Its share of the refund.", 13.51)]


class PreviewLeftOut(Struct, rename="camel"):
    """Money that is left on the order but that such a request does not reach."""

    component: _COMPONENT
    amount: Annotated[Money, about("How much of it is left.", 17.2)]
    reason: Annotated[
        Outside,
        about(
            "`other_type`: a refund of another type pays it back; `other_items`: it belongs to"
            " items that the request does not name."
        ),
    ]
    message: Annotated[str, about("The reason in words.")]
    type: Annotated[
        Shown[RefundType],
        about("The type of refund that pays it back; left out for one without a type.", "fees"),
    ] = UNSET


class PreviewApproval(Struct, rename="camel"):
    """Why the refund would wait for somebody else's approval."""

    rule: Annotated[
        Rule,
        about(
            "`per_refund`: it is above the limit of one refund; `per_day`: with what this key"
            " refunded since midnight UTC it is above the limit of a day; `no_limit`: there are"
            " limits for keys, but none in this currency."
        ),
    ]
    message: Annotated[
        str, about("The same in words.", "It is above the limit of 5.00 USD per refund.")
    ]
    limit: Annotated[Shown[Money], about("The limit, if the currency has one.", 5.0)] = UNSET
    spent: Annotated[
        Shown[Money], about("With `per_day`: what this key refunded since midnight UTC.", 3.0)
    ] = UNSET


class RefundPreview(Struct, rename="camel"):
    """What a refund would come to, if it were asked for now."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "orderId": "248133597195",
        "currency": "USD",
        "allowed": True,
        "refusals": [],
        "amount": 13.51,
        "mostAmount": 27.01,
        "components": _HALF,
        "items": [],
        "lines": [
            {
                "itemId": "186557576856",
                "skuId": "sku-tee",
                "amount": 13.51,
                "components": _HALF,
                "availableToRefundAmount": 21.61,
                "availableAfterwards": 10.8,
                "left": _HALF | {"tax": 0.8},
            }
        ],
        "charges": [
            {
                "id": "676f8ef5-18ce-4539-a5eb-0297b2e93857",
                "sourceId": "ac23cb34-d50c-49c3-aed1-04fc8d4d528a",
                "sourceType": "creditCard",
                "amount": 13.51,
            }
        ],
        "notIncluded": [],
        "availableToRefundAmount": 27.01,
        "availableAfterwards": 13.5,
        "liveMode": False,
    }

    order_id: Annotated[str, about("The order.", "248133597195")]
    currency: Annotated[str, about("The order's currency.", "USD")]
    allowed: Annotated[
        bool, about("Whether no rule refuses the refund; with `approval` it would wait even so.")
    ]
    refusals: Annotated[
        list[PreviewError],
        about(
            "Every rule that would refuse it, first the one that `POST /refunds` would answer"
            " with; empty if none would."
        ),
    ]
    amount: Annotated[Money, about("What the refund would come to; 0.0 if refused.", 13.51)]
    most_amount: Annotated[Money, about("The most that such a request could ask for.", 27.01)]
    components: Annotated[PreviewCells, about("What each component would give, over all lines.")]
    items: Annotated[
        list[PreviewItem], about("What each element comes to; empty for a refund of the order.")
    ]
    lines: Annotated[list[PreviewLine], about("Every line of the order.")]
    charges: Annotated[
        list[PreviewCharge], about("The charges that would pay, in the order of their turn.")
    ]
    not_included: Annotated[
        list[PreviewLeftOut], about("What is left but out of such a request's reach, and why.")
    ]
    available_to_refund_amount: Annotated[
        Money, about("What is available on the order now, of every component.", 27.01)
    ]
    available_afterwards: Annotated[Money, about("The same figure after the refund.", 13.5)]
    live_mode: Annotated[bool, about("Whether real money would move.")]
    uncovered_amount: Annotated[
        Shown[Money],
        about("What no charge has room for, as a bank took it: this part would fail."),
    ] = UNSET
    approval: Annotated[
        Shown[PreviewApproval],
        about(
            "There if it would wait for an approval: `POST /refunds` with this key would answer 409"
            " `approval_required`, and keep the request."
        ),
    ] = UNSET
