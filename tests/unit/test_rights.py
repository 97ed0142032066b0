"""Who may do what, when somebody is locked out, and what a password must be."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from refundry.access.rights import (
    REFUND_SET_NAME,
    ROLE_LABELS,
    STATUS_LABELS,
    TYPE_LABELS,
    AccessRefusal,
    AccessRefused,
    Attempts,
    Right,
    Role,
    UserStatus,
    UserType,
    check_password,
    is_last_administrator,
    may_manage,
    normal_password,
    rights_of,
)

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACTIVE, STAGED, SUSPENDED = UserStatus.ACTIVE, UserStatus.STAGED, UserStatus.SUSPENDED

# A row per right: administrator, customer service (outside, inside the set), finance manager,
# developer, user manager.
TABLE = {
    Right.VIEW_ORDERS: "yyyyyn",
    Right.CREATE_REFUND: "ynynnn",
    Right.APPROVE_REFUND: "ynnynn",
    Right.SET_LIMITS: "ynnnnn",
    Right.MARK_MANUAL: "ynynnn",
    Right.PAY_ANOTHER_WAY: "ynnynn",
    Right.HANDLE_RETURNS: "yyynnn",
    Right.FULFIL: "yyynnn",
    Right.DISPUTES: "ynnynn",
    Right.TRANSACTIONS: "ynnynn",
    Right.DEVELOPERS: "ynnnyn",
    Right.USERS: "ynnnny",
    Right.AUDIT: "ynnnnn",
}
COLUMNS = (
    (Role.ADMINISTRATOR, False),
    (Role.CUSTOMER_SERVICE, False),
    (Role.CUSTOMER_SERVICE, True),
    (Role.FINANCE_MANAGER, False),
    (Role.DEVELOPER, False),
    (Role.USER_MANAGER, False),
)


def test_each_role_has_the_rights_of_the_table() -> None:
    assert set(TABLE) == set(Right)
    for place, (role, member) in enumerate(COLUMNS):
        wanted = {right for right, row in TABLE.items() if row[place] == "y"}
        assert rights_of(role, in_refund_set=member) == wanted, role


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CUSTOMER_SERVICE])
def test_the_permission_set_adds_nothing_to_other_roles(role: Role) -> None:
    assert rights_of(role, in_refund_set=True) == rights_of(role, in_refund_set=False)


def test_everything_has_a_label_and_the_set_its_name() -> None:
    assert set(ROLE_LABELS) == set(Role)
    assert set(STATUS_LABELS) == set(UserStatus)
    assert set(TYPE_LABELS) == set(UserType)
    assert REFUND_SET_NAME.encode() == b"DigitalRiver Connector \xe2\x80\x93 Refunds"


def test_only_administrators_manage_administrators() -> None:
    for actor, of in product(Role, Role):
        allowed = actor is Role.ADMINISTRATOR or (
            actor is Role.USER_MANAGER and of is not Role.ADMINISTRATOR
        )
        assert may_manage(actor, of) == allowed
    assert not may_manage(Role.USER_MANAGER, Role.DEVELOPER, Role.ADMINISTRATOR)


@pytest.mark.parametrize(
    ("status", "others", "last"),
    [
        (ACTIVE, [], True),
        (ACTIVE, [STAGED, SUSPENDED, UserStatus.RECOVERY, UserStatus.DEPROVISIONED], True),
        (ACTIVE, [SUSPENDED, ACTIVE], False),
        (STAGED, [], True),
        (STAGED, [SUSPENDED, UserStatus.DEPROVISIONED], True),
        (STAGED, [STAGED], False),
        (UserStatus.RECOVERY, [UserStatus.RECOVERY], False),
        (SUSPENDED, [], False),
    ],
)
def test_the_last_administrator_is_who_leaves_nobody_to_sign_in(
    status: UserStatus, others: list[UserStatus], last: bool
) -> None:
    assert is_last_administrator(status, others) == last


def failed(*minutes: int) -> Attempts:
    """What five or fewer failures, so many minutes after noon, lead to."""
    attempts = Attempts()
    for minute in minutes:
        attempts = attempts.after_failure(NOW + minute * MINUTE)
    return attempts


def test_five_failures_within_a_quarter_of_an_hour_lock_out_for_another() -> None:
    assert failed(0, 1, 2, 3).locked_until is None
    locked = failed(0, 1, 2, 3, 14)
    assert locked == Attempts((), NOW + 29 * MINUTE)
    assert locked.is_locked(NOW + 29 * MINUTE - timedelta(microseconds=1))
    assert not locked.is_locked(NOW + 29 * MINUTE)


def test_failures_a_quarter_of_an_hour_ago_do_not_count() -> None:
    assert failed(0, 1, 2, 3, 15).locked_until is None
    assert failed(0, 4, 8, 12, 16, 20, 24).locked_until is None
    assert failed(0, 4, 8, 12, 16, 17).is_locked(NOW + 18 * MINUTE)


def test_attempts_prolong_no_lock_out_and_count_anew_after_it() -> None:
    locked = failed(0, 0, 0, 0, 0)
    assert locked.after_failure(NOW + 10 * MINUTE) == locked
    after = locked.after_failure(NOW + 15 * MINUTE)
    assert after == Attempts((NOW + 15 * MINUTE,), None)


@pytest.mark.parametrize("password", ["x" * 12, "x" * 256, " " * 12, "päßwörter! 🔑🔑"])
def test_passwords_of_twelve_characters_are_taken(password: str) -> None:
    check_password(password)


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        ("", AccessRefusal.PASSWORD_SHORT),
        ("x" * 11, AccessRefusal.PASSWORD_SHORT),
        ("a\u0308" * 11, AccessRefusal.PASSWORD_SHORT),
        ("x" * 257, AccessRefusal.PASSWORD_LONG),
    ],
)
def test_shorter_and_endless_passwords_are_refused(password: str, refusal: AccessRefusal) -> None:
    with pytest.raises(AccessRefused, match=refusal.value) as caught:
        check_password(password)
    assert caught.value.refusal is refusal


def test_a_password_is_one_however_its_characters_are_put_together() -> None:
    assert normal_password("pa\u0308sswort") == normal_password("p\u00e4sswort")
