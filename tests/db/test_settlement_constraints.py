"""What the database holds by itself of gateways, refunds made there, and settlement reports."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from refundry.db.database import Database, Tx
from refundry.operations.work import Worker
from tests.db.statements import copy, filled, undone, update
from tests.support.after_sale import open_dispute
from tests.support.books import open_shop
from tests.support.fixtures import order_body

Names = dict[str, str]
HASH = "\\x" + "ab" * 32
GATEWAY = (
    "INSERT INTO gateways (account_id, live, id, created_at, name, processor, source_types,"
    " sealed_credentials) VALUES ({account}, false, 'gw', now(), 'main', 'stripe', '{}', '')"
)
ASKED = update("charge_operations", "gateway_id = 'gw'", "id = {operation}")
EXTERNAL = (
    "INSERT INTO external_refunds (account_id, live, gateway_id, reference, seen_at, made_at,"
    " payment, amount_minor, currency, state, why)"
    " VALUES ({account}, false, 'gw', 're_1', now(), now(), 'pi_1', 100, 'USD', 'conflict', 'x')"
)
FILE = (
    "INSERT INTO settlement_files (account_id, live, gateway_id, digest, read_at, name, first_day,"
    f" last_day, lines) VALUES ({{account}}, false, 'gw', '{HASH}', now(), 'may.csv',"
    " '2026-05-04', '2026-05-05', 1)"
)
LINE = (
    "INSERT INTO settlement_lines (account_id, live, gateway_id, identity, read_at, kind, payments,"
    " amount_minor, currency, fee_minor, fee_currency, booked_on, state, why)"
    " VALUES ({account}, false, 'gw', 'txn_1', now(), 'refund', '{}', 100, 'USD', 5, 'USD',"
    " '2026-05-04', 'extra', 'x')"
)
SETTLED = (
    "INSERT INTO settlement_lines (account_id, live, gateway_id, identity, read_at, kind, payments,"
    " amount_minor, currency, booked_on, state, order_id, operation_id, dispute_id)"
    " VALUES ({account}, false, 'gw', 'txn_2', now(), 'chargeback', '{}', 100, 'USD',"
    " '2026-05-04', 'settled', {order}, {operation}, {dispute})"
)
MISSING = (
    "INSERT INTO settlement_missing (account_id, live, gateway_id, order_id, operation_id,"
    " found_at) VALUES ({account}, false, 'gw', {order}, {operation}, now())"
)
# Everything that the cases need beside the order; undone with them.
FURNITURE = (GATEWAY, ASKED, EXTERNAL, FILE, LINE, SETTLED, MISSING)


@pytest.fixture(scope="module")
async def names(worker: Worker) -> Names:
    """What statements put in braces: an order with a refund that is paid, and an open dispute."""
    shop = await open_shop(worker)
    order = await shop.captured(order_body("A"))
    refund_id = await shop.ask(order, "1.00")
    await shop.settle()
    dispute = await open_dispute(shop, order)
    (part,) = (await shop.find(refund_id)).refund.parts
    return {
        "account": shop.tenant.account_id,
        "order": order["id"],
        "refund": refund_id,
        "operation": part.operation_id,
        "dispute": dispute["id"],
    }


@asynccontextmanager
async def furnished(database: Database, names: Names) -> AsyncGenerator[Tx]:
    """A transaction with the furniture that leaves nothing behind."""
    async with undone(database) as tx:
        for each in FURNITURE:
            await tx.execute(filled(each, names))
        yield tx


def gateway(change: str) -> str:
    return update("gateways", change, "id = 'gw'")


def operation(change: str) -> str:
    return update("charge_operations", change, "id = {operation}")


def external(change: str) -> str:
    return update("external_refunds", change, "reference = 're_1'")


def file(change: str) -> str:
    return update("settlement_files", change, "gateway_id = 'gw'")


def line(change: str) -> str:
    return update("settlement_lines", change, "identity = 'txn_1'")


def settled(change: str) -> str:
    return update("settlement_lines", change, "identity = 'txn_2'")


def missing(change: str) -> str:
    return update("settlement_missing", change, "operation_id = {operation}")


OPEN = "state = 'pending'"
# The claim, the constraint that holds it, and a statement that it refuses.
REFUSED: list[tuple[str, str, str]] = [
    ("two gateways with one id", "gateways_pkey", copy("gateways", "id = 'gw'", name="other")),
    ("one id in two modes", "gateways_id", copy("gateways", "id = 'gw'", live="true")),
    ("two gateways with one name", "gateways_name", copy("gateways", "id = 'gw'", id="other")),
    ("a gateway of no account", "gateways_account_id_fkey",
     copy("gateways", "id = 'gw'", account_id="none", id="other")),
    ("a gateway without a name", "gateways_name_check", gateway("name = ''")),
    ("a gateway to no processor", "gateways_processor_check", gateway("processor = ''")),
    ("an operation of no gateway", "operation_of_gateway", operation("gateway_id = 'none'")),
    ("a look-up without a gateway", "checks_are_of_gateways",
     operation(f"{OPEN}, gateway_id = NULL, check_due_at = now()")),
    ("a look-up of what has ended", "ended_is_not_checked", operation("check_due_at = now()")),
    ("a failure of what has settled and did not fail", "failed_after_it_settled",
     operation("settled_before_failure_at = now()")),
    ("a call for what is parked", "parked_is_not_due",
     operation(f"{OPEN}, parked = 'x', due_at = now()")),
    ("one refund at a processor twice", "external_refunds_pkey",
     copy("external_refunds", "reference = 're_1'")),
    ("a refund at no gateway", "external_refunds_account_id_live_gateway_id_fkey",
     copy("external_refunds", "reference = 're_1'", gateway_id="none")),
    ("a refund at a processor of nothing", "external_refunds_amount_minor_check",
     external("amount_minor = 0")),
    ("a refund at a processor in no such state", "external_refunds_state_check",
     external("state = 'lost'")),
    ("adopted as no refund", "adopted_has_a_refund",
     external("state = 'adopted', why = NULL")),
    ("a conflict with a refund of ours", "adopted_has_a_refund",
     external("order_id = {order}, refund_id = {refund}")),
    ("a conflict without a reason", "conflict_says_why", external("why = NULL")),
    ("adopted with a reason", "conflict_says_why",
     external("state = 'adopted', order_id = {order}, refund_id = {refund}")),
    ("adopted as a refund that there is not", "external_refunds_refund",
     external("state = 'adopted', why = NULL, order_id = {order}, refund_id = 'none'")),
    ("one file twice", "settlement_files_pkey", copy("settlement_files", "gateway_id = 'gw'")),
    ("a file of no gateway", "settlement_files_gateway",
     copy("settlement_files", "gateway_id = 'gw'", gateway_id="none")),
    ("a file without a hash", "settlement_files_digest_check", file("digest = ''")),
    ("fewer than no lines", "settlement_files_lines_check", file("lines = -1")),
    ("days that end before they begin", "first_day_is_first", file("first_day = '2026-05-06'")),
    ("one line twice", "settlement_lines_pkey",
     copy("settlement_lines", "identity = 'txn_1'")),
    ("two lines with one number", "settlement_lines_seq",
     "INSERT INTO settlement_lines OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(t,"
     " '{\"identity\": \"again\"}')).* FROM settlement_lines AS t"
     " WHERE account_id = {account} AND identity = 'txn_1'"),
    ("a line without an identity", "settlement_lines_identity_check", line("identity = ''")),
    ("a line of no gateway", "settlement_lines_gateway", line("gateway_id = 'none'")),
    ("a line of no kind", "settlement_lines_kind_check", line("kind = 'sale'")),
    ("a line below nothing", "settlement_lines_amount_minor_check", line("amount_minor = -1")),
    ("a line in no such state", "settlement_lines_state_check",
     settled("state = 'lost', why = 'x'")),
    ("a line of no operation", "settlement_lines_operation",
     settled("operation_id = 'none'")),
    ("a line of no dispute", "settlement_lines_dispute", settled("dispute_id = 'none'")),
    ("extra and of ours", "extra_is_nobodys", settled("state = 'extra', why = 'x'")),
    ("settled and of nobody", "extra_is_nobodys", line("state = 'settled', why = NULL")),
    ("of ours in no order", "extra_is_nobodys", settled("order_id = NULL")),
    ("settled with a reason", "line_says_why", settled("why = 'x'")),
    ("extra without a reason", "line_says_why", line("why = NULL")),
    ("a fee in no currency", "fee_has_a_currency", line("fee_currency = NULL")),
    ("a currency of no fee", "fee_has_a_currency", line("fee_minor = NULL")),
    ("dealt with without a note", "dealt_has_a_note", line("dealt_at = now()")),
    ("a note of nothing", "dealt_has_a_note", line("note = 'x'")),
    ("one record missing twice", "settlement_missing_pkey",
     copy("settlement_missing", "operation_id = {operation}")),
    ("two missing with one number", "settlement_missing_seq",
     "INSERT INTO settlement_missing OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(t,"
     " '{\"operation_id\": \"other\"}')).* FROM settlement_missing AS t"
     " WHERE account_id = {account}"),
    ("missing at no gateway", "settlement_missing_gateway", missing("gateway_id = 'none'")),
    ("a missing record that there is not", "settlement_missing_operation",
     missing("operation_id = 'none'")),
    ("missing, dealt with without a note", "missing_dealt_has_a_note",
     missing("dealt_at = now()")),
]  # fmt: skip


@pytest.mark.parametrize(("constraint", "statement"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_what_is_refused(
    database: Database, names: Names, constraint: str, statement: str
) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        async with furnished(database, names) as tx:
            await tx.execute(filled(statement, names))
    assert caught.value.constraint_name == constraint


async def test_what_is_ignored_or_dealt_with_is_kept(database: Database, names: Names) -> None:
    async with furnished(database, names) as tx:
        for change in (
            external("state = 'ignored'"),
            line("dealt_at = now(), note = 'x'"),
            missing("dealt_at = now(), note = 'x'"),
        ):
            assert await tx.execute(filled(change, names)) == "UPDATE 1"
