"""The pages of staff: an order's refunds, all refunds, and the way on to Refundry's dashboard."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.generic import View
from oscar.core.loading import get_class

from refundry_sync.errors import ApiError, BadAnswer, Unreachable
from refundry_sync.oscar import outbox, pages, words
from refundry_sync.oscar.asking import Ask, BadAsk
from refundry_sync.oscar.facts import known_order
from refundry_sync.oscar.forms import RefundForm
from refundry_sync.oscar.models import Outgoing, RefundryOrder
from refundry_sync.oscar.synchronising import synchroniser

_MOST_ROWS = 100
_STATES = ("pending", "pending_information", "succeeded", "failed", "expired", "refused")


class OrderView(View):
    """A page about one order, which staff may see. Nothing waits for Refundry in a transaction."""

    @method_decorator(transaction.non_atomic_requests)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.order = _order_of(request, kwargs["number"])
        return super().dispatch(request, *args, **kwargs)  # type: ignore


class OrderRefundsView(OrderView):
    """GET: amounts, list and form. POST: ask for a refund."""

    def get(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        return self._show(request, {}, [])

    def post(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        filled = {name: str(value) for name, value in request.POST.items()}
        offer, trouble = pages.offer(self.order)
        if offer is None:
            return self._show(request, filled, [trouble])
        form = RefundForm(offer, filled)
        try:
            refusals = _ask_for(self.order, form.request_id, form.ask(), form.reason)
        except BadAsk as error:
            refusals = [str(error)]
        if refusals:
            return self._show(request, filled, refusals)
        messages.success(request, str(_("Refund submitted.")))
        page = reverse("dashboard:order-detail", kwargs={"number": self.order.number})
        return HttpResponseRedirect(f"{page}#refunds")

    def _show(
        self, request: HttpRequest, filled: dict[str, str], errors: list[str]
    ) -> HttpResponse:
        """errors: why the form that was filled in was not taken."""
        offer, trouble = pages.offer(self.order)
        # A refusal was an answer to this form; what is sent next is another request.
        filled = {name: value for name, value in filled.items() if name != "request_id"}
        context = {
            "order": self.order,
            "panel": pages.panel(self.order, trouble),
            "form": RefundForm(offer, filled) if offer else None,
            "errors": errors,
        }
        asked_by_script = request.headers.get("X-Requested-With") == "XMLHttpRequest"
        name = "panel" if asked_by_script else "order_refunds"
        status = 422 if errors else 200
        return render(request, f"refundry/dashboard/{name}.html", context, status=status)


class RefundListView(OrderView):
    """The list alone, which an open page asks for again and again."""

    def get(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        context = {"order": self.order, "panel": pages.panel(self.order)}
        return render(request, "refundry/dashboard/list.html", context)


class ProceedView(OrderView):
    """The step before the order's page in Refundry's dashboard."""

    def get(self, request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        refundry = pages.staff_order(request.user, self.order)
        context = {"order": self.order, "refundry": refundry}
        return render(request, "refundry/dashboard/proceed.html", context)


class SendAgainView(OrderView):
    """Send what Refundry refused once more, from the order as it is now."""

    def post(self, _request: HttpRequest, **_kwargs: Any) -> HttpResponse:
        for row in Outgoing.objects.filter(order=self.order, sent_at=None).exclude(refused=""):
            outbox.send_again(row, timezone.now())
        page = reverse("dashboard:order-detail", kwargs={"number": self.order.number})
        return HttpResponseRedirect(f"{page}#refunds")


class SearchView(View):
    """All refunds, newest first, by order, refund or state."""

    def get(self, request: HttpRequest) -> HttpResponse:
        query, state = request.GET.get("q", "").strip(), request.GET.get("state", "")
        state = state if state in _STATES else ""
        rows = _found(query, state)
        context = {
            "q": query,
            "state": state,
            "states": [(each, words.STATES[each]) for each in _STATES],
            "refunds": rows[:_MOST_ROWS],
            "cut": len(rows) > _MOST_ROWS,
            "dead": synchroniser().dead_letters(),
        }
        return render(request, "refundry/dashboard/search.html", context)


def _order_of(request: HttpRequest, number: str) -> Any:
    """The order, if the user may see it. Raises Http404."""
    find = get_class("dashboard.orders.views", "queryset_orders_for_user")
    order = find(request.user).filter(number=number).first()
    if order is None:
        raise Http404
    return order


def _ask_for(order: Any, request_id: str, ask: Ask, reason: str) -> list[str]:
    """Ask Refundry; gives the refusals in words, none if it took it or has not answered yet."""
    try:
        outcome = synchroniser().request_refund(
            known_order(order).refundry_id,
            request_id=request_id,
            lines=ask.lines or None,
            amount=ask.amount,
            percent=ask.percent,
            type=ask.type,
            reason=reason or None,
        )
    except (Unreachable, BadAnswer):
        return [pages.NOT_THERE]
    except ApiError as error:
        return [each.message for each in error.problems] or [str(error)]
    if outcome.state != "refused":
        return []
    return [each.message for each in outcome.problems]


def _found(query: str, state: str) -> list[pages.Row]:
    if not query:
        return pages.refund_rows(state=state or None)
    known = RefundryOrder.objects.filter(order__number=query).first()
    if known is not None:
        return pages.refund_rows(order_id=known.refundry_id, state=state or None)
    return pages.refund_rows(refund_id=query, state=state or None)
