"""Refunds as the API shows them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from refundry.domain.another_way import UNPAID_STATES
from refundry.domain.charge import OperationKind
from refundry.domain.event import Draft
from refundry.domain.order import Order
from refundry.domain.refund import Element, Refund
from refundry.domain.settlement import operations_of
from refundry.http.document import milliseconds, money, seconds, to_json_text
from refundry.orders.recording import Rendered
from refundry.outbox.store import TOKEN_GAP
from refundry.refunds.store import PartFacts
from refundry.sealing import Vault

View = dict[str, Any]


def refund_view(
    refund: Refund, parts: Sequence[PartFacts], *, live: bool, token: str = TOKEN_GAP
) -> View:
    """The Refund resource. token: the text of its token, if it has one."""
    exponent = refund.currency.exponent
    view: View = {"id": refund.id}
    if not refund.elements:
        view["amount"] = money(refund.amount, exponent)
    view["createdTime"] = seconds(refund.created_at)
    view["currency"] = refund.currency.code
    if refund.type:
        view["type"] = refund.type.value
    view["items"] = [_element_view(element, exponent) for element in refund.elements]
    view["orderId"] = refund.order_id
    if refund.invoice_id is not None:
        view["invoiceId"] = refund.invoice_id
    if refund.reason is not None:
        view["reason"] = refund.reason
    view["refundedAmount"] = money(refund.refunded, exponent)
    view["state"] = refund.state.value
    if refund.token:
        expires = milliseconds(refund.token.expires_at)
        view["tokenInformation"] = {"token": token, "expiresTime": expires}
        view["expiresTime"] = expires
    view["liveMode"] = live
    if refund.failure_reason is not None:
        view["failureReason"] = refund.failure_reason
    if parts:
        view["charges"] = _charge_views(parts, exponent)
    if refund.metadata is not None:
        view["metadata"] = msgspec.Raw(refund.metadata.encode())
    if refund.needs_attention and refund.state not in UNPAID_STATES:
        # What failed stays as it was told (contract, refunds, section 7); the dashboard shows more.
        view["needsAttention"] = True
    if refund.replaces is not None:
        view["replaces"] = refund.replaces
    if refund.way is not None:
        view["payoutWay"] = refund.way.value
    return view


def _element_view(element: Element, exponent: int) -> View:
    view: View = {
        "amount": money(element.amount, exponent),
        "quantity": element.quantity,
        "refundedAmount": money(element.refunded, exponent),
    }
    if element.sku_id is not None:
        view["skuId"] = element.sku_id
    view["itemId"] = element.item_id
    if element.type:
        view["type"] = element.type.value
    return view


def _charge_views(parts: Sequence[PartFacts], exponent: int) -> list[View]:
    """The charges that a refund touches, each with only this refund's records."""
    views: dict[str, View] = {}
    for facts in parts:
        view = views.setdefault(
            facts.part.charge_id,
            {
                "id": facts.part.charge_id,
                "captured": facts.captured,
                "refunded": True,
                "refunds": [],
                "sourceId": facts.source_id,
            },
        )
        view["refunds"].append(
            {
                "createdTime": seconds(facts.created_at),
                "amount": money(facts.part.amount, exponent),
                "state": facts.state.value,
            }
        )
    return list(views.values())


def part_facts(order: Order, refund: Refund) -> list[PartFacts]:
    """The facts of a refund's parts, from its order."""
    operations = {operation.id: operation for operation in operations_of(order, refund)}
    found: list[PartFacts] = []
    for part in refund.parts:
        operation = operations[part.operation_id]
        charge = order.charge(part.charge_id)
        captured = any(o.kind is OperationKind.CAPTURE for o in charge.operations)
        found.append(
            PartFacts(part, operation.state, operation.created_at, charge.source_id, captured)
        )
    return found


def render_draft(
    draft: Draft, *, live: bool, vault: Vault, sealed_token: bytes | None
) -> Rendered | None:
    """A refund's event. sealed_token: of a token that the refund already had."""
    if draft.refund is None:
        return None
    view = refund_view(draft.refund, part_facts(draft.order, draft.refund), live=live)
    token = draft.refund.token
    sealed = vault.seal(token.secret) if token and token.secret else sealed_token
    previous = _previous(draft, live=live) if draft.refund_before else None
    return Rendered(to_json_text(view), previous, sealed if token else None)


def _previous(draft: Draft, *, live: bool) -> str:
    """The changed attributes with their old values; `{}` where there was none."""
    assert draft.refund is not None
    assert draft.refund_before is not None
    assert draft.order_before is not None
    parts_before = part_facts(draft.order_before, draft.refund_before)
    old = refund_view(draft.refund_before, parts_before, live=live)
    new = refund_view(draft.refund, part_facts(draft.order, draft.refund), live=live)
    changed = [name for name in draft.changed if old.get(name) != new.get(name)]
    return to_json_text({name: old.get(name, {}) for name in changed})
