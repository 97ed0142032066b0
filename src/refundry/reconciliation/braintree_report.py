"""Braintree's export of a transaction search, and its transaction-level fee report.

Source: Braintree documentation, "Transaction search" (exports), "Transaction Level Fee Report Row",
"Refunds" (a refund is a transaction of the type credit, and carries the order id that it was asked
for under: our operation's id); for disputes the rows of the daily settlement detail report.
Amounts are major units. What is disbursed on one day to one merchant account is one payout.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from refundry.reconciliation.lines import Entry, Line, LineKind
from refundry.reconciliation.rows import Cells, Row, named_rows, read_day

_KINDS: Mapping[str, LineKind] = MappingProxyType(
    {
        "credit": LineKind.REFUND,
        "dispute debit": LineKind.CHARGEBACK,
        "dispute credit": LineKind.CHARGEBACK_REVERSED,
    }
)
# A refund that is in none of these has not moved any money, or not yet.
_SETTLED = frozenset({"settled", "settling"})
_TYPE = ("Transaction Type", "Type")
_STATUS = ("Transaction Status", "Status")
_PAYMENT = ("Refunded Transaction ID", "Original Transaction ID")
_CURRENCY = ("Currency ISO Code", "Presentment Currency", "Settlement Currency ISO Code",
             "Settlement Currency")  # fmt: skip
_AMOUNTS = ("Amount Submitted For Settlement", "Presentment Amount", "Amount Authorized", "Amount",
            "Settlement Amount")  # fmt: skip
_FEES = ("Total Fee Amount", "Est. Total Fee Amount", "Braintree Total Amount")
_DAYS = ("Disbursement Date", "Settlement Date", "Created Datetime", "Created Date")


def braintree_entries(cells: Iterator[Cells]) -> Iterator[Entry]:
    """The rows of a report. Raises BadReport."""
    for row in named_rows(cells, "Transaction ID", "Transaction Type"):
        kind = _KINDS.get((row.find(*_TYPE) or "").lower())
        status = (row.find(*_STATUS) or "settled").lower().replace(" ", "_")
        if kind is None or status not in _SETTLED:
            yield Entry(read_day(row.find(*_DAYS) or ""))
        else:
            line = _line(row, kind)
            yield Entry(line.booked_on, line)


def _line(row: Row, kind: LineKind) -> Line:
    currency = row.currency(*_CURRENCY)
    reference = row.needed("Transaction ID")
    refund = kind is LineKind.REFUND
    payment = row.reference(*_PAYMENT)
    fee_name = next((name for name in _FEES if row.find(name)), None)
    fee = row.decimal(fee_name) if fee_name else None
    fee_currency = row.currency("Settlement Currency ISO Code", *_CURRENCY) if fee_name else None
    charged = None
    if fee_name and fee is not None and fee_currency is not None:
        charged = row.minor(fee_name, abs(fee), fee_currency) * (-1 if fee < 0 else 1)
    amount_name = next((name for name in _AMOUNTS if row.find(name)), _AMOUNTS[0])
    return Line(
        number=row.number,
        identity=reference if refund else f"{reference}:{kind.value}",
        kind=kind,
        reference=reference if refund else row.reference("Dispute ID", "Case Number"),
        # A line about a dispute is under the transaction that is disputed.
        payments=tuple(each for each in (payment,) if each) if refund else (reference,),
        key=row.reference("Order ID"),
        amount=row.amount(amount_name, currency),
        currency=currency.code,
        booked_on=row.day(*_DAYS),
        fee=charged,
        fee_currency=fee_currency.code if fee_currency and charged is not None else None,
        payout=_payout(row),
        arn=row.reference("Acquirer Reference Number"),
    )


def _payout(row: Row) -> str | None:
    day = read_day(row.find("Disbursement Date") or "")
    account = row.reference("Merchant Account", "Merchant Account ID")
    return f"{account or 'account'}/{day.isoformat()}" if day else None
