"""PayPal's settlement report and its transaction detail report.

Source: PayPal documentation, "Settlement Report Specification", "Transaction Detail Report
Specification", "Transaction event codes". The first column says what a row is: RH, FH, SH heads,
CH column names, SB a transaction. Amounts are whole minor units without a sign; the column beside
them says whether they were taken (DR) or given (CR). PayPal pays out nothing by itself: what stands
for a payout is the account and the last day of the section.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from refundry.domain.money import Currency
from refundry.processors.exponents import our_units
from refundry.reconciliation.lines import BadReport, Entry, Line, LineKind
from refundry.reconciliation.rows import Cells, Row, columns_of, read_day

# T1106: reversal by PayPal, the end of a chargeback. T1107: refund by the merchant. T1201:
# chargeback; T1202: its reversal; T1207: a second one; T1208: cancelled.
_KINDS: Mapping[str, LineKind] = MappingProxyType(
    {
        "T1107": LineKind.REFUND,
        "T1106": LineKind.CHARGEBACK,
        "T1201": LineKind.CHARGEBACK,
        "T1207": LineKind.CHARGEBACK,
        "T1202": LineKind.CHARGEBACK_REVERSED,
        "T1208": LineKind.CHARGEBACK_REVERSED,
    }
)
# "Currency codes": no decimals in these, though ISO 4217 has two.
_EXPONENTS: Mapping[str, int] = MappingProxyType({"HUF": 0, "TWD": 0})
_NEEDED = (
    "Transaction ID", "PayPal Reference ID", "Transaction Event Code",
    "Transaction Initiation Date", "Transaction Debit or Credit", "Gross Transaction Amount",
    "Gross Transaction Currency",
)  # fmt: skip
# Of the transaction detail report: what did not come about, or has not yet.
_DONE = "S"


def paypal_entries(cells: Iterator[Cells]) -> Iterator[Entry]:
    """The rows of a report. Raises BadReport."""
    columns: dict[str, int] | None = None
    section: Sequence[str] = []
    known = False
    for each in cells:
        mark = each.values[0].strip().strip("\ufeff").upper()
        known = known or mark in ("RH", "FH")
        if not known:
            raise BadReport(f"line {each.number}: a report of PayPal begins with RH")
        if mark == "SH":
            section = [value.strip() for value in each.values[1:]]
            yield from (Entry(day) for value in section[:2] if (day := read_day(value)))
        elif mark == "CH":
            columns = columns_of(each, *_NEEDED)
        elif mark == "SB":
            if columns is None:
                raise BadReport(f"line {each.number}: a row stands before the column names (CH)")
            yield _entry(Row(each.number, columns, each.values), _payout(section))


def _payout(section: Sequence[str]) -> str | None:
    """Of a section's head: the first day, the last day, the account."""
    day = read_day(section[1]) if len(section) > 2 else None
    return f"{section[2]}/{day.isoformat()}" if day and section[2] else None


def _entry(row: Row, payout: str | None) -> Entry:
    day = row.day("Transaction Completion Date", "Transaction Initiation Date")
    kind = _KINDS.get(row.find("Transaction Event Code") or "")
    status = row.find("Transactional Status")
    if kind is None or status not in (None, _DONE):
        return Entry(day)
    currency = row.currency("Gross Transaction Currency")
    gross = row.whole("Gross Transaction Amount")
    amount = None if gross is None else our_units(gross, currency.code, _EXPONENTS)
    if amount is None:
        raise row.wrong("Gross Transaction Amount", "is empty")
    if kind is LineKind.REFUND and _side(row, "Transaction Debit or Credit") == "CR":
        kind = LineKind.REFUND_REVERSED
    fee, fee_currency = _fee(row)
    reference = row.needed("Transaction ID")
    disputed = kind in (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED)
    return Entry(
        day,
        Line(
            number=row.number,
            identity=reference,
            kind=kind,
            # It names the transaction that moved the money, never the case.
            reference=None if disputed else reference,
            payments=(row.needed("PayPal Reference ID"),),
            key=row.reference("Custom Field") or row.reference("Invoice ID"),
            amount=amount,
            currency=currency.code,
            booked_on=day,
            fee=fee,
            fee_currency=fee_currency.code if fee_currency else None,
            payout=payout,
        ),
    )


def _fee(row: Row) -> tuple[int | None, Currency | None]:
    amount = row.whole("Fee Amount")
    if not amount:
        return None, None
    currency = row.currency("Fee Currency", "Gross Transaction Currency")
    units = our_units(amount, currency.code, _EXPONENTS)
    if units is None:
        raise row.wrong("Fee Amount", "is no amount of its currency")
    return (-units if _side(row, "Fee Debit or Credit") == "CR" else units), currency


def _side(row: Row, column: str) -> str:
    side = row.text(column).upper()
    if side not in ("CR", "DR"):
        raise row.wrong(column, "is neither CR nor DR")
    return side
