"""API keys in the database: what ends, what stays, and who is told."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refundry.access.audit_log import COMMAND_LINE, AuditFilter, list_audit
from refundry.access.commands import create_key
from refundry.access.keys import (
    KeyEdit,
    KeyRefusal,
    KeyRefused,
    MadeKey,
    NewKey,
    add_key,
    edit_key,
    end_key,
    rotate_key,
    set_version,
)
from refundry.access.store import StoredKey, account_version, find_key, key_hash, list_keys
from refundry.db.database import Tx
from refundry.errors import NotFound
from tests.support.books import Shop

ORDERS = {"orders": "read"}


def now() -> datetime:
    return datetime.now(UTC)


async def keys(shop: Shop, kind: str) -> list[StoredKey]:
    return [key for key in await list_keys(shop.database, shop.tenant, now()) if key.kind == kind]


async def restricted(shop: Shop, **fields: Any) -> MadeKey:
    new = replace(NewKey("restricted", "Tool", ORDERS), **fields)
    return await shop.database.run(lambda tx: add_key(tx, COMMAND_LINE, shop.tenant, new, now()))


async def rotate(shop: Shop, key_id: str, lives: timedelta = timedelta()) -> MadeKey:
    return await shop.database.run(
        lambda tx: rotate_key(tx, COMMAND_LINE, shop.tenant, key_id, now(), lives)
    )


async def works(shop: Shop, text: str) -> bool:
    return await find_key(shop.database, key_hash(text), now()) is not None


async def test_two_who_rotate_one_key_at_once_make_one_key(shop: Shop) -> None:
    (secret,) = await keys(shop, "secret")
    answers = await asyncio.gather(
        *(rotate(shop, secret.id) for _ in range(3)), return_exceptions=True
    )
    refusals = [each.refusal for each in answers if isinstance(each, KeyRefused)]
    assert refusals == [KeyRefusal.ENDED, KeyRefusal.ENDED]
    assert len(await keys(shop, "secret")) == 1


async def test_a_rotated_key_keeps_what_was_set(shop: Shop) -> None:
    made = await restricted(shop, version="2021-03-23", item_amount_basis="unit")
    again = await rotate(shop, made.id)
    (key,) = await keys(shop, "restricted")
    assert (key.id, key.name, key.permissions) == (again.id, "Tool", ORDERS)
    assert (key.version, key.item_amount_basis) == ("2021-03-23", "unit")
    assert (key.last_four, key.public_text) == (again.text[-4:], None)
    assert [await works(shop, each.text) for each in (made, again)] == [False, True]


async def test_the_command_line_keeps_the_version_of_the_key_that_it_replaces(shop: Shop) -> None:
    (secret,) = await keys(shop, "secret")
    edit = KeyEdit(version="2021-03-23", item_amount_basis="unit")
    await shop.database.run(
        lambda tx: edit_key(tx, COMMAND_LINE, shop.tenant, secret.id, edit, now())
    )
    for version, basis in ((None, None), ("2021-12-13", "line")):
        await create_key(
            shop.database, shop.tenant.account_id, live=False, version=version,
            item_amount_basis=basis, now=now(), old_key_lives=timedelta(),
        )  # fmt: skip
        (key,) = await keys(shop, "secret")
        expected = (version or "2021-03-23", basis or "unit")
        assert (key.version, key.item_amount_basis) == expected
        assert await account_version(shop.database, shop.tenant) == expected[0]


async def test_standard_keys_have_no_rights_or_names_to_edit(shop: Shop) -> None:
    (secret,) = await keys(shop, "secret")
    edit = KeyEdit(name="Mine", permissions=ORDERS)
    await shop.database.run(
        lambda tx: edit_key(tx, COMMAND_LINE, shop.tenant, secret.id, edit, now())
    )
    assert await keys(shop, "secret") == [secret]


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"name": "  "}, KeyRefusal.NAME_MISSING),
        ({"name": "n" * 101}, KeyRefusal.NAME_MISSING),
        ({"permissions": {}}, KeyRefusal.NO_RIGHT),
        ({"permissions": {"orders": "none"}}, KeyRefusal.NO_RIGHT),
        ({"permissions": {"users": "read"}}, KeyRefusal.PERMISSION_UNKNOWN),
        ({"permissions": {"orders": "own"}}, KeyRefusal.PERMISSION_UNKNOWN),
        ({"version": "2020-01-01"}, KeyRefusal.VERSION_UNKNOWN),
        ({"item_amount_basis": "box"}, KeyRefusal.BASIS_UNKNOWN),
    ],
)
async def test_what_no_key_may_have_is_refused(
    shop: Shop, fields: dict[str, Any], refusal: KeyRefusal
) -> None:
    with pytest.raises(KeyRefused) as raised:
        await restricted(shop, **fields)
    assert raised.value.refusal is refusal
    made = await restricted(shop)
    edit = KeyEdit(**fields)
    with pytest.raises(KeyRefused) as raised:
        await shop.database.run(
            lambda tx: edit_key(tx, COMMAND_LINE, shop.tenant, made.id, edit, now())
        )
    assert raised.value.refusal is refusal
    assert [key.name for key in await keys(shop, "restricted")] == ["Tool"]


async def test_a_key_that_has_ended_cannot_be_changed_or_ended_again(shop: Shop) -> None:
    made = await restricted(shop)

    async def end() -> None:
        await shop.database.run(lambda tx: end_key(tx, COMMAND_LINE, shop.tenant, made.id, now()))

    await end()
    assert not await works(shop, made.text)
    for again in (end(), rotate(shop, made.id)):
        with pytest.raises(KeyRefused):
            await again
    with pytest.raises(NotFound):
        await rotate(shop, "none")


async def test_all_keys_of_the_mode_get_a_version_but_those_that_end(shop: Shop) -> None:
    made = await restricted(shop)
    await rotate(shop, made.id, timedelta(hours=1))
    changed = await shop.database.run(
        lambda tx: set_version(tx, COMMAND_LINE, shop.tenant, "2021-03-23", now())
    )
    assert len(changed) == 3
    versions = {key.id: key.version for key in await list_keys(shop.database, shop.tenant, now())}
    assert versions.pop(made.id) == "2021-12-13"
    assert set(versions.values()) == {"2021-03-23"}
    log = await list_audit(shop.database, shop.tenant.account_id, AuditFilter(action="key.edited"))
    assert {entry.change.object_id for entry in log} == set(changed)


async def test_nothing_of_a_key_is_changed_without_its_entry_in_the_log(shop: Shop) -> None:
    made = await restricted(shop)

    class Broken(Exception):
        pass

    async def fail(tx: Tx) -> None:
        await rotate_key(tx, COMMAND_LINE, shop.tenant, made.id, now(), timedelta())
        raise Broken

    with pytest.raises(Broken):
        await shop.database.run(fail)
    assert await works(shop, made.text)
    log = await list_audit(shop.database, shop.tenant.account_id, AuditFilter(object_id=made.id))
    assert [entry.change.action for entry in log] == ["key.created"]
    assert made.text not in str(log)
