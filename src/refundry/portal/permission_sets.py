"""The permission set for refunds: who is in it, and putting people in and taking them out."""

from refundry.access.people import add_member, remove_member
from refundry.access.rights import (
    REFUND_SET_NAME,
    ROLE_LABELS,
    AccessRefused,
    Right,
    Role,
    UserStatus,
    may_manage,
)
from refundry.access.users import (
    User,
    UserFilter,
    find_user_by_email,
    list_members,
    list_users,
)
from refundry.http.answer import Answer
from refundry.portal.pages import Forbidden, Page, Visit

# More administrators than any account has; and as many addresses as a browser can well propose.
_MANY = 500
_PROPOSED = 200


async def show_sets(visit: Visit) -> Answer:
    """The members, and those who need not be."""
    return await _sets(visit)


async def _sets(visit: Visit, error: str = "") -> Answer:
    account_id, now = visit.user.account_id, visit.real_now
    members = await list_members(visit.database, account_id, now)
    found = await list_users(
        visit.database, account_id, UserFilter(role=Role.ADMINISTRATOR), now, limit=_MANY
    )
    known = {member.id for member in members}
    return visit.show(
        "permission_sets.html",
        status=400 if error else 200,
        error=error,
        set_name=REFUND_SET_NAME,
        members=members,
        removable={each.id for each in members if may_manage(visit.user.role, each.role)},
        administrators=[each for each in found.users if each.id not in known],
        proposed=await _proposed(visit),
        email=visit.form.text("email"),
        roles=ROLE_LABELS,
    )


async def _proposed(visit: Visit) -> list[User]:
    """Those whom joining would let create refunds: customer service, not yet members."""
    wanted = UserFilter(role=Role.CUSTOMER_SERVICE)
    found = await list_users(
        visit.database, visit.user.account_id, wanted, visit.real_now, limit=_PROPOSED
    )
    return [
        each
        for each in found.users
        if not each.in_refund_set and each.status is not UserStatus.SUSPENDED
    ]


async def post_member(visit: Visit) -> Answer:
    """Put the user with an address into the set."""
    user, email = visit.user, visit.form.text("email")
    person = await find_user_by_email(visit.database, email, visit.real_now)
    if person is None or person.account_id != user.account_id:
        return await _sets(visit, "No user of this account has this email address.")
    try:
        await add_member(visit.database, user.actor, user.account_id, person.id, visit.real_now)
    except AccessRefused as refused:
        raise Forbidden(str(refused)) from refused
    return visit.go("/dashboard/permission-sets", done="member-added")


async def post_remove(visit: Visit) -> Answer:
    """Take a user out of the set."""
    user, user_id = visit.user, visit.path["id"]
    try:
        await remove_member(visit.database, user.actor, user.account_id, user_id, visit.real_now)
    except AccessRefused as refused:
        raise Forbidden(str(refused)) from refused
    return visit.go("/dashboard/permission-sets", done="member-removed")


PAGES = (
    Page("GET", "/permission-sets", show_sets, Right.USERS),
    Page("POST", "/permission-sets/members", post_member, Right.USERS),
    Page("POST", "/permission-sets/members/{id}/remove", post_remove, Right.USERS),
)
