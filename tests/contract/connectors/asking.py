"""Operations for the tests of what one connector has and the suite of all does not ask."""

from datetime import UTC, datetime

from refundry.domain.charge import OperationKind
from refundry.processors.contract import Submission
from tests.contract.connectors.runner import TENANT
from tests.unit.given import currency


def submission(
    kind: OperationKind,
    amount: int,
    payment: str | None,
    *,
    key: str = "operation",
    code: str = "EUR",
    source_type: str = "creditCard",
) -> Submission:
    """The first attempt at an operation, now. amount: minor units."""
    now = datetime.now(UTC)
    return Submission(
        key=key,
        tenant=TENANT,
        kind=kind,
        charge_id="charge",
        amount=amount,
        currency=currency(code),
        processor_reference=payment,
        source_type=source_type,
        trigger=None,
        first_attempt_at=now,
        now=now,
        attempt=1,
    )
