"""One-time forms, and pages of the audit log."""

import asyncio
from datetime import timedelta

import pytest

from refundry.access.audit_log import (
    SYSTEM,
    Actor,
    AuditFilter,
    Change,
    audit,
    key_actor,
    list_audit,
)
from refundry.access.forms import Submitted, free_form, note_result, take_form
from refundry.access.users import User
from refundry.db.database import Tx
from refundry.ids import new_web_token
from refundry.tenant import ApiKey, Tenant
from tests.support.people import Door

PLACE = "/dashboard/refunds/re_1"


class Failed(Exception):
    pass


async def submit(door: Door, user: User, token: str, *, fails: bool = False) -> Submitted | None:
    """A form whose effect takes a while."""

    async def work(tx: Tx) -> Submitted | None:
        before = await take_form(tx, user, token, door.now)
        if before is None:
            await asyncio.sleep(0.02)
            if fails:
                raise Failed
            await note_result(tx, user, token, PLACE)
        return before

    return await door.database.run(work)


async def test_a_form_that_is_submitted_twice_at_once_has_one_effect(door: Door) -> None:
    user, token = await door.user(), new_web_token()
    results = await asyncio.gather(*(submit(door, user, token) for _ in range(5)))
    assert sorted(results, key=str) == [None, *[Submitted(PLACE)] * 4]
    assert await submit(door, user, token) == Submitted(PLACE)
    assert await submit(door, user, new_web_token()) is None


async def test_a_form_whose_effect_failed_can_be_submitted_again(door: Door) -> None:
    user, token = await door.user(), new_web_token()
    with pytest.raises(Failed):
        await submit(door, user, token, fails=True)
    assert await submit(door, user, token) is None


async def test_a_form_that_is_taken_before_its_effect_can_be_given_back(door: Door) -> None:
    user, token = await door.user(), new_web_token()
    assert await door.database.run(lambda tx: take_form(tx, user, token, door.now)) is None
    assert await submit(door, user, token) == Submitted(None)
    await free_form(door.database, user, token)
    assert await submit(door, user, token) is None
    await free_form(door.database, user, token)
    assert await submit(door, user, token) == Submitted(PLACE)


async def test_a_form_is_its_users_own(door: Door) -> None:
    token = new_web_token()
    assert await submit(door, await door.user(), token) is None
    assert await submit(door, await door.user(), token) is None


async def test_forms_are_forgotten_after_a_day(door: Door) -> None:
    user, token = await door.user(), new_web_token()
    await submit(door, user, token)
    door.wait(timedelta(hours=25))
    await submit(door, user, new_web_token())
    count = "SELECT count(*) FROM form_tokens WHERE account_id = $1"
    assert await door.database.fetchval(count, door.account_id) == 1


async def test_the_log_is_read_page_by_page_newest_first(door: Door) -> None:
    began = door.now
    ana, key = Actor("user", "Ana", "usr_1"), ApiKey(
        "k1", "live secret", Tenant(door.account_id, True), "secret", {}, "v", "line", timedelta()
    )  # fmt: skip
    changes = [
        (ana, Change("refund.created", "refund", "re_1", None, {"amount": "13.51"}, live=False)),
        (key_actor(key), Change("refund.created", "refund", "re_2", live=True)),
        (SYSTEM, Change("user.locked_out", "user", "usr_1")),
    ]
    for actor, change in changes:
        door.wait(timedelta(minutes=1))
        await door.database.run(lambda tx, a=actor, c=change: audit(tx, door.account_id, a, c,
                                                                    door.now))  # fmt: skip

    async def found(wanted: AuditFilter, below: int | None = None) -> list[Change]:
        entries = await list_audit(door.database, door.account_id, wanted, below=below)
        return [entry.change for entry in entries]

    one, two, three = (change for _, change in changes)
    entries = await list_audit(door.database, door.account_id, AuditFilter())
    assert [entry.change for entry in entries] == [three, two, one]
    assert [entry.actor for entry in entries] == [SYSTEM, key_actor(key), ana]
    assert await found(AuditFilter(), below=entries[1].seq) == [one]
    assert await found(AuditFilter(live=True)) == [three, two]
    assert await found(AuditFilter(who="an")) == [one]
    assert await found(AuditFilter(action="user.locked_out")) == [three]
    assert await found(AuditFilter(object_type="refund", object_id="re_2")) == [two]
    assert await found(AuditFilter(since=began + timedelta(minutes=2))) == [three, two]
    assert await found(AuditFilter(until=began + timedelta(minutes=2))) == [one]
    assert await list_audit(door.database, "other", AuditFilter()) == []
