"""Settlement reports as the processors write them, made of what a test says of each row."""

import csv
import io
import uuid
from collections.abc import Mapping, Sequence

from tests.support.command import run_sql
from tests.support.service import Account, Service

STRIPE = (
    "automatic_payout_id", "automatic_payout_effective_at", "balance_transaction_id",
    "created_utc", "available_on_utc", "currency", "gross", "fee", "net", "reporting_category",
    "source_id", "description", "charge_id", "payment_intent_id", "customer_facing_amount",
    "customer_facing_currency", "refund_metadata[refundry_operation]",
)  # fmt: skip
ADYEN = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference",
    "Payment Method", "Creation Date", "TimeZone", "Type", "Modification Reference",
    "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Exchange Rate", "Net Currency",
    "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)", "Scheme Fees (NC)",
    "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference",
    "Batch Number", "ARN",
)  # fmt: skip
PAYPAL = (
    "Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type",
    "Transaction Event Code", "Transaction Initiation Date", "Transaction Completion Date",
    # Two spaces, as in the real ones.
    "Transaction  Debit or Credit", "Gross Transaction Amount", "Gross Transaction Currency",
    "Fee Debit or Credit", "Fee Amount", "Fee Currency", "Custom Field", "Consumer ID",
    "Transactional Status",
)  # fmt: skip
BRAINTREE = (
    "Transaction ID", "Subscription ID", "Transaction Type", "Transaction Status",
    "Created Datetime", "Settlement Date", "Disbursement Date", "Merchant Account",
    "Currency ISO Code", "Amount Authorized", "Amount Submitted For Settlement", "Service Fee",
    "Order ID", "Settlement Amount", "Settlement Currency ISO Code", "Settlement Batch ID",
    "Refunded Transaction ID", "Acquirer Reference Number",
)  # fmt: skip
Cells = Mapping[str, str]


def report_text(columns: Sequence[str], *rows: Cells) -> str:
    """A report: a line of column names, and a line for each row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        assert set(row) <= set(columns), row
        writer.writerow([row.get(name, "") for name in columns])
    return text.getvalue()


def paypal_report(*rows: Cells) -> str:
    """A settlement report of PayPal with one section, of 4 May 2026."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["RH", "2026/05/05 02:00:00 -0700", "A", "MERCHANT", "9"])
    writer.writerow(["FH", "1"])
    day = "2026/05/04"
    writer.writerow(["SH", f"{day} 00:00:00 -0700", f"{day} 23:59:59 -0700", "MERCHANT", ""])
    writer.writerow(["CH", *PAYPAL])
    for row in rows:
        named = {name.replace("  ", " "): name for name in PAYPAL}
        assert set(row) <= set(named), row
        writer.writerow(["SB", *(row.get(name, "") for name in named)])
    writer.writerow(["SF", "USD", "0"])
    return text.getvalue()


def given_conflict(service: Service, account: Account, *, live: bool) -> None:
    """A gateway of the account, and a refund made at its processor that does not fit."""
    gateway_id = f"gw_{uuid.uuid4()}"
    run_sql(
        service.data_dir,
        "INSERT INTO gateways (account_id, live, id, created_at, name, processor, source_types,"
        " sealed_credentials) VALUES ($1, $2, $3, now(), 'main', 'stripe', '{konbini}', '')",
        account.account_id, live, gateway_id,
    )  # fmt: skip
    run_sql(
        service.data_dir,
        "INSERT INTO external_refunds (account_id, live, gateway_id, reference, seen_at, made_at,"
        " payment, amount_minor, currency, state, why) VALUES ($1, $2, $3, 're_elsewhere', now(),"
        " now(), 'pi_unknown', 700, 'USD', 'conflict', 'the charge has less left')",
        account.account_id, live, gateway_id,
    )  # fmt: skip
