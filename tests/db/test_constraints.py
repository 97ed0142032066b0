"""The truths that the database holds by itself: SQL that writes past the code is refused."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import asyncpg
import pytest

from refundry.db.database import Database, Tx
from refundry.domain.charge import Charge, Failure, Operation, OperationKind, OperationState
from refundry.domain.order import Order
from refundry.domain.refund import Refund, RefundState
from refundry.operations.work import Worker
from refundry.orders.saving import Saving, save_orders
from refundry.orders.store import StoredOrder, find_order
from refundry.refunds.saving import RefundSaving, save_refunds
from refundry.tokens.store import TokenOwner, count_use
from tests.db.statements import copy, filled, undone, update
from tests.support.books import Shop, findings, open_shop
from tests.support.fixtures import order_body

EIGHT = "{0,0,0,0,0,0,0,0}"
HASH = "\\x" + 32 * "00"
SECRET_KEY = "account_id = {account} AND kind = 'secret' AND live"
PUBLIC_KEY = "account_id = {account} AND kind = 'public' AND NOT live"

TWICE_REPLACED = """
INSERT INTO refunds OVERRIDING USER VALUE
SELECT (jsonb_populate_record(t, jsonb_build_object('id', 're_' || n, 'replaces', {paid}))).*
  FROM refunds AS t, generate_series(1, 2) AS n WHERE id = {pending}
"""


@dataclass(frozen=True)
class Books:
    """Orders with refunds in every state, made by the code itself.

    names: what statements put in braces: {account}, {order}, {paid}, {pending}, ...
    """

    shop: Shop
    names: dict[str, str]

    def sql(self, statement: str) -> str:
        return filled(statement, self.names)

    async def order(self, name: str) -> StoredOrder:
        found = await find_order(self.shop.database, self.shop.tenant, self.names[name])
        assert found is not None
        return found


@pytest.fixture(scope="module")
async def books(worker: Worker) -> Books:
    shop = await open_shop(worker)
    order = await shop.captured(order_body("A", invoiceId="invoice-1"))
    declined = await shop.captured(order_body("R"))
    wire = await shop.captured(order_body("Q"))
    names = {
        "account": shop.tenant.account_id,
        "order": order["id"],
        "declined": declined["id"],
        "wire": wire["id"],
        "paid": await shop.ask(order, "5.00"),
        "failed": await shop.ask(declined, "5.00"),
        "expired": await shop.ask(wire, "2.00"),
    }
    await shop.settle()
    await shop.advance(timedelta(days=31))
    await shop.settle()
    names["waiting"] = await shop.ask(wire, "3.00")
    await shop.settle()
    await shop.advance(timedelta(seconds=1))
    names["pending"] = await shop.ask(order, "3.00")
    states = {name: (await shop.find(names[name])).refund.state.value for name in names
              if names[name].startswith("re_")}  # fmt: skip
    assert states == {
        "paid": "succeeded",
        "failed": "failed",
        "expired": "expired",
        "waiting": "pending_information",
        "pending": "pending",
    }
    owner = TokenOwner(shop.tenant, wire["id"], names["waiting"], "Test", await shop.now())
    await count_use(shop.database, owner, timedelta(minutes=1))
    parts = (await shop.find(names["paid"])).parts
    names["record"] = parts[0].part.operation_id
    names["charge"] = parts[0].part.charge_id
    return Books(shop, names)


def line(change: str) -> str:
    return update("order_lines", change, "order_id = {order} AND position = 0")


def order(change: str) -> str:
    return update("orders", change, "id = {order}")


def refund(change: str, name: str = "pending") -> str:
    return update("refunds", change, f"id = {{{name}}}")


def operation(change: str) -> str:
    return update("charge_operations", change, "order_id = {order} AND kind = 'capture'")


# The claim, the constraint that holds it, and a statement that it refuses.
REFUSED: list[tuple[str, str, str]] = [
    ("a cell below zero", "no_cell_below_zero", line("held[1] = -1, refunded[1] = 0")),
    ("a processing cell below zero", "no_cell_below_zero", line("processing[8] = -1")),
    ("held above captured", "no_cell_above_captured", line("held[3] = captured[3] + 1")),
    ("refunded above captured", "no_cell_above_captured", line("refunded[8] = captured[8] + 1")),
    (
        "held and refunded above captured together",
        "no_cell_above_captured",
        line("held[1] = captured[1], refunded[1] = 1"),
    ),
    ("captured above ordered", "no_cell_above_ordered", line("captured[1] = ordered[1] + 1")),
    ("cancelled above what is left", "no_cell_above_ordered", line("cancelled[2] = 1")),
    ("processing above what is left", "no_cell_above_ordered", line("processing[7] = 1")),
    ("a cell that is NULL", "eight_cells", line("held[2] = NULL")),
    ("seven cells", "eight_cells", line("refunded = refunded[1:7]")),
    ("nine cells", "eight_cells", line("captured = captured || 0::bigint")),
    ("more units than ordered", "order_lines_check1", line("cancelled_units = 1")),
    ("fewer than no units cancelled", "order_lines_cancelled_units_check",
     line("cancelled_units = -1")),
    ("units captured that were not fulfilled", "order_lines_check", line("captured_units = 3")),
    ("a line without a unit", "order_lines_quantity_check",
     line("quantity = 0, fulfilled_units = 0, captured_units = 0")),
    ("a line at a place below zero", "order_lines_position_check", line("position = -1")),
    ("a line in a state that there is not", "order_lines_state_check", line("state = 'lost'")),
    ("two lines in one place", "order_lines_pkey", copy("order_lines", id="other")),
    ("two lines with one id", "order_lines_account_id_live_id_key",
     copy("order_lines", position=9)),
    ("a line of no order", "order_lines_account_id_live_order_id_fkey",
     copy("order_lines", order_id="none", id="other")),
    ("an order captured above its total", "orders_check1",
     order("captured_minor = total_minor + 1")),
    ("an order captured and cancelled above its total", "orders_check1",
     order("captured_minor = total_minor, cancelled_minor = 1")),
    ("an order captured below zero", "orders_check1", order("captured_minor = -1")),
    ("an order cancelled below zero", "orders_check1",
     order("captured_minor = 0, cancelled_minor = -1")),
    ("an order refunded below zero", "orders_refunded_minor_check", order("refunded_minor = -1")),
    ("an order in a state that there is not", "orders_state_check", order("state = 'lost'")),
    ("an order in dispute without a way back", "orders_check", order("state = 'dispute'")),
    ("an order with a way back without a dispute", "orders_check",
     order("previous_state = 'complete'")),
    ("a fraud state that there is not", "orders_fraud_state_check", order("fraud_state = 'odd'")),
    ("an order before its first version", "orders_version_check", order("version = 0")),
    ("a sequence of events below zero", "orders_event_sequence_check",
     order("event_sequence = -1")),
    ("a currency of too many digits", "orders_exponent_check", order("exponent = 5")),
    ("two orders with one id", "orders_pkey",
     copy("orders", "id = {order}", invoice_id=None)),
    ("two orders with one invoice", "orders_invoice", copy("orders", "id = {order}", id="other")),
    ("a charge of nothing", "charges_amount_minor_check",
     update("charges", "amount_minor = 0", "id = {charge}")),
    ("a charge in a state that there is not", "charges_state_check",
     update("charges", "state = 'lost'", "id = {charge}")),
    ("two charges with one id in one order", "charges_pkey",
     copy("charges", "id = {charge}", position=9)),
    ("two charges with one id in two orders", "charges_account_id_live_id_key",
     copy("charges", "id = {charge}", order_id="{wire}", position=9)),
    ("two charges in one place", "charges_account_id_live_order_id_position_key",
     copy("charges", "id = {charge}", id="other")),
    ("a charge of no order", "charges_account_id_live_order_id_fkey",
     copy("charges", "id = {charge}", id="other", order_id="none")),
    ("an operation of nothing", "charge_operations_amount_minor_check",
     operation(f"amount_minor = 0, shares = '{EIGHT}'")),
    ("an operation of a kind that there is not", "charge_operations_kind_check",
     operation("kind = 'gift'")),
    ("an operation in a state that there is not", "charge_operations_state_check",
     operation("state = 'lost'")),
    ("an operation that failed without a reason", "failed_says_why", operation("state = 'failed'")),
    ("an operation with a reason that did not fail", "failed_says_why",
     operation("failure_reason = 'declined'")),
    ("an operation that has ended and is due", "ended_is_not_due", operation("due_at = now()")),
    ("an operation whose shares are less than its amount", "shares_add_up",
     operation("shares[1] = shares[1] - 1")),
    ("an operation whose shares are more than its amount", "shares_add_up",
     operation("shares[1] = shares[1] + 1")),
    ("an operation with a share below zero", "shares_add_up",
     operation("shares[1] = shares[1] + 1, shares[8] = -1")),
    ("an operation with a share that is NULL", "shares_add_up", operation("shares[8] = NULL")),
    ("an operation with shares of no line", "shares_add_up", operation("share_lines = '{}'")),
    ("an operation with lines without shares", "shares_add_up", operation("shares = NULL")),
    ("one processor key for two operations of an order", "charge_operations_pkey",
     copy("charge_operations", "id = {record}")),
    ("one processor key for operations of two orders", "charge_operations_account_id_live_id_key",
     copy("charge_operations", "id = {record}", order_id="{wire}")),
    ("an operation on no charge",
     "charge_operations_account_id_live_order_id_charge_id_fkey",
     copy("charge_operations", "id = {record}", id="other", charge_id="none")),
    ("an operation on a charge of another order",
     "charge_operations_account_id_live_order_id_charge_id_fkey",
     copy("charge_operations", "id = {record}", id="other", order_id="{wire}")),
    ("a refund in a way that there is not", "refunds_way_check",
     refund("way = 'cheque', replaces = {paid}")),
    ("a refund in another way of none that failed", "another_way_replaces",
     refund("way = 'by_hand'")),
    ("a refund in its own place", "replaces_another", refund("replaces = id")),
    ("a refund in the place of one that there is not", "refunds_replaces",
     refund("replaces = 're_none'")),
    ("a refund in the place of another order's", "refunds_replaces",
     refund("replaces = {failed}")),
    ("two refunds in one's place", "refunds_one_replacement",
     TWICE_REPLACED),
    ("an operation in another way through a gateway", "another_way_has_no_gateway",
     operation("way = 'by_hand', gateway_id = 'gw_1'")),
    ("a capture that was paid after all", "paid_after_all_had_failed",
     operation("paid_after_all_at = now()")),
    ("a note on what was not told", "paid_after_all_was_told",
     operation("paid_after_all_note = 'seen'")),
    ("a refund of nothing", "refunds_amount_minor_check",
     refund(f"amount_minor = 0, shares = '{EIGHT}'")),
    ("a refund in a state that there is not", "refunds_state_check", refund("state = 'lost'")),
    ("a refund of a type that there is not", "refunds_type_check", refund("type = 'gift'")),
    ("shares that are less than the refund", "shares_add_up", refund("shares[1] = shares[1] - 1")),
    ("shares that are more than the refund", "shares_add_up", refund("shares[1] = shares[1] + 1")),
    ("a refund of more than its shares", "shares_add_up", refund("amount_minor = 99999")),
    ("a share below zero", "shares_add_up", refund("shares[1] = shares[1] + 1, shares[8] = -1")),
    ("a share that is NULL", "shares_add_up", refund("shares[8] = NULL")),
    ("shares of more lines than are named", "shares_add_up",
     refund(f"shares = shares || '{EIGHT}'::bigint[]")),
    ("a refund that succeeded without an amount", "refunded_only_in_success",
     refund("state = 'succeeded'")),
    ("an amount refunded before success", "refunded_only_in_success",
     refund("refunded_minor = amount_minor, refunded_shares = shares")),
    ("an amount refunded by a failure", "refunded_only_in_success",
     refund("state = 'failed', failure_reason = 'declined'", "paid")),
    ("more refunded than asked for", "refunded_within_amount",
     refund("refunded_minor = amount_minor + 1, refunded_shares[1] = shares[1] + 1,"
            " refunded_shares[2:8] = shares[2:8]", "paid")),
    ("refunded shares that do not add up", "refunded_shares_add_up",
     refund("refunded_shares[1] = refunded_shares[1] - 1", "paid")),
    ("an amount refunded out of no share", "refunded_shares_add_up",
     refund("refunded_shares = NULL", "paid")),
    ("a refunded share below zero", "refunded_shares_add_up",
     refund("refunded_shares[1] = refunded_shares[1] + 1, refunded_shares[8] = -1", "paid")),
    ("a refunded share that is NULL", "refunded_shares_add_up",
     refund("refunded_shares[8] = NULL", "paid")),
    ("a refund that failed without a reason", "failure_says_why", refund("state = 'failed'")),
    ("a refund that expired without a reason", "failure_says_why", refund("state = 'expired'")),
    ("a refund that waits without an end", "token_while_waiting",
     refund("token_expires_at = NULL", "waiting")),
    ("a token without a refund that waits", "token_while_waiting",
     refund("token_expires_at = now()")),
    ("two refunds with one token", "refunds_token",
     copy("refunds", "id = {waiting}", id="other")),
    ("two refunds with one id in one order", "refunds_pkey",
     copy("refunds", "id = {pending}")),
    ("two refunds with one id in two orders", "refunds_account_id_live_id_key",
     copy("refunds", "id = {pending}", order_id="{wire}")),
    ("a refund of no order", "refunds_account_id_live_order_id_fkey",
     copy("refunds", "id = {pending}", id="other", order_id="none")),
    ("a part of nothing", "refund_parts_amount_minor_check",
     update("refund_parts", "amount_minor = 0", "refund_id = {paid}")),
    ("two parts of one record", "refund_parts_pkey", copy("refund_parts", "refund_id = {paid}")),
    ("a part of no refund", "refund_parts_account_id_live_order_id_refund_id_fkey",
     copy("refund_parts", "refund_id = {paid}", refund_id="none")),
    ("a part of no record", "refund_parts_account_id_live_order_id_operation_id_fkey",
     copy("refund_parts", "refund_id = {paid}", operation_id="none")),
    ("a part of a refund of another order", "refund_parts_account_id_live_order_id_refund_id_fkey",
     copy("refund_parts", "refund_id = {paid}", refund_id="{waiting}")),
    ("two fulfilments with one id in one order", "fulfillments_pkey",
     copy("fulfillments", "order_id = {order}")),
    ("two fulfilments with one id in two orders", "fulfillments_account_id_live_id_key",
     copy("fulfillments", "order_id = {order}", order_id="{wire}")),
    ("a fulfilment of no order", "fulfillments_account_id_live_order_id_fkey",
     copy("fulfillments", "order_id = {order}", id="other", order_id="none")),
    ("two events with one id", "events_pkey",
     copy("events", "order_id = {order}", order_sequence=9999)),
    ("two events at one place of their order",
     "events_account_id_live_order_id_order_sequence_key",
     copy("events", "order_id = {order}", id="other")),
    ("two accounts with one id", "accounts_pkey", copy("accounts", "id = {account}", name="other")),
    ("two accounts with one name", "accounts_name_key",
     copy("accounts", "id = {account}", id="other")),
    ("two standing secret keys", "api_keys_standing",
     copy("api_keys", SECRET_KEY, id="other", secret_hash=HASH)),
    ("two standing public keys", "api_keys_standing",
     copy("api_keys", PUBLIC_KEY, id="other", secret_hash=HASH)),
    ("two keys with one id", "api_keys_pkey",
     copy("api_keys", SECRET_KEY, secret_hash=HASH, expires_at="2099-01-01")),
    ("two keys with one text", "api_keys_secret_hash_key",
     copy("api_keys", SECRET_KEY, id="other", expires_at="2099-01-01")),
    ("a key stored in clear", "api_keys_secret_hash_check",
     "UPDATE api_keys SET secret_hash = 'sk_test_00000000000000000000000000000000'"
     " WHERE account_id = {account} AND kind = 'secret' AND live"),
    ("a key of a kind that there is not", "api_keys_kind_check",
     "UPDATE api_keys SET kind = 'master' WHERE account_id = {account} AND live"
     " AND kind = 'public'"),
    ("a meaning of amounts that there is not", "api_keys_item_amount_basis_check",
     "UPDATE api_keys SET item_amount_basis = 'box' WHERE account_id = {account} AND live"
     " AND kind = 'public'"),
    ("a key that shows more than its last four characters", "api_keys_last_four_check",
     "UPDATE api_keys SET last_four = 'abcde' WHERE account_id = {account} AND kind = 'secret'"),
    ("a secret key kept in clear", "only_public_keys_are_kept",
     "UPDATE api_keys SET public_text = 'sk_test_0' WHERE account_id = {account}"
     " AND kind = 'secret'"),
    ("a key of no account", "api_keys_account_id_fkey",
     copy("api_keys", SECRET_KEY, account_id="none", id="other", secret_hash=HASH)),
    ("one idempotency key taken twice", "idempotency_keys_pkey",
     "INSERT INTO idempotency_keys SELECT {account}, false, 'POST', '/refunds', 'k', '\\x00',"
     " 'owner', now(), now() FROM generate_series(1, 2)"),
    ("one notification taken twice", "processor_notifications_pkey",
     "INSERT INTO processor_notifications SELECT 'sandbox', 'n', now(), '{}', 'applied', NULL"
     " FROM generate_series(1, 2)"),
    ("a notification in a state that there is not", "processor_notifications_state_check",
     "INSERT INTO processor_notifications VALUES ('sandbox', 'n', now(), '{}', 'lost', NULL)"),
    ("a notification that waits for no time", "processor_notifications_check",
     "INSERT INTO processor_notifications VALUES ('sandbox', 'n', now(), '{}', 'waiting', NULL)"),
    ("a notification that is done with and due", "processor_notifications_check",
     "INSERT INTO processor_notifications VALUES ('sandbox', 'n', now(), '{}', 'applied', now())"),
    ("one worker twice", "workers_pkey",
     "INSERT INTO workers SELECT 'w', now(), now() FROM generate_series(1, 2)"),
    ("one fact twice", "facts_pkey",
     "INSERT INTO facts SELECT 'f', 'v' FROM generate_series(1, 2)"),
    ("one migration twice", "schema_migrations_pkey",
     copy("schema_migrations", "number = 1", name="other")),
    (
        "bank details beside what has ended",
        "bank_details_while_pending",
        update("charge_operations", "sealed_bank_details = '\\x00'", "id = {record}"),
    ),
    (
        "bank details of a capture",
        "bank_details_while_pending",
        operation("sealed_bank_details = '\\x00', state = 'pending'"),
    ),
    ("the uses of one token twice", "token_uses_pkey", copy("token_uses")),
    (
        "a token that was not used",
        "token_uses_requests_check",
        update("token_uses", "requests = 0", "refund_id = {waiting}"),
    ),
    (
        "refusals below none",
        "token_uses_refused_check",
        update("token_uses", "refused = -1", "refund_id = {waiting}"),
    ),
    (
        "uses of no refund's token",
        "token_uses_account_id_live_order_id_refund_id_fkey",
        update("token_uses", "refund_id = 'none'", "refund_id = {waiting}"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("constraint", "statement"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_what_is_refused(
    database: Database, books: Books, constraint: str, statement: str
) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        async with undone(database) as tx:
            await tx.execute(books.sql(statement))
    assert caught.value.constraint_name == constraint


async def test_one_open_record_for_a_charge_and_a_refund(database: Database, books: Books) -> None:
    """A second one may be made only once the first has ended."""
    second = copy("charge_operations", "id = {record}", id="second")
    part = copy("refund_parts", "refund_id = {paid}", operation_id="second", open="true")
    reopened = update("refund_parts", "open = true", "refund_id = {paid}")
    async with undone(database) as tx:
        await tx.execute(books.sql(second))
        await tx.execute(books.sql(part))
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await tx.execute(books.sql(reopened))
    assert caught.value.constraint_name == "refund_parts_one_open"


async def test_what_belongs_to_a_tenant_says_so(database: Database) -> None:
    """Every key and index of an order's rows begins with the account and, in it, the mode."""
    tables = (
        "orders", "order_lines", "charges", "charge_operations", "fulfillments", "refunds",
        "refund_parts", "events", "idempotency_keys", "returns", "return_items", "disputes",
        "sales_transactions", "webhooks", "webhook_lanes", "deliveries", "attempts",
    )  # fmt: skip
    rows = await database.fetch(
        """
        SELECT c.relname AS name, i.indisunique AS is_unique,
               ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true)
                       FROM generate_series(1, 2) AS n) AS columns
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid::regclass::text = ANY ($1::text[])
        """,
        tables,
    )
    others = {row["name"] for row in rows if row["columns"] != ["account_id", "live"]}
    # What is due or needs a person is looked for in all accounts; a processor knows an id alone, a
    # shopper a token.
    assert others == {
        "charge_operations_by_id",
        "charge_operations_due",
        "charge_operations_check_due",
        "charges_by_id",
        "disputes_reference",
        # BRIN and GIN: summaries of pages, and articles.
        "orders_updated",
        "orders_refunded",
        "charge_operations_ended",
        "refunds_by_sku",
        "refunds_attention",
        "refunds_submit_due",
        "refunds_token_due",
        "refunds_by_token",
        "idempotency_keys_age",
    }
    assert not any(row["is_unique"] for row in rows if row["name"] in others)


async def test_nothing_of_it_was_kept(database: Database, books: Books) -> None:
    """The cases above left the books as they were, and they add up."""
    assert await findings(database) == []
    assert await database.fetchval(books.sql("SELECT count(*) FROM refunds"
                                             " WHERE account_id = {account}")) == 5  # fmt: skip


def ended(refund: Refund, state: RefundState) -> Refund:
    """The refund as it would look in another state."""
    paid = state is RefundState.SUCCEEDED
    return replace(
        refund,
        state=state,
        refunded=refund.amount if paid else 0,
        refunded_shares=refund.shares if paid else {},
        failure_reason=None if paid else "declined",
        token=None,
    )


FINAL = {
    "paid": ("order", RefundState.SUCCEEDED),
    "failed": ("declined", RefundState.FAILED),
    "expired": ("wire", RefundState.EXPIRED),
}
STATES = (RefundState.PENDING, RefundState.SUCCEEDED, RefundState.FAILED, RefundState.EXPIRED)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", FINAL)
async def test_a_refunds_final_state_stays_but_for_the_late_failure(
    database: Database, books: Books, name: str, state: RefundState
) -> None:
    order_name, before = FINAL[name]
    late = (before, state) == (RefundState.SUCCEEDED, RefundState.FAILED)
    stored = await books.shop.find(books.names[name])
    after = ended(stored.refund, state)
    order = (await books.order(order_name)).order
    vault = books.shop.worker.vault

    async def save(tx: Tx) -> None:
        saving = RefundSaving(books.shop.tenant, stored.refund, after, order)
        await save_refunds(tx, [saving], vault)

    async with undone(database) as tx:
        if late or state is before:
            await save(tx)
        else:
            with pytest.raises(AssertionError, match="has ended already"):
                await save(tx)


def moved(
    order: Order, found: Callable[[Operation], bool], state: OperationState
) -> tuple[Order, Operation]:
    """The order with one of its operations in another state."""
    for index, charge in enumerate(order.charges):
        for operation in charge.operations:
            if found(operation):
                failure = Failure() if state is OperationState.FAILED else None
                changed = charge.with_operation(replace(operation, state=state, failure=failure))
                charges: list[Charge] = [*order.charges]
                charges[index] = changed
                return replace(order, charges=tuple(charges)), operation
    raise AssertionError("no such operation")


@pytest.mark.parametrize(
    ("order_name", "kind", "before", "state", "allowed"),
    [
        ("order", OperationKind.REFUND, OperationState.COMPLETE, OperationState.FAILED, True),
        ("order", OperationKind.REFUND, OperationState.COMPLETE, OperationState.PENDING, False),
        ("order", OperationKind.CAPTURE, OperationState.COMPLETE, OperationState.FAILED, False),
        ("order", OperationKind.CAPTURE, OperationState.COMPLETE, OperationState.PENDING, False),
        ("declined", OperationKind.REFUND, OperationState.FAILED, OperationState.COMPLETE, False),
        ("declined", OperationKind.REFUND, OperationState.FAILED, OperationState.PENDING, False),
    ],
)
async def test_an_operations_final_state_stays_but_for_a_refunds_late_failure(
    database: Database,
    books: Books,
    order_name: str,
    kind: OperationKind,
    before: OperationState,
    state: OperationState,
    allowed: bool,
) -> None:
    old = (await books.order(order_name)).order
    new, operation = moved(old, lambda each: (each.kind, each.state) == (kind, before), state)
    tenant = books.shop.tenant

    async def save(tx: Tx) -> None:
        await save_orders(tx, [Saving(tenant, old, new)])

    async with undone(database) as tx:
        if allowed:
            await save(tx)
            return
        with pytest.raises(AssertionError, match=f"{operation.id}.* has ended already"):
            await save(tx)


async def test_events_of_an_order_are_numbered_without_a_gap(books: Books) -> None:
    """And their times rise with their numbers, whatever the clock did."""
    for name in ("order", "declined", "wire"):
        rows = await books.shop.database.fetch(
            "SELECT order_sequence, created_at FROM events WHERE account_id = $1 AND order_id = $2"
            " ORDER BY order_sequence",
            books.names["account"], books.names[name],
        )  # fmt: skip
        assert [row["order_sequence"] for row in rows] == list(range(1, len(rows) + 1))
        times = [row["created_at"] for row in rows]
        assert all(first < second for first, second in pairwise(times))
