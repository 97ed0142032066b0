"""The shapes of webhooks on the wire, as the reference shows them."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, field

from refundry.domain import refusal as no
from refundry.errors import FieldProblem
from refundry.http.shapes import Sent, Shown, Text, Time, Timestamp, about, given, text
from refundry.webhooks.reading import (
    ADDRESS,
    MOST_ADDRESS,
    MOST_SECRET,
    MOST_TYPES,
    SECRET,
    USER_NAME,
)
from refundry.webhooks.types import (
    API_VERSIONS,
    EXPANDABLE,
    SUBSCRIBABLE,
    DeliveryState,
    Grant,
    Transport,
)

_WEBHOOK_ID = "eb83ad21-de08-4b16-b800-50b9e28d617d"
_EVENT_ID = "00e444b5-884a-4184-a03d-bdaa3fa73c9c"
EXAMPLE_WEBHOOK: dict[str, Any] = {
    "types": ["refund.complete", "refund.failed"],
    "address": "https://shop.example/hook",
    "authentication": {"userName": "refundry", "password": "a long one"},
}
EXAMPLE_WEBHOOK_ANSWER: dict[str, Any] = {
    "id": _WEBHOOK_ID,
    "types": ["refund.complete", "refund.failed"],
    "address": "https://shop.example/hook",
    "apiVersion": "default",
    "enabled": True,
    "transportType": "HTTP",
    "authentication": {
        "userName": "refundry",
        "username": "refundry",
        "password": "a long one",
    },
    "liveMode": False,
    "createdTime": "2024-05-01T09:30:00.125Z",
    "updatedTime": "2024-05-01T09:30:00.125Z",
}
EXAMPLE_ATTEMPTS: dict[str, Any] = {
    "hasMore": False,
    "data": [
        {
            "id": f"{_EVENT_ID}.0.1",
            "eventId": _EVENT_ID,
            "eventType": "refund.complete",
            "attempt": 1,
            "time": "2024-05-01T09:58:30.802Z",
            "durationMs": 41,
            "status": 503,
            "response": "try again later",
            "state": "pending",
            "nextAttemptTime": "2024-05-01T10:08:30.802Z",
        }
    ],
}

_Address = Annotated[str, Meta(pattern=f"^{ADDRESS}$", max_length=MOST_ADDRESS)]
_UserName = Annotated[str, Meta(pattern=f"^{USER_NAME}$", min_length=1, max_length=255)]
_Secret = Annotated[str, Meta(pattern=f"^{SECRET}$", min_length=1, max_length=MOST_SECRET)]
_Type = Annotated[str, Meta(extra_json_schema={"enum": list(SUBSCRIBABLE)})]
_Types = Annotated[list[_Type], Meta(min_length=1, max_length=MOST_TYPES)]
_Expanded = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(EXPANDABLE)})]],
    Meta(max_length=MOST_TYPES),
]
_Version = Annotated[str, Meta(extra_json_schema={"enum": list(API_VERSIONS)})]

_ADDRESS_RULE = (
    "An absolute URL without a user, https in live mode unless the server allows http. It must not"
    " lead to a private, loopback or reserved address."
)
_EXPANDED_RULE = (
    "Types of which the payload shows more of each item's product; only while expanded events are"
    " switched on for the account."
)
_MISTAKES = (
    FieldProblem("invalid_parameter", "types[0]", "'foo.bar' is not a valid types[0]."),
    FieldProblem("missing_parameter", "oauth.clientSecret", "A parameter is missing."),
    FieldProblem("invalid_parameter", "address", "'https://127.0.0.1/x' is not a valid address."),
    FieldProblem("unknown_parameter", "oauth", "'oauth' is an unknown parameter."),
)


class NewAuthentication(Struct, rename="camel", forbid_unknown_fields=True):
    """Credentials for Basic authentication, with transport `HTTP`."""

    RULES: ClassVar[dict[str, Any]] = {"anyOf": [given("userName"), given("username")]}

    password: Annotated[_Secret, about("Kept encrypted.", "a long one")]
    user_name: Annotated[Sent[_UserName], about("The user.", "refundry")] = UNSET
    username: Annotated[Sent[_UserName], about("The same, as others spell it.")] = UNSET


class NewOAuth(Struct, rename="camel", forbid_unknown_fields=True):
    """How to get a bearer token, with transport `OAUTH`."""

    token_end_point: Annotated[
        _Address, about(f"Where tokens are given. {_ADDRESS_RULE}", "https://id.shop.example/token")
    ]
    client_id: Annotated[Text, about("The client.", "refundry")] = field(name="clientID")
    client_secret: Annotated[_Secret, about("Kept encrypted.", "a long one")]
    user_name: Annotated[Sent[Text], about("For the password grant.")] = UNSET
    password: Annotated[Sent[_Secret], about("For the password grant; kept encrypted.")] = UNSET
    grant_type: Annotated[
        Sent[Grant],
        about("`password` by default; without a `userName`, `client_credentials` is used."),
    ] = UNSET


class _Settable(Struct, rename="camel", forbid_unknown_fields=True):
    """What may be left out of a body."""

    api_version: Annotated[
        Sent[_Version],
        about(
            "The version of the payloads: that of the account's secret key of the mode (`default`),"
            " the newest one (`latest`), or one by its date.",
            "default",
        ),
    ] = UNSET
    enabled: Annotated[
        Sent[bool], about("Whether events are delivered; false drops what is outstanding.", True)
    ] = UNSET
    transport_type: Annotated[
        Sent[Transport], about("`HTTP` by default: without credentials, or with Basic.", "HTTP")
    ] = UNSET
    authentication: Annotated[Sent[NewAuthentication], about("Only with `HTTP`.")] = UNSET
    oauth: Annotated[Sent[NewOAuth], about("Required with `OAUTH`, and only with it.")] = UNSET
    expanded_types: Annotated[Sent[_Expanded], about(_EXPANDED_RULE)] = UNSET


class NewWebhook(_Settable, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """An address that is to be told of events."""

    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = _MISTAKES

    types: Annotated[_Types, about("What to be told of; each counts once.")]
    address: Annotated[_Address, about(_ADDRESS_RULE, "https://shop.example/hook")]


class WebhookUpdate(_Settable, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What is to change; the rest stays. Another transport wants its own credentials along."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"types": ["refund.failed"], "enabled": True}
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = _MISTAKES

    types: Annotated[Sent[_Types], about("What to be told of, in place of what there was.")] = UNSET
    address: Annotated[Sent[_Address], about(_ADDRESS_RULE)] = UNSET


class Authentication(Struct, rename="camel"):
    """Credentials for Basic authentication."""

    user_name: Annotated[str, about("The user.", "refundry")]
    username: Annotated[str, about("The same.", "refundry")]
    password: Annotated[str, about("In clear.", "a long one")]


class OAuth(Struct, rename="camel"):
    """How to get a bearer token."""

    token_end_point: Annotated[str, about("Where tokens are given.")]
    client_id: Annotated[str, about("The client.")] = field(name="clientID")
    client_secret: Annotated[str, about("In clear.")]
    grant_type: Grant
    user_name: Annotated[Shown[str], about("For the password grant.")] = UNSET
    password: Annotated[Shown[str], about("For the password grant, in clear.")] = UNSET


class Webhook(Struct, rename="camel"):
    """An address that is told of events. Its signing token is not shown here."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_WEBHOOK_ANSWER

    id: Annotated[str, about("A UUID.", _WEBHOOK_ID)]
    types: Annotated[list[str], about("What it is told of.")]
    address: Annotated[str, about("Where events are sent.", "https://shop.example/hook")]
    api_version: Annotated[str, about("As set.", "default")]
    enabled: Annotated[bool, about("Whether events are delivered.")]
    transport_type: Transport
    live_mode: Annotated[bool, about("The mode whose events it gets.")]
    created_time: Annotated[Time, about("When it was made, to the millisecond.")]
    updated_time: Annotated[Time, about("When it was last changed.")]
    authentication: Annotated[Shown[Authentication], about("Only with `HTTP`.")] = UNSET
    oauth: Annotated[Shown[OAuth], about("Only with `OAUTH`.")] = UNSET
    expanded_types: Annotated[Shown[list[str]], about(_EXPANDED_RULE)] = UNSET
    failing_since: Annotated[
        Shown[Time], about("The first failed attempt after the last success, while it fails.")
    ] = UNSET
    disabled_reason: Annotated[
        Shown[str], about("Why Refundry disabled it; enabling it clears this.")
    ] = UNSET


class Resend(Struct, rename="camel", forbid_unknown_fields=True):
    """An event to be sent once more."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"eventId": _EVENT_ID}
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (
        no.EventUnknown(_EVENT_ID),
        no.WebhookDisabled(_WEBHOOK_ID),
    )

    event_id: Annotated[
        Annotated[str, text()], about("Any event of the mode, subscribed to or not.", _EVENT_ID)
    ]


class Recover(Struct, rename="camel", forbid_unknown_fields=True):
    """From when on to go through the events."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"since": "2024-05-01T09:00:00Z"}
    MISTAKES: ClassVar[tuple[FieldProblem, ...]] = (
        FieldProblem("invalid_parameter", "since", "'yesterday' is not a valid since."),
    )
    REFUSALS: ClassVar[tuple[no.Refusal, ...]] = (no.WebhookDisabled(_WEBHOOK_ID),)

    since: Annotated[Timestamp, about("Events made before it are left alone.")]


class Queued(Struct, rename="camel"):
    """What is to be delivered now."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"queued": 1}

    queued: Annotated[int, about("Deliveries that were queued.", 1)]


class Attempt(Struct, rename="camel"):
    """One try to deliver one event to a webhook; kept for 30 days."""

    id: Annotated[str, about("Names it within the webhook.", f"{_EVENT_ID}.0.1")]
    event_id: Annotated[str, about("The event.", _EVENT_ID)]
    attempt: Annotated[int, about("The how-manieth of its delivery, from 1.", 1)]
    time: Annotated[Time, about("When it began.")]
    duration_ms: Annotated[int, about("How long it took, in milliseconds.", 41)]
    state: Annotated[DeliveryState, about("What became of the delivery by now.")]
    event_type: Annotated[Shown[str], about("What happened.", "refund.complete")] = UNSET
    status: Annotated[Shown[int], about("The status of the answer, if there was one.", 200)] = UNSET
    error: Annotated[Shown[str], about("What went wrong, if there was no answer.")] = UNSET
    response: Annotated[
        Shown[str], about("The first 4 KiB of the answer; � stands for what is not UTF-8.")
    ] = UNSET
    next_attempt_time: Annotated[
        Shown[Time], about("When the delivery is tried again, while it is pending.")
    ] = UNSET


class AttemptList(Struct, rename="camel"):
    """A page of attempts, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_ATTEMPTS

    has_more: Annotated[bool, about("Whether there are more in the direction of the page.")]
    data: Annotated[list[Attempt], about("The attempts of this page.")]
