"""The payment's step: one of a few ways to pay, kept with the order as its payment source."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from oscar.apps.checkout.views import PaymentDetailsView as OscarPaymentDetailsView

from shop.paying import WAYS, payment_source


class PaymentDetailsView(OscarPaymentDetailsView):
    """Shows the ways to pay, and takes the one that was chosen along to the order."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        way = self._way()
        chosen = {"ways": WAYS, "way": way, "way_title": WAYS[way][0]}
        return chosen | super().get_context_data(**kwargs)

    def handle_place_order_submission(self, request: HttpRequest) -> HttpResponse:
        return self.submit(**self.build_submission(payment_kwargs={"way": self._way()}))

    def handle_payment(self, order_number: Any, total: Any, **kwargs: Any) -> None:
        self.add_payment_source(payment_source(kwargs["way"], total))
        self.add_payment_event("Authorised", total.incl_tax, reference=kwargs["way"])

    def _way(self) -> str:
        way = self.request.POST.get("way", "visa")
        return way if way in WAYS else "visa"
