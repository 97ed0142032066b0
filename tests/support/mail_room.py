"""What `refundry-sync run` calls in a test: each call of the shop is a line of a file."""

import json
import os

from refundry_sync.sync import Notification, OrderRefundView, RefundView


def change(order: OrderRefundView, refund: RefundView | None, *, change_id: str) -> None:
    """A change of the order's refund status."""
    state = refund.state if refund else None
    _write({"change": change_id, "status": order.refund_status, "state": state})


def notify(kind: str, notification: Notification) -> None:
    """A mail to a customer."""
    _write({"mail": notification.id, "kind": kind, "amount": str(notification.amount)})


def _write(line: dict[str, object]) -> None:
    """One write, so that what is killed in the middle of it leaves a whole line or none."""
    file = os.open(os.environ["MAIL_ROOM"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
    finally:
        os.close(file)
