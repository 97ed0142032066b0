"""The Django app, with its pages and who may see them."""

from typing import Any

from django.urls import path
from django.utils.translation import gettext_lazy as _
from oscar.core.application import OscarDashboardConfig

PERMISSION = "refundry_oscar.refunds"


class RefundryConfig(OscarDashboardConfig):
    """Put it before Oscar's apps into INSTALLED_APPS, as it overrides templates of theirs."""

    name = "refundry_sync.oscar"
    label = "refundry_oscar"
    namespace = "refundry"
    verbose_name = _("Refundry")
    default_auto_field = "django.db.models.BigAutoField"
    default_permissions = ["is_staff", PERMISSION]  # noqa: RUF012

    def ready(self) -> None:
        from refundry_sync.oscar.signals import connect

        connect()

    def get_urls(self) -> list[Any]:
        from refundry_sync.oscar import views

        urls = [
            path("", views.SearchView.as_view(), name="refunds"),
            path("orders/<str:number>/", views.OrderRefundsView.as_view(), name="order-refunds"),
            path(
                "orders/<str:number>/list/",
                views.RefundListView.as_view(),
                name="order-refund-list",
            ),
            path("orders/<str:number>/proceed/", views.ProceedView.as_view(), name="proceed"),
            path("orders/<str:number>/send/", views.SendAgainView.as_view(), name="send-again"),
        ]
        return self.post_process_urls(urls)
