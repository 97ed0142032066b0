"""The shapes of a token's operations, as the reference shows them."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct

from refundry.http.shapes import Money, Sent, Shown, Time, about, text

_COUNTRY = Annotated[str, Meta(pattern="^[A-Za-z]{2}$")]


class BankDetailsOption(Struct):
    """A choice of a select field."""

    value: Annotated[str, about("What is sent.", "savings")]
    label: Annotated[str, about("What the shopper sees.", "Savings account")]


class BankDetailsField(Struct, rename="camel"):
    """A field that names a part of a bank account."""

    name: Annotated[str, about("Its name in `fields`.", "iban")]
    label: Annotated[str, about("What the shopper sees, by `Accept-Language`.", "IBAN")]
    type: Annotated[Literal["text", "select"], about("How it is filled in.")]
    required: Annotated[bool, about("Whether it must be filled in.")]
    max_length: Annotated[int, about("Of what is typed, blanks included.", 42)]
    pattern: Annotated[
        Shown[str], about("What is typed must match it, as a `pattern` of HTML; checks go further.")
    ] = UNSET
    options: Annotated[Shown[list[BankDetailsOption]], about("The choices of a select.")] = UNSET


class BankDetailsForm(Struct, rename="camel"):
    """What a token asks a shopper for."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "refundId": "re_5280a62e-a527-405b-a76e-0e59d192bf1b",
        "amount": 29.75,
        "currency": "EUR",
        "expiresTime": "2024-05-31T10:20:05.123Z",
        "method": "wireTransfer",
        "country": "DE",
        "fields": [
            {
                "name": "accountHolderName", "label": "Account holder", "type": "text",
                "required": True, "maxLength": 70, "pattern": ".{2,70}",
            }
        ],
        "liveMode": False,
    }  # fmt: skip

    refund_id: Annotated[str, about("The refund that waits.")]
    amount: Annotated[Money, about("What is to be paid to the account.", 29.75)]
    currency: Annotated[str, about("Its currency.", "EUR")]
    expires_time: Annotated[Time, about("When the token ends.")]
    method: Annotated[str, about("The type of the payment source.", "wireTransfer")]
    fields: Annotated[list[BankDetailsField], about("What is asked, in this order.")]
    live_mode: Annotated[bool, about("Whether real money moves.")]
    country: Annotated[
        Shown[str],
        about("Whose accounts the fields are for; without it, those that do anywhere.", "DE"),
    ] = UNSET


class BankDetails(Struct, forbid_unknown_fields=True):
    """Where a refund is to be paid."""

    fields: Annotated[
        dict[str, Annotated[str, text(400, least=0)] | None], about("A value for each field.")
    ]
    country: Annotated[
        Sent[_COUNTRY], about("Another country than the token's form says.", "DE")
    ] = UNSET


class BankDetailsTaken(Struct, rename="camel"):
    """The details are with us and go to the processor."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "complete": True,
        "refundId": "re_5280a62e-a527-405b-a76e-0e59d192bf1b",
        "state": "pending",
    }

    complete: Annotated[bool, about("Always true.")]
    refund_id: Annotated[str, about("The refund that goes on.")]
    state: Annotated[Literal["pending"], about("Its state now.")]
