"""What the webhook of a shop is to be sent."""

# What the shop has to hear of; the webhook is to have these types.
EVENT_TYPES = (
    "refund.created", "refund.pending", "refund.pending_information", "refund.complete",
    "refund.failed", "refund.updated",
    "order.charge.refund.pending", "order.charge.refund.complete", "order.charge.refund.failed",
    "order.accepted", "order.fulfilled", "order.complete", "order.updated", "order.refunded",
    "order.chargeback", "order.dispute", "order.dispute.resolved",
    "sales_transaction.created", "return.created", "return.updated",
)  # fmt: skip
