"""One-time tokens of forms: a form that is submitted twice leads to what came of it once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.access.sessions import web_token_hash
from refundry.access.users import User
from refundry.db.database import Session, Tx

# Longer than any session: a form that is older belongs to nobody who is still signed in.
_KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The form was submitted before. location: of the result; None while it is being made."""

    location: str | None


async def take_form(tx: Tx, user: User, token: str, now: datetime) -> Submitted | None:
    """Take a form for oneself: None the first time, later what became of it.

    token: a `new_web_token()` that the form carries; it need not be stored before. In the
    transaction of the form's effect a second submission waits for the first one's end, and has the
    form to itself if that rolled back.
    """
    taken = await tx.fetchrow(
        """
        INSERT INTO form_tokens (account_id, user_id, token_hash, used_at)
        VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1
        """,
        user.account_id, user.id, web_token_hash(token), now,
    )  # fmt: skip
    if taken is not None:
        await _forget_old(tx, user, now)
        return None
    return await find_form(tx, user, token)


async def find_form(session: Session, user: User, token: str) -> Submitted | None:
    """What became of a form; None if nobody has submitted it."""
    row = await session.fetchrow(
        """
        SELECT location FROM form_tokens
         WHERE account_id = $1 AND user_id = $2 AND token_hash = $3
        """,
        user.account_id, user.id, web_token_hash(token),
    )  # fmt: skip
    return Submitted(row["location"]) if row else None


async def note_result(session: Session, user: User, token: str, location: str) -> None:
    """Note where the result of a form that was taken is shown. location: a path."""
    await session.execute(
        """
        UPDATE form_tokens SET location = $4
         WHERE account_id = $1 AND user_id = $2 AND token_hash = $3
        """,
        user.account_id, user.id, web_token_hash(token), location,
    )  # fmt: skip


async def free_form(session: Session, user: User, token: str) -> None:
    """Give a form back whose effect was refused, so that it can be mended and sent again."""
    await session.execute(
        """
        DELETE FROM form_tokens
         WHERE account_id = $1 AND user_id = $2 AND token_hash = $3 AND location IS NULL
        """,
        user.account_id, user.id, web_token_hash(token),
    )  # fmt: skip


async def _forget_old(tx: Tx, user: User, now: datetime) -> None:
    await tx.execute(
        "DELETE FROM form_tokens WHERE account_id = $1 AND user_id = $2 AND used_at <= $3",
        user.account_id, user.id, now - _KEPT,
    )  # fmt: skip
