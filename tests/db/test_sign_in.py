"""Signing in, on the real database: who comes in, who is locked out, what ends a session."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from pyotp.totp import TOTP

from refundry.access.audit_log import COMMAND_LINE
from refundry.access.passwords import Passwords
from refundry.access.people import UserEdit, add_member, delete_user, edit_user, suspend_user
from refundry.access.rights import AccessRefusal, AccessRefused, Right, Role, UserStatus
from refundry.access.sessions import WebSession, end_session, set_mode
from refundry.access.signing_in import (
    change_password,
    confirm_totp,
    disable_totp,
    enrol_totp,
    pending_enrolment,
    reauthenticate,
    sign_in,
)
from refundry.access.users import find_credentials
from refundry.errors import required
from tests.db.racing import all_of
from tests.support.people import OTHER, PASSWORD, Door

MINUTE = timedelta(minutes=1)
NEW = "a quite different phrase"


async def refusal(job: object) -> AccessRefusal:
    """Why a job is refused."""
    with pytest.raises(AccessRefused) as caught:
        await job  # pyright: ignore[reportGeneralTypeIssues]
    return caught.value.refusal


async def test_the_right_password_begins_a_session_whatever_the_case_of_the_address(
    door: Door,
) -> None:
    user = await door.user()
    token = await sign_in(door.gate, f" {user.email.upper()} ", PASSWORD)
    web = required(await door.look(token))
    assert web.user == await door.again(user)
    assert web.user.last_sign_in_at is not None
    assert not web.tenant.live
    assert await door.actions(user) == ["user.created", "user.signed_in"]


async def test_every_sign_in_has_a_session_of_its_own(door: Door) -> None:
    user = await door.user()
    one, two = await door.enter(user), await door.enter(user)
    assert one != two
    assert required(await door.look(one)).csrf_token != required(await door.look(two)).csrf_token


@pytest.mark.parametrize("email", ["nobody@shop.example", "", "\0", "a" * 1000, "'", "\ud800@x"])
async def test_an_address_without_a_user_is_refused_like_a_wrong_password(
    door: Door, email: str
) -> None:
    assert await sign_in(door.gate, email, PASSWORD) is None


@pytest.mark.parametrize("password", ["", OTHER, PASSWORD.upper(), PASSWORD + "\0", "x" * 100_000])
async def test_a_wrong_password_is_refused(door: Door, password: str) -> None:
    user = await door.user()
    assert await door.enter(user, password) is None


async def test_a_refusal_comes_after_the_same_time_for_whoever_there_is(door: Door) -> None:
    user = await door.user()
    gate = replace(door.gate, refusal_seconds=0.2)
    taken: list[float] = []
    for email in (user.email, "nobody@shop.example"):
        began = time.monotonic()
        assert await sign_in(gate, email, OTHER) is None
        taken.append(time.monotonic() - began)
    assert all(seconds >= 0.2 for seconds in taken)


async def test_the_fifth_failure_locks_out_for_a_quarter_of_an_hour(door: Door) -> None:
    user = await door.user()
    await door.fail(user, 4)
    assert (await door.again(user)).status is UserStatus.ACTIVE
    await door.fail(user, 1)
    assert (await door.again(user)).status is UserStatus.LOCKED_OUT
    assert await door.enter(user) is None
    door.wait(14 * MINUTE)
    assert await door.enter(user) is None
    door.wait(2 * MINUTE)
    assert (await door.again(user)).status is UserStatus.ACTIVE
    assert await door.enter(user) is not None
    assert (await door.actions(user))[1:] == ["user.locked_out", "user.signed_in"]


async def test_failures_of_longer_ago_and_before_a_success_do_not_count(door: Door) -> None:
    user = await door.user()
    await door.fail(user, 4)
    assert await door.enter(user) is not None
    await door.fail(user, 4)
    door.wait(16 * MINUTE)
    await door.fail(user, 4)
    assert await door.enter(user) is not None


async def test_of_many_guesses_at_once_five_count_and_the_right_one_comes_too_late(
    door: Door,
) -> None:
    user = await door.user()
    await all_of(door.enter(user, f"guess number {n}") for n in range(12))
    held = required(await find_credentials(door.database, user.email, door.now))
    assert held.user.status is UserStatus.LOCKED_OUT
    assert await door.enter(user) is None
    assert (await door.actions(user)).count("user.locked_out") == 1


async def test_a_password_given_again_counts_towards_the_lock_out(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    door.wait(MINUTE)
    assert await reauthenticate(door.gate, web, PASSWORD)
    assert not await reauthenticate(door.gate, web, OTHER)
    await door.fail(user, 4)
    assert not await reauthenticate(door.gate, web, PASSWORD)


async def test_when_the_password_was_last_given_is_kept(door: Door) -> None:
    token = await door.enter(await door.user())
    web = required(await door.look(token))
    door.wait(5 * MINUTE)
    assert await reauthenticate(door.gate, web, PASSWORD)
    again = required(await door.look(token))
    assert again.authenticated_at - web.authenticated_at >= 5 * MINUTE


async def test_a_session_ends_after_eight_idle_hours(door: Door) -> None:
    token = await door.enter(await door.user())
    for _ in range(3):
        door.wait(timedelta(hours=7, minutes=59))
        assert await door.look(token) is not None
    door.wait(timedelta(hours=8, seconds=1))
    assert await door.look(token) is None


async def test_looking_at_pages_writes_once_a_minute_at_most(door: Door) -> None:
    token = await door.enter(await door.user())

    async def version() -> str:
        return await door.database.fetchval(
            "SELECT xmin::text FROM sessions WHERE account_id = $1", door.account_id
        )

    first = await version()
    door.wait(MINUTE / 2)
    await door.look(token)
    assert await version() == first
    door.wait(MINUTE)
    await door.look(token)
    assert await version() != first


async def test_signing_out_ends_the_session_and_no_other(door: Door) -> None:
    user = await door.user()
    one, two = await door.enter(user), await door.enter(user)
    await end_session(door.database, required(one))
    assert await door.look(one) is None
    assert await door.look(two) is not None


async def test_a_new_sign_in_clears_away_what_ended(door: Door) -> None:
    user = await door.user()
    await door.enter(user)
    door.wait(timedelta(hours=9))
    await door.enter(user)
    count = "SELECT count(*) FROM sessions WHERE account_id = $1"
    assert await door.database.fetchval(count, door.account_id) == 1


@pytest.mark.parametrize("token", ["", "x", "\0", "0" * 64, "\ud800", "x" * 100_000])
async def test_what_is_no_token_finds_no_session(door: Door, token: str) -> None:
    assert await door.look(token) is None


async def test_the_mode_is_the_sessions_and_starts_with_test(door: Door) -> None:
    user = await door.user()
    one, two = await door.enter(user), await door.enter(user)
    await set_mode(door.database, required(await door.look(one)), live=True)
    assert required(await door.look(one)).tenant.live
    assert not required(await door.look(two)).tenant.live


async def test_rights_are_those_of_now(door: Door) -> None:
    user = await door.user()
    token = await door.enter(user)

    async def rights() -> frozenset[Right]:
        return required(await door.look(token)).user.rights

    assert Right.CREATE_REFUND not in await rights()
    await add_member(door.database, COMMAND_LINE, door.account_id, user.id, door.now)
    assert Right.CREATE_REFUND in await rights()
    edit = UserEdit(role=Role.USER_MANAGER)
    await edit_user(door.database, COMMAND_LINE, door.account_id, user.id, edit, door.now)
    assert await rights() == {Right.USERS}


@pytest.mark.parametrize("end", [suspend_user, delete_user])
async def test_who_is_suspended_or_deleted_is_out_at_once(door: Door, end: object) -> None:
    user = await door.user()
    token = await door.enter(user)
    await end(door.database, COMMAND_LINE, door.account_id, user.id, door.now)  # pyright: ignore
    assert await door.look(token) is None
    assert await door.enter(user) is None


async def test_another_password_ends_the_other_sessions(door: Door) -> None:
    user = await door.user()
    one, two = await door.enter(user), await door.enter(user)
    await change_password(door.gate, required(await door.look(one)), PASSWORD, NEW)
    assert await door.look(one) is not None
    assert await door.look(two) is None
    assert await door.enter(user) is None
    assert await door.enter(user, NEW) is not None


async def test_a_password_is_changed_with_the_old_one_and_by_the_rule(door: Door) -> None:
    web = await door.session(await door.user())
    assert await refusal(change_password(door.gate, web, OTHER, NEW)) == (
        AccessRefusal.PASSWORD_WRONG
    )
    assert await refusal(change_password(door.gate, web, PASSWORD, "x" * 11)) == (
        AccessRefusal.PASSWORD_SHORT
    )


async def test_of_two_changes_of_a_password_at_once_one_counts(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    jobs = [change_password(door.gate, web, PASSWORD, f"{NEW} {n}") for n in range(2)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(each) for each in results if each is not None] == [AccessRefused]


async def test_a_password_is_hashed_anew_when_the_cost_has_changed(door: Door) -> None:
    user = await door.user()

    async def stored() -> str | None:
        return required(await find_credentials(door.database, user.email, door.now)).password_hash

    before = required(await stored())
    dearer = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    try:
        gate = replace(door.gate, passwords=dearer)
        assert await sign_in(gate, user.email, OTHER) is None
        assert await stored() == before
        assert await sign_in(gate, user.email, PASSWORD) is not None
        assert "$m=16,t=2,p=1$" in required(await stored())
        assert await sign_in(gate, user.email, PASSWORD) is not None
    finally:
        dearer.close()


async def with_codes(door: Door, web: WebSession) -> TOTP:
    """Switch codes on; gives the app."""
    enrolment = await enrol_totp(door.gate, web, PASSWORD)
    app = TOTP(enrolment.secret)
    await confirm_totp(door.gate, web, app.at(door.now))
    door.wait(MINUTE)
    return app


async def test_with_codes_on_nobody_comes_in_without_one(door: Door) -> None:
    user = await door.user()
    app = await with_codes(door, await door.session(user))
    assert (await door.again(user)).totp_on
    assert await door.enter(user) is None
    assert await door.enter(user, code="000000") is None
    assert await door.enter(user, OTHER, app.at(door.now)) is None
    code = app.at(door.now)
    assert await door.enter(user, code=f"{code[:3]} {code[3:]}") is not None


async def test_a_code_counts_once(door: Door) -> None:
    user = await door.user()
    app = await with_codes(door, await door.session(user))
    code = app.at(door.now)
    results = await all_of(door.enter(user, code=code) for _ in range(4))
    assert len([each for each in results if each is not None]) == 1
    door.wait(MINUTE)
    assert await door.enter(user, code=app.at(door.now)) is not None


async def test_the_code_that_confirms_is_used_up(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    app = TOTP((await enrol_totp(door.gate, web, PASSWORD)).secret)
    code = app.at(door.now)
    await confirm_totp(door.gate, web, code)
    assert await door.enter(user, code=code) is None


async def test_wrong_codes_lock_out_like_wrong_passwords(door: Door) -> None:
    user = await door.user()
    app = await with_codes(door, await door.session(user))
    for _ in range(5):
        assert await door.enter(user, code="12") is None
    assert (await door.again(user)).status is UserStatus.LOCKED_OUT
    assert await door.enter(user, code=app.at(door.now)) is None


async def test_codes_are_asked_for_only_once_the_app_has_shown_one(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    assert await refusal(confirm_totp(door.gate, web, "123456")) == (
        AccessRefusal.NOT_IN_THIS_STATUS
    )
    assert await refusal(enrol_totp(door.gate, web, OTHER)) == AccessRefusal.PASSWORD_WRONG
    enrolment = await enrol_totp(door.gate, web, PASSWORD)
    assert enrolment.uri.startswith("otpauth://totp/Refundry:")
    assert await refusal(confirm_totp(door.gate, web, "12345")) == AccessRefusal.CODE_WRONG
    assert await door.enter(user) is not None


async def test_codes_are_switched_off_with_the_password(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    await with_codes(door, web)
    assert await refusal(disable_totp(door.gate, web, OTHER)) == AccessRefusal.PASSWORD_WRONG
    assert await refusal(enrol_totp(door.gate, web, PASSWORD)) == AccessRefusal.NOT_IN_THIS_STATUS
    await disable_totp(door.gate, web, PASSWORD)
    assert await door.enter(user) is not None
    changes = [each.change for each in await door.log(user.id)]
    assert [each.after for each in changes if each.action == "user.totp_changed"] == [
        {"totp": True},
        {"totp": False},
    ]


async def test_a_secret_is_shown_again_only_to_who_gave_the_password_just_now(door: Door) -> None:
    user = await door.user()
    old, token = await door.session(user), await door.enter(user)
    door.wait(11 * MINUTE)
    web = required(await door.look(token))
    assert await pending_enrolment(door.gate, web) is None
    enrolment = await enrol_totp(door.gate, web, PASSWORD)
    web = required(await door.look(token))
    assert await pending_enrolment(door.gate, web) == enrolment
    assert await pending_enrolment(door.gate, old) is None, "another session"
    door.wait(11 * MINUTE)
    assert await pending_enrolment(door.gate, web) is None
    again = await enrol_totp(door.gate, web, PASSWORD)
    web = required(await door.look(token))
    await confirm_totp(door.gate, web, TOTP(again.secret).at(door.now))
    assert await pending_enrolment(door.gate, web) is None, "codes are on"


async def test_the_secret_of_the_codes_is_stored_sealed(door: Door) -> None:
    user = await door.user()
    web = await door.session(user)
    secret = (await enrol_totp(door.gate, web, PASSWORD)).secret
    held = required(await find_credentials(door.database, user.email, door.now))
    sealed = required(held.totp_sealed)
    assert secret.encode() not in sealed
    assert door.gate.vault.open(sealed) == secret
