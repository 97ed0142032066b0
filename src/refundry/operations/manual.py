"""What a person does about operations: sees those without an outcome, and settles one."""

from refundry.access.store import clock_shift
from refundry.clock import Clock
from refundry.db.database import Database
from refundry.domain.charge import Failure, OperationKind
from refundry.domain.money import find_currency, major_text
from refundry.errors import NotFound, required
from refundry.operations import check_store
from refundry.operations.commands import Booking, Books, book_outcome
from refundry.operations.information import Details, open_details
from refundry.operations.store import find_operation
from refundry.processors.contract import Declined, Settled
from refundry.sealing import open_vault
from refundry.settings import Settings


async def list_open(database: Database) -> list[list[str]]:
    """Operations without an outcome, oldest first: id, kind, amount, order, and why it waits."""
    rows = await database.fetch(
        """
        SELECT o.id, o.live, o.kind, o.amount_minor, o.order_id, o.created_at, o.attempts,
               o.last_error, o.attention_since, o.check_found, o.parked, r.currency
          FROM charge_operations o
          JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
         WHERE o.state = 'pending'
         ORDER BY o.created_at, o.seq
        """
    )
    found: list[list[str]] = []
    for row in rows:
        currency = required(find_currency(row["currency"]))
        amount = f"{major_text(row['amount_minor'], currency.exponent)} {currency.code}"
        why = "needs attention" if row["attention_since"] else "waiting"
        if row["last_error"]:
            why += f" ({row['attempts']} attempts, {row['last_error']})"
        if said := row["parked"] or row["check_found"]:
            why += f" ({said})"
        mode = "live" if row["live"] else "test"
        found.append([row["id"], mode, row["kind"], amount, f"order {row['order_id']}", why])
    return found


async def show_bank_details(
    database: Database, settings: Settings, operation_id: str
) -> Details | None:
    """Where a person is to pay a refund; None if no shopper has said so, or it has ended.

    Raises NotFound.
    """
    found = await find_operation(database, operation_id)
    if found is None:
        raise NotFound("Operation", operation_id)
    tenant, order_id = found
    sealed = await database.fetchval(
        """
        SELECT sealed_bank_details FROM charge_operations
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
        """,
        tenant.account_id, tenant.live, order_id, operation_id,
    )  # fmt: skip
    return None if sealed is None else open_details(open_vault(settings), sealed)


async def settle_by_hand(
    database: Database, settings: Settings, operation_id: str, *, reason: str | None, note: str
) -> bool:
    """Book an operation as failed for `reason`, or as complete without one. Raises NotFound.

    False if it had ended already. The note is kept with the operation either way.
    """
    found = await find_operation(database, operation_id)
    if found is None:
        raise NotFound("Operation", operation_id)
    tenant, order_id = found
    await database.execute(
        """
        UPDATE charge_operations SET note = concat_ws(E'\\n', note, $5::text)
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
        """,
        tenant.account_id, tenant.live, order_id, operation_id, note,
    )  # fmt: skip
    word = Settled() if reason is None else Declined(Failure(reason=reason))
    books = Books(database, open_vault(settings))
    now = Clock().now() + await clock_shift(database, tenant)
    kind = OperationKind(
        await database.fetchval(
            """
            SELECT kind FROM charge_operations
             WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
            """,
            tenant.account_id, tenant.live, order_id, operation_id,
        )
    )  # fmt: skip
    booking = Booking(tenant, order_id, operation_id, word, now, report_of=kind)
    return await book_outcome(books, booking)


async def ask_for_check(database: Database, operation_id: str) -> bool:
    """Have an operation looked up at its processor at once; False where that cannot be.

    Raises NotFound.
    """
    found = await find_operation(database, operation_id)
    if found is None:
        raise NotFound("Operation", operation_id)
    tenant, _ = found
    now = Clock().now() + await clock_shift(database, tenant)
    return await check_store.ask_for_check(database, tenant, operation_id, now)
