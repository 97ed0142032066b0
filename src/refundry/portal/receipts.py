"""What goes into the transaction of a form's effect: its one-time token and the audit log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from refundry.access.audit_log import Change, audit
from refundry.access.forms import note_result, take_form
from refundry.db.database import Tx
from refundry.portal.pages import Visit, Wrong


class AlreadySubmitted(Exception):
    """The form was sent before. location: where its result is."""

    def __init__(self, location: str | None) -> None:
        super().__init__(location)
        self.location = location


@dataclass(frozen=True, slots=True)
class Deed:
    """What a form does, as the audit log has it. action: `refund.create`, the noun first.

    before: what was there. check: looks at the answer, and raises to have the effect undone.
    """

    action: str
    before: Mapping[str, Any] | None = None
    check: Callable[[bytes], None] | None = None


_REFUND = Deed("refund.create")


class FormReceipt:
    """Keeps a command's answer as an idempotency key does, under the token of its form.

    location: where the result is shown, with `{id}` for the id of what was made.
    """

    def __init__(self, visit: Visit, token: str, location: str, deed: Deed = _REFUND) -> None:
        self._visit = visit
        self.token = token
        self._deed = deed
        self._shown_at = location
        self.location = location
        self.stored = False

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Take the form and note who did what. Raises AlreadySubmitted, which undoes the effect."""
        assert status < 400
        assert not sealed
        visit, deed = self._visit, self._deed
        made: Mapping[str, Any] = msgspec.json.decode(body)
        # A transaction that is run again makes something with another id.
        self.location = self._shown_at.replace("{id}", made["id"])
        await take_token(tx, visit, self.token, self.location)
        if deed.check is not None:
            deed.check(body)
        noun = deed.action.partition(".")[0]
        change = Change(deed.action, noun, made["id"], deed.before, made, visit.tenant.live)
        await audit(tx, visit.user.account_id, visit.user.actor, change, visit.real_now)
        self.stored = True


class FormOnce:
    """Takes a form in the transaction of what it does; for commands that take a receipt."""

    def __init__(self, visit: Visit, location: str) -> None:
        self._visit = visit
        self._location = location

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Take the form. Raises AlreadySubmitted, which undoes the effect."""
        del status, body, sealed  # What a command came to is shown, not kept.
        await self.take(tx)

    async def take(self, tx: Tx) -> None:
        """Take the form. Raises AlreadySubmitted, which undoes the effect."""
        token = self._visit.form.text("form_token")
        if not token:
            raise Wrong("This form is not whole. Go back, reload the page and try again.")
        await take_token(tx, self._visit, token, self._location)


async def take_token(tx: Tx, visit: Visit, token: str, location: str) -> None:
    """Take a form for this transaction. Raises AlreadySubmitted."""
    before = await take_form(tx, visit.user, token, visit.real_now)
    if before is not None:
        raise AlreadySubmitted(before.location)
    await note_result(tx, visit.user, token, location)


async def note_done(
    visit: Visit,
    action: str,
    object_type: str,
    object_id: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """Note in the audit log what the visitor did in a transaction of its own."""
    change = Change(action, object_type, object_id, before, after, visit.tenant.live)
    await visit.database.run(
        lambda tx: audit(tx, visit.user.account_id, visit.user.actor, change, visit.real_now)
    )
