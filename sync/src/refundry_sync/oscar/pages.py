"""What the pages show: read from the shop's own store, but for what could be refunded now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from refundry_sync.errors import ApiError, BadAnswer, NotFound, Unreachable
from refundry_sync.oscar import words
from refundry_sync.oscar.apps import PERMISSION
from refundry_sync.oscar.asking import Line, Offer
from refundry_sync.oscar.conf import conf
from refundry_sync.oscar.facts import known_order, line_id
from refundry_sync.oscar.models import Outgoing, RefundryOrder
from refundry_sync.oscar.synchronising import client, known_view, read_order, shop_store
from refundry_sync.sync.finding import FoundRefund, find_in_store, refunds_of_book
from refundry_sync.sync.views import Book

# States of an order that has been complete: a return or a dispute may have followed.
COMPLETE = frozenset({"complete", "returned", "dispute"})
_OPEN = frozenset({"pending", "pending_information", "sending"})
_CELLS = (
    "product", "tax", "shipping", "shipping_tax", "duty", "importer_tax", "fees", "fees_tax",
)  # fmt: skip
NOT_THERE = "Refundry cannot be reached at the moment. Try again in a while."


@dataclass(frozen=True, slots=True)
class StaffOrder:
    """proceeds: whether refunds can be made in Refundry's dashboard, at `link`."""

    refundry_id: str
    link: str
    proceeds: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A refund, or a request that was refused. amount: as it was asked for."""

    id: str
    order_id: str
    number: str
    link: str
    requested: datetime
    type: str
    amount: Decimal | None
    refunded: Decimal | None
    currency: str
    state: str
    reason: str
    details_link: str = ""

    @property
    def shown(self) -> Decimal | None:
        """What the customer reads: what was paid out once it was, before that what was asked."""
        return self.refunded if self.state == "succeeded" else self.amount


@dataclass(frozen=True, slots=True)
class Panel:
    """The Refunds tab of an order. refused, trouble: why it is not at Refundry, or not reached."""

    refunds: Sequence[Row]
    status: str = "none"
    state: str = ""
    captured: Decimal | None = None
    refunded: Decimal | None = None
    available: Decimal | None = None
    chargeback: Decimal = Decimal(0)
    disputed: bool = False
    refused: str = ""
    waiting: bool = False
    trouble: str = ""

    @property
    def open(self) -> bool:
        """Whether something is on its way, so that it is worth looking again soon."""
        return self.waiting or any(row.state in _OPEN for row in self.refunds)


@dataclass(frozen=True, slots=True)
class CustomerRefunds:
    status: str
    refunded: Decimal
    refunds: Sequence[Row]


def may_refund(user: Any) -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm(PERMISSION))


def staff_order(user: Any, order: Any) -> StaffOrder | None:
    """None without the permission."""
    if not may_refund(user):
        return None
    refundry_id = known_order(order).refundry_id
    view = known_view(refundry_id)
    proceeds = view is not None and view.state in COMPLETE
    return StaffOrder(refundry_id, conf().order_link(refundry_id), proceeds)


def panel(order: Any, trouble: str = "") -> Panel:
    """The order as the shop knows it, without asking Refundry."""
    refundry_id = known_order(order).refundry_id
    # Open rows, oldest first: what is refused holds up the rest.
    row = Outgoing.objects.filter(order=order, sent_at=None).order_by("pk").first()
    refunds = refund_rows(order_id=refundry_id)
    sending = {
        "refused": row.refused if row else "",
        "waiting": row is not None and not row.refused,
        "trouble": (row.trouble if row else "") or trouble,
    }
    view = known_view(refundry_id)
    if view is None:
        return Panel(refunds, **sending)
    return Panel(
        refunds, view.refund_status, view.state or "", view.captured_amount,
        view.refunded_amount, view.available_to_refund_amount, view.chargeback_amount,
        view.disputed, **sending,
    )  # fmt: skip


def offer(order: Any) -> tuple[Offer | None, str]:
    """What could be refunded now, as Refundry says; else None and why not, for staff.

    What Refundry says of the order is what `panel` shows from then on.
    """
    refundry_id = known_order(order).refundry_id
    try:
        document = read_order(refundry_id)
        preview = client().refund_previews.create(
            {"orderId": refundry_id, "currency": order.currency, "percent": 100}
        )
    except NotFound:
        return None, "Refundry does not know this order yet."
    except (Unreachable, BadAnswer):
        return None, NOT_THERE
    except ApiError as error:
        return None, "; ".join(each.message for each in error.problems) or str(error)
    titles = {line_id(order, line): line for line in order.lines.all()}
    lines = [_line(each, titles[each.item_id]) for each in preview.lines if each.item_id in titles]
    return Offer(
        order.currency,
        document["availableToRefundAmount"],
        document["capturedAmount"],
        document["refundedAmount"],
        document["state"],
        lines,
    ), ""


def _line(found: Any, line: Any) -> Line:
    """What the preview takes of the line and what it leaves are together what is there."""
    left = {name: getattr(found.components, name) + getattr(found.left, name) for name in _CELLS}
    return Line(found.item_id, line.title, line.quantity, left)


def customer_refunds(order: Any) -> CustomerRefunds | None:
    """None while there is nothing to tell."""
    known = RefundryOrder.objects.filter(order=order).first()
    if known is None:
        return None
    # A request without a refund is the shop's own affair.
    rows = [row for row in refund_rows(order_id=known.refundry_id) if row.id]
    view = known_view(known.refundry_id)
    if view is None or (not rows and view.refund_status == "none"):
        return None
    status = str(words.CUSTOMER_STATUSES[view.refund_status])
    return CustomerRefunds(status, view.refunded_amount, rows)


def refund_rows(
    *, order_id: str | None = None, refund_id: str | None = None, state: str | None = None
) -> list[Row]:
    """Refunds and refused requests as the shop knows them, newest first; of one order, or all."""
    with shop_store().transaction() as tx:
        if refund_id is not None:
            order_id = tx.order_of_refund(refund_id) or ""
        if order_id is None:
            found = find_in_store(tx, state)
        else:
            book = tx.find_book(order_id) or Book(order_id=order_id)
            found = refunds_of_book(book, tx.requests_of(order_id))
    chosen = [
        each
        for each in found
        if state in (None, each.state) and refund_id in (None, each.refund_id)
    ]
    ids = {each.order_id for each in chosen}
    known = RefundryOrder.objects.filter(refundry_id__in=ids).select_related("order")
    orders = {each.refundry_id: each.order for each in known}
    return [_row(each, orders.get(each.order_id)) for each in chosen]


def _row(found: FoundRefund, order: Any) -> Row:
    """order: None for one that is not of this shop."""
    document = found.refund.document if found.refund else {}
    token = (document.get("tokenInformation") or {}).get("token")
    reasons = "; ".join(each.message for each in found.problems)
    kind = str(document.get("type") or ("items" if document.get("items") else ""))
    return Row(
        id=found.refund_id or "",
        order_id=found.order_id,
        number=order.number if order else "",
        link=conf().refund_link(found.refund_id) if found.refund_id else "",
        requested=found.made_time,
        type=str(words.TYPES.get(kind, kind)) if found.refund else "",
        amount=found.amount,
        refunded=found.refunded_amount if found.refund else None,
        currency=found.currency or (order.currency if order else ""),
        state=found.state,
        reason=words.reason(found.failure_reason) or reasons,
        details_link=conf().details_link(token) if token else "",
    )
