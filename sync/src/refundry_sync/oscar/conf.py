"""The app's part of the shop's settings: the dictionary REFUNDRY."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

Adjust = Callable[[Any, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Conf:
    """What REFUNDRY may hold, in lower case here.

    url, api_key: of Refundry, with a secret key. webhook_tokens: signing tokens of the webhook,
    two while one is being replaced. mode: test or live. public_url: where browsers find Refundry,
    if not at url. shipped_events: codes of Oscar's shipping events that mean a line has left.
    source_types: code of Oscar's payment source type -> type of source at Refundry.
    default_source_type: where Oscar knows nothing of the payment. order_id_prefix: where several
    shops share an account. order_body: path of a function (order, body) -> body that has the last
    word on what is sent. settle_seconds: how long an order rests before it is sent, as Oscar
    stores its payment sources after it has said that the order was placed.
    """

    url: str
    api_key: str
    webhook_tokens: tuple[str, ...] = ()
    mode: Literal["test", "live"] = "test"
    public_url: str = ""
    shipped_events: tuple[str, ...] = ("shipped",)
    source_types: Mapping[str, str] = field(default_factory=dict[str, str])
    default_source_type: str = "creditCard"
    order_id_prefix: str = ""
    order_body: str = ""
    settle_seconds: float = 2.0

    @property
    def browser_url(self) -> str:
        return (self.public_url or self.url).rstrip("/")

    def order_link(self, refundry_id: str) -> str:
        """The order's page in Refundry's dashboard."""
        return f"{self.browser_url}/dashboard/orders/{refundry_id}"

    def refund_link(self, refund_id: str) -> str:
        """The refund's page in Refundry's dashboard."""
        return f"{self.browser_url}/dashboard/refunds/{refund_id}"

    def details_link(self, token: str) -> str:
        """Where a shopper leaves bank details."""
        return f"{self.browser_url}/offline-refund/{token}"

    def adjust(self, order: Any, body: dict[str, Any]) -> dict[str, Any]:
        if not self.order_body:
            return body
        adjust: Adjust = import_string(self.order_body)
        return adjust(order, body)


@cache
def conf() -> Conf:
    """The settings in force. Raises ImproperlyConfigured."""
    given = getattr(settings, "REFUNDRY", {})
    known = {each.name.upper() for each in fields(Conf)}
    unknown = ", ".join(sorted(set(given) - known))
    missing = ", ".join(name for name in ("URL", "API_KEY") if not given.get(name))
    if unknown or missing:
        raise ImproperlyConfigured(
            f"REFUNDRY has no setting {unknown}" if unknown else f"REFUNDRY needs {missing}"
        )
    return Conf(**{name.lower(): value for name, value in given.items()})
