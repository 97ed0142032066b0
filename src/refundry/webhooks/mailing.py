"""Mail to the people of an account: written with its cause, sent by a worker over SMTP."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import structlog

from refundry.db.database import Database, Record, Session, Tx
from refundry.ids import new_uuid
from refundry.settings import Settings
from refundry.webhooks.store import Webhook

_BATCH = 10
_SMTP_SECONDS = 20
# 1, 2, 4, ... minutes, at most six hours apart: some three days in all.
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=6)
_MOST_ATTEMPTS = 20
log = structlog.get_logger("refundry.mail")


@dataclass(frozen=True, slots=True)
class Mail:
    """What is to be said."""

    subject: str
    body: str


def disabled_mail(account: str, webhook: Webhook, failure: str) -> Mail:
    """Tells that a webhook was switched off. failure: part of a sentence."""
    return Mail(
        f"Webhook switched off: {webhook.address}",
        f"Refundry has switched off a webhook of {account} ({_mode(webhook)} mode), as no event\n"
        "could be delivered to it for 72 hours.\n\n"
        f"Address:      {webhook.address}\n"
        f"Webhook:      {webhook.id}\n"
        f"Last attempt: {failure}\n\n"
        "Events are not delivered to it any more, and those that were waiting were dropped.\n"
        "When the endpoint answers with a status of 200 to 299 within 3 seconds again, enable the\n"
        "webhook, and have the events it missed sent again.\n",
    )


def warning_mail(account: str, webhook: Webhook, failure: str) -> Mail:
    """Tells that a webhook is about to be switched off. failure: part of a sentence."""
    return Mail(
        f"Webhook fails: {webhook.address}",
        f"A webhook of {account} ({_mode(webhook)} mode) has taken no event for 48 hours.\n"
        "Refundry will switch it off in 24 hours if that goes on.\n\n"
        f"Address:      {webhook.address}\n"
        f"Webhook:      {webhook.id}\n"
        f"Last attempt: {failure}\n\n"
        "See to it that the endpoint answers with a status of 200 to 299 within 3 seconds.\n"
        "What is waiting is tried again by itself; one success ends the countdown.\n",
    )


def _mode(webhook: Webhook) -> str:
    return "live" if webhook.tenant.live else "test"


async def write(tx: Tx, account_id: str, mail: Mail, now: datetime) -> None:
    """Queue a mail to the administrators of an account. now: real time."""
    await tx.execute(
        """
        INSERT INTO mails (id, account_id, created_at, recipients, subject, body, due_at)
        SELECT $1, $2, $3, array_agg(email ORDER BY email), $4, $5, $3
          FROM users
         WHERE account_id = $2 AND role = 'administrator'
           AND status NOT IN ('suspended', 'deprovisioned')
        HAVING count(*) > 0
        """,
        new_uuid(), account_id, now, mail.subject, mail.body,
    )  # fmt: skip


async def send_due(
    database: Database, settings: Settings, now: datetime, account_id: str | None
) -> int:
    """Send the mails that are due, of an account or of all; gives how many were tried."""
    rows = await _claim(database, now, account_id)
    for row in rows:
        if await _deliver(settings, row):
            await _note_sent(database, row["id"], now)
    return len(rows)


async def _deliver(settings: Settings, row: Record) -> bool:
    if settings.smtp_url is None:
        # The only place where it can be read, so it is shown as a whole.
        log.warning("mail_not_sent_without_smtp_url", to=row["recipients"],
                    subject=row["subject"], body=row["body"])  # fmt: skip
        return True
    try:
        message = _message(settings, row)
        await asyncio.to_thread(_post, settings.smtp_url, message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        # ValueError: an address, a login or a port that cannot be put on the wire.
        # The server's words may repeat the login, so only the kind of error is told.
        log.warning("mail_failed", mail_id=row["id"], attempt=row["attempts"],
                    error=type(error).__name__)  # fmt: skip
        return False
    log.info("mail_sent", mail_id=row["id"])
    return True


def _message(settings: Settings, row: Record) -> EmailMessage:
    """A mail as it is sent. Raises ValueError for an address that is none."""
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = ", ".join(row["recipients"])
    # A header is one line, whatever is in an address or a name.
    message["Subject"] = " ".join(row["subject"].split())
    message.set_content(row["body"])
    return message


def _post(url: str, message: EmailMessage) -> None:
    """Hand a message to the server of an `smtp_url`.

    Raises OSError, SMTPException, and ValueError for a login that is not ASCII.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=_SMTP_SECONDS, context=context
        )  # fmt: skip
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=_SMTP_SECONDS)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)


async def _claim(session: Session, now: datetime, account_id: str | None) -> list[Record]:
    """Take due mails; each is due again later, in case that it cannot be sent now."""
    return await session.fetch(
        """
        WITH due AS (
            SELECT id FROM mails
             WHERE due_at <= $1 AND ($2::text IS NULL OR account_id = $2)
             ORDER BY due_at LIMIT $3
               FOR UPDATE SKIP LOCKED
        )
        UPDATE mails m
           SET attempts = m.attempts + 1,
               due_at = CASE WHEN m.attempts + 1 < $6
                             THEN $1::timestamptz + least($4::interval * power(2, m.attempts),
                                                          $5::interval) END
          FROM due
         WHERE m.id = due.id
        RETURNING m.id, m.recipients, m.subject, m.body, m.attempts
        """,
        now, account_id, _BATCH, _FIRST_PAUSE, _LONGEST_PAUSE, _MOST_ATTEMPTS,
    )  # fmt: skip


async def _note_sent(session: Session, mail_id: str, now: datetime) -> None:
    await session.execute(
        "UPDATE mails SET sent_at = $2, due_at = NULL WHERE id = $1", mail_id, now
    )
