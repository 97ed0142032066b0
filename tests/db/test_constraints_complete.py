"""No constraint without a case: what is not tried could be dropped without a test failing."""

from refundry.db.database import Database
from tests.db import (
    test_after_sale_constraints,
    test_bulk_constraints,
    test_constraints,
    test_people_constraints,
    test_settlement_constraints,
    test_webhook_constraints,
)
from tests.db.statements import constraints


async def test_every_constraint_has_a_case(database: Database) -> None:
    modules = (
        test_constraints,
        test_after_sale_constraints,
        test_bulk_constraints,
        test_people_constraints,
        test_settlement_constraints,
        test_webhook_constraints,
    )
    with_case = {case[1] for module in modules for case in module.REFUSED}
    # What the first two refuse, order_lines_check and orders_check1 refuse before them.
    implied = {"order_lines_fulfilled_units_check", "orders_total_minor_check"}
    assert await constraints(database) == with_case | implied | {"refund_parts_one_open"}
