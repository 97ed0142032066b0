"""The operations on refunds."""

from datetime import timedelta
from typing import Any

from refundry.domain.refund import RefundState
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import to_json
from refundry.http.fields import Fields
from refundry.http.lists import list_answer
from refundry.http.query import Filter, Kind
from refundry.refunds import commands, preview_schemas, schemas
from refundry.refunds.lanes import RefundLanes
from refundry.refunds.limits import foresee, key_requester
from refundry.refunds.previewing import preview_of_order, preview_view
from refundry.refunds.reading import read_refund
from refundry.refunds.store import NAMES_ARTICLE, find_refund, find_refunds

REFUND_FILTERS = (
    Filter("createdTime", Kind.TIME, "t.created_at"),
    Filter("amount", Kind.NUMBER, "t.amount_minor * 10::numeric ^ -t.exponent"),
    Filter("refundedAmount", Kind.NUMBER, "t.refunded_minor * 10::numeric ^ -t.exponent"),
    Filter("state", Kind.EQUAL, "lower(t.state)", values=tuple(s.value for s in RefundState)),
    Filter("ids", Kind.ANY, "t.id"),
    Filter("orderId", Kind.EQUAL, "t.order_id"),
    Filter("reason", Kind.EQUAL, "t.reason"),
    Filter("failureReason", Kind.EQUAL, "t.failure_reason"),
    Filter("skuId", Kind.EQUAL, NAMES_ARTICLE),
)


async def post_refund(call: Call) -> Answer:
    """Ask for a refund."""
    request = commands.RefundRequest(
        ask=read_refund(call.fields(), call.basis),
        now=call.now,
        batch_window=timedelta(seconds=call.services.settings.refund_batch_window),
        receipt=call.receipt,
        requester=key_requester(call.key),
    )
    body = await call.services.part(RefundLanes).create(call.tenant, request)
    call.services.wake()
    return Answer(201, body)


async def post_refund_preview(call: Call) -> Answer:
    """Show what a refund would come to, and make none."""
    ask = read_refund(call.fields(), call.basis)
    preview = await preview_of_order(call.database, call.tenant, ask, call.now)
    over = None
    if preview.refund is not None:
        requester = key_requester(call.key)
        over = await foresee(call.database, call.tenant, requester, preview.refund)
    return Answer(200, to_json(preview_view(preview, over, live=call.tenant.live)))


async def post_refund_update(call: Call) -> Answer:
    """Change a refund's metadata, the only thing of it that may be changed."""
    document = call.document if call.body.strip() else {}
    fields = Fields(document, [])
    update = commands.MetadataUpdate(
        members=fields.metadata(),
        clear="metadata" in document and document["metadata"] is None,
    )
    fields.unknown()
    fields.finish()
    body, sealed = await commands.update_refund(
        call.database, call.services.vault, call.tenant, call.path["id"], update, call.now,
        call.receipt,
    )  # fmt: skip
    return Answer(200, body, sealed=sealed)


async def get_refund(call: Call) -> Answer:
    """Read a refund."""
    stored = await find_refund(call.database, call.tenant, call.path["id"])
    if stored is None:
        raise NotFound("Refund", call.path["id"])
    view = commands.shown_view(stored, call.services.vault, live=call.tenant.live)
    return Answer(200, to_json(view))


async def get_refunds(call: Call) -> Answer:
    """List refunds."""

    async def load(ids: list[str]) -> list[Any]:
        found = await find_refunds(call.database, call.tenant, ids)
        vault = call.services.vault
        return [commands.shown_view(stored, vault, live=call.tenant.live) for stored in found]

    return await list_answer(call, "refunds", REFUND_FILTERS, load)


OPERATIONS = (
    Operation(
        "GET", "/refunds", get_refunds, "List refunds", "Refunds", schemas.RefundList,
        resource="refunds", filters=REFUND_FILTERS, paged=True,
    ),
    Operation(
        "POST", "/refunds", post_refund, "Create a refund", "Refunds", schemas.Refund,
        resource="refunds", status=201, body=schemas.NewRefund, refusals=(409,),
        example=schemas.EXAMPLE_REFUND, answer_example=schemas.EXAMPLE_REFUND_ANSWER,
        description="Accepts a refund and reserves its amount; the processor is asked in the"
        " background. Give exactly one of amount, percent and items. With a key whose refunds need"
        " an approval above a limit, what is above it waits: 409 `approval_required`.",
    ),
    Operation(
        "POST", "/refundry/v1/refund-previews", post_refund_preview, "Preview a refund", "Refunds",
        preview_schemas.RefundPreview, resource="refunds", read_only=True,
        body=preview_schemas.PreviewedRefund, example=schemas.EXAMPLE_REFUND,
        description="Takes the body of a new refund and creates nothing: the amounts it would come"
        " to by cell, line and charge, what would be left, what it leaves out, every rule that"
        " would refuse it, and whether it would wait for an approval. A restricted key needs Read."
        " The refund itself may still come out otherwise, if the order changes in between.",
    ),
    Operation(
        "GET", "/refunds/{id}", get_refund, "Read a refund", "Refunds", schemas.Refund,
        resource="refunds",
    ),
    Operation(
        "POST", "/refunds/{id}", post_refund_update, "Update a refund's metadata", "Refunds",
        schemas.Refund, resource="refunds", body=schemas.RefundUpdate, refusals=(409,),
    ),
)  # fmt: skip
