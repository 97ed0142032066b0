"""Making, changing and removing users: who may, what is left, and that somebody stays in charge."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from pyotp.totp import TOTP

from refundry.access.audit_log import COMMAND_LINE, SYSTEM, Actor
from refundry.access.links import INVITATION_LIFE, RECOVERY_LIFE, find_link
from refundry.access.people import (
    NewUser,
    UserEdit,
    add_member,
    create_user,
    delete_user,
    edit_user,
    make_password_link,
    reinstate_user,
    remove_member,
    rename_self,
    suspend_user,
)
from refundry.access.rights import (
    REFUND_SET_NAME,
    AccessRefusal,
    AccessRefused,
    Role,
    UserStatus,
    UserType,
)
from refundry.access.signing_in import (
    change_password,
    confirm_totp,
    enrol_totp,
    set_password_by_link,
)
from refundry.access.users import User, UserFilter, find_user, list_members, list_users
from refundry.errors import NotFound, required
from tests.support.people import PASSWORD, Door

NEW = "a quite different phrase"
SECOND = timedelta(seconds=1)
Removal = Callable[[Door, Actor, User], Awaitable[object]]


async def suspend(door: Door, actor: Actor, user: User) -> None:
    await suspend_user(door.database, actor, door.account_id, user.id, door.now)


async def delete(door: Door, actor: Actor, user: User) -> None:
    await delete_user(door.database, actor, door.account_id, user.id, door.now)


async def demote(door: Door, actor: Actor, user: User) -> None:
    await edit(door, actor, user, UserEdit(role=Role.DEVELOPER))


async def edit(door: Door, actor: Actor, user: User, change: UserEdit) -> User:
    return await edit_user(door.database, actor, door.account_id, user.id, change, door.now)


async def link(door: Door, user: User, actor: Actor = COMMAND_LINE) -> str:
    return await make_password_link(door.database, actor, door.account_id, user.id, door.now)


async def join(door: Door, actor: Actor, user: User) -> None:
    await add_member(door.database, actor, door.account_id, user.id, door.now)


async def leave(door: Door, actor: Actor, user: User) -> None:
    await remove_member(door.database, actor, door.account_id, user.id, door.now)


REMOVALS = pytest.mark.parametrize("remove", [suspend, delete, demote])


async def refusal(job: Awaitable[object]) -> AccessRefusal:
    """Why a job is refused."""
    with pytest.raises(AccessRefused) as caught:
        await job
    return caught.value.refusal


async def refusals(jobs: list[Awaitable[object]]) -> list[AccessRefusal]:
    """Run jobs at once; why some of them are refused."""
    results = await asyncio.gather(*jobs, return_exceptions=True)
    refused = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, AccessRefused) for each in refused), refused
    return [each.refusal for each in refused if isinstance(each, AccessRefused)]


def new(email: str | None = None, role: Role = Role.DEVELOPER, name: str | None = None) -> NewUser:
    return NewUser(email or f"{uuid.uuid4()}@shop.example", role, name)


async def make(door: Door, ask: NewUser, actor: Actor = COMMAND_LINE) -> User:
    return (await create_user(door.database, actor, door.account_id, ask, door.now)).user


@REMOVALS
async def test_the_last_administrator_stays(door: Door, remove: Removal) -> None:
    only = await door.user(Role.ADMINISTRATOR)
    for actor in (COMMAND_LINE, SYSTEM, only.actor):
        assert await refusal(remove(door, actor, only)) == AccessRefusal.LAST_ADMINISTRATOR
    assert await door.again(only) == only
    other = await door.user(Role.ADMINISTRATOR)
    await remove(door, other.actor, only)
    assert await refusal(remove(door, other.actor, other)) == AccessRefusal.LAST_ADMINISTRATOR


@REMOVALS
async def test_of_administrators_who_remove_each_other_at_once_one_stays(
    door: Door, remove: Removal
) -> None:
    admins = [await door.user(Role.ADMINISTRATOR) for _ in range(4)]
    others = admins[1:] + admins[:1]
    jobs = [remove(door, a.actor, b) for a, b in zip(admins, others, strict=True)]
    assert await refusals(jobs) == [AccessRefusal.LAST_ADMINISTRATOR]


async def test_who_was_invited_does_not_stand_in_for_who_can_sign_in(door: Door) -> None:
    only = await door.user(Role.ADMINISTRATOR)
    invited, token = await door.invite(Role.ADMINISTRATOR)
    assert await refusal(delete(door, COMMAND_LINE, only)) == AccessRefusal.LAST_ADMINISTRATOR
    await set_password_by_link(door.gate, token, NEW)
    await delete(door, invited.actor, only)


async def test_administrators_of_another_account_do_not_count(door: Door, shop: object) -> None:
    only = await door.user(Role.ADMINISTRATOR)
    count = "SELECT count(*) FROM users WHERE role = 'administrator' AND account_id <> $1"
    assert await door.database.fetchval(count, door.account_id) > 0
    assert await refusal(suspend(door, COMMAND_LINE, only)) == AccessRefusal.LAST_ADMINISTRATOR


async def test_a_user_of_another_account_is_not_found(door: Door) -> None:
    user = await door.user()
    for work in (suspend_user, delete_user, reinstate_user, add_member, remove_member):
        with pytest.raises(NotFound):
            await work(door.database, COMMAND_LINE, "other", user.id, door.now)
    assert await find_user(door.database, "other", user.id, door.now) is None


async def test_user_managers_manage_everybody_but_administrators(door: Door) -> None:
    admin = await door.user(Role.ADMINISTRATOR)
    await door.user(Role.ADMINISTRATOR)
    manager = (await door.user(Role.USER_MANAGER)).actor
    other = await door.user()
    jobs: list[Awaitable[object]] = [
        suspend(door, manager, admin),
        delete(door, manager, admin),
        demote(door, manager, admin),
        link(door, admin, manager),
        join(door, manager, admin),
        edit(door, manager, other, UserEdit(role=Role.ADMINISTRATOR)),
        make(door, new(role=Role.ADMINISTRATOR), manager),
    ]
    for job in jobs:
        assert await refusal(job) == AccessRefusal.ONLY_ADMINISTRATORS
    made = await make(door, new(), manager)
    await edit(door, manager, made, UserEdit(role=Role.FINANCE_MANAGER))
    await suspend(door, manager, made)


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.CUSTOMER_SERVICE, Role.FINANCE_MANAGER])
async def test_others_manage_nobody(door: Door, role: Role) -> None:
    actor = (await door.user(role)).actor
    user = await door.user()
    for job in (suspend(door, actor, user), join(door, actor, user), make(door, new(), actor)):
        assert await refusal(job) == AccessRefusal.ONLY_ADMINISTRATORS


async def test_an_address_has_one_user_of_all_accounts_whatever_its_case(door: Door) -> None:
    user = await door.user()
    again = make(door, new(user.email.upper()))
    assert await refusal(again) == AccessRefusal.EMAIL_TAKEN
    email = f"{uuid.uuid4()}@shop.example"
    jobs: list[Awaitable[object]] = [make(door, new(email)) for _ in range(5)]
    assert await refusals(jobs) == [AccessRefusal.EMAIL_TAKEN] * 4


@pytest.mark.parametrize(
    "email",
    ["", "ana", "@shop.example", "ana@", "a b@shop.example", "a@b@c", "a\n@shop.example",
     "a,b@shop.example", "Ana <a@shop.example>", "a\0@shop.example", "a" * 65 + "@shop.example"],
)  # fmt: skip
async def test_what_is_no_address_is_refused(door: Door, email: str) -> None:
    ask = NewUser(email, Role.DEVELOPER, "Ana")
    assert await refusal(make(door, ask)) == AccessRefusal.EMAIL_INVALID


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "a\u202eb"])
async def test_what_is_no_name_is_refused(door: Door, name: str) -> None:
    assert await refusal(make(door, new(name=name))) == AccessRefusal.NAME_MISSING
    user = await door.user()
    assert await refusal(edit(door, COMMAND_LINE, user, UserEdit(name))) == (
        AccessRefusal.NAME_MISSING
    )
    assert await refusal(rename_self(door.database, user, name, door.now)) == (
        AccessRefusal.NAME_MISSING
    )


async def test_an_edit_changes_what_it_names_and_is_written_down(door: Door) -> None:
    admin = await door.user(Role.ADMINISTRATOR, "Ana")
    user = await door.user()
    await edit(door, admin.actor, user, UserEdit("Bo  Berg ", UserType.PARTNER))
    after = await door.again(user)
    assert (after.name, after.type, after.role) == ("Bo Berg", UserType.PARTNER, user.role)
    await edit(door, admin.actor, user, UserEdit("Bo Berg"))
    *_, entry = await door.log(user.id)
    assert entry.actor == Actor("user", "Ana", admin.id)
    assert entry.change.action == "user.edited"
    before, then = required(entry.change.before), required(entry.change.after)
    assert {name for name in before if before[name] != then[name]} == {"name", "type"}
    assert (await door.actions(user)).count("user.edited") == 1
    await rename_self(door.database, after, "Bo B", door.now)
    assert (await door.again(user)).name == "Bo B"


async def test_the_history_keeps_the_name_of_who_is_deleted(door: Door) -> None:
    admin, user = await door.user(Role.ADMINISTRATOR), await door.user(name="Bo")
    await join(door, admin.actor, user)
    await change_password(door.gate, await door.session(user), PASSWORD, NEW)
    await delete(door, admin.actor, user)
    gone = await door.again(user)
    assert (gone.status, gone.name, gone.in_refund_set) == (UserStatus.DEPROVISIONED, "Bo", False)
    entries = await door.log(user.id)
    assert [each.actor.name for each in entries if each.change.action.endswith("changed")] == ["Bo"]
    assert required(entries[-1].change.before)["email"] == user.email
    with pytest.raises(NotFound):
        await delete(door, admin.actor, user)
    assert (await make(door, new(user.email))).id != user.id


async def test_no_secret_is_written_into_the_log(door: Door) -> None:
    user, token = await door.invite()
    await set_password_by_link(door.gate, token, NEW)
    token = await link(door, user)
    secrets = [token, NEW, "$argon2id$"]
    text = await door.database.fetchval(
        "SELECT string_agg(a::text, ' ') FROM audit_log a WHERE account_id = $1", door.account_id
    )
    assert user.email in text
    assert not [secret for secret in secrets if secret in text]


async def test_who_is_suspended_can_be_let_in_again(door: Door) -> None:
    user = await door.user()
    await suspend(door, COMMAND_LINE, user)
    await suspend(door, COMMAND_LINE, user)
    assert await refusal(link(door, user)) == AccessRefusal.NOT_IN_THIS_STATUS
    await reinstate_user(door.database, COMMAND_LINE, door.account_id, user.id, door.now)
    assert await door.enter(user) is not None
    again = reinstate_user(door.database, COMMAND_LINE, door.account_id, user.id, door.now)
    assert await refusal(again) == AccessRefusal.NOT_IN_THIS_STATUS
    assert (await door.actions(user)).count("user.suspended") == 1


async def test_an_invitation_sets_a_password_once_within_a_week(door: Door) -> None:
    user, token = await door.invite()
    assert user.status is UserStatus.STAGED
    door.wait(INVITATION_LIFE - SECOND)
    assert await find_link(door.database, token, door.now) == user
    too_short = set_password_by_link(door.gate, token, "x" * 11)
    assert await refusal(too_short) == AccessRefusal.PASSWORD_SHORT
    jobs: list[Awaitable[object]] = [
        set_password_by_link(door.gate, token, f"{NEW} {n}") for n in range(3)
    ]
    assert await refusals(jobs) == [AccessRefusal.LINK_INVALID] * 2
    assert (await door.again(user)).status is UserStatus.ACTIVE
    entered = [await door.enter(user, f"{NEW} {n}") for n in range(3)]
    assert len([token for token in entered if token]) == 1


async def test_links_end(door: Door) -> None:
    user, first = await door.invite()
    second = await link(door, user)
    unknown = ["", "x", "\0", "\ud800"]
    for token in (first, *unknown):
        assert await refusal(set_password_by_link(door.gate, token, NEW)) == (
            AccessRefusal.LINK_INVALID
        )
    door.wait(INVITATION_LIFE)
    assert await find_link(door.database, second, door.now) is None
    assert await refusal(set_password_by_link(door.gate, second, NEW)) == AccessRefusal.LINK_INVALID


async def test_a_link_for_a_new_password_ends_the_old_one_and_what_it_opened(door: Door) -> None:
    user = await door.user()
    session = await door.enter(user)
    token = await link(door, user)
    assert (await door.again(user)).status is UserStatus.RECOVERY
    assert await door.look(session) is None
    assert await door.enter(user) is None
    door.wait(RECOVERY_LIFE - SECOND)
    await set_password_by_link(door.gate, token, NEW)
    assert await door.enter(user, NEW) is not None


@pytest.mark.parametrize("end", [suspend, delete])
async def test_no_link_brings_back_who_was_removed(
    door: Door, end: Callable[[Door, Actor, User], Awaitable[None]]
) -> None:
    user, token = await door.invite()
    await end(door, COMMAND_LINE, user)
    assert await refusal(set_password_by_link(door.gate, token, NEW)) == AccessRefusal.LINK_INVALID


async def test_a_link_forgets_the_app_where_that_is_asked_for(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    app = TOTP((await enrol_totp(door.gate, web, PASSWORD)).secret)
    await confirm_totp(door.gate, web, app.at(door.now))
    await set_password_by_link(door.gate, await link(door, user), NEW)
    assert await door.enter(user, NEW) is None
    token = await make_password_link(
        door.database, COMMAND_LINE, door.account_id, user.id, door.now, reset_totp=True
    )
    await set_password_by_link(door.gate, token, NEW)
    assert await door.enter(user, NEW) is not None


async def test_the_permission_set_is_joined_and_left_and_written_down(door: Door) -> None:
    admin, user = await door.user(Role.ADMINISTRATOR), await door.user()
    for _ in range(2):
        await join(door, admin.actor, user)
        assert await list_members(door.database, door.account_id, door.now) == [
            await door.again(user)
        ]
    for _ in range(2):
        await leave(door, admin.actor, user)
        assert await list_members(door.database, door.account_id, door.now) == []
    changes = [entry.change for entry in await door.log(REFUND_SET_NAME)]
    member = {"userId": user.id, "email": user.email}
    assert [(each.before, each.after) for each in changes] == [(None, member), (member, None)]


async def test_users_are_found_by_name_address_type_role_and_status(door: Door) -> None:
    ana = await door.user(Role.ADMINISTRATOR, "Ana Berg")
    bo = await door.user(Role.DEVELOPER, "Bo")
    invited, _ = await door.invite()
    gone = await door.user(name="Gone")
    await delete(door, COMMAND_LINE, gone)
    await edit(door, COMMAND_LINE, bo, UserEdit(type=UserType.PARTNER))
    await door.fail(bo, 5)

    async def found(wanted: UserFilter, page: int = 1, limit: int = 25) -> tuple[list[str], int]:
        users = await list_users(
            door.database, door.account_id, wanted, door.now, page=page, limit=limit
        )
        return [each.id for each in users.users], users.total

    everybody = {ana.id, bo.id, invited.id}
    ids, total = await found(UserFilter())
    assert (set(ids), total) == (everybody, 3)
    assert await found(UserFilter("BERG")) == ([ana.id], 1)
    assert await found(UserFilter(bo.email[:8])) == ([bo.id], 1)
    for nobody in ("%", "_", "'", "\ud800", "\0"):
        found_ids, _ = await found(UserFilter(nobody))
        assert set(found_ids) <= everybody
    assert await found(UserFilter(type=UserType.PARTNER)) == ([bo.id], 1)
    assert await found(UserFilter(role=Role.ADMINISTRATOR)) == ([ana.id], 1)
    assert await found(UserFilter(status=UserStatus.LOCKED_OUT)) == ([bo.id], 1)
    assert await found(UserFilter(status=UserStatus.ACTIVE)) == ([ana.id], 1)
    assert await found(UserFilter(status=UserStatus.STAGED)) == ([invited.id], 1)
    assert await found(UserFilter(status=UserStatus.DEPROVISIONED)) == ([gone.id], 1)
    pages = [(await found(UserFilter(), page, 2))[0] for page in (1, 2)]
    assert [len(each) for each in pages] == [2, 1]
    assert set(pages[0] + pages[1]) == everybody
