"""The manual processor: a person pays and says so. The default of live mode."""

from refundry.domain.charge import BANK_DETAIL_SOURCES, OperationKind
from refundry.processors.contract import InProgress, NeedsInformation, Outcome, Submission


class ManualConnector:
    """Leaves every operation pending until an operator marks it complete or failed."""

    name = "manual"

    async def submit(self, submission: Submission) -> Outcome:
        """Wait for a person; refunds that need bank details ask for them first."""
        if needs_bank_details(submission):
            return NeedsInformation()
        return InProgress()


def needs_bank_details(submission: Submission) -> bool:
    """Whether a refund cannot be paid before the shopper says where to."""
    return (
        submission.kind is OperationKind.REFUND
        and submission.source_type in BANK_DETAIL_SOURCES
        and submission.bank_details is None
    )
