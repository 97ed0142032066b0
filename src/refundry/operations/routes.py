"""The operations of processors, of the sandbox's clock, and of those who run the service."""

from datetime import timedelta

import msgspec
import structlog

from refundry.access.store import shift_test_clock
from refundry.disputes.reading import is_amount
from refundry.domain.refusal import InvalidField
from refundry.errors import NotFound, Refused
from refundry.gateways import store as gateways_store
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import BadCredentials
from refundry.http import problems
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import seconds, shown, to_json
from refundry.http.fields import Fields
from refundry.operations import gateway_notices, schemas
from refundry.operations.commands import Books
from refundry.operations.gateway_notices import Inbox
from refundry.operations.inbox import Data, Notification
from refundry.operations.notifications import Received, receive
from refundry.processors.contract import Forged
from refundry.processors.registry import notification_secrets
from refundry.processors.signature import HEADER, verify

log = structlog.get_logger("refundry.notifications")

# The furthest that a test clock may be moved in one step.
_MOST_SECONDS = 10 * 366 * 24 * 3600
_TYPES = frozenset(
    {
        "capture.complete",
        "capture.failed",
        "cancel.complete",
        "cancel.failed",
        "refund.complete",
        "refund.failed",
        "refund.pending_information",
        "dispute.opened",
        "dispute.won",
        "dispute.lost",
    }
)


async def post_notification(call: Call) -> Answer:
    """Take what a processor tells of an operation. Its signature is its key."""
    header = call.headers.get(HEADER.lower())
    for connector, live, secret in notification_secrets(call.services.settings):
        if verify(secret, header, call.body, now=call.now.timestamp()):
            notification = _read(call.fields())
            received = Received(connector, live, notification, _stored_body(notification))
            books = Books(call.database, call.services.vault)
            fresh = await receive(books, received, call.now)
            return Answer(200, to_json({"received": True, "duplicate": not fresh}))
    return problems.problem(401)


async def post_gateway_notification(call: Call) -> Answer:
    """Take what the processor behind a gateway tells, verified by its own scheme."""
    gateway = await gateways_store.find(call.database, call.path["id"])
    if gateway is None:
        raise NotFound("Gateway", call.path["id"])
    call.belongs_to(gateway.tenant)
    books = Books(call.database, call.services.vault)
    inbox = Inbox(books, call.services.settings, call.services.part(Connectors))
    try:
        fresh = await gateway_notices.receive(inbox, gateway, call.headers, call.body, call.now)
    except Forged as error:
        log.warning("notification_forged", gateway=gateway.name, why=str(error))
        return problems.problem(401)
    except (OSError, TimeoutError, BadCredentials) as error:
        # Its sender sends it again.
        log.error("notification_not_read", gateway=gateway.name, error=str(error)[:500])
        return problems.unavailable()
    call.services.wake()
    return Answer(200, to_json({"received": True, "duplicate": not fresh}))


def _read(body: Fields) -> Notification:
    notification_id = body.text("id", required=True)
    kind = body.text("type", required=True)
    if kind is not None and kind not in _TYPES:
        body.invalid("type", kind)
    body.time("occurredTime")
    data = body.object("data", required=True)
    read = Data()
    if data is not None and kind in _TYPES:
        read = _read_dispute(data, kind) if kind.startswith("dispute.") else _read_outcome(data)
        data.unknown()
    body.unknown()
    body.finish()
    return Notification(notification_id or "", kind or "", read)


def _read_outcome(data: Fields) -> Data:
    return Data(
        operation_id=data.text("operationId", required=True),
        code=data.text("code"),
        message=data.text("message", most=500),
        failure_reason=data.text("failureReason"),
    )


def _read_dispute(data: Fields, kind: str | None) -> Data:
    """What a dispute's notification must say depends on its type."""
    reference = data.text("processorReference", required=True)
    if kind == "dispute.won":
        return Data(processor_reference=reference)
    opened = kind == "dispute.opened"
    charge_id = data.text("chargeId", required=True) if opened else None
    if not data.has("amount"):
        data.missing("amount")
    amount = data.decimal("amount", is_amount)
    if not opened and not data.has("fraud"):
        data.missing("fraud")
    return Data(
        processor_reference=reference,
        charge_id=charge_id,
        amount=None if amount is None else shown(data.value("amount")),
        reason=data.text("reason") if opened else None,
        fraud=None if opened else data.flag("fraud"),
    )


def _stored_body(notification: Notification) -> str:
    return msgspec.json.encode(notification).decode()


async def post_advance(call: Call) -> Answer:
    """Move the account's test clock and run what is due; only where the server allows it."""
    fields = call.fields()
    value = fields.value("seconds")
    if value is None:
        fields.missing("seconds")
    amount = fields.decimal("seconds", lambda number: 0 <= number <= _MOST_SECONDS)
    fields.unknown()
    fields.finish()
    if call.tenant.live:
        return problems.problem(403)
    by = timedelta(microseconds=int((amount or 0) * 1_000_000))
    account_id = call.tenant.account_id
    shift = await shift_test_clock(call.database, account_id, by)
    if shift is None:
        raise Refused(InvalidField("seconds", shown(value)))
    await call.services.drain(account_id)
    return Answer(200, to_json({"now": seconds(call.services.clock.now() + shift)}))


NOTIFICATIONS = Operation(
    "POST", "/refundry/v1/processor-notifications", post_notification,
    "Notify of an operation's outcome", "Processors", schemas.NotificationReceived,
    body=schemas.Notification, open=True,
    description="For payment processors: signed by the header Refundry-Signature instead of a"
    " key. Applied once by its id.",
)  # fmt: skip
GATEWAY_NOTIFICATIONS = Operation(
    "POST", "/refundry/v1/processor-notifications/{id}", post_gateway_notification,
    "", "", None, open=True, documented=False, any_media=True,
)  # fmt: skip
ADVANCE = Operation(
    "POST", "/refundry/v1/test/advance", post_advance, "Advance the test clock", "Sandbox",
    schemas.ClockNow, body=schemas.ClockAdvance, example={"seconds": 60},
    description="There only where REFUNDRY_TEST_CLOCK=1 is set. Moves the account's test clock"
    " and runs everything that is due.",
)  # fmt: skip
