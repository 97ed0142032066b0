"""Stripe's itemised payout reconciliation report, or its itemised balance report.

Source: Stripe documentation, "Payout reconciliation report type" (itemized), "Balance report type",
"Reporting categories". Gross, fee and net are major units of the currency of the balance; what the
customer saw is in the customer_facing columns, where they were asked for.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from refundry.reconciliation.lines import Entry, Line, LineKind
from refundry.reconciliation.rows import Cells, Row, named_rows

# The connector puts our operation's id there; the report has it where this column was asked for.
_OPERATION = "refund_metadata[refundry_operation]"
_KINDS: Mapping[str, LineKind] = MappingProxyType(
    {
        "refund": LineKind.REFUND,
        "refund_failure": LineKind.REFUND_REVERSED,
        "dispute": LineKind.CHARGEBACK,
        "dispute_reversal": LineKind.CHARGEBACK_REVERSED,
    }
)


def stripe_entries(cells: Iterator[Cells]) -> Iterator[Entry]:
    """The rows of a report. Raises BadReport."""
    for row in named_rows(
        cells, "balance_transaction_id", "reporting_category", "source_id", "currency", "gross"
    ):
        day = row.day("created_utc", "created")
        kind = _KINDS.get(row.find("reporting_category") or "")
        yield Entry(day, _line(row, kind) if kind else None)


def _line(row: Row, kind: LineKind) -> Line:
    settled = row.currency("currency")
    amount, currency = row.amount("gross", settled), settled
    if row.find("customer_facing_amount") and row.find("customer_facing_currency"):
        currency = row.currency("customer_facing_currency")
        amount = row.amount("customer_facing_amount", currency)
    fee = row.decimal("fee")
    charged = None
    if fee is not None:
        charged = row.minor("fee", abs(fee), settled) * (-1 if fee < 0 else 1)
    payments = [row.reference("payment_intent_id"), row.reference("charge_id")]
    return Line(
        number=row.number,
        identity=row.needed("balance_transaction_id"),
        kind=kind,
        reference=row.needed("source_id"),
        payments=tuple(each for each in payments if each),
        key=row.reference(_OPERATION),
        amount=amount,
        currency=currency.code,
        booked_on=row.day("created_utc", "created"),
        fee=charged,
        fee_currency=None if charged is None else settled.code,
        payout=row.reference("automatic_payout_id"),
        arn=row.reference("refund_arn", "arn"),
    )
