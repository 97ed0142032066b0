"""What the database holds by itself of webhooks, deliveries, attempts and mails."""

import asyncpg
import pytest

from refundry.db.database import Database
from refundry.operations.work import Worker
from tests.db.statements import copy, filled, undone, update
from tests.support.books import open_shop

Names = dict[str, str]

WEBHOOK = (
    "INSERT INTO webhooks (account_id, live, id, created_at, updated_at, types, address,"
    " api_version, enabled, transport_type, sealed_token)"
    " VALUES ({account}, false, 'wh', now(), now(), '{*}', 'https://example.com/', 'v', true,"
    " 'HTTP', '')"
)
LANE = "INSERT INTO webhook_lanes VALUES ({account}, false, 'wh', 'worker', now())"
DELIVERY = (
    "INSERT INTO deliveries (account_id, live, webhook_id, event_id, due_at)"
    " VALUES ({account}, false, 'wh', 'ev', now())"
)
ATTEMPT = (
    "INSERT INTO attempts (account_id, live, webhook_id, event_id, number, attempt, started_at,"
    " duration_ms) VALUES ({account}, false, 'wh', 'ev', 0, 1, now(), 3)"
)
MAIL = (
    "INSERT INTO mails (id, account_id, created_at, recipients, subject, body)"
    " VALUES ('m', {account}, now(), '{}', 's', 'b')"
)


def webhook(change: str) -> str:
    return update("webhooks", change, "id = 'wh'")


def delivery(change: str) -> str:
    return update("deliveries", change, "event_id = 'ev'")


# The claim, the constraint that holds it, and a statement that it refuses.
REFUSED: list[tuple[str, str, str]] = [
    ("two webhooks with one id", "webhooks_pkey", copy("webhooks")),
    ("a webhook for no event", "webhooks_types_check", webhook("types = '{}'")),
    ("a transport that there is not", "webhooks_transport_type_check",
     webhook("transport_type = 'FTP'")),
    ("a grant that there is not", "webhooks_grant_type_check", webhook(
        "transport_type = 'OAUTH', token_end_point = 't', client_id = 'c',"
        " sealed_client_secret = '', grant_type = 'device'")),
    ("a token server without a client", "oauth_is_whole", webhook(
        "transport_type = 'OAUTH', token_end_point = 't', sealed_client_secret = '',"
        " grant_type = 'password'")),
    ("a client of a transport without tokens", "oauth_is_whole", webhook("client_id = 'c'")),
    ("an old token that signs for ever", "two_tokens_overlap", webhook("sealed_old_token = ''")),
    ("an overlap without an old token", "two_tokens_overlap", webhook("old_token_until = now()")),
    ("a webhook that we disabled and that is on", "disabled_by_us_is_off",
     webhook("disabled_at = now()")),
    ("two lanes of one webhook", "webhook_lanes_pkey", copy("webhook_lanes")),
    ("a sample event that is still to be sent", "samples_are_sent_once",
     delivery("sample_type = 'refund.failed'")),
    ("one event twice for one webhook", "deliveries_pkey", copy("deliveries")),
    ("a delivery in a state that there is not", "deliveries_state_check",
     delivery("state = 'lost', due_at = NULL")),
    ("a delivery that waits for no time", "pending_is_due", delivery("due_at = NULL")),
    ("a delivery that is done with and due", "pending_is_due", delivery("state = 'succeeded'")),
    ("attempts without a first one", "attempts_have_a_first", delivery("attempts = 1")),
    ("a first attempt before any", "attempts_have_a_first", delivery("first_attempt_at = now()")),
    ("one attempt twice", "attempts_pkey", copy("attempts")),
    ("an answer that was not cut", "response_is_cut",
     update("attempts", "response = decode(repeat('00', 4097), 'hex')", "event_id = 'ev'")),
    ("two mails with one id", "mails_pkey", copy("mails")),
    ("a mail of no account", "mails_account_id_fkey",
     update("mails", "account_id = 'none'", "id = 'm'")),
]  # fmt: skip


@pytest.fixture(scope="module")
async def names(worker: Worker) -> Names:
    return {"account": (await open_shop(worker)).tenant.account_id}


@pytest.mark.parametrize(("constraint", "statement"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_what_is_refused(
    database: Database, names: Names, constraint: str, statement: str
) -> None:
    async with undone(database) as tx:
        for given in (WEBHOOK, LANE, DELIVERY, ATTEMPT, MAIL):
            assert await tx.execute(filled(given, names)) == "INSERT 0 1"
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
            await tx.execute(filled(statement, names))
    assert caught.value.constraint_name == constraint
