"""The operation that pays a failed refund in another way."""

from refundry.access.audit_log import key_actor
from refundry.db.database import Tx
from refundry.domain.refund import Way
from refundry.domain.refusal import ApprovalRequired
from refundry.errors import Refused, required
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import to_json
from refundry.operations import schemas
from refundry.operations.another_way import RETRY, AnotherWay, pay_another_way
from refundry.operations.commands import Books
from refundry.refunds.commands import shown_view
from refundry.refunds.schemas import Refund
from refundry.refunds.store import StoredRefund, find_refund

_LONGEST_REASON = 500


async def pay_refund_another_way(call: Call) -> Answer:
    """Pay a refund that failed again or in another way."""
    asked = _read(call)
    if call.key.needs_approval:
        # A draft is of a refund of an order; nobody could approve this one.
        raise Refused(ApprovalRequired())
    books = Books(call.database, call.services.vault)

    async def along(tx: Tx, made_id: str) -> None:
        made = required(await find_refund(tx, call.tenant, made_id))
        if call.receipt is not None:
            sealed = made.sealed_token is not None
            await call.receipt.store(tx, 200, _shown(call, made), sealed=sealed)

    made_id = await pay_another_way(books, call.tenant, call.path["id"], asked, along)
    call.services.wake()
    made = required(await find_refund(call.database, call.tenant, made_id))
    return Answer(200, _shown(call, made), sealed=made.sealed_token is not None)


def _read(call: Call) -> AnotherWay:
    fields = call.fields()
    way = fields.text("way", required=True)
    if way is not None and way not in {RETRY, *Way}:
        fields.invalid("way", way)
    reason = fields.text("reason", required=True, most=_LONGEST_REASON)
    fields.unknown()
    fields.finish()
    return AnotherWay(
        None if way == RETRY else Way(required(way)), required(reason), key_actor(call.key),
        call.now, call.services.clock.now(),
    )  # fmt: skip


def _shown(call: Call, made: StoredRefund) -> bytes:
    return to_json(shown_view(made, call.services.vault, live=call.tenant.live))


ANOTHER_WAY = Operation(
    "POST", "/refundry/v1/refunds/{id}/another-way", pay_refund_another_way,
    "Pay a failed refund another way", "Refunds", Refund, resource="refunds",
    subject=Refund, body=schemas.AnotherWay, refusals=(409,),
    description="Makes a refund of the same amount in the place of one that failed or expired,"
    " which stays so for good. `retry` goes through the same payment again; `bank_transfer` waits"
    " for the shopper's bank details; `store_credit` and `by_hand` record what is paid elsewhere,"
    " and succeed at once. At most one refund in the place of another has not failed.",
)  # fmt: skip
