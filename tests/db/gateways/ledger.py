"""Settlement reports of the till's processor, read into the books of its shop."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from refundry.domain.refund import Refund
from refundry.reconciliation import store
from refundry.reconciliation.commands import Reading, Summary, reconcile, rehearse
from refundry.reconciliation.reports import READERS
from refundry.reconciliation.rows import read_cells
from refundry.reconciliation.store import StoredLine
from tests.db.gateways.till import Till
from tests.support.settlement import STRIPE, Cells, report_text


@dataclass(slots=True)
class Statement:
    """A report of Stripe's that grows row by row. day: of its rows."""

    till: Till
    day: datetime = field(default_factory=lambda: datetime.now(UTC))
    rows: list[Cells] = field(default_factory=list[Cells])

    def row(self, category: str, source: str, amount: str, **more: str) -> "Statement":
        """A row about an object of Stripe's. amount: major units of USD."""
        self.rows.append({
            "balance_transaction_id": f"txn_{source}_{category}", "source_id": source,
            "created_utc": f"{self.day:%Y-%m-%d} 12:00:00", "reporting_category": category,
            "currency": "usd", "gross": f"-{amount}", "fee": "0.00",
            "automatic_payout_id": "po_1", **more,
        })  # fmt: skip
        return self

    async def of_refund(self, refund: Refund, amount: str, **more: str) -> "Statement":
        """A row about a refund of ours."""
        reference = (await self.till.standing(refund)).reference
        assert reference is not None
        return self.row("refund", reference, amount, **more)

    def later(self, **by: float) -> "Statement":
        """An empty report of a later day."""
        return Statement(self.till, self.day + timedelta(**by))

    async def read(self, *, rehearsal: bool = False) -> Summary:
        """Read it as the command does."""
        text = report_text(STRIPE, *self.rows)
        entries = READERS["stripe"](read_cells(io.StringIO(text, newline="")))
        books, gateway = self.till.shop.worker.books, self.till.gateway
        if rehearsal:
            return await rehearse(books, gateway, entries, lambda: None)
        digest = hashlib.sha256(text.encode()).digest()
        reading = Reading(gateway, "report.csv", digest, datetime.now(UTC))
        return await reconcile(books, reading, entries, lambda: None)


async def listed(till: Till) -> Sequence[StoredLine]:
    """The lines that a person has to look at."""
    return await store.exceptional_lines(till.shop.database, till.shop.tenant, 100)


async def why(till: Till) -> str:
    """Why the only line that a person has to look at is on the list."""
    (line,) = await listed(till)
    return f"{line.verdict.state}: {line.verdict.why}"
