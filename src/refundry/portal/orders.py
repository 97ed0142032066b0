"""Orders: the list with its search, and an order with everything about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from refundry.access.rights import Right
from refundry.db.listing import Condition
from refundry.disputes.store import disputes_of_order
from refundry.domain.capture_retry import check_retry, has_failed, is_retried
from refundry.domain.cells import COMPONENT_NAMES, Component
from refundry.domain.charge import Charge, Operation, OperationKind
from refundry.domain.dispute import Dispute, DisputeState, check_dispute
from refundry.domain.order import Line, Order, OrderState
from refundry.domain.refusal import ChargeInDispute, NotRetriable
from refundry.domain.returns import Return, returnable_units
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.http.document import to_json_text
from refundry.http.problems import message_of
from refundry.orders.store import StoredOrder, find_order, find_orders
from refundry.portal.lists import active_filters, day_conditions, page_of
from refundry.portal.order_lines import line_details, line_name
from refundry.portal.pages import Page, Visit
from refundry.portal.refund_rows import RefundRow, refund_rows
from refundry.portal.sources import source_label
from refundry.portal.timeline import line_timeline, timeline_of
from refundry.refunds.store import find_refunds, refunds_of_order
from refundry.returns.store import open_units, returns_of_order

STATES: dict[str, str] = {
    "pending_payment": "Pending Payment",
    "in_review": "In review",
    "accepted": "Accepted",
    "fulfilled": "Fulfilled",
    "complete": "Complete",
    "blocked": "Blocked",
    "cancelled": "Cancelled",
    "returned": "Returned",
    "dispute": "Disputed",
}
"""How pages name the states of an order, in the order of the filter."""

COMPONENT_LABELS = {
    "product": "Product",
    "tax": "Product tax",
    "shipping": "Shipping",
    "shippingTax": "Shipping tax",
    "duty": "Importer duty",
    "importerTax": "Importer tax",
    "fees": "Fees",
    "feesTax": "Tax on fees",
}
IN_DISPUTE = "There is a dispute on the order."
NOTHING_LEFT = "Nothing is available to refund."
# As `Order.over_refunded` tells it; only a chargeback can make it so, and those are few.
OVER_REFUNDED = (
    "{}::boolean AND t.id IN (SELECT d.order_id FROM disputes d"
    " WHERE d.account_id = $1 AND d.live = $2 AND d.state = 'lost'"
    " AND (SELECT sum(CASE o.kind WHEN 'refund' THEN o.amount_minor ELSE -o.amount_minor END)"
    " FROM charge_operations o WHERE o.account_id = $1 AND o.live = $2"
    " AND o.order_id = d.order_id AND o.charge_id = d.charge_id AND o.state = 'complete'"
    " AND o.kind IN ('refund', 'capture')) > 0)"
)


async def list_orders(visit: Visit) -> Answer:
    """The orders, newest first."""
    conditions = day_conditions(visit, "t.created_at")
    state = visit.query.one("state") or ""
    if state in STATES:
        conditions.append(Condition("t.state = {}::text", state))
    over = visit.query.flag("over")
    if over:
        conditions.append(Condition(OVER_REFUNDED, True))
    q = (visit.query.one("q") or "").strip()
    if q:
        conditions.append(Condition("t.id = ANY ({}::text[])", await search_orders(visit, q)))
    ids, pages = await page_of(visit, "orders", conditions)
    found = await find_orders(visit.database, visit.tenant, ids)
    return visit.show(
        "orders.html",
        orders=found,
        pages=pages,
        q=q,
        state=state,
        states=STATES,
        over=over,
        first=visit.query.one("from") or "",
        last=visit.query.one("to") or "",
        active=active_filters(visit, "from", "to") + (state in STATES) + over,
    )


async def search_orders(visit: Visit, q: str) -> list[str]:
    """The ids of the orders with this id, upstream id or address; at most a thousand."""
    rows = await visit.database.fetch(
        """
        (SELECT id FROM orders WHERE account_id = $1 AND live = $2 AND id = $3)
        UNION
        (SELECT id FROM orders WHERE account_id = $1 AND live = $2 AND upstream_id = $3 LIMIT 1000)
        UNION
        (SELECT id FROM orders
          WHERE account_id = $1 AND live = $2 AND email IS NOT NULL AND lower(email) = lower($3)
          ORDER BY created_at DESC, seq DESC LIMIT 1000)
        """,
        visit.tenant.account_id, visit.tenant.live, q,
    )  # fmt: skip
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Button:
    """An action on an order. reason: why it cannot be used now; empty where it can."""

    label: str
    id: str
    address: str
    reason: str


async def load_order(visit: Visit) -> StoredOrder:
    """The order of the address. Raises NotFound."""
    stored = await find_order(visit.database, visit.tenant, visit.path["id"])
    if stored is None:
        raise NotFound("Order", visit.path["id"])
    return stored


async def show_order(visit: Visit) -> Answer:
    """An order with its lines, charges, returns, refunds and timeline."""
    return await order_page(visit, await load_order(visit))


async def order_page(visit: Visit, stored: StoredOrder, *, error: str = "") -> Answer:
    """The page of an order. error: why what was asked of it was not done."""
    order = stored.order
    refund_ids = await refunds_of_order(visit.database, visit.tenant, order.id)
    refunds = await find_refunds(visit.database, visit.tenant, refund_ids)
    rows: list[RefundRow] = refund_rows([each.refund for each in refunds])
    returns: list[Return] = await returns_of_order(visit.database, visit.tenant, order.id)
    disputes = await disputes_of_order(visit.database, visit.tenant, order.id)
    item = _asked_line(visit, order)
    moments = (
        await timeline_of(visit, order)
        if item is None
        else line_timeline(order, item, rows, returns)
    )
    return visit.show(
        "order.html",
        status=400 if error else 200,
        error=error,
        order=order,
        facts=stored.facts,
        states=STATES,
        lines=[_line(stored, line) for line in order.lines],
        totals=_totals(order),
        charges=[_charge(visit, stored, charge) for charge in order.charges],
        refunds=rows,
        returns=returns,
        disputes=disputes,
        buttons=await _buttons(visit, order, disputes),
        item=item.id if item else "",
        timeline=moments,
        component_names=COMPONENT_NAMES,
        component_labels=COMPONENT_LABELS,
    )


def _asked_line(visit: Visit, order: Order) -> Line | None:
    """The line whose timeline is asked for; None for that of the whole order. Raises NotFound."""
    asked = visit.query.one("item")
    if not asked:
        return None
    for line in order.lines:
        if line.id == asked:
            return line
    raise NotFound("Item", asked)


async def _buttons(visit: Visit, order: Order, disputes: Sequence[Dispute]) -> list[Button]:
    """The actions that the visitor may take, each with the reason why not now."""
    base = f"/dashboard/orders/{order.id}"
    dispute = IN_DISPUTE if order.state is OrderState.DISPUTE else ""
    units = any(line.units_left for line in order.lines) and order.state is OrderState.ACCEPTED
    taken = await open_units(visit.database, visit.tenant, order.id)
    goods = any(returnable_units(line, taken) > 0 for line in order.lines)
    found: list[Button] = []
    if visit.may(Right.CREATE_REFUND):
        reason = dispute or ("" if order.available_to_refund else NOTHING_LEFT)
        found.append(Button("Create refund", "create-refund", f"{base}/refunds/new", reason))
    if visit.may(Right.HANDLE_RETURNS):
        reason = dispute or ("" if goods else "No shipped item is left to return.")
        found.append(Button("Create return", "create-return", f"{base}/returns/new", reason))
    if visit.may(Right.FULFIL):
        reason = dispute or ("" if units else "No item is left to fulfil or cancel.")
        found.append(Button("Fulfill items", "fulfill", f"{base}/fulfill", reason))
        found.append(Button("Cancel items", "cancel", f"{base}/cancel", reason))
    if visit.may(Right.DISPUTES):
        found.append(
            Button(
                "Open dispute",
                "open-dispute",
                f"{base}/disputes/new",
                why_undisputed(order, disputes),
            )
        )
    return found


def why_undisputed(order: Order, disputes: Sequence[Dispute]) -> str:
    """Why no dispute can be opened on an order now; empty where one can."""
    reasons = [why_no_dispute(order, charge, disputes) for charge in order.charges]
    if not reasons:
        return "There is no charge on the order."
    if not all(reasons):
        return ""
    return IN_DISPUTE if order.state is OrderState.DISPUTE else reasons[0]


def why_no_dispute(order: Order, charge: Charge, disputes: Sequence[Dispute]) -> str:
    """Why no dispute can be opened on a charge now, by the API's rule; empty where one can."""
    open_on = {each.charge_id for each in disputes if each.state is DisputeState.OPEN}
    refusal = check_dispute(order, charge.id, open_on)
    if refusal is None:
        return ""
    if isinstance(refusal, ChargeInDispute):
        return "There is a dispute on this charge."
    return message_of(refusal)


@dataclass(frozen=True, slots=True)
class LineView:
    """A line with what is passed through of it. discount, metadata: JSON, empty without one."""

    line: Line
    name: str
    discount: str
    metadata: str


def _line(stored: StoredOrder, line: Line) -> LineView:
    details = line_details(stored, line.position)
    discount, metadata = (
        "" if details.get(name) is None else to_json_text(details[name])
        for name in ("discount", "metadata")
    )
    return LineView(line, line_name(stored, line.position), discount, metadata)


def _totals(order: Order) -> list[tuple[str, int]]:
    """What was ordered, by what it was for; what is nothing is left out."""
    figures = [
        ("Products", order.total(Component.PRODUCT)),
        ("Shipping", order.total(Component.SHIPPING)),
        ("Importer duty", order.total(Component.DUTY)),
        ("Importer tax", order.total(Component.IMPORTER_TAX)),
        ("Fees", order.total(Component.FEES)),
        ("Tax", order.total(Component.TAX, Component.SHIPPING_TAX, Component.FEES_TAX)),
    ]
    return [(name, minor) for name, minor in figures if minor]


@dataclass(frozen=True, slots=True)
class Row:
    """Something that was done on a charge. retry: to do it again; note: what became of it."""

    operation: Operation
    retry: Button | None
    note: str


@dataclass(frozen=True, slots=True)
class ChargeView:
    """A charge, how its source is called, and what was done on it, newest last."""

    charge: Charge
    label: str
    rows: Sequence[Row]


def _charge(visit: Visit, stored: StoredOrder, charge: Charge) -> ChargeView:
    shown = [o for o in charge.operations if o.kind is not OperationKind.AUTHORIZE or o.failure]
    rows = [_row(visit, stored.order, operation) for operation in shown]
    return ChargeView(charge, source_label(stored, charge), rows)


def _row(visit: Visit, order: Order, operation: Operation) -> Row:
    if is_retried(operation):
        return Row(operation, None, "Retried.")
    if not has_failed(operation) or not visit.may(Right.FULFIL):
        return Row(operation, None, "")
    checked = check_retry(order, operation.id)
    reason = message_of(checked) if isinstance(checked, NotRetriable) else ""
    query = urlencode({"operation": operation.id})
    address = f"/dashboard/orders/{order.id}/retry?{query}"
    kind = operation.kind.value
    return Row(operation, Button(f"Retry {kind}", f"retry-{kind}", address, reason), "")


PAGES = (
    Page("GET", "/orders", list_orders, Right.VIEW_ORDERS),
    Page("GET", "/orders/{id}", show_order, Right.VIEW_ORDERS),
)
