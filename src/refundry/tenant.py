"""Whose data, and who asks: an account in a mode, and an API key of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

VERSIONS = ("2021-12-13", "2021-03-23")
"""The API versions that are served, the default first."""

RESOURCES = (
    "charges",
    "disputes",
    "events",
    "fulfillments",
    "orders",
    "refunds",
    "returns",
    "sales-transactions",
    "sources",
    "webhooks",
)
"""What a restricted key may be given a permission for."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account in one mode; test and live rows never meet."""

    account_id: str
    live: bool


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key that was found valid. permissions: resource -> none, read, write, read_write.

    clock_shift: how far the account's test clock was moved; zero in live mode. needs_approval:
    whether the limits for keys apply to its refunds.
    """

    id: str
    name: str
    tenant: Tenant
    kind: str
    permissions: Mapping[str, str]
    version: str
    item_amount_basis: str
    clock_shift: timedelta
    needs_approval: bool = False

    def may(self, resource: str | None, *, write: bool) -> bool:
        """Whether the key permits an operation; resource None: secret keys only."""
        if self.kind == "secret":
            return True
        if self.kind != "restricted" or resource is None:
            return False
        permission = self.permissions.get(resource, "none")
        return permission == "read_write" or permission == ("write" if write else "read")
