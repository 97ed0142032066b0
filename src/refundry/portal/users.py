"""The people of the account: the list, one of them, and what may be changed of them."""

from collections.abc import Awaitable
from enum import StrEnum
from typing import TypeVar

from refundry.access.audit_log import AuditFilter, Entry, list_audit
from refundry.access.forms import note_result
from refundry.access.links import INVITATION_LIFE, RECOVERY_LIFE, link_address
from refundry.access.people import (
    NewUser,
    UserEdit,
    add_user,
    delete_user,
    edit_user,
    make_password_link,
    reinstate_user,
    suspend_user,
)
from refundry.access.rights import (
    REFUND_SET_NAME,
    ROLE_LABELS,
    STATUS_LABELS,
    TYPE_LABELS,
    AccessRefusal,
    AccessRefused,
    Right,
    Role,
    UserStatus,
    UserType,
    may_manage,
)
from refundry.access.users import User, UserFilter, find_user, list_users
from refundry.db.database import Tx
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.ids import new_web_token
from refundry.portal.forms import whole
from refundry.portal.lists import active_filters, numbered_pages
from refundry.portal.pages import Forbidden, Page, Visit
from refundry.portal.receipts import AlreadySubmitted, take_token

Choice = TypeVar("Choice", bound=StrEnum)
_FEW_ENTRIES = 20
LABELS = {"types": TYPE_LABELS, "roles": ROLE_LABELS, "statuses": STATUS_LABELS}
"""How pages name what users are."""


async def list_people(visit: Visit) -> Answer:
    """The users by name; those who were deleted only where that status is asked for."""
    query = visit.query
    wanted = UserFilter(
        query.one("q"),
        chosen(UserType, query.one("type")),
        chosen(Role, query.one("role")),
        chosen(UserStatus, query.one("status")),
    )
    page = whole(query.one("page") or "") or 1
    account_id = visit.user.account_id
    found = await list_users(visit.database, account_id, wanted, visit.real_now, page=page)
    return visit.show(
        "users.html",
        people=found.users,
        total=found.total,
        pages=numbered_pages(visit, page, found.total),
        wanted=wanted,
        q=query.one("q") or "",
        active=active_filters(visit, "type", "role", "status"),
        labels=LABELS,
    )


def chosen(choices: type[Choice], text: str | None) -> Choice | None:
    """What a select has chosen; None for nothing, and for what it does not offer."""
    return choices(text) if text in set(choices) else None


async def new_user(visit: Visit) -> Answer:
    """The form that invites somebody."""
    return _invitation(visit)


def _invitation(visit: Visit, error: str = "") -> Answer:
    form = visit.form
    return visit.show(
        "new_user.html",
        status=400 if error else 200,
        error=error,
        email=form.text("email"),
        name=form.text("name"),
        type=form.text("type"),
        role=form.text("role"),
        in_set=form.ticked("in_set"),
        types=TYPE_LABELS,
        roles=_assignable(visit),
        set_name=REFUND_SET_NAME,
        form_token=form.text("form_token") or new_web_token(),
    )


def _assignable(visit: Visit) -> dict[Role, str]:
    """The roles that the visitor may give."""
    return {role: label for role, label in ROLE_LABELS.items() if may_manage(visit.user.role, role)}


async def post_new_user(visit: Visit) -> Answer:
    """Invite somebody, and show their link this once."""
    form = visit.form
    role = chosen(Role, form.text("role"))
    if role is None:
        return _invitation(visit, "Choose a role.")
    new = NewUser(
        form.text("email"),
        role,
        form.text("name") or None,
        chosen(UserType, form.text("type")) or UserType.CLIENT,
        in_refund_set=form.ticked("in_set"),
    )

    async def work(tx: Tx) -> tuple[User, str]:
        # Taken first, so that the second of two submissions is not told that the address is taken.
        await take_token(tx, visit, form.secret("form_token"), "/dashboard/users")
        made = await add_user(tx, visit.user.actor, visit.user.account_id, new, visit.real_now)
        await note_result(tx, visit.user, form.secret("form_token"), _address(made.user))
        assert made.link_token is not None
        return made.user, made.link_token

    try:
        person, token = await visit.database.run(work)
    except AlreadySubmitted as before:
        return visit.go(before.location or "/dashboard/users", done="invited")
    except AccessRefused as refused:
        _check_allowed(refused)
        return _invitation(visit, str(refused))
    return _show_link(visit, person, token)


def _address(person: User) -> str:
    return f"/dashboard/users/{person.id}"


def _check_allowed(refused: AccessRefused) -> None:
    """Who may not manage somebody is told so on a page of its own. Raises Forbidden."""
    if refused.refusal is AccessRefusal.ONLY_ADMINISTRATORS:
        raise Forbidden(str(refused)) from refused


def _show_link(visit: Visit, person: User, token: str) -> Answer:
    staged = person.status is UserStatus.STAGED
    life = INVITATION_LIFE if staged else RECOVERY_LIFE
    return visit.show(
        "user_link.html",
        person=person,
        staged=staged,
        expires=visit.real_now + life,
        link=link_address(visit.services.settings.public_address(), token),
    )


async def _person(visit: Visit) -> User:
    """The user of the address. Raises NotFound."""
    account_id, user_id = visit.user.account_id, visit.path["id"]
    found = await find_user(visit.database, account_id, user_id, visit.real_now)
    if found is None:
        raise NotFound("User", user_id)
    return found


async def show_user(visit: Visit, *, error: str = "") -> Answer:
    """One user; what the visitor may not do with them is not offered."""
    person = await _person(visit)
    gone = person.status is UserStatus.DEPROVISIONED
    return visit.show(
        "user.html",
        status=400 if error else 200,
        error=error,
        person=person,
        manageable=not gone and may_manage(visit.user.role, person.role),
        assignable=_assignable(visit),
        linkable=person.status in (UserStatus.STAGED, UserStatus.ACTIVE, UserStatus.RECOVERY),
        set_name=REFUND_SET_NAME,
        history=await _history(visit, person),
        labels=LABELS,
    )


async def _history(visit: Visit, person: User) -> list[Entry]:
    """What was last done to a user, for those who may read the audit log."""
    if not visit.may(Right.AUDIT):
        return []
    wanted = AuditFilter(object_type="user", object_id=person.id)
    account_id = visit.user.account_id
    return await list_audit(visit.database, account_id, wanted, limit=_FEW_ENTRIES)


async def _change(visit: Visit, work: Awaitable[object], done: str) -> Answer:
    """Do it and show the user again. `work` raises NotFound and AccessRefused."""
    try:
        await work
    except AccessRefused as refused:
        _check_allowed(refused)
        return await show_user(visit, error=str(refused))
    return visit.go(f"/dashboard/users/{visit.path['id']}", done=done)


async def post_user(visit: Visit) -> Answer:
    """Change name, type or role."""
    form, user = visit.form, visit.user
    edit = UserEdit(
        form.text("name"),
        chosen(UserType, form.text("type")),
        chosen(Role, form.text("role")),
    )
    user_id = visit.path["id"]
    work = edit_user(visit.database, user.actor, user.account_id, user_id, edit, visit.real_now)
    return await _change(visit, work, "saved")


async def post_link(visit: Visit) -> Answer:
    """Make a new link for a user, and show it this once."""
    user, user_id = visit.user, visit.path["id"]
    try:
        token = await make_password_link(
            visit.database,
            user.actor,
            user.account_id,
            user_id,
            visit.real_now,
            reset_totp=visit.form.ticked("reset_totp"),
        )
    except AccessRefused as refused:
        _check_allowed(refused)
        return await show_user(visit, error=str(refused))
    return _show_link(visit, await _person(visit), token)


async def post_suspend(visit: Visit) -> Answer:
    """Keep a user out."""
    user, user_id = visit.user, visit.path["id"]
    work = suspend_user(visit.database, user.actor, user.account_id, user_id, visit.real_now)
    return await _change(visit, work, "suspended")


async def post_reinstate(visit: Visit) -> Answer:
    """Let a suspended user in again."""
    user, user_id = visit.user, visit.path["id"]
    work = reinstate_user(visit.database, user.actor, user.account_id, user_id, visit.real_now)
    return await _change(visit, work, "reinstated")


async def confirm_delete(visit: Visit) -> Answer:
    """What deleting a user means, and the button that does it."""
    person = await _person(visit)
    if person.status is UserStatus.DEPROVISIONED:
        raise NotFound("User", person.id)
    if not may_manage(visit.user.role, person.role):
        raise Forbidden(AccessRefusal.ONLY_ADMINISTRATORS.value)
    return visit.show("delete_user.html", person=person, roles=ROLE_LABELS)


async def post_delete(visit: Visit) -> Answer:
    """Remove a user for good."""
    user, user_id = visit.user, visit.path["id"]
    try:
        await delete_user(visit.database, user.actor, user.account_id, user_id, visit.real_now)
    except AccessRefused as refused:
        _check_allowed(refused)
        return await show_user(visit, error=str(refused))
    return visit.go("/dashboard/users", done="deleted")


PAGES = (
    Page("GET", "/users", list_people, Right.USERS),
    Page("POST", "/users", post_new_user, Right.USERS),
    Page("GET", "/users/new", new_user, Right.USERS),
    Page("GET", "/users/{id}", show_user, Right.USERS),
    Page("POST", "/users/{id}", post_user, Right.USERS),
    Page("POST", "/users/{id}/link", post_link, Right.USERS),
    Page("POST", "/users/{id}/suspend", post_suspend, Right.USERS),
    Page("POST", "/users/{id}/reinstate", post_reinstate, Right.USERS),
    Page("GET", "/users/{id}/delete", confirm_delete, Right.USERS),
    Page("POST", "/users/{id}/delete", post_delete, Right.USERS),
)
