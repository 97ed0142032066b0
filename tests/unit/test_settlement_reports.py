"""The settlement reports of the four processors, as their documentation describes them."""

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from refundry.reconciliation.lines import BadReport, Entry, Line, LineKind
from refundry.reconciliation.reports import READERS, Report
from refundry.reconciliation.rows import read_cells, shown
from tests.support.settlement import ADYEN, BRAINTREE, STRIPE, paypal_report, report_text

DAY = date(2026, 5, 4)


def entries(processor: str, text: str) -> list[Entry]:
    return list(READERS[processor](read_cells(io.StringIO(text, newline=""))))


def only_line(processor: str, text: str) -> Line:
    (line,) = [entry.line for entry in entries(processor, text) if entry.line]
    return line


def complaint(processor: str, text: str) -> str:
    with pytest.raises(BadReport) as caught:
        entries(processor, text)
    return str(caught.value)


def test_stripes_refund_has_payout_key_and_both_payments() -> None:
    text = report_text(STRIPE, {
        "balance_transaction_id": "txn_1", "created_utc": "2026-05-04 10:11:12",
        "reporting_category": "refund", "source_id": "re_1", "payment_intent_id": "pi_1",
        "charge_id": "ch_1", "currency": "usd", "gross": "-13.50", "fee": "0.25",
        "automatic_payout_id": "po_1", "refund_metadata[refundry_operation]": "op-1",
    })  # fmt: skip
    assert only_line("stripe", text) == Line(
        number=2, identity="txn_1", kind=LineKind.REFUND, reference="re_1",
        payments=("pi_1", "ch_1"), key="op-1", amount=1350, currency="USD", booked_on=DAY, fee=25,
        fee_currency="USD", payout="po_1",
    )  # fmt: skip


def test_stripes_amount_is_what_the_customer_saw() -> None:
    text = report_text(STRIPE, {
        "balance_transaction_id": "txn_1", "created_utc": "2026-05-04", "source_id": "re_1",
        "reporting_category": "refund", "currency": "usd", "gross": "-7.01", "fee": "0.00",
        "customer_facing_amount": "-1000", "customer_facing_currency": "jpy",
    })  # fmt: skip
    line = only_line("stripe", text)
    assert (line.amount, line.currency, line.fee, line.fee_currency) == (1000, "JPY", 0, "USD")


@pytest.mark.parametrize(("category", "kind"), [
    ("refund", LineKind.REFUND), ("refund_failure", LineKind.REFUND_REVERSED),
    ("dispute", LineKind.CHARGEBACK), ("dispute_reversal", LineKind.CHARGEBACK_REVERSED),
    ("charge", None), ("payout", None), ("fee", None),
])  # fmt: skip
def test_stripes_categories(category: str, kind: LineKind | None) -> None:
    text = report_text(STRIPE, {
        "balance_transaction_id": "txn_1", "created_utc": "2026-05-04", "source_id": "x_1",
        "reporting_category": category, "currency": "eur", "gross": "5.00",
    })  # fmt: skip
    (entry,) = entries("stripe", text)
    assert entry.day == DAY
    assert (entry.line.kind if entry.line else None) == kind


def test_adyens_lines_have_fees_batch_and_both_references() -> None:
    refund = {
        "Merchant Account": "Shop", "Psp Reference": "PAY1", "Type": "Refunded",
        "Modification Reference": "REF1", "Modification Merchant Reference": "op-1",
        "Gross Currency": "EUR", "Gross Debit (GC)": "49.90", "Net Currency": "EUR",
        "Net Debit (NC)": "50.05", "Markup (NC)": "0.10", "Interchange (NC)": "0.0467",
        "Batch Number": "214", "Creation Date": "2026-05-04 23:59:59", "ARN": "7453",
    }  # fmt: skip
    reversed_ = refund | {"Type": "ChargebackReversed", "Gross Debit (GC)": "",
                          "Gross Credit (GC)": "10.00"}  # fmt: skip
    fee = {"Merchant Account": "Shop", "Type": "Fee", "Creation Date": "2026-05-06 00:00:00"}
    first, second, third = entries("adyen", report_text(ADYEN, refund, reversed_, fee))
    assert first.line == Line(
        number=2, identity="REF1:Refunded", kind=LineKind.REFUND, reference="REF1",
        payments=("PAY1",), key="op-1", amount=4990, currency="EUR", booked_on=DAY, fee=15,
        fee_currency="EUR", payout="Shop/214", arn="7453",
    )  # fmt: skip
    assert second.line is not None
    assert (second.line.kind, second.line.amount) == (LineKind.CHARGEBACK_REVERSED, 1000)
    assert third == Entry(date(2026, 5, 6))


def test_paypals_sections_and_whole_minor_units() -> None:
    refund = {
        "Transaction ID": "R1", "PayPal Reference ID": "C1", "PayPal Reference ID Type": "TXN",
        "Invoice ID": "inv", "Transaction Event Code": "T1107", "Custom Field": "op-1",
        "Transaction Initiation Date": "2026/05/04 08:00:00 -0700",
        "Transaction Debit or Credit": "DR", "Gross Transaction Amount": "1350",
        "Gross Transaction Currency": "USD", "Fee Debit or Credit": "CR", "Fee Amount": "39",
        "Fee Currency": "USD",
    }  # fmt: skip
    chargeback = refund | {"Transaction ID": "X1", "Transaction Event Code": "T1201",
                           "Gross Transaction Currency": "TWD", "Fee Amount": ""}  # fmt: skip
    sale = refund | {"Transaction Event Code": "T0006"}
    lines = [entry.line for entry in entries("paypal", paypal_report(refund, chargeback, sale))]
    assert [line for line in lines if line] == [
        Line(
            number=5, identity="R1", kind=LineKind.REFUND, reference="R1", payments=("C1",),
            key="op-1", amount=1350, currency="USD", booked_on=DAY, fee=-39, fee_currency="USD",
            payout="MERCHANT/2026-05-04",
        ),
        # A chargeback's transaction does not name its case; PayPal counts whole Taiwan dollars.
        Line(
            number=6, identity="X1", kind=LineKind.CHARGEBACK, reference=None, payments=("C1",),
            key="op-1", amount=135_000, currency="TWD", booked_on=DAY,
            payout="MERCHANT/2026-05-04",
        ),
    ]  # fmt: skip
    given_back = refund | {"Transaction Debit or Credit": "CR"}
    assert only_line("paypal", paypal_report(given_back)).kind is LineKind.REFUND_REVERSED
    assert len(entries("paypal", paypal_report())) == 2, "the days of an empty section count"


def test_paypals_transactions_that_did_not_come_about_are_left_out() -> None:
    refund = {
        "Transaction ID": "R1", "PayPal Reference ID": "C1", "Transaction Event Code": "T1107",
        "Transaction Initiation Date": "2026/05/04 08:00:00 -0700",
        "Transaction Debit or Credit": "DR", "Gross Transaction Amount": "1350",
        "Gross Transaction Currency": "USD", "Transactional Status": "D",
    }  # fmt: skip
    assert not [entry for entry in entries("paypal", paypal_report(refund)) if entry.line]


def test_braintrees_credits_and_disputes() -> None:
    credit = {
        "Transaction ID": "abc", "Transaction Type": "credit", "Transaction Status": "settled",
        "Disbursement Date": "05/04/2026", "Merchant Account": "shop_usd",
        "Amount Submitted For Settlement": "13.50", "Currency ISO Code": "USD",
        "Order ID": "op-1", "Refunded Transaction ID": "sale1",
        "Acquirer Reference Number": "7453",
    }  # fmt: skip
    waiting = credit | {"Transaction Status": "submitted_for_settlement"}
    dispute = credit | {"Transaction Type": "dispute debit"}
    first, second, third = entries("braintree", report_text(BRAINTREE, credit, waiting, dispute))
    assert first.line == Line(
        number=2, identity="abc", kind=LineKind.REFUND, reference="abc", payments=("sale1",),
        key="op-1", amount=1350, currency="USD", booked_on=DAY, payout="shop_usd/2026-05-04",
        arn="7453",
    )  # fmt: skip
    assert second == Entry(DAY)
    assert third.line is not None
    assert (third.line.kind, third.line.identity, third.line.payments) == (
        LineKind.CHARGEBACK, "abc:chargeback", ("abc",),
    )  # fmt: skip


GOOD = {
    "balance_transaction_id": "txn_1", "created_utc": "2026-05-04", "source_id": "re_1",
    "reporting_category": "refund", "currency": "usd", "gross": "-1.00",
}  # fmt: skip


@pytest.mark.parametrize(("column", "text", "words"), [
    ("gross", "1,00", "'1,00' is no number like 1234.56"),
    ("gross", "", "is empty"),
    ("gross", "1.001", "'1.001' is no amount of USD"),
    ("gross", "=1+1", "'=1+1' is no number like 1234.56"),
    ("gross", "NaN", "'NaN' is no number like 1234.56"),
    ("currency", "usx", "'usx' is no currency that we know"),
    ("created_utc", "2026-13-04", "'2026-13-04' is no day like 2026-05-31"),
    ("source_id", "", "is empty"),
    ("source_id", "x" * 201, f"'{'x' * 60}…' is no reference"),
    ("balance_transaction_id", "a\x1b[2J", "'a?[2J' is no reference"),
])  # fmt: skip
def test_what_cannot_be_read_is_named_by_line_and_column(
    column: str, text: str, words: str
) -> None:
    told = complaint("stripe", report_text(STRIPE, GOOD, GOOD | {column: text}))
    assert told == f"line 3, column '{column}': {words}"


@pytest.mark.parametrize("processor", ["stripe", "adyen", "braintree"])
def test_a_column_that_is_not_there_is_named(processor: str) -> None:
    assert complaint(processor, "a,b\n1,2\n").startswith("line 1: there is no column '")
    assert complaint(processor, "") == "the file is empty"


def test_a_file_that_is_none_of_paypals_is_refused() -> None:
    assert complaint("paypal", "a,b\n") == "line 1: a report of PayPal begins with RH"
    text = '"RH",1\n"SB","x"\n'
    assert complaint("paypal", text) == "line 2: a row stands before the column names (CH)"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_columns_are_found_whatever_separates_them_and_in_any_order(separator: str) -> None:
    text = io.StringIO(newline="")
    names = sorted(GOOD, reverse=True)
    rows: Sequence[Sequence[str]] = [[n.upper().replace("_", " ") for n in names],
                                     [GOOD[name] for name in names]]  # fmt: skip
    csv.writer(text, delimiter=separator).writerows(rows)
    assert only_line("stripe", text.getvalue()).amount == 100


def test_files_are_read_packed_and_with_a_mark_and_broken_ones_say_so(tmp_path: Path) -> None:
    plain = report_text(STRIPE, GOOD).encode("utf-8-sig")
    packed = gzip.compress(plain)
    for name, content in (("a.csv", plain), ("a.csv.gz", packed)):
        path = tmp_path / name
        path.write_bytes(content)
        report = Report(path, "stripe")
        assert len([entry for entry in report.entries() if entry.line]) == 1
        assert report.size == len(content)
    for content in (packed[:-9], b"\xff\xfe\x00", b"a\x00b,c\n", b'"a\n'):
        path = tmp_path / "broken"
        path.write_bytes(content)
        with pytest.raises(BadReport):
            list(Report(path, "stripe").entries())


def test_a_message_shows_no_control_characters() -> None:
    assert shown("a\x1b]0;b\x07") == "'a?]0;b?'"
