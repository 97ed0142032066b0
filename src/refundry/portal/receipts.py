"""What goes into the transaction of a form's effect: its one-time token and the audit log."""

from collections.abc import Mapping
from typing import Any

import msgspec

from refundry.access.audit_log import Change, audit
from refundry.access.forms import note_result, take_form
from refundry.db.database import Tx
from refundry.portal.pages import Visit


class AlreadySubmitted(Exception):
    """The form was sent before. location: where its result is."""

    def __init__(self, location: str | None) -> None:
        super().__init__(location)
        self.location = location


class FormReceipt:
    """Keeps a refund's answer as an idempotency key does, under the token of its form."""

    def __init__(self, visit: Visit, token: str, location: str) -> None:
        self._visit = visit
        self._token = token
        self._location = location
        self.stored = False

    async def store(self, tx: Tx, status: int, body: bytes, *, sealed: bool = False) -> None:
        """Take the form and note who did what. Raises AlreadySubmitted, which undoes the effect."""
        assert status < 400
        assert not sealed
        visit = self._visit
        await take_token(tx, visit, self._token, self._location)
        made: Mapping[str, Any] = msgspec.json.decode(body)
        change = Change("refund.create", "refund", made["id"], None, made, visit.tenant.live)
        await audit(tx, visit.user.account_id, visit.user.actor, change, visit.real_now)
        self.stored = True


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
