"""A run as rows for a spreadsheet: the lines as they were sent, and what became of each."""

from collections.abc import AsyncIterator
from decimal import Decimal

from refundry.bulk import store
from refundry.bulk.reading import RESULT_COLUMNS
from refundry.bulk.store import Line, Run
from refundry.bulk.verdicts import LineState
from refundry.db.database import Database
from refundry.domain.money import to_major

_AT_ONCE = 1000
RESULTS = {
    LineState.READY: "not made yet",
    LineState.DUPLICATE: "left out",
    LineState.REFUSED: "refused",
    LineState.MADE: "refunded",
    LineState.FAILED: "failed",
}
"""What a result file calls the states of lines."""

ResultRow = list[str | int | Decimal | None]


async def result_rows(database: Database, run: Run) -> AsyncIterator[list[ResultRow]]:
    """The head, then the lines, some at a time. A text may still be a formula: whoever writes the
    file has to see to that."""
    kept = [index for index, name in enumerate(run.head) if name not in RESULT_COLUMNS]
    yield [[*(run.head[index] for index in kept), *RESULT_COLUMNS]]
    above = 0
    while lines := await store.lines_of(database, run, above=above, limit=_AT_ONCE):
        yield [_row(line, kept) for line in lines]
        above = lines[-1].number


def _row(line: Line, kept: list[int]) -> ResultRow:
    amount = None
    if line.amount is not None and line.currency is not None:
        amount = to_major(line.amount, line.currency)
    cells = [line.cells[index] for index in kept]
    return [*cells, line.number, RESULTS[line.state], line.refund_id, amount, line.remark]
