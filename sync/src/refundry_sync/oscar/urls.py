"""The app's addresses: include them before Oscar's own."""

from django.apps import apps
from django.urls import path

from refundry_sync.oscar.synchronising import webhook

urlpatterns = [
    path("dashboard/refunds/", apps.get_app_config("refundry_oscar").urls),  # type: ignore
    path("webhooks/digitalriver", webhook, name="refundry-webhook"),
]
