"""`refundry bulk`, and what kill -9 leaves of a run."""

import csv
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Done, complaint, refundry, run_sql, said
from tests.support.fixtures import card, fulfil, get_order, given_accepted, line, listed, paid_by
from tests.support.http import Api, Doc
from tests.support.portal import Visitor
from tests.support.processes import eventually, kill
from tests.support.service import Account, Service

LARGE: Doc = {
    "items": [line(90_000.00, 0, 2)],
    "shippingChoice": None,
    "totalAmount": 90_000.00,
    "payment": paid_by(card(90_000.00)),
}
LINES = 400


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service("serve") as service:
        yield service


@pytest.fixture
def account(service: Service) -> Account:
    return service.open_account()


@pytest.fixture
def api(service: Service, account: Account) -> Api:
    return service.api(account.secret_test)


@pytest.fixture
def order(api: Api) -> Doc:
    order = given_accepted(api, "A", **LARGE)
    fulfil(api, order, 2)
    assert eventually(lambda: get_order(api, order)["state"] == "complete")
    return order


def write(folder: Path, order: Doc, *amounts: str) -> Path:
    file = folder / f"{uuid.uuid4()}.csv"
    text = "".join(f"{order['id']},{amount},USD\n" for amount in amounts)
    file.write_text(f"order_id,amount,currency\n{text}")
    return file


def name_of(service: Service, account: Account) -> str:
    statement = "SELECT name FROM accounts WHERE id = $1"
    return run_sql(service.data_dir, statement, account.account_id)[0]["name"]


def bulk(service: Service, account: Account, file: Path, *options: str) -> Done:
    env = {n: v for n, v in service.environment.items() if n.startswith("REFUNDRY_")}
    return refundry(
        "bulk", str(file), "--account", name_of(service, account), *options,
        data_dir=service.data_dir, env=env,
    )  # fmt: skip


def test_a_dry_run_says_everything_and_does_nothing(
    service: Service, account: Account, api: Api, order: Doc, tmp_path: Path
) -> None:
    file = write(tmp_path, order, "5.00", "5.00", "100000.00")
    text = said(bulk(service, account, file, "--dry-run"), code=1)
    assert "line 3: duplicate: Same order and amount as line 2." in text
    assert "line 4: refused: The requested refund amount is greater" in text
    assert text.endswith("total: 5.00 USD")
    assert "1 ready, 1 possible duplicates left out, 1 refused" in text
    assert listed(api, "/refunds") == []
    assert "total: 10.00 USD" in said(
        bulk(service, account, write(tmp_path, order, "5.00", "5"), "--dry-run",
             "--include-duplicates")
    )  # fmt: skip


def test_a_file_is_refunded_once_however_often_the_command_is_run(
    service: Service, account: Account, api: Api, order: Doc, tmp_path: Path
) -> None:
    file = write(tmp_path, order, "5.00", "6.00")
    wrong = complaint(bulk(service, account, file, "--confirm", "12.00"))
    assert "Type the total, 11.00 USD" in wrong
    assert listed(api, "/refunds") == []
    for _ in range(2):
        text = said(bulk(service, account, file, "--confirm", "11.00 USD"))
        assert "2 refunded, 11.00 USD; 0 not" in text
        assert len(listed(api, "/refunds")) == 2
    with file.with_name(f"{file.stem}.result.csv").open() as result:
        rows = list(csv.DictReader(result))
    assert {row["refund_id"] for row in rows} == set(listed(api, "/refunds"))
    run_sql(service.data_dir, "DELETE FROM bulk_lines WHERE account_id = $1", account.account_id)
    assert "lines of this run are deleted" in complaint(bulk(service, account, file))
    assert len(listed(api, "/refunds")) == 2
    with file.with_name(f"{file.stem}.result.csv").open() as result:
        assert list(csv.DictReader(result)) == rows, "the result of back then is left alone"


@pytest.mark.check
@pytest.mark.parametrize("role", ["worker", "everything"])
def test_a_run_goes_on_after_kill_9_and_pays_nothing_twice(
    service: Service, account: Account, api: Api, order: Doc, tmp_path: Path, role: str
) -> None:
    file = write(tmp_path, order, *(f"{n / 100:.2f}" for n in range(1, LINES + 1)))
    run_id = _confirmed(service, account, file)
    count = "SELECT count(*) AS n FROM bulk_lines WHERE run_id = $1 AND state = 'made'"

    def made() -> int:
        return run_sql(service.data_dir, count, run_id)[0]["n"]

    assert eventually(lambda: made() > 0)
    if role == "worker":
        for pid in service.children("worker"):
            kill(pid)
    else:
        service.kill()
        service.start()
    assert 0 < made() < LINES
    assert eventually(lambda: made() == LINES, 90)
    total = sum(range(1, LINES + 1))
    refunds = "SELECT count(*) AS n, sum(amount_minor) AS s FROM refunds WHERE order_id = $1"
    row = run_sql(service.data_dir, refunds, order["id"])[0]
    assert (row["n"], row["s"]) == (LINES, total)


def _confirmed(service: Service, account: Account, file: Path) -> str:
    """The id of a run that was confirmed in the dashboard: the service has to make it."""
    visitor = Visitor(service)
    try:
        visitor.sign_in(account.create_user("administrator"))
        csrf = {"csrf_token": visitor.csrf()}
        checked = visitor.post("/dashboard/bulk", csrf | {"pasted": file.read_text()})
        total = checked.read("bulk-total")
        started = visitor.post(f"{checked.path}/start", csrf | {"total": total})
        assert started.status == 200, started.text
        return checked.path.rpartition("/")[2]
    finally:
        visitor.close()
