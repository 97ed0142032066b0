"""What the database holds by itself of returns, disputes, chargebacks and sales transactions."""

import asyncpg
import pytest

from refundry.auditing import audit
from refundry.db.database import Database
from refundry.operations.work import Worker
from tests.db.statements import copy, filled, undone, update
from tests.support.after_sale import (
    accept_return,
    authorise_return,
    lose_dispute,
    open_dispute,
    win_dispute,
)
from tests.support.books import findings, open_shop
from tests.support.fixtures import order_body

Names = dict[str, str]


@pytest.fixture(scope="module")
async def names(worker: Worker) -> Names:
    """What statements put in braces: an order with an accepted return whose refund is paid and
    with a lost dispute; another with a won, an open dispute and a return on its way."""
    shop = await open_shop(worker)
    order = await shop.captured(order_body("W"))
    goods = await accept_return(shop, order, await authorise_return(shop, order, 1, 0))
    await shop.settle()
    lost = await open_dispute(shop, order)
    lost = await lose_dispute(shop, lost, "10.00")
    other = await shop.captured(order_body("W"))
    waiting = await authorise_return(shop, other, 1, 2)
    won = await win_dispute(shop, await open_dispute(shop, other))
    still = await open_dispute(shop, other, reference="dsp_1")
    return {
        "account": shop.tenant.account_id,
        "order": order["id"],
        "other": other["id"],
        "goods": goods["id"],
        "waiting": waiting["id"],
        "refund": goods["refundIds"][0],
        "lost": lost["id"],
        "won": won["id"],
        "open": still["id"],
        "charge": lost["chargeId"],
        "sales": lost["salesTransactionIds"][0],
    }


def line(change: str) -> str:
    return update("order_lines", change, "order_id = {order} AND position = 0")


def chargeback(change: str) -> str:
    return update("charge_operations", change, "dispute_id = {lost}")


def item(change: str) -> str:
    return update("return_items", change, "return_id = {waiting} AND line_position = 1")


def dispute(change: str, name: str = "open") -> str:
    return update("disputes", change, f"id = {{{name}}}")


def sales(change: str) -> str:
    return update("sales_transactions", change, "id = {sales}")


# The claim, the constraint that holds it, and a statement that it refuses.
REFUSED: list[tuple[str, str, str]] = [
    ("more units returned than were fulfilled", "returned_within_fulfilled",
     line("returned_units = fulfilled_units + 1")),
    ("fewer than no units returned", "returned_within_fulfilled", line("returned_units = -1")),
    ("fewer than no open refunds of returns", "orders_open_return_refunds_check",
     update("orders", "open_return_refunds = -1", "id = {order}")),
    ("a chargeback of more than its shares", "shares_add_up",
     chargeback("amount_minor = amount_minor + 1")),
    ("a chargeback that owes what it has", "shares_add_up", chargeback("owed_minor = 1")),
    ("a chargeback of less than its shares and what it owes", "shares_add_up",
     chargeback("owed_minor = amount_minor")),
    ("a chargeback without any share that owes nothing", "shares_add_up",
     chargeback("share_lines = '{}', shares = '{}'")),
    ("a chargeback that is owed less than nothing", "only_chargebacks_owe",
     chargeback("owed_minor = -1, amount_minor = amount_minor - 1")),
    ("an ordinary record that owes", "only_chargebacks_owe",
     update("charge_operations", "owed_minor = 1, amount_minor = amount_minor + 1",
            "order_id = {order} AND kind = 'capture'")),
    ("a chargeback that is no refund", "chargeback_is_complete", chargeback("kind = 'capture'")),
    ("a chargeback that waits", "chargeback_is_complete", chargeback("state = 'pending'")),
    ("a chargeback that failed", "chargeback_is_complete",
     chargeback("state = 'failed', failure_reason = 'declined'")),
    ("a chargeback that does not say what it took", "chargeback_is_complete",
     chargeback("share_lines = NULL, shares = NULL")),
    ("a chargeback of no dispute", "charge_operations_account_id_live_order_id_dispute_id_fkey",
     chargeback("dispute_id = 'none'")),
    ("a chargeback of another order's dispute",
     "charge_operations_account_id_live_order_id_dispute_id_fkey",
     chargeback("dispute_id = {open}")),
    ("a return in a state that there is not", "returns_state_check",
     update("returns", "state = 'lost'", "id = {goods}")),
    ("two returns with one id in one order", "returns_pkey", copy("returns", "id = {goods}")),
    ("two returns with one id in two orders", "returns_account_id_live_id_key",
     copy("returns", "id = {goods}", order_id="{other}")),
    ("a return of no order", "returns_account_id_live_order_id_fkey",
     copy("returns", "id = {goods}", id="more", order_id="none")),
    ("an item of no unit", "return_items_quantity_check", item("quantity = 0, accepted = 0")),
    ("more units arrived than were authorised", "return_items_check", item("accepted = 3")),
    ("fewer than no units arrived", "return_items_check", item("accepted = -1")),
    ("less than nothing refunded for an item", "return_items_amount_minor_check",
     item("amount_minor = -1")),
    ("two items in one place", "return_items_pkey", item("place = 0")),
    ("one line twice in a return",
     "return_items_account_id_live_order_id_return_id_line_positi_key",
     item("line_position = 0")),
    ("an item of no return", "return_items_account_id_live_order_id_return_id_fkey",
     item("return_id = 'none'")),
    ("an item of another order's return", "return_items_account_id_live_order_id_return_id_fkey",
     item("return_id = {goods}")),
    ("an item of no line", "return_items_account_id_live_order_id_line_position_fkey",
     item("line_position = 7")),
    ("a refund made by no return", "refunds_account_id_live_order_id_return_id_fkey",
     update("refunds", "return_id = 'none'", "id = {refund}")),
    ("a refund made by another order's return", "refunds_account_id_live_order_id_return_id_fkey",
     update("refunds", "return_id = {waiting}", "id = {refund}")),
    ("a dispute about less than nothing", "disputes_amount_minor_check",
     dispute("amount_minor = -1")),
    ("a dispute in a state that there is not", "disputes_state_check",
     dispute("state = 'drawn', resolved_at = now()")),
    ("a dispute that is open and resolved", "closed_has_a_time", dispute("resolved_at = now()")),
    ("a dispute that is won at no time", "closed_has_a_time", dispute("state = 'won'")),
    ("a chargeback below nothing", "disputes_chargeback_minor_check",
     dispute("chargeback_minor = -1", "lost")),
    ("a lost dispute without an amount", "lost_says_how_much",
     dispute("chargeback_minor = NULL", "lost")),
    ("a lost dispute that does not call it fraud or not", "lost_says_how_much",
     dispute("fraud = NULL", "lost")),
    ("a won dispute with a chargeback", "lost_says_how_much",
     dispute("chargeback_minor = 1", "won")),
    ("an open dispute that is called fraud", "lost_says_how_much", dispute("fraud = true")),
    ("two open disputes of one charge", "disputes_one_open",
     dispute("state = 'open', resolved_at = NULL", "won")),
    ("two disputes with one id in one order", "disputes_pkey", copy("disputes", "id = {lost}")),
    ("two disputes with one id in two orders", "disputes_account_id_live_id_key",
     "INSERT INTO disputes (account_id, live, order_id, id, created_at, charge_id, amount_minor,"
     " state, resolved_at) SELECT account_id, live, order_id, {lost}, now(), charge_id, 1, 'won',"
     " now() FROM disputes WHERE id = {won}"),
    ("a dispute of no charge", "disputes_account_id_live_order_id_charge_id_fkey",
     dispute("charge_id = 'none'")),
    ("a dispute of another order's charge", "disputes_account_id_live_order_id_charge_id_fkey",
     dispute("charge_id = {charge}")),
    ("a sales transaction of a type that is not ours", "sales_transactions_type_check",
     sales("type = 'refund'")),
    ("a sales transaction that takes nothing", "sales_transactions_amount_minor_check",
     sales("amount_minor = 0")),
    ("a sales transaction that gives", "sales_transactions_amount_minor_check",
     sales("amount_minor = 1")),
    ("two sales transactions with one id in one order", "sales_transactions_pkey",
     copy("sales_transactions", "id = {sales}")),
    ("two sales transactions with one id in two orders",
     "sales_transactions_account_id_live_id_key",
     copy("sales_transactions", "id = {sales}", order_id="{other}", dispute_id="{open}")),
    ("a sales transaction of no dispute",
     "sales_transactions_account_id_live_order_id_dispute_id_fkey",
     sales("dispute_id = 'none'")),
    ("a sales transaction of another order's dispute",
     "sales_transactions_account_id_live_order_id_dispute_id_fkey",
     sales("dispute_id = {open}")),
]  # fmt: skip


@pytest.mark.parametrize(("constraint", "statement"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_what_is_refused(
    database: Database, names: Names, constraint: str, statement: str
) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        async with undone(database) as tx:
            await tx.execute(filled(statement, names))
    assert caught.value.constraint_name == constraint


async def test_a_chargeback_may_be_owed_as_a_whole(database: Database, names: Names) -> None:
    """And a dispute of a charge may follow one that ended."""
    async with undone(database) as tx:
        change = "owed_minor = amount_minor, share_lines = '{}', shares = '{}'"
        assert await tx.execute(filled(chargeback(change), names)) == "UPDATE 1"
        again = copy("disputes", "id = {open}", id="again", charge_id="{charge}",
                     order_id="{order}")  # fmt: skip
        assert await tx.execute(filled(again, names)) == "INSERT 0 1"


# What somebody changes past the code, the figure that an audit names, as kept and by the journal.
TAMPERED: list[tuple[str, str, str, int, int]] = [
    ("the amount of a chargeback", dispute("chargeback_minor = 999", "lost"),
     "chargeback of {lost}", 999, 1000),
    ("a record that is no chargeback any more", chargeback("dispute_id = NULL"),
     "chargeback of {lost}", 1000, 0),
    ("the amount of a sales transaction", sales("amount_minor = amount_minor - 5"),
     "sales transactions of {lost}", 1000, 1005),
    ("a sales transaction that is gone",
     "DELETE FROM sales_transactions WHERE account_id = {account} AND order_id = {order}",
     "sales transactions of {lost}", 1000, 0),
    ("a refund of a return said to be open",
     update("orders", "open_return_refunds = 1", "id = {order}"), "open refunds of returns", 1, 0),
    ("units said to be with the shopper", line("returned_units = 0"), "returned units of line 0",
     0, 1),
    ("units said to be back", update(
        "order_lines", "returned_units = 1", "order_id = {order} AND position = 1"),
     "returned units of line 1", 1, 0),
    ("more units in an accepted return than came back",
     update("return_items", "quantity = 2", "return_id = {goods}"), "returned units of line 0",
     1, 2),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "figure", "kept", "journal"),
                         [case[1:] for case in TAMPERED],
                         ids=[case[0] for case in TAMPERED])  # fmt: skip
async def test_an_audit_finds(
    database: Database, names: Names, statement: str, figure: str, kept: int, journal: int
) -> None:
    """Any tampering with what returns and disputes keep."""
    async with undone(database) as tx:
        await tx.execute(filled(statement, names))
        found = [each async for stretch in audit(tx) for each in stretch.findings]
    wanted = figure.format(**names), kept, journal
    assert wanted in [(each.figure, each.kept, each.journal) for each in found]
    assert {each.order_id for each in found} == {names["order"]}


async def test_a_share_of_a_chargeback_that_is_moved_is_found(
    database: Database, names: Names
) -> None:
    """From the product of the first line to that of the second: the sums stay as they were."""
    moved = chargeback("shares[1] = shares[1] - 1, shares[9] = shares[9] + 1")
    async with undone(database) as tx:
        await tx.execute(filled(moved, names))
        found = [each async for stretch in audit(tx) for each in stretch.findings]
    figures = {each.figure: each.journal - each.kept for each in found}
    assert figures == {"line 0 product refunded": -1, "line 1 product refunded": 1}


async def test_an_amount_that_is_owed_while_money_is_free_is_found(
    database: Database, names: Names
) -> None:
    """A chargeback whose shares were given back to the order, so that they are offered again."""
    owing = chargeback("owed_minor = amount_minor, share_lines = '{}', shares = '{}'")
    given_back = update("order_lines", "refunded = array_fill(0::bigint, ARRAY[8])",
                        "order_id = {order}")  # fmt: skip
    async with undone(database) as tx:
        await tx.execute(filled(owing, names))
        await tx.execute(filled(given_back, names))
        found = [each async for stretch in audit(tx) for each in stretch.findings]
    wanted = ("owed while money is free", 1000, 0)
    assert wanted in [(each.figure, each.kept, each.journal) for each in found]


async def test_lines_that_were_imported_as_returned_add_up(worker: Worker) -> None:
    """There is no return of ours that they could be compared with."""
    shop = await open_shop(worker)
    body = order_body("W", state="returned")
    await shop.take_in(body | {"items": [each | {"state": "returned"} for each in body["items"]]})
    units = await shop.database.fetchval(
        "SELECT sum(returned_units) FROM order_lines WHERE account_id = $1", shop.tenant.account_id
    )
    assert units == 5
    assert await findings(shop.database) == []


async def test_nothing_of_it_was_kept(database: Database) -> None:
    """The cases above left the books as they were, and they add up."""
    assert await findings(database) == []
