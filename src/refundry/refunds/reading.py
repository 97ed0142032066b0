"""From a `POST /refunds` body to what the rules take in, field by field."""

from decimal import Decimal

from refundry.domain.refund import ITEM_TYPES, AmountBasis, ElementAsk, RefundAsk, RefundType
from refundry.http.document import shown
from refundry.http.fields import Fields, metadata_text

_MAX_AMOUNT = Decimal(10) ** 12
_MAX_REASON = 64
_ONE_OF = "Only one of amount, percent and items may be provided."
_ONE_OF_TWO = "Only one of amount and percent may be provided."


def read_refund(body: Fields, basis: AmountBasis) -> RefundAsk:
    """The request in a body. Raises BadFields with every bad field, in the table's order."""
    order_id = body.text("orderId")
    invoice_id = body.text("invoiceId")
    if not body.has("orderId") and not body.has("invoiceId"):
        body.missing("orderId")
    currency = _currency(body)
    has_items = body.has("items") and body.value("items") != []
    if not (body.has("amount") or body.has("percent") or has_items):
        body.missing("amount")
    amount = body.decimal("amount", _is_amount)
    if body.has("amount") and body.has("percent"):
        body.value("percent")
        body.wrong("percent", _ONE_OF)
        percent = None
    else:
        percent = body.percent("percent")
    refund_type = body.enum("type", RefundType)
    if has_items and refund_type is not None:
        body.invalid("type", body.value("type"))
    items = _read_items(body, with_whole=body.has("amount") or body.has("percent"))
    ask = RefundAsk(
        order_id=order_id,
        invoice_id=invoice_id,
        currency=currency,
        amount=amount,
        percent=percent,
        type=refund_type,
        items=items,
        reason=body.text("reason", most=_MAX_REASON),
        metadata=metadata_text(body.metadata()),
        basis=basis,
        sent_amount=shown(body.value("amount")),
    )
    body.unknown()
    body.finish()
    return ask


def _currency(body: Fields) -> str:
    """The currency as sent; whether it is the order's is for the rules to say."""
    value = body.value("currency")
    if value is None:
        body.missing("currency")
    elif not isinstance(value, str) or len(value) > 100:
        body.wrong("currency", f"Currency {shown(value)} is not supported.")
    else:
        return value
    return ""


def _read_items(body: Fields, *, with_whole: bool) -> tuple[ElementAsk, ...]:
    if body.has("items") and with_whole and body.value("items") != []:
        body.wrong("items", _ONE_OF)
        return ()
    items = body.objects("items", most=500) or []
    return tuple(_read_item(item) for item in items)


def _read_item(item: Fields) -> ElementAsk:
    item_id, sku_id = item.text("itemId"), item.text("skuId")
    if not item.has("itemId") and not item.has("skuId"):
        item.missing("itemId")
    quantity = item.integer("quantity", least=1, most=10**9)
    if not item.has("amount") and not item.has("percent"):
        item.missing("amount")
    amount = item.decimal("amount", _is_amount)
    if item.has("amount") and item.has("percent"):
        item.value("percent")
        item.wrong("percent", _ONE_OF_TWO)
        percent = None
    else:
        percent = item.percent("percent")
    ask = ElementAsk(
        item_id=item_id,
        sku_id=sku_id,
        quantity=quantity,
        amount=amount,
        percent=percent,
        type=item.enum("type", RefundType, ITEM_TYPES),
        sent_amount=shown(item.value("amount")),
    )
    item.unknown()
    return ask


def _is_amount(amount: Decimal) -> bool:
    return 0 < amount < _MAX_AMOUNT
