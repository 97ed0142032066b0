"""Any report: amounts come out exact to the minor unit; what is none is refused in words."""

import csv
import io
from collections.abc import Callable
from datetime import date
from typing import TextIO

from hypothesis import given
from hypothesis import strategies as st

from refundry.domain.money import Currency, known_currencies, to_major
from refundry.reconciliation.lines import BadReport, Line
from refundry.reconciliation.reports import READERS
from refundry.reconciliation.rows import read_cells
from tests.support.settlement import ADYEN, BRAINTREE, STRIPE, paypal_report, report_text

amounts = st.integers(1, 10**11 - 1)
currencies = st.sampled_from([each for each in known_currencies() if each.code not in "HUF TWD"])
days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
references = st.text(
    st.characters(categories=["L", "N", "P", "S"], max_codepoint=0xFFFF), min_size=1, max_size=40
)


def only_line(processor: str, text: str) -> Line:
    cells = read_cells(io.StringIO(text, newline=""))
    (line,) = [entry.line for entry in READERS[processor](cells) if entry.line]
    return line


def major(amount: int, currency: Currency) -> str:
    return format(to_major(amount, currency), "f")


def stripe(amount: int, currency: Currency, day: date, reference: str) -> str:
    return report_text(STRIPE, {
        "balance_transaction_id": reference, "created_utc": f"{day} 00:00:00",
        "reporting_category": "refund", "source_id": reference, "currency": currency.code.lower(),
        "gross": f"-{major(amount, currency)}", "fee": major(amount, currency),
    })  # fmt: skip


def adyen(amount: int, currency: Currency, day: date, reference: str) -> str:
    return report_text(ADYEN, {
        "Merchant Account": "Shop", "Psp Reference": "PAY", "Type": "Refunded",
        "Modification Reference": reference, "Gross Currency": currency.code,
        "Gross Debit (GC)": major(amount, currency), "Net Currency": currency.code,
        "Markup (NC)": major(amount, currency), "Batch Number": "1", "Creation Date": str(day),
    })  # fmt: skip


def paypal(amount: int, currency: Currency, day: date, reference: str) -> str:
    return paypal_report({
        "Transaction ID": reference, "PayPal Reference ID": "C",
        "Transaction Event Code": "T1107", "Transaction Debit or Credit": "DR",
        "Transaction Initiation Date": day.strftime("%Y/%m/%d 08:00:00 -0700"),
        "Gross Transaction Amount": str(amount), "Gross Transaction Currency": currency.code,
        "Fee Debit or Credit": "DR", "Fee Amount": str(amount), "Fee Currency": currency.code,
    })  # fmt: skip


def braintree(amount: int, currency: Currency, day: date, reference: str) -> str:
    return report_text(BRAINTREE, {
        "Transaction ID": reference, "Transaction Type": "credit",
        "Disbursement Date": f"{day.month:02d}/{day.day:02d}/{day.year}",
        "Amount Submitted For Settlement": major(amount, currency),
        "Currency ISO Code": currency.code,
    })  # fmt: skip


MAKERS: dict[str, Callable[[int, Currency, date, str], str]] = {
    "stripe": stripe, "adyen": adyen, "paypal": paypal, "braintree": braintree,
}  # fmt: skip
processors = st.sampled_from(sorted(MAKERS))


@given(processors, amounts, currencies, days, references)
def test_amounts_days_and_references_come_out_as_they_went_in(
    processor: str, amount: int, currency: Currency, day: date, reference: str
) -> None:
    line = only_line(processor, MAKERS[processor](amount, currency, day, reference))
    told = line.reference, line.amount, line.currency, line.booked_on
    assert told == (reference, amount, currency.code, day)
    if processor != "braintree":
        assert (line.fee, line.fee_currency) == (amount, currency.code)


def outcome(processor: str, stream: TextIO) -> list[Line] | str:
    """The lines of a report, or why it cannot be read."""
    try:
        return [entry.line for entry in READERS[processor](read_cells(stream)) if entry.line]
    except BadReport as error:
        return str(error)


@given(processors, st.binary(max_size=300))
def test_bytes_that_are_no_report_are_refused_in_words(processor: str, content: bytes) -> None:
    stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    told = outcome(processor, stream)
    assert told.isprintable() if isinstance(told, str) else told == []


@given(
    processors, st.data(),
    st.one_of(st.text(max_size=30), st.sampled_from(["", "-1", "1e9", "=1", "NaN", "refund"])),
)  # fmt: skip
def test_a_cell_that_is_changed_gives_a_line_or_words(
    processor: str, data: st.DataObject, text: str
) -> None:
    """Never another exception, and never a line that the database could not hold."""
    made = MAKERS[processor](1234, Currency("EUR", 2), date(2026, 5, 4), "re_1")
    rows = list(csv.reader(io.StringIO(made, newline="")))
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.integers(0, len(row) - 1))] = text
    changed = io.StringIO(newline="")
    csv.writer(changed).writerows(rows)
    changed.seek(0)
    told = outcome(processor, changed)
    if isinstance(told, str):
        assert told.isprintable()
        return
    for line in told:
        assert 0 <= line.amount < 2**63
        assert line.identity.isprintable()
        assert all(each.isprintable() for each in (*line.payments, line.key or "", line.arn or ""))
