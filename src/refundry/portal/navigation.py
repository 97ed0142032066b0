"""What the navigation shows, in its order, and to whom."""

from collections.abc import Set
from dataclasses import dataclass

from refundry.access.rights import Right


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation and the right that it takes."""

    label: str
    address: str
    right: Right


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading."""

    label: str
    entries: tuple[Entry, ...]


HOME = Entry("Home", "/dashboard", Right.VIEW_ORDERS)

# Source: contract, dashboard, section 1.2.
GROUPS = (
    Group("", (HOME,)),
    Group(
        "Order management",
        (
            Entry("Orders", "/dashboard/orders", Right.VIEW_ORDERS),
            Entry("Refunds", "/dashboard/refunds", Right.VIEW_ORDERS),
            Entry("Returns", "/dashboard/returns", Right.VIEW_ORDERS),
            Entry("Disputes", "/dashboard/disputes", Right.VIEW_ORDERS),
            Entry("Approvals", "/dashboard/approvals", Right.VIEW_ORDERS),
            Entry("Bulk refunds", "/dashboard/bulk", Right.CREATE_REFUND),
        ),
    ),
    Group(
        "Finance",
        (
            Entry("Transactions", "/dashboard/transactions", Right.TRANSACTIONS),
            Entry("Reconciliation", "/dashboard/reconciliation", Right.TRANSACTIONS),
        ),
    ),
    Group(
        "Developers",
        (
            Entry("API keys", "/dashboard/api-keys", Right.DEVELOPERS),
            Entry("Webhooks", "/dashboard/webhooks", Right.DEVELOPERS),
            Entry("Processors", "/dashboard/processors", Right.DEVELOPERS),
            Entry("Event logs", "/dashboard/events", Right.DEVELOPERS),
            Entry("API logs", "/dashboard/api-logs", Right.DEVELOPERS),
        ),
    ),
    Group(
        "Settings",
        (
            Entry("Users and roles", "/dashboard/users", Right.USERS),
            Entry("Permission sets", "/dashboard/permission-sets", Right.USERS),
            Entry("Approval rule", "/dashboard/approval-rule", Right.SET_LIMITS),
            Entry("Audit log", "/dashboard/audit", Right.AUDIT),
        ),
    ),
)


def groups_for(rights: Set[Right]) -> list[Group]:
    """What a person with these rights sees; empty groups are left out."""
    found = [
        Group(group.label, tuple(entry for entry in group.entries if entry.right in rights))
        for group in GROUPS
    ]
    return [group for group in found if group.entries]


def first_page(rights: Set[Right]) -> str:
    """Where a person lands after signing in: the first entry that the contract names."""
    entries = [each for group in groups_for(rights) for each in group.entries if each is not HOME]
    return entries[0].address if entries else "/dashboard/profile"
