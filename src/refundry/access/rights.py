"""What people may do: roles, the permission set for refunds, lock-outs and passwords. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

REFUND_SET_NAME = "DigitalRiver Connector – Refunds"
"""What the permission set for refunds is called; every account has it."""

MOST_FAILURES = 5
FAILURE_WINDOW = timedelta(minutes=15)
LOCK_OUT = timedelta(minutes=15)
SHORTEST_PASSWORD = 12
# Long enough for any sentence; what is longer would only cost time.
LONGEST_PASSWORD = 256


class Right(StrEnum):
    """Something that a page shows or does."""

    VIEW_ORDERS = "view_orders"
    """Orders, refunds, returns and disputes."""
    CREATE_REFUND = "create_refund"
    APPROVE_REFUND = "approve_refund"
    """Approve or decline refunds of others that are above a limit."""
    SET_LIMITS = "set_limits"
    """Say above which amounts refunds need an approval."""
    MARK_MANUAL = "mark_manual"
    """Say what became of a refund that was paid by hand or that needs attention."""
    PAY_ANOTHER_WAY = "pay_another_way"
    """Send a failed refund another way, or record that it was paid by hand."""
    HANDLE_RETURNS = "handle_returns"
    """Create and accept returns."""
    FULFIL = "fulfil"
    """Fulfil and cancel items."""
    DISPUTES = "disputes"
    """Open and close disputes."""
    TRANSACTIONS = "transactions"
    DEVELOPERS = "developers"
    """API keys, webhooks, event logs and API logs."""
    USERS = "users"
    """Users, their roles and permission sets."""
    AUDIT = "audit"
    """The audit log."""


class Role(StrEnum):
    """What a user is; it alone decides on rights, but for the permission set."""

    ADMINISTRATOR = "administrator"
    DEVELOPER = "developer"
    CUSTOMER_SERVICE = "customer_service"
    USER_MANAGER = "user_manager"
    FINANCE_MANAGER = "finance_manager"


class UserType(StrEnum):
    """Whether a user belongs to the shop or to somebody who works for it."""

    CLIENT = "client"
    PARTNER = "partner"


class UserStatus(StrEnum):
    """How a user stands. Nothing in Refundry makes a user provisioned or a password expired."""

    STAGED = "staged"
    """Invited; no password yet."""
    PROVISIONED = "provisioned"
    ACTIVE = "active"
    RECOVERY = "recovery"
    """Has a link for a new password; the old one is gone."""
    LOCKED_OUT = "locked_out"
    """Active, but for some minutes nobody may sign in."""
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - a status
    SUSPENDED = "suspended"
    DEPROVISIONED = "deprovisioned"
    """Deleted: kept for the history only."""


ROLE_LABELS: Mapping[Role, str] = {
    Role.ADMINISTRATOR: "Administrator",
    Role.DEVELOPER: "Developer",
    Role.CUSTOMER_SERVICE: "Customer service",
    Role.USER_MANAGER: "User manager",
    Role.FINANCE_MANAGER: "Finance Manager",
}
TYPE_LABELS: Mapping[UserType, str] = {UserType.CLIENT: "Client", UserType.PARTNER: "Partner"}
STATUS_LABELS: Mapping[UserStatus, str] = {
    UserStatus.STAGED: "Staged",
    UserStatus.PROVISIONED: "Provisioned",
    UserStatus.ACTIVE: "Active",
    UserStatus.RECOVERY: "Recovery",
    UserStatus.LOCKED_OUT: "Locked out",
    UserStatus.PASSWORD_EXPIRED: "Password expired",
    UserStatus.SUSPENDED: "Suspended",
    UserStatus.DEPROVISIONED: "Deprovisioned",
}

_REFUNDS = frozenset({Right.CREATE_REFUND, Right.MARK_MANUAL})
_RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.ADMINISTRATOR: frozenset(Right),
    Role.DEVELOPER: frozenset({Right.VIEW_ORDERS, Right.DEVELOPERS}),
    Role.CUSTOMER_SERVICE: frozenset({Right.VIEW_ORDERS, Right.HANDLE_RETURNS, Right.FULFIL}),
    Role.USER_MANAGER: frozenset({Right.USERS}),
    Role.FINANCE_MANAGER: frozenset(
        {
            Right.VIEW_ORDERS,
            Right.DISPUTES,
            Right.TRANSACTIONS,
            Right.APPROVE_REFUND,
            Right.PAY_ANOTHER_WAY,
        }
    ),
}


def rights_of(role: Role, *, in_refund_set: bool) -> frozenset[Right]:
    """What a role may do; customer service makes refunds only as members of the set."""
    if role is Role.CUSTOMER_SERVICE and in_refund_set:
        return _RIGHTS[role] | _REFUNDS
    return _RIGHTS[role]


def may_manage(actor: Role, *roles: Role) -> bool:
    """Whether users of these roles may be made, changed or removed by somebody.

    A user manager who could touch administrators, or make one, would be one.
    """
    if actor is Role.ADMINISTRATOR:
        return True
    return actor is Role.USER_MANAGER and Role.ADMINISTRATOR not in roles


_CAN_COME_BACK = frozenset({UserStatus.ACTIVE, UserStatus.STAGED, UserStatus.RECOVERY})


def is_last_administrator(status: UserStatus, others: Iterable[UserStatus]) -> bool:
    """Whether without this administrator nobody could administer the account.

    status, others: as stored (never locked out), of this and of all other administrators. Who can
    sign in is not made up for by somebody who was invited and may never come.
    """
    if status not in _CAN_COME_BACK:
        return False
    enough = frozenset({UserStatus.ACTIVE}) if status is UserStatus.ACTIVE else _CAN_COME_BACK
    return not any(other in enough for other in others)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failed sign-ins that still count, fewer than five, and until when a user is locked out."""

    failed_at: tuple[datetime, ...] = ()
    locked_until: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        """Whether even the right password is refused."""
        return self.locked_until is not None and now < self.locked_until

    def after_failure(self, now: datetime) -> "Attempts":
        """With one more failure. While locked nothing changes: attempts prolong no lock-out."""
        if self.is_locked(now):
            return self
        failed = (*(at for at in self.failed_at if now - at < FAILURE_WINDOW), now)
        if len(failed) >= MOST_FAILURES:
            return Attempts((), now + LOCK_OUT)
        return Attempts(failed, None)


class AccessRefusal(StrEnum):
    """Why something about users was refused, in the words that people are shown."""

    EMAIL_TAKEN = "A user with this email address exists already."
    EMAIL_INVALID = "This is not an email address."
    NAME_MISSING = "A user needs a name of at most 100 characters."
    PASSWORD_SHORT = f"The password must have at least {SHORTEST_PASSWORD} characters."
    PASSWORD_LONG = f"The password must have at most {LONGEST_PASSWORD} characters."
    PASSWORD_WRONG = "The password is incorrect."  # noqa: S105
    CODE_WRONG = "The code is incorrect."
    LINK_INVALID = "This link is no longer valid."
    LAST_ADMINISTRATOR = "The last administrator cannot be removed, suspended or demoted."
    ONLY_ADMINISTRATORS = "Only administrators can make, change or remove administrators."
    NOT_IN_THIS_STATUS = "The user's status does not allow this."


class AccessRefused(Exception):
    """A rule about users said no; nothing has changed."""

    def __init__(self, refusal: AccessRefusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


def normal_password(text: str) -> str:
    """The password in one form, however a keyboard has put its characters together."""
    return unicodedata.normalize("NFKC", text)


def check_password(text: str) -> None:
    """Refuse a new password that is too short or too long. Raises AccessRefused."""
    length = len(normal_password(text))
    if length < SHORTEST_PASSWORD:
        raise AccessRefused(AccessRefusal.PASSWORD_SHORT)
    if length > LONGEST_PASSWORD:
        raise AccessRefused(AccessRefusal.PASSWORD_LONG)
