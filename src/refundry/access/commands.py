"""Making accounts and API keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.access import keys, store
from refundry.access.audit_log import COMMAND_LINE, Actor
from refundry.access.keys import NewKey
from refundry.access.people import NewUser, add_user
from refundry.access.rights import Role
from refundry.db.database import Database, Tx
from refundry.errors import NotFound
from refundry.ids import new_uuid
from refundry.sealing import Vault
from refundry.tenant import Tenant


class NameTaken(Exception):
    """An account with this name exists."""


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """A new account and the texts of its four standing keys, shown this once.

    administrator_link: the token of the link with which its administrator sets a password.
    """

    account_id: str
    secret_test: str
    public_test: str
    secret_live: str
    public_live: str
    administrator_link: str | None = None


async def open_account(
    database: Database,
    name: str,
    *,
    now: datetime,
    administrator: str | None = None,
    vault: Vault | None = None,
) -> OpenedAccount:
    """Make an account with a secret and a public key for each mode, and invite an administrator.

    Raises NameTaken, and AccessRefused for an address that has a user or that is none.
    vault: seals the test key so that it can be shown again; for the sandbox alone.
    """
    account_id = new_uuid()

    async def work(tx: Tx) -> OpenedAccount:
        if not await store.insert_account(tx, account_id, name, now):
            raise NameTaken(name)
        link = None
        if administrator:
            new = NewUser(administrator, Role.ADMINISTRATOR)
            link = (await add_user(tx, COMMAND_LINE, account_id, new, now)).link_token
        texts: dict[tuple[bool, str], str] = {}
        for live in (False, True):
            for kind in ("secret", "public"):
                seals = vault if (live, kind) == (False, "secret") else None
                new = NewKey(kind=kind)
                made = await keys.insert_key(tx, Tenant(account_id, live), new, now, seals)
                texts[live, kind] = made.text
        return OpenedAccount(
            account_id,
            texts[False, "secret"],
            texts[False, "public"],
            texts[True, "secret"],
            texts[True, "public"],
            link,
        )

    return await database.run(work)


async def create_key(
    database: Database,
    account_id: str,
    *,
    live: bool,
    kind: str = "secret",
    name: str | None = None,
    permissions: Mapping[str, str] | None = None,
    version: str | None = None,
    item_amount_basis: str | None = None,
    now: datetime,
    old_key_lives: timedelta = timedelta(hours=24),
    actor: Actor = COMMAND_LINE,
) -> str:
    """Make a key and give its text. Raises KeyRefused.

    An account has one standing secret and one public key per mode, so a new one rotates the old
    one out: it stays valid for `old_key_lives` more. name: of a restricted key. version,
    item_amount_basis: without them, those of the key that is replaced.
    """
    tenant = Tenant(account_id, live)
    new = NewKey(kind, name, dict(permissions or {}), version, item_amount_basis)

    async def work(tx: Tx) -> str:
        if kind == "restricted":
            return (await keys.add_key(tx, actor, tenant, new, now)).text
        return (await keys.replace_standing(tx, actor, tenant, new, now, old_key_lives)).text

    return await database.run(work)


async def named_account(database: Database, name: str | None) -> str:
    """The id of an account by name; without one, the first account. Raises NotFound."""
    account_id = await store.find_account(database, name)
    if account_id is None:
        raise NotFound("Account", name or "")
    return account_id
