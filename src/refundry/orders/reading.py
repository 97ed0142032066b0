"""From a `POST /orders` body to what the rules take in, field by field."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from refundry.domain.cells import EMPTY, Component
from refundry.domain.exported import Told
from refundry.domain.intake import (
    IMPORT_STATES,
    ChargeAsk,
    LineAsk,
    OrderAsk,
    PastAmount,
    SourceAsk,
)
from refundry.domain.money import Currency, find_currency
from refundry.domain.order import LineState, OrderState
from refundry.http.document import JsonValue, Numeral, to_json_text
from refundry.http.fields import Fields, metadata_text
from refundry.ids import new_number
from refundry.processors.sandbox import (
    WAITING_CHARGES,
    Trigger,
    find_card,
    owner_trigger,
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SOURCE_TYPE = re.compile(r"[a-z][A-Za-z0-9]{0,39}", re.ASCII)
_INGESTED_STATES = (
    OrderState.ACCEPTED,
    OrderState.PENDING_PAYMENT,
    OrderState.IN_REVIEW,
    OrderState.BLOCKED,
    OrderState.FULFILLED,
    OrderState.COMPLETE,
    OrderState.RETURNED,
)
# A cancelled order has no money to pay back, but a shop that moves wants to find it.
_EXPORTED_STATES = (*_INGESTED_STATES, OrderState.CANCELLED)
# A longer one is kept with the line but cannot be asked for: it would not fit an index.
_MAX_SUBSCRIPTION_ID = 255
_FRAUD_STATES = ("review_opened", "blocked", "passed")
_TOTALS = (
    "totalAmount",
    "subtotal",
    "totalTax",
    "totalFees",
    "totalDuty",
    "totalImporterTax",
    "totalShipping",
)
_PASSED_ON = (
    "shipTo",
    "shipFrom",
    "billTo",
    "organization",
    "purchaseLocation",
    "sellingEntity",
    "taxIdentifiers",
    "disclosures",
    "invoicePDFs",
    "creditMemoPDFs",
    "discount",
    "totalDiscount",
    "importerOfRecordTax",
)
_LINE_PASSED_ON = (
    "productDetails",
    "discount",
    "subscriptionInfo",
    "sellerTaxIdentifier",
    "shipFrom",
)
_COLUMN_TEXTS = (
    "upstreamId",
    "customerId",
    "checkoutId",
    "applicationId",
    "email",
    "locale",
    "browserIp",
)
# All that is kept of a card; whatever else a client sends along may be secret.
_CARD_FIELDS = ("brand", "expirationMonth", "expirationYear", "fundingSource", "country")
_LAST_DIGITS = re.compile(r"\d{4}", re.ASCII)
# Types are stored in the contract's spelling, however they are sent.
_DOCUMENTED_TYPES = (
    "creditCard, directDebit, googlePay, applePay, payPal, payPalBilling, payPalCredit,"
    " wireTransfer, customerCredit, alipay, alipayCn, bPay, onlineBanking, codJapan, klarnaCredit,"
    " klarnaCreditRecurring, konbini, bankTransfer, msts, bancontact, giftCard, ideal, amazonPay,"
    " afterPay, ccAvenue, payCo"
)
_SOURCE_TYPES = {name.lower(): name for name in re.split(r", *", _DOCUMENTED_TYPES)}
# A source of such a type would be shown under a name that means something else.
_NO_SOURCE_TYPES = frozenset({"id", "type", "amount", "owner", "upstreamId", "processorReference"})


@dataclass(frozen=True, slots=True)
class ReadSource:
    """What is kept of a source besides what the rules take. details: JSON text."""

    details: str
    processor_reference: str | None
    trigger: Trigger | None


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """An ingested order: what the rules take, and what is only kept. texts: by API name."""

    ask: OrderAsk
    texts: dict[str, str | None]
    details: str
    line_details: tuple[str, ...]
    subscription_ids: tuple[str | None, ...]
    metadata: str
    request_to_be_forgotten: bool
    sources: tuple[ReadSource, ...]


def read_order(body: Fields, *, live: bool, now: datetime, exported: bool = False) -> ReadOrder:
    """The order in a body. Raises BadFields with every bad field.

    exported: an Order resource as an API answered it, which may bring its past in every state.
    """
    order_id = body.text("id", pattern=_ID)
    currency = _currency(body)
    states = _EXPORTED_STATES if exported else _INGESTED_STATES
    state = body.enum("state", OrderState, states) or OrderState.ACCEPTED
    lines, line_details = _lines(body, currency, imported=exported or state in IMPORT_STATES)
    shipping, choice = _shipping(body, currency)
    totals = _totals(body, currency)
    total = sum(map(sum, (line.ordered for line in lines))) + sum(shipping)
    payment = body.object("payment")
    if payment is None and not body.has("payment"):
        payment = Fields({}, body.problems, "payment")
    sources, kept = _sources(payment, currency, live=live, required=total > 0)
    charges = _charges(payment, currency, now)
    texts = {name: body.text(name) for name in _COLUMN_TEXTS}
    customer_type = body.enum("customerType", CustomerType)
    texts["customerType"] = _value(customer_type)
    body.minor("totalDiscount", currency)
    metadata = body.metadata()
    forgotten = body.flag("requestToBeForgotten") or False
    ask = OrderAsk(
        id=order_id or new_number(),
        currency=currency or Currency("XXX", 2),
        state=state,
        lines=lines,
        shipping=shipping,
        totals=totals,
        sources=sources,
        charges=charges,
        created_at=_past_time(body, "createdTime", now),
        state_times=_times(body, "stateTransitions", tuple(s.value for s in OrderState), now),
        fraud_state=_fraud_state(body),
        fraud_times=_times(body, "fraudStateTransitions", _FRAUD_STATES, now),
        invoice_id=body.text("invoiceId", most=64),
        told=_told(body, currency) if exported else None,
    )
    body.finish()
    return ReadOrder(
        ask=ask,
        texts=texts,
        details=_details(body, choice),
        line_details=line_details,
        subscription_ids=_subscription_ids(body),
        metadata=metadata_text(metadata) or "{}",
        request_to_be_forgotten=forgotten,
        sources=kept,
    )


def _told(body: Fields, currency: Currency | None) -> Told:
    """The figures of an export that are checked against what its records come to."""
    if body.problems:
        return Told(None, None, None, None, ())
    return Told(
        captured=body.minor("capturedAmount", currency),
        cancelled=body.minor("cancelledAmount", currency),
        refunded=body.minor("refundedAmount", currency),
        available=body.minor("availableToRefundAmount", currency),
        lines=tuple(
            item.minor("availableToRefundAmount", currency)
            for item in body.objects("items", most=500) or ()
        ),
    )


class CustomerType(StrEnum):
    """Who buys."""

    INDIVIDUAL = "individual"
    BUSINESS = "business"


class ChargeType(StrEnum):
    """Who started a charge."""

    CUSTOMER_INITIATED = "customer_initiated"
    MERCHANT_INITIATED = "merchant_initiated"
    MOTO = "moto"


def _value(member: StrEnum | None) -> str | None:
    return member.value if member else None


def _currency(body: Fields) -> Currency | None:
    code = body.value("currency")
    if code is None:
        body.missing("currency")
        return None
    currency = find_currency(code) if isinstance(code, str) else None
    if currency is None:
        body.invalid("currency", code)
    return currency


def _lines(
    body: Fields, currency: Currency | None, *, imported: bool
) -> tuple[tuple[LineAsk, ...], tuple[str, ...]]:
    items = body.objects("items", least=1, most=500, required=True) or []
    lines: list[LineAsk] = []
    details: list[str] = []
    for item in items:
        line, kept = _line(item, currency, imported=imported)
        lines.append(line)
        details.append(kept)
    _refuse_repeated_ids(items, lines)
    return tuple(lines), tuple(details)


def _subscription_ids(body: Fields) -> tuple[str | None, ...]:
    """The subscription of each line, for the filter; whatever is no text counts as none."""
    found: list[str | None] = []
    for item in cast("list[dict[str, JsonValue]]", body.value("items")):
        info = item.get("subscriptionInfo")
        members = cast("dict[str, JsonValue]", info) if isinstance(info, dict) else {}
        subscription_id = members.get("subscriptionId")
        fits = isinstance(subscription_id, str) and len(subscription_id) <= _MAX_SUBSCRIPTION_ID
        found.append(subscription_id if fits else None)
    return tuple(found)


def _refuse_repeated_ids(items: list[Fields], lines: list[LineAsk]) -> None:
    seen: set[str] = set()
    for item, line in zip(items, lines, strict=True):
        if line.id is not None and line.id in seen:
            item.invalid("id", line.id)
        if line.id is not None:
            seen.add(line.id)


def _line(item: Fields, currency: Currency | None, *, imported: bool) -> tuple[LineAsk, str]:
    sku_id = item.text("skuId")
    product = item.object("productDetails")
    if sku_id is None and product is None and not item.has("skuId"):
        item.missing("skuId")
    cells = list(EMPTY)
    cells[Component.PRODUCT] = item.minor("amount", currency, required=True) or 0
    quantity = item.integer("quantity", least=1, most=1_000_000, required=True) or 1
    tax = item.object("tax")
    fees = item.object("fees")
    for component, part, name in (
        (Component.TAX, tax, "amount"),
        (Component.IMPORTER_TAX, item.object("importerTax"), "amount"),
        (Component.DUTY, item.object("duties"), "amount"),
        (Component.FEES, fees, "amount"),
        (Component.FEES_TAX, fees, "taxAmount"),
    ):
        cells[component] = part.minor(name, currency) or 0 if part else 0
    fulfilled, cancelled = _imported_units(item, quantity, imported=imported)
    state = item.enum("state", LineState)
    line = LineAsk(
        id=item.text("id", pattern=_ID),
        sku_id=sku_id,
        quantity=quantity,
        ordered=tuple(cells),
        shipping=_pair(item.object("shipping"), currency),
        physical=product is None or product.value("physical") is not False,
        fulfilled_units=fulfilled,
        cancelled_units=cancelled,
        state=state if imported else None,
    )
    kept = {name: item.value(name) for name in _LINE_PASSED_ON if item.has(name)}
    if tax and tax.has("rate"):
        kept["taxRate"] = tax.value("rate")
    if fees and fees.has("details"):
        kept["feeDetails"] = fees.value("details")
    if metadata := metadata_text(item.metadata()):
        # Text that is JSON already is written as it stands, as a numeral is.
        kept["metadata"] = Numeral(metadata)
    return line, to_json_text(kept)


def _imported_units(item: Fields, quantity: int, *, imported: bool) -> tuple[int | None, int]:
    """fulfilledQuantity and cancelledQuantity; only an imported order may bring them."""
    fulfilled = item.integer("fulfilledQuantity", least=0, most=quantity)
    cancelled = item.integer("cancelledQuantity", least=0, most=quantity) or 0
    for name, units in (("fulfilledQuantity", fulfilled), ("cancelledQuantity", cancelled)):
        if units and not imported:
            item.invalid(name, item.value(name))
    if (fulfilled or 0) + cancelled > quantity:
        item.invalid("fulfilledQuantity", item.value("fulfilledQuantity"))
    return fulfilled, cancelled


def _pair(part: Fields | None, currency: Currency | None) -> tuple[int, int] | None:
    if part is None:
        return None
    return part.minor("amount", currency) or 0, part.minor("taxAmount", currency) or 0


def _shipping(
    body: Fields, currency: Currency | None
) -> tuple[tuple[int, int], dict[str, JsonValue]]:
    choice = body.object("shippingChoice")
    if choice is None:
        return (0, 0), {}
    amounts = _pair(choice, currency) or (0, 0)
    return amounts, choice.rest()


def _totals(body: Fields, currency: Currency | None) -> dict[str, tuple[int, str]]:
    totals: dict[str, tuple[int, str]] = {}
    for name in _TOTALS:
        minor = body.minor(name, currency)
        if minor is not None:
            value = body.value(name)
            totals[name] = minor, value.text if isinstance(value, Numeral) else cast(str, value)
    return totals


def _sources(
    payment: Fields | None, currency: Currency | None, *, live: bool, required: bool
) -> tuple[tuple[SourceAsk, ...], tuple[ReadSource, ...]]:
    sources = payment.objects("sources", most=50, required=required) if payment else None
    if sources is None:
        return (), ()
    asks: list[SourceAsk] = []
    kept: list[ReadSource] = []
    for source in sources:
        ask, keep = _source(source, currency, live=live)
        asks.append(ask)
        kept.append(keep)
    return tuple(asks), tuple(kept)


def _source_type(source: Fields) -> str:
    """The type of a source, in the contract's spelling where it has one."""
    sent = source.value("type")
    if sent is None:
        source.missing("type")
        return "unknown"
    known = _SOURCE_TYPES.get(sent.lower()) if isinstance(sent, str) else None
    if known is not None:
        return known
    name = source.text("type", pattern=_SOURCE_TYPE)
    if name in _NO_SOURCE_TYPES:
        source.invalid("type", name)
    return name or "unknown"


def _source(
    source: Fields, currency: Currency | None, *, live: bool
) -> tuple[SourceAsk, ReadSource]:
    type_name = _source_type(source)
    amount = source.minor("amount", currency, required=True)
    if amount == 0:
        source.invalid("amount", source.value("amount"))
    owner = source.object("owner")
    last_name = owner.text("lastName") if owner else None
    kept: dict[str, JsonValue] = {}
    for name in ("owner", "upstreamId"):
        if source.has(name):
            kept[name] = source.value(name)
    trigger = None if live else owner_trigger(type_name, last_name)
    card = source.object("creditCard")
    if card is not None:
        shown, card_trigger = _card(card, live=live)
        kept["creditCard"] = shown
        trigger = trigger or card_trigger
    if type_name != "creditCard" and source.has(type_name):
        kept[type_name] = source.value(type_name)
    ask = SourceAsk(
        id=source.text("id", pattern=_ID),
        type=type_name,
        amount=amount or 0,
        waits=trigger in WAITING_CHARGES,
    )
    reference = source.text("processorReference")
    return ask, ReadSource(to_json_text(kept), reference, trigger)


def _card(card: Fields, *, live: bool) -> tuple[dict[str, JsonValue], Trigger | None]:
    """What is shown of a card, and what it does in the sandbox; its number is never kept."""
    number = card.value("number")
    shown = {name: card.value(name) for name in _CARD_FIELDS if card.has(name)}
    if last := card.text("lastFourDigits", pattern=_LAST_DIGITS):
        shown["lastFourDigits"] = last
    if number is None:
        return shown, None
    if live:
        card.unknown_field(card.at("number"))
        return shown, None
    text = number.text if isinstance(number, Numeral) else str(number)
    known = find_card(text)
    if known is None:
        digits = text.replace(" ", "")
        card.invalid("number", "*" * max(0, len(digits) - 4) + digits[-4:])
        return shown, None
    digits = text.replace(" ", "")
    return {"brand": known.brand, **shown, "lastFourDigits": digits[-4:]}, known.trigger


def _charges(
    payment: Fields | None, currency: Currency | None, now: datetime
) -> tuple[ChargeAsk, ...] | None:
    charges = payment.objects("charges", most=50) if payment else None
    if not charges:
        return None
    return tuple(
        ChargeAsk(
            id=charge.text("id", pattern=_ID),
            type=_value(charge.enum("type", ChargeType)),
            captures=_past(charge, "captures", currency, now),
            cancels=_past(charge, "cancels", currency, now),
            refunds=_past(charge, "refunds", currency, now) or (),
            amount=charge.minor("amount", currency),
            source_id=charge.text("sourceId"),
        )
        for charge in charges
    )


def _past(
    charge: Fields, name: str, currency: Currency | None, now: datetime
) -> tuple[PastAmount, ...] | None:
    records = charge.objects(name, most=1000)
    if records is None:
        return None
    past: list[PastAmount] = []
    for record in records:
        amount = record.minor("amount", currency, required=True)
        if amount == 0:
            record.invalid("amount", record.value("amount"))
        past.append(
            PastAmount(
                amount or 0,
                _past_time(record, "createdTime", now),
                record.text("id", pattern=_ID),
            )
        )
    return tuple(past)


def _past_time(fields: Fields, name: str, now: datetime) -> datetime | None:
    moment = fields.time(name)
    if moment is not None and moment > now:
        fields.invalid(name, fields.value(name))
        return None
    return moment


def _times(body: Fields, name: str, known: tuple[str, ...], now: datetime) -> dict[str, datetime]:
    part = body.object(name)
    if part is None:
        return {}
    found = {state: _past_time(part, state, now) for state in known}
    return {state: moment for state, moment in found.items() if moment is not None}


def _fraud_state(body: Fields) -> str | None:
    state = body.text("fraudState")
    if state is not None and state.lower() not in _FRAUD_STATES:
        body.invalid("fraudState", state)
        return None
    return state.lower() if state else None


def _details(body: Fields, choice: dict[str, JsonValue]) -> str:
    kept = {name: body.value(name) for name in _PASSED_ON if body.has(name)}
    if body.has("shippingChoice"):
        kept["shippingChoice"] = choice
    return to_json_text(kept)
