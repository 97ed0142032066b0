"""What the pages of Oscar show of refunds."""

from decimal import Decimal
from typing import Any

from django import template

from refundry_sync.oscar import amounts, pages, words

register = template.Library()


@register.simple_tag(takes_context=True)
def refundry_order(context: Any, order: Any) -> pages.StaffOrder | None:
    """The order as staff may see it; None without the permission."""
    return pages.staff_order(context["request"].user, order)


@register.simple_tag
def customer_refunds(order: Any) -> pages.CustomerRefunds | None:
    """What the customer is shown; None while there is nothing to tell."""
    return pages.customer_refunds(order)


@register.filter
def money(amount: Decimal | None, currency: str) -> str:
    """`27.01 USD`; an amount that is not known is a dash."""
    return f"{amounts.plain(amount, currency)} {currency}" if amount is not None else "–"


@register.filter
def state_words(state: str) -> str:
    return str(words.STATES.get(state, state))


@register.filter
def state_colour(state: str) -> str:
    return words.COLOURS.get(state, "secondary")


@register.filter
def status_colour(status: str) -> str:
    return words.STATUS_COLOURS.get(status, "secondary")


@register.filter
def status_words(status: str) -> str:
    return str(words.STATUSES.get(status, status))


@register.filter
def reason_words(code: str | None) -> str:
    return words.reason(code)
