"""The shapes of returns on the wire, as the reference shows them."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct

from refundry.domain import refusal as no
from refundry.domain.returns import ReturnState
from refundry.errors import FieldProblem
from refundry.http.shapes import (
    Made,
    Metadata,
    Money,
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

_UNITS = Annotated[int, whole(1, 1_000_000)]
_LINE = {"anyOf": [given("itemId"), given("skuId")]}
EXAMPLE_RETURN: dict[str, Any] = {
    "id": "ret_c95c7f27-7e6e-4455-b288-9b01b0600db9",
    "createdTime": "2024-05-02T11:20:00Z",
    "updatedTime": "2024-05-03T08:02:44Z",
    "currency": "USD",
    "items": [
        {
            "itemId": "181629488650",
            "amount": 21.61,
            "quantity": 2,
            "quantityAccepted": 2,
            "skuId": "sku-tee",
            "state": "accepted",
        }
    ],
    "orderId": "256469221483",
    "reason": "Incorrect size",
    "state": "accepted",
    "refundIds": ["re_a413f635-83b8-49ea-99a5-887a7c860155"],
    "liveMode": False,
}


class NewReturnItem(Struct, rename="camel", forbid_unknown_fields=True):
    """Units of one line that are to come back."""

    RULES: ClassVar[dict[str, Any]] = _LINE

    quantity: Annotated[_UNITS, about("Units, at most those shipped and in no other return.", 2)]
    item_id: Annotated[
        Sent[Text], about("The line's id. Required unless `skuId` is given.", "181629488650")
    ] = UNSET
    sku_id: Annotated[
        Sent[Text], about("The line's SKU, which must stand on one line only.", "sku-tee")
    ] = UNSET


class ReturnAddress(Struct, rename="camel", forbid_unknown_fields=True):
    """A postal address."""

    line1: Annotated[Text, about("Street and number.", "12 Harbor St")]
    city: Annotated[Text, about("The city.", "Duluth")]
    postal_code: Annotated[Text, about("The postal code.", "55802")]
    state: Annotated[Text, about("The state or province.", "MN")]
    country: Annotated[Text, about("The country.", "US")]
    line2: Annotated[Sent[Text], about("More of it.")] = UNSET


class ReturnLocation(Struct, rename="camel", forbid_unknown_fields=True):
    """Where goods come back to."""

    address: ReturnAddress
    name: Annotated[Sent[Text], about("Who is there.", "Returns desk")] = UNSET
    phone: Annotated[Sent[Text], about("Their telephone number.")] = UNSET
    email: Annotated[Sent[Text], about("Their e-mail address.")] = UNSET


class NewReturn(Struct, rename="camel", forbid_unknown_fields=True):
    """A return asked for."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "orderId": "256469221483",
        "items": [{"itemId": "181629488650", "quantity": 2}],
        "reason": "Incorrect size",
    }
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("missing_parameter", "items[0].quantity", "A parameter is missing."),
        FieldProblem("missing_parameter", "location.address.city", "A parameter is missing."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.OrderUnknown("256469221483"),
        no.ReturnDuringDispute(),
        no.ItemUnknown("items[0].itemId", "181629488650"),
        no.SkuAmbiguous("items[0].skuId", "sku-tee"),
        no.InvalidField("items[0].skuId", "sku-cap"),
        no.ReturnTooLarge("items[0].qty"),
        no.ConcurrentUpdate(),
    )

    order_id: Annotated[Text, about("The order.", "256469221483")]
    items: Annotated[
        list[NewReturnItem],
        Meta(min_length=1, max_length=500, description="What comes back; a line named twice is"
             " added up."),
    ]  # fmt: skip
    reason: Annotated[
        Sent[Annotated[str, text(64)]],
        about("Why, in your words; copied to the refunds.", "Incorrect size"),
    ] = UNSET
    location: Annotated[Sent[ReturnLocation], about("Where goods come back to.")] = UNSET
    metadata: Annotated[
        Sent[Metadata], about("Your own data: text, numbers and booleans by key.")
    ] = UNSET


class AcceptedUnits(Struct, rename="camel", forbid_unknown_fields=True):
    """Units of one line that have arrived."""

    RULES: ClassVar[dict[str, Any]] = _LINE

    quantity: Annotated[_UNITS, about("Units in this shipment, at most those still awaited.", 2)]
    state: Annotated[Literal["accepted"], about("The only state that can be asked for.")]
    item_id: Annotated[
        Sent[Text], about("The line's id. Required unless `skuId` is given.", "181629488650")
    ] = UNSET
    sku_id: Annotated[Sent[Text], about("The line's SKU.", "sku-tee")] = UNSET


class ReturnUpdate(Struct, rename="camel", forbid_unknown_fields=True):
    """What can be done to a return."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "items": [{"itemId": "181629488650", "quantity": 1, "state": "accepted"}]
    }
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "state", "'closed' is not a valid state."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.ItemUnknown("items[0].itemId", "181629488650"),
        no.SkuAmbiguous("items[0].skuId", "sku-tee"),
        no.InvalidField("items[0].skuId", "sku-cap"),
        no.ReturnDuringDispute(),
        no.ReturnAccepted("ret_c95c7f27-7e6e-4455-b288-9b01b0600db9"),
        no.ReturnTooLarge("items[0].qty"),
        no.ConcurrentUpdate(),
    )

    state: Annotated[
        Sent[Literal["accepted"]], about("Accepts every unit that is still awaited.")
    ] = UNSET
    items: Annotated[
        Sent[Annotated[list[AcceptedUnits], Meta(max_length=500)]],
        about("Units that have arrived; taken in before `state`."),
    ] = UNSET
    location: Annotated[Sent[ReturnLocation], about("Replaces the location.")] = UNSET
    metadata: Annotated[
        Sent[Metadata],
        about("Merged key by key; null removes a key, or all of them in place of the object."),
    ] = UNSET


class ReturnItem(Struct, rename="camel"):
    """Units of one line that come back."""

    item_id: Annotated[str, about("The line's id.", "181629488650")]
    amount: Annotated[
        Money, about("What a refund of these units would take now; then, what it took.", 21.61)
    ]
    quantity: Annotated[int, about("Units authorised.", 2)]
    quantity_accepted: Annotated[int, about("Units that have arrived.", 2)]
    state: Annotated[ReturnState, about("`accepted` once every unit has arrived.")]
    sku_id: Annotated[Shown[str], about("The line's SKU, if it has one.", "sku-tee")] = UNSET


class Return(Struct, rename="camel"):
    """Goods on their way back."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_RETURN

    id: Annotated[str, about("`ret_` and a UUID.", "ret_c95c7f27-7e6e-4455-b288-9b01b0600db9")]
    created_time: Made
    updated_time: Annotated[Time, about("When it was changed last.")]
    currency: Annotated[str, about("The order's currency.", "USD")]
    items: Annotated[list[ReturnItem], about("What comes back, line by line.")]
    order_id: Annotated[str, about("The order.", "256469221483")]
    state: Annotated[ReturnState, about("`accepted` once every item is.")]
    live_mode: Annotated[bool, about("Whether real money moves.")]
    reason: Annotated[Shown[str], about("As requested.", "Incorrect size")] = UNSET
    location: Annotated[Shown[dict[str, Any]], about("As requested.")] = UNSET
    refund_ids: Annotated[
        Shown[list[str]], about("The refunds that its acceptance made, one for each request.")
    ] = UNSET
    metadata: Annotated[Shown[ShownMetadata], about("Left out while empty.")] = UNSET


class ReturnList(Struct, rename="camel"):
    """A page of returns, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_RETURN]}

    has_more: Annotated[bool, about("Whether there are more in the direction of the page.")]
    data: Annotated[list[Return], about("The returns of this page.")]
