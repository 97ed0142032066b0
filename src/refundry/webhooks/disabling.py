"""Switches off webhooks that have failed for days, and tells their owners a day before."""

from dataclasses import replace
from datetime import datetime

import structlog

from refundry.access.store import account_name
from refundry.db.database import Database, Session, Tx
from refundry.domain.delivery import Verdict, judge, may_need_action
from refundry.webhooks import mailing
from refundry.webhooks.recording import Failing, Result
from refundry.webhooks.store import Webhook, drop_deliveries, lock_webhook, save_webhook

log = structlog.get_logger("refundry.webhooks")


async def look_after(database: Database, failing: Failing, now: datetime) -> Verdict:
    """Warn of a webhook that keeps failing, or switch it off. now: real time, for the mail."""
    last = failing.last
    if not may_need_action(failing.failing_since, last.started_at, warned=failing.warned):
        return Verdict.KEEP

    async def work(tx: Tx) -> Verdict:
        webhook = await lock_webhook(tx, last.tenant, last.webhook_id)
        if webhook is None or webhook.failing_since is None or not webhook.enabled:
            return Verdict.KEEP
        verdict = judge(
            webhook.failing_since,
            last.started_at,
            warned=webhook.warned_at is not None,
            gave_up_an_event=await _gave_up_an_event(tx, webhook, webhook.failing_since),
        )
        if verdict is Verdict.WARN:
            await _warn(tx, webhook, last, now)
        elif verdict is Verdict.DISABLE:
            await _disable(tx, webhook, last, now)
        return verdict

    verdict = await database.run(work)
    if verdict is Verdict.DISABLE:
        await drop_deliveries(database, last.tenant, last.webhook_id)
    if verdict is not Verdict.KEEP:
        log.warning(f"webhook_{verdict.value}", webhook_id=last.webhook_id, live=last.tenant.live)
    return verdict


async def _warn(tx: Tx, webhook: Webhook, last: Result, now: datetime) -> None:
    await save_webhook(tx, replace(webhook, warned_at=last.started_at))
    account = await account_name(tx, webhook.tenant.account_id)
    mail = mailing.warning_mail(account, webhook, last_failure(last))
    await mailing.write(tx, webhook.tenant.account_id, mail, now)


async def _disable(tx: Tx, webhook: Webhook, last: Result, now: datetime) -> None:
    reason = (
        "Switched off because no event could be delivered for 72 hours. The last attempt: "
        f"{last_failure(last)}."
    )
    await save_webhook(
        tx,
        replace(
            webhook, enabled=False, disabled_at=last.started_at, disabled_reason=reason,
            updated_at=max(last.started_at, webhook.updated_at),
        ),
    )  # fmt: skip
    account = await account_name(tx, webhook.tenant.account_id)
    mail = mailing.disabled_mail(account, webhook, last_failure(last))
    await mailing.write(tx, webhook.tenant.account_id, mail, now)


def last_failure(last: Result) -> str:
    """What was wrong with an attempt, as part of a sentence."""
    return last.error or f"the endpoint answered {last.status}"


async def _gave_up_an_event(session: Session, webhook: Webhook, since: datetime) -> bool:
    """Whether a delivery that was tried since then is exhausted."""
    return await session.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM attempts a
              JOIN deliveries d
                ON d.account_id = a.account_id AND d.live = a.live AND d.webhook_id = a.webhook_id
               AND d.event_id = a.event_id AND d.number = a.number
             WHERE a.account_id = $1 AND a.live = $2 AND a.webhook_id = $3 AND a.started_at >= $4
               AND d.state = 'exhausted' AND d.sample_type IS NULL)
        """,
        webhook.tenant.account_id, webhook.tenant.live, webhook.id, since,
    )  # fmt: skip
