"""What a shopper gives so that a refund can be paid: bank details, sealed until they are used."""

from datetime import datetime

import msgspec

from refundry.db.database import Tx
from refundry.domain import settlement
from refundry.domain.charge import OperationState
from refundry.domain.event import Change
from refundry.domain.refund import RefundState
from refundry.operations.commands import Books, Ledger, waiting_members
from refundry.operations.twice import stop_if_paid
from refundry.orders.store import lock_order, order_key
from refundry.refunds.store import find_refund
from refundry.sealing import Vault
from refundry.tenant import Tenant

Details = dict[str, str]
_details = msgspec.json.Decoder(Details)


def seal_details(vault: Vault, details: Details) -> bytes:
    """Bank details as they are stored."""
    return vault.seal(msgspec.json.encode(details).decode())


def open_details(vault: Vault, sealed: bytes) -> Details:
    """Bank details as the shopper gave them."""
    return _details.decode(vault.open(sealed))


async def give_information(
    books: Books, tenant: Tenant, order_id: str, refund_id: str, details: Details, now: datetime
) -> bool:
    """Take a shopper's bank details and queue the refund for its processor.

    False, and nothing done, if the refund does not wait for them any more: of a submission and the
    expiry at the same time, the order's lock decides.
    """

    async def work(tx: Tx) -> Ledger | None:
        stored = await lock_order(tx, tenant, order_id)
        found = await find_refund(tx, tenant, refund_id)
        if stored is None or found is None or not _waits(found.refund.state):
            return None
        if found.refund.token is None or found.refund.token.expires_at <= now:
            return None
        members = await waiting_members(tx, tenant, found)
        waited = {
            operation.id
            for operation in settlement.operations_of(stored.order, found.refund)
            if operation.state is OperationState.PENDING_INFORMATION
        }
        change = Change(stored.order, now)
        records = settlement.take_information(
            change, found.refund, [member.refund for member in members]
        )
        ledger = Ledger(books, {order_key(tenant, order_id): stored})
        ledger.record(order_key(tenant, order_id), change, members)
        await ledger.write(tx)
        sealed = seal_details(books.vault, details)
        # What was asked for already is not asked for again because of them.
        ids = [record.id for record in records if record.id in waited]
        await _queue(tx, tenant, order_id, ids, sealed, now)
        for member in members:
            await stop_if_paid(tx, tenant, member.refund, now)
        return ledger

    ledger = await books.database.run(work)
    if ledger is not None:
        ledger.observe()
    return ledger is not None


def _waits(state: RefundState) -> bool:
    return state is RefundState.PENDING_INFORMATION


async def _queue(
    tx: Tx, tenant: Tenant, order_id: str, operation_ids: list[str], sealed: bytes, now: datetime
) -> None:
    """Let the processor be asked again, with the details; how long that takes counts from now."""
    await tx.execute(
        """
        UPDATE charge_operations
           SET sealed_bank_details = $5, due_at = $6, first_attempt_at = NULL
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = ANY ($4::text[])
           AND state = 'pending'
        """,
        tenant.account_id, tenant.live, order_id, operation_ids, sealed, now,
    )  # fmt: skip
