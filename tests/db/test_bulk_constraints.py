"""What the database holds by itself of bulk runs, limits and requests that wait for approval."""

import asyncpg
import pytest

from refundry.db.database import Database
from refundry.operations.work import Worker
from tests.db.statements import copy, filled, undone, update
from tests.support.books import open_shop

Names = dict[str, str]
HASH = "\\x" + "ab" * 32
OTHER_HASH = "\\x" + "cd" * 32
RUN = (
    "INSERT INTO bulk_runs (account_id, live, id, created_at, name, digest, head, with_duplicates,"
    " checked_at, state, actor_kind, actor_id, actor_name)"
    f" VALUES ({{account}}, false, 'run', now(), 'may.csv', '{HASH}', '{{}}', false, now(),"
    " 'checked', 'user', 'usr', 'Ana')"
)
LINE = (
    "INSERT INTO bulk_lines (account_id, live, run_id, number, cells, order_id, body, state,"
    " amount_minor, currency, exponent, remark)"
    " VALUES ({account}, false, 'run', 2, '{}', 'o', '{}', 'ready', 100, 'USD', 2, '')"
)
LIMIT = "INSERT INTO approval_limits VALUES ({account}, false, 'key', 'USD', 100, NULL)"
SPENT = "INSERT INTO approval_spending VALUES ({account}, false, 'usr', 'USD', '2026-11-21', 5)"
DRAFT = (
    "INSERT INTO refund_drafts (account_id, live, id, created_at, expires_at, requester_kind,"
    " requester_id, requester_name, order_id, request, digest, amount_minor, currency, exponent,"
    " state) VALUES ({account}, false, 'draft', now(), now() + interval '3 days', 'user', 'usr',"
    f" 'Ana', 'o', '{{}}', '{HASH}', 100, 'USD', 2, 'waiting')"
)
DECIDED = "decided_at = now(), decider_id = 'other'"


def run(change: str) -> str:
    return update("bulk_runs", change, "id = 'run'")


def line(change: str) -> str:
    return update("bulk_lines", change, "run_id = 'run'")


def limit(change: str) -> str:
    return update("approval_limits", change, "role = 'key'")


def draft(change: str) -> str:
    return update("refund_drafts", change, "id = 'draft'")


REFUSED: list[tuple[str, str, str]] = [
    ("two runs with one id", "bulk_runs_pkey", copy("bulk_runs", digest=OTHER_HASH)),
    ("one file twice", "bulk_runs_account_id_live_digest_key", copy("bulk_runs", id="again")),
    ("a run of no account", "bulk_runs_account_id_fkey",
     copy("bulk_runs", account_id="none", id="again")),
    ("a file without a hash", "bulk_runs_digest_check", run("digest = ''")),
    ("a run in a state that there is not", "bulk_runs_state_check",
     run("state = 'lost', started_at = now()")),
    ("an actor that there is not", "bulk_runs_actor_kind_check",
     run("actor_kind = 'ghost', actor_id = NULL")),
    ("a user without an id", "bulk_runs_check", run("actor_id = NULL")),
    ("a run that runs and never began", "bulk_runs_check1", run("state = 'running'")),
    ("a run that ended and goes on", "bulk_runs_check2",
     run("state = 'running', started_at = now(), finished_at = now()")),
    ("one line twice", "bulk_lines_pkey", copy("bulk_lines")),
    ("a line of no run", "bulk_lines_account_id_live_run_id_fkey",
     copy("bulk_lines", run_id="none")),
    ("a line above the first", "bulk_lines_number_check", line("number = 1")),
    ("a line in a state that there is not", "bulk_lines_state_check", line("state = 'lost'")),
    ("a line about nothing", "bulk_lines_amount_minor_check", line("amount_minor = 0")),
    ("a line that is made without a refund", "bulk_lines_check", line("state = 'made'")),
    ("a refund of a line that is not made", "bulk_lines_check", line("refund_id = 're'")),
    ("a line that asks for nothing", "bulk_lines_check1", line("body = NULL")),
    ("two limits of one role", "approval_limits_pkey", copy("approval_limits")),
    ("a limit of no account", "approval_limits_account_id_fkey",
     copy("approval_limits", account_id="none")),
    ("a limit of a role that has none", "approval_limits_role_check", limit("role = 'developer'")),
    ("a limit below nothing", "approval_limits_per_refund_minor_check",
     limit("per_refund_minor = -1")),
    ("a limit of a day below nothing", "approval_limits_per_day_minor_check",
     limit("per_day_minor = -1")),
    ("a limit without an amount", "approval_limits_check", limit("per_refund_minor = NULL")),
    ("one day counted twice", "approval_spending_pkey", copy("approval_spending")),
    ("a day of no account", "approval_spending_account_id_fkey",
     copy("approval_spending", account_id="none")),
    ("a day below nothing", "approval_spending_spent_minor_check",
     update("approval_spending", "spent_minor = -1", "requester_id = 'usr'")),
    ("two drafts with one id", "refund_drafts_pkey", copy("refund_drafts")),
    ("a draft of no account", "refund_drafts_account_id_fkey",
     copy("refund_drafts", account_id="none")),
    ("a requester that there is not", "refund_drafts_requester_kind_check",
     draft("requester_kind = 'ghost'")),
    ("a request without a hash", "refund_drafts_digest_check", draft("digest = ''")),
    ("a request for nothing", "refund_drafts_amount_minor_check", draft("amount_minor = 0")),
    ("a draft in a state that there is not", "refund_drafts_state_check",
     draft(f"state = 'lost', {DECIDED}")),
    ("a draft that ends before it begins", "refund_drafts_check",
     draft("expires_at = created_at")),
    ("a decision of nobody", "drafts_are_decided_by_somebody", draft("state = 'declined'")),
    ("one's own decision", "drafts_are_decided_by_others",
     draft("state = 'declined', decided_at = now(), decider_id = 'usr'")),
    ("an approval without a refund", "drafts_approved_have_a_refund",
     draft(f"state = 'approved', {DECIDED}")),
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
        for given in (RUN, LINE, LIMIT, SPENT, DRAFT):
            assert await tx.execute(filled(given, names)) == "INSERT 0 1"
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
            await tx.execute(filled(statement, names))
    assert caught.value.constraint_name == constraint
