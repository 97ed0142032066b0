"""What the shop keeps about its orders at Refundry, and what it still has to tell."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class RefundryOrder(models.Model):
    """An order of the shop as Refundry knows it; the refund status of commerce systems."""

    order = models.OneToOneField(
        "order.Order", on_delete=models.CASCADE, related_name="refundry", verbose_name=_("Order")
    )
    refundry_id = models.CharField(_("Refundry ID"), max_length=128, unique=True)
    refund_status = models.CharField(_("Refund status"), max_length=32, default="none")
    # Three decimals: currencies have up to three, and Refundry is exact in each.
    refunded_amount = models.DecimalField(
        _("Refunded amount"), max_digits=15, decimal_places=3, default=0
    )

    class Meta:
        verbose_name = _("Order at Refundry")
        verbose_name_plural = _("Orders at Refundry")
        permissions = (("refunds", "DigitalRiver Connector – Refunds"),)

    def __str__(self) -> str:
        return self.refundry_id


class Outgoing(models.Model):
    """A request that Refundry has to get: once it is written here, it cannot be lost.

    key: the request's idempotency key. body: the JSON that is sent, fixed at the first attempt
    and the same in every repetition; empty before. refused: why Refundry does not want it.
    """

    ORDER = "order"
    SHIPMENT = "shipment"

    order = models.ForeignKey(
        "order.Order", on_delete=models.CASCADE, related_name="refundry_outgoing"
    )
    kind = models.CharField(max_length=16, choices=[(ORDER, "order"), (SHIPMENT, "shipment")])
    key = models.CharField(max_length=128, unique=True)
    shipping_event = models.ForeignKey(
        "order.ShippingEvent", on_delete=models.CASCADE, null=True, related_name="+"
    )
    body = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    refused = models.TextField(blank=True)
    trouble = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("Request to Refundry")
        verbose_name_plural = _("Requests to Refundry")
        constraints = (
            models.CheckConstraint(
                condition=Q(kind="order") | Q(shipping_event__isnull=False),
                name="refundry_shipment_has_its_event",
            ),
        )
        indexes = (
            models.Index(F("due_at"), condition=Q(sent_at=None, refused=""), name="refundry_due"),
        )

    def __str__(self) -> str:
        return self.key


class SentNotice(models.Model):
    """A notification that the customer was sent, so that its repetition is not sent again."""

    notice_id = models.CharField(primary_key=True, max_length=255)
    sent_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.notice_id
