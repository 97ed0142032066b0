"""`refundry reconcile` as a command: what it says, how it ends, and what it leaves alone."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Done, complaint, refundry, run_sql, said
from tests.support.service import Account, Service
from tests.support.settlement import STRIPE, report_text

CREDENTIALS = json.dumps({"secret_key": "sk_test_1", "webhook_secret": "whsec_1"})
ROW = {
    "balance_transaction_id": "txn_1", "created_utc": "2026-05-04 10:00:00", "currency": "usd",
    "reporting_category": "refund", "source_id": "re_1", "charge_id": "ch_1", "gross": "-5.00",
}  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


def name_of(service: Service, account: Account) -> str:
    statement = "SELECT name FROM accounts WHERE id = $1"
    return run_sql(service.data_dir, statement, account.account_id)[0]["name"]


def lines_of(service: Service, account: Account) -> int:
    statement = "SELECT count(*) FROM settlement_lines WHERE account_id = $1"
    return run_sql(service.data_dir, statement, account.account_id)[0]["count"]


def test_a_report_is_read_beside_the_service(
    service: Service, account: Account, tmp_path: Path
) -> None:
    owner = ["--account", name_of(service, account)]

    def run(path: Path, *options: str) -> Done:
        arguments = ["reconcile", str(path), "--processor", "stripe", *owner, *options]
        return refundry(*arguments, data_dir=service.data_dir)

    path = tmp_path / "may.csv.gz"
    path.write_bytes(gzip.compress(report_text(STRIPE, ROW).encode()))
    assert complaint(run(path)) == (
        "Error: there is no gateway of stripe in test mode"
    )  # fmt: skip
    said(refundry("processor", "add", "stripe", *owner, data_dir=service.data_dir,
                  stdin=CREDENTIALS))  # fmt: skip
    rehearsed = said(run(path, "--dry-run"), 1)
    assert rehearsed.endswith("nothing was written")
    assert lines_of(service, account) == 0
    first = run(path, "--gateway", "stripe")
    assert said(first, 1).splitlines() == [
        "1 rows from 2026-05-04 to 2026-05-04, 1 of them refunds and chargebacks",
        "1 new: 0 settled, 0 waiting, 1 extra, 0 different; 0 read before",
        "0 open refunds booked as paid, 0 of ours are missing",
    ]
    assert first.stderr == "report\n", "the bar is for terminals"
    again = said(run(path), 0).splitlines()
    assert again[1] == "0 new: 0 settled, 0 waiting, 0 extra, 0 different; 1 read before"
    assert lines_of(service, account) == 1

    broken = tmp_path / "broken.csv"
    broken.write_text(report_text(STRIPE, ROW, ROW | {"gross": "1,00"}))
    assert complaint(run(broken)) == (
        "Error: broken.csv: line 3, column 'gross': '1,00' is no number like 1234.56"
    )
    assert complaint(run(broken, "--gateway", "other")) == (
        "Error: there is no gateway named 'other' of stripe in test mode"
    )
