"""What is known of an operation is overtaken by what came later, and asks for nothing twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refundry.access.audit_log import COMMAND_LINE
from refundry.domain.refund import RefundState
from refundry.gateways.commands import NewGateway, open_gateway
from refundry.operations.check_store import Checked, claim_checks, note_check
from refundry.operations.information import give_information
from tests.contract.connectors.stand import Plan
from tests.db.gateways.till import CREDENTIALS, Till
from tests.support.books import findings
from tests.support.fixtures import credit, order_body, source

DETAILS = {"accountHolderName": "Max", "iban": "DE89370400440532013000", "country": "DE"}


async def test_bank_details_ask_for_no_other_record_again(till: Till) -> None:
    body = order_body("G")
    worker = till.shop.worker
    new = NewGateway("credit", "stripe", CREDENTIALS, ("customerCredit",), till.stripe.url)
    now = datetime.now(UTC)
    other = await open_gateway(
        worker.database, worker.vault, till.shop.tenant, new, COMMAND_LINE, now
    )
    paid = {"processorReference": till.stripe.pay(689, "USD", captured=False)}
    body["payment"]["sources"] = [source("wireTransfer", 20.00), credit(6.89) | paid]
    order = await till.shop.captured(body)
    till.stripe.plan(Plan(end="pending"))
    refund = await till.refunded(order, "26.89")
    assert refund.state is RefundState.PENDING_INFORMATION
    asked = till.stripe.asked()
    credited = await _operation(till, refund.id, gateway=True)
    shop = till.shop
    assert await give_information(
        shop.worker.books, shop.tenant, order["id"], refund.id, DETAILS, await shop.now()
    )
    assert await _operation(till, refund.id, gateway=True) == credited
    await shop.settle()
    assert till.stripe.asked() == asked
    assert await _operation(till, refund.id, gateway=True) == credited
    till.stripe.finish(credited["id"], "settled", None)
    await replace(till, gateway=other).tell_all()
    assert (await till.refund(refund.id)).state is RefundState.SUCCEEDED
    assert await findings(shop.database) == []


async def _operation(till: Till, refund_id: str, *, gateway: bool) -> dict[str, Any]:
    rows = await till.shop.database.fetch(
        """
        SELECT o.id, o.state, o.due_at, o.attempts, o.first_attempt_at, o.sealed_bank_details
          FROM refund_parts p
          JOIN charge_operations o ON o.account_id = p.account_id AND o.live = p.live
                                  AND o.order_id = p.order_id AND o.id = p.operation_id
         WHERE p.refund_id = $1 AND (o.gateway_id IS NOT NULL) = $2
        """,
        refund_id, gateway,
    )  # fmt: skip
    (row,) = rows
    return dict(row)


@pytest.mark.parametrize(
    "meanwhile", ["attempts = attempts + 1", "checks = checks + 1", "parked = 'a reason'"]
)
async def test_a_slow_look_up_says_nothing_of_what_came_later(till: Till, meanwhile: str) -> None:
    checked = await _looked_up(till)
    key = checked.submission.key
    database = till.shop.database
    await database.execute(
        f"UPDATE charge_operations SET {meanwhile}, due_at = NULL WHERE id = $1", key
    )
    before = await database.fetchrow("SELECT * FROM charge_operations WHERE id = $1", key)
    await note_check(database, checked, "under way", check_due_at=datetime.now(UTC), accepted=True)
    assert await database.fetchrow("SELECT * FROM charge_operations WHERE id = $1", key) == before


async def test_a_look_up_gives_its_lease_back(till: Till) -> None:
    checked = await _looked_up(till)
    database = till.shop.database
    await note_check(database, checked, "under way", check_due_at=datetime.now(UTC), accepted=True)
    row = await database.fetchrow(
        "SELECT check_found, leased_until FROM charge_operations WHERE id = $1",
        checked.submission.key,
    )
    assert row is not None
    assert tuple(row) == ("under way", None)


async def _looked_up(till: Till) -> Checked:
    """A refund on its way, whose look-up has begun."""
    order = await till.sold()
    till.stripe.plan(Plan(end="pending"))
    await till.refunded(order, "5.00")
    await till.shop.advance(timedelta(hours=2))
    (checked,) = await claim_checks(
        till.shop.database, now=datetime.now(UTC), lease=timedelta(minutes=1),
        account_id=till.shop.tenant.account_id, limit=10,
    )  # fmt: skip
    return checked
