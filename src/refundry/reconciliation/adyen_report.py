"""Adyen's settlement details report.

Source: Adyen documentation, "Settlement details report" (structure, record types). Psp Reference is
that of the payment, Modification Reference that of the refund or chargeback, and Modification
Merchant Reference what the refund was asked for under: our operation's id. Gross is in the
payment's currency (GC), fees are in that of the payout (NC).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from refundry.domain.money import Currency, half_up
from refundry.reconciliation.lines import Entry, Line, LineKind
from refundry.reconciliation.rows import Cells, Row, named_rows, read_day

_KINDS: Mapping[str, LineKind] = MappingProxyType(
    {
        "Refunded": LineKind.REFUND,
        "RefundedReversed": LineKind.REFUND_REVERSED,
        "Chargeback": LineKind.CHARGEBACK,
        "SecondChargeback": LineKind.CHARGEBACK,
        "ChargebackReversed": LineKind.CHARGEBACK_REVERSED,
    }
)
_TAKES = frozenset({LineKind.REFUND, LineKind.CHARGEBACK})
_FEES = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")


def adyen_entries(cells: Iterator[Cells]) -> Iterator[Entry]:
    """The rows of a report. Raises BadReport."""
    for row in named_rows(
        cells, "Merchant Account", "Psp Reference", "Type", "Modification Reference",
        "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Batch Number",
    ):  # fmt: skip
        kind = _KINDS.get(row.find("Type") or "")
        if kind is None:
            yield Entry(read_day(row.find("Booking Date", "Creation Date") or ""))
        else:
            line = _line(row, kind)
            yield Entry(line.booked_on, line)


def _line(row: Row, kind: LineKind) -> Line:
    currency = row.currency("Gross Currency")
    reference = row.needed("Modification Reference")
    fee, fee_currency = _fee(row)
    return Line(
        number=row.number,
        # One reference may be reversed, and has a second record then.
        identity=f"{reference}:{row.text('Type')}",
        kind=kind,
        reference=reference,
        payments=(row.needed("Psp Reference"),),
        key=row.reference("Modification Merchant Reference"),
        amount=row.amount("Gross Debit (GC)" if kind in _TAKES else "Gross Credit (GC)", currency),
        currency=currency.code,
        booked_on=row.day("Booking Date", "Creation Date"),
        fee=fee,
        fee_currency=fee_currency.code if fee_currency else None,
        payout=f"{row.needed('Merchant Account')}/{row.needed('Batch Number')}",
        arn=row.reference("ARN", "Acquirer Reference Number"),
    )


def _fee(row: Row) -> tuple[int | None, Currency | None]:
    """The sum of its costs, to the nearest minor unit: interchange may be a fraction of one."""
    parts = [value for name in _FEES if (value := row.decimal(name)) is not None]
    if not parts or row.find("Net Currency") is None:
        return None, None
    currency = row.currency("Net Currency")
    total = Fraction(sum(parts, Decimal(0))) * 10**currency.exponent
    return half_up(total), currency
