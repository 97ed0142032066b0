"""API keys: those of the chosen mode, made, rotated, changed and deleted."""

from collections.abc import Awaitable, Callable

from refundry.access.audit_log import Change, audit
from refundry.access.forms import find_form
from refundry.access.keys import (
    OLD_KEY_LIVES,
    PERMISSIONS,
    KeyEdit,
    KeyRefused,
    MadeKey,
    NewKey,
    add_key,
    edit_key,
    end_key,
    rotate_key,
    set_version,
)
from refundry.access.rights import Right
from refundry.access.store import StoredKey, list_keys, mark_key
from refundry.db.database import Tx
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.ids import new_web_token
from refundry.portal.pages import Page, Visit, Wrong
from refundry.portal.reauthentication import why_not_confirmed
from refundry.portal.receipts import AlreadySubmitted, FormOnce
from refundry.tenant import RESOURCES, VERSIONS

KEYS = "/dashboard/api-keys"
_VERSIONS = {version: version for version in VERSIONS}
_BASES = {"line": "Whole line", "unit": "One unit"}
_RIGHTS = {"none": "None", "read": "Read", "write": "Write", "read_write": "Read and write"}
_LIVES = {
    "24h": "stays valid for 24 hours",
    "12h": "stays valid for 12 hours",
    "1h": "stays valid for 1 hour",
    "now": "is blocked now",
}
_KINDS = {"secret": "Secret", "public": "Public", "restricted": "Restricted"}
_SHOWN = (
    "This form was sent before, and the key was shown then. If nobody wrote it down, rotate it:"
    " nothing keeps it."
)
assert _RIGHTS.keys() == set(PERMISSIONS)
assert _LIVES.keys() == OLD_KEY_LIVES.keys()


async def show_keys(visit: Visit, *, error: str = "") -> Answer:
    """The keys that are valid."""
    keys = await list_keys(visit.database, visit.tenant, visit.real_now)
    return visit.show(
        "api_keys.html",
        status=400 if error else 200,
        error=error,
        standard=[key for key in keys if key.kind != "restricted"],
        restricted=[key for key in keys if key.kind == "restricted"],
        kinds=_KINDS,
        bases=_BASES,
        rights=_RIGHTS,
        versions=_VERSIONS,
    )


async def new_key(visit: Visit, *, error: str = "") -> Answer:
    """The form for a restricted key."""
    return visit.show(
        "new_api_key.html",
        status=400 if error else 200,
        error=error,
        values={
            "name": visit.form.text("name"),
            "version": visit.form.text("version"),
            "basis": visit.form.text("basis"),
            "permissions": _permissions(visit),
        },
        restricted=True,
        token=visit.form.text("form_token") or new_web_token(),
        **_choices(),
    )


def _choices() -> dict[str, object]:
    return {
        "versions": _VERSIONS,
        "bases": _BASES,
        "rights": _RIGHTS,
        "resources": RESOURCES,
        "lives": _LIVES,
        "kinds": _KINDS,
    }


async def post_new_key(visit: Visit) -> Answer:
    """Make a restricted key and show it, this once."""
    if error := await why_not_confirmed(visit):
        return await new_key(visit, error=error)
    form = visit.form
    new = NewKey(
        "restricted",
        form.text("name"),
        _permissions(visit),
        form.text("version"),
        form.text("basis"),
    )

    async def work(tx: Tx) -> MadeKey:
        await FormOnce(visit, KEYS).take(tx)
        return await add_key(tx, visit.user.actor, visit.tenant, new, visit.real_now)

    try:
        return await _made(visit, work)
    except KeyRefused as refused:
        return await new_key(visit, error=str(refused))


def _permissions(visit: Visit) -> dict[str, str]:
    sent = {name: visit.form.text(f"may-{name}") for name in RESOURCES}
    return {name: right for name, right in sent.items() if right}


async def _made(visit: Visit, work: Callable[[Tx], Awaitable[MadeKey]]) -> Answer:
    """Show the key that `work` makes. Raises KeyRefused."""
    try:
        made = await visit.database.run(work)
    except AlreadySubmitted:
        return await show_keys(visit, error=_SHOWN)
    return visit.show("api_key_made.html", key=made, secret=not made.text.startswith("pk_"))


async def show_key(visit: Visit, *, error: str = "") -> Answer:
    """One key, with what can be done with it."""
    key = await _find(visit)
    return visit.show(
        "api_key.html",
        status=400 if error else 200,
        error=error,
        key=key,
        values={
            "name": key.name,
            "version": key.version,
            "basis": key.item_amount_basis,
            "permissions": key.permissions,
        },
        restricted=key.kind == "restricted",
        refunds=key.kind != "public",
        may_mark=visit.may(Right.SET_LIMITS),
        token=visit.form.text("form_token") or new_web_token(),
        **_choices(),
    )


async def _find(visit: Visit) -> StoredKey:
    """The key of the address, if it is still valid. Raises NotFound."""
    for key in await list_keys(visit.database, visit.tenant, visit.real_now):
        if key.id == visit.path["id"]:
            return key
    raise NotFound("Key", visit.path["id"])


async def post_key(visit: Visit) -> Answer:
    """Change name, permissions, version or what item amounts mean."""
    form, key = visit.form, await _find(visit)
    restricted = key.kind == "restricted"
    edit = KeyEdit(
        name=form.text("name") if restricted else None,
        permissions=_permissions(visit) if restricted else None,
        version=form.text("version"),
        item_amount_basis=form.text("basis"),
    )
    actor, now = visit.user.actor, visit.real_now
    try:
        await visit.database.run(lambda tx: edit_key(tx, actor, visit.tenant, key.id, edit, now))
    except KeyRefused as refused:
        return await show_key(visit, error=str(refused))
    return visit.go(f"{KEYS}/{key.id}", done="saved")


async def post_approval(visit: Visit) -> Answer:
    """Say whether refunds of this key above a limit wait for an approval."""
    key, needs = await _find(visit), visit.form.ticked("needs_approval")

    async def work(tx: Tx) -> None:
        if await mark_key(tx, visit.tenant, key.id, needs=needs):
            before, after = {"needsApproval": not needs}, {"needsApproval": needs}
            change = Change("key.approval", "key", key.id, before, after, visit.tenant.live)
            await audit(tx, visit.user.account_id, visit.user.actor, change, visit.real_now)

    await visit.database.run(work)
    return visit.go(f"{KEYS}/{key.id}", done="saved")


async def post_rotate(visit: Visit) -> Answer:
    """Make a key in this one's place and show it, this once."""
    if await find_form(visit.database, visit.user, visit.form.text("form_token")):
        return await show_keys(visit, error=_SHOWN)
    await _find(visit)
    lives = OLD_KEY_LIVES.get(visit.form.text("old"))
    if lives is None:
        raise Wrong("Choose what becomes of the old key.")
    if error := await why_not_confirmed(visit):
        return await show_key(visit, error=error)
    actor, key_id, now = visit.user.actor, visit.path["id"], visit.real_now

    async def work(tx: Tx) -> MadeKey:
        await FormOnce(visit, KEYS).take(tx)
        return await rotate_key(tx, actor, visit.tenant, key_id, now, lives)

    try:
        return await _made(visit, work)
    except KeyRefused as refused:
        return await show_keys(visit, error=str(refused))


async def post_delete(visit: Visit) -> Answer:
    """Let a key end at once."""
    if error := await why_not_confirmed(visit):
        return await show_key(visit, error=error)
    actor, key_id, now = visit.user.actor, visit.path["id"], visit.real_now
    try:
        await visit.database.run(lambda tx: end_key(tx, actor, visit.tenant, key_id, now))
    except KeyRefused as refused:
        return await show_keys(visit, error=str(refused))
    return visit.go(KEYS, done="key-deleted")


async def post_version(visit: Visit) -> Answer:
    """Give all keys of the mode one API version."""
    actor, version, now = visit.user.actor, visit.form.text("version"), visit.real_now
    try:
        await visit.database.run(lambda tx: set_version(tx, actor, visit.tenant, version, now))
    except KeyRefused as refused:
        return await show_keys(visit, error=str(refused))
    return visit.go(KEYS, done="versions")


PAGES = (
    Page("GET", "/api-keys", show_keys, Right.DEVELOPERS),
    Page("POST", "/api-keys/version", post_version, Right.DEVELOPERS),
    Page("GET", "/api-keys/new", new_key, Right.DEVELOPERS),
    Page("POST", "/api-keys/new", post_new_key, Right.DEVELOPERS),
    Page("GET", "/api-keys/{id}", show_key, Right.DEVELOPERS),
    Page("POST", "/api-keys/{id}", post_key, Right.DEVELOPERS),
    Page("POST", "/api-keys/{id}/approval", post_approval, Right.SET_LIMITS),
    Page("POST", "/api-keys/{id}/rotate", post_rotate, Right.DEVELOPERS),
    Page("POST", "/api-keys/{id}/delete", post_delete, Right.DEVELOPERS),
)
