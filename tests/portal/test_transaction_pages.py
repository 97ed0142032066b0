"""The pages of sales transactions, and the file that a spreadsheet reads."""

import csv
import io
from decimal import Decimal

from tests.portal.conftest import SignIn
from tests.support.disputes import charge_back, sales_of
from tests.support.fixtures import given_captured
from tests.support.http import Api
from tests.support.portal import Visitor
from tests.support.service import Service


def exported(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    """The rows of the file by their heads."""
    response = visitor.client.get(f"/dashboard/transactions.csv{query}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "sales-transactions.csv" in response.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))


def test_finance_sees_what_a_chargeback_took_line_by_line(api: Api, sign_in: SignIn) -> None:
    order = given_captured(api, "B")
    dispute = charge_back(api, order, 32.41)
    finance = sign_in("finance_manager")
    screen = finance.get("/dashboard/transactions")
    amounts = [row[6] for row in screen.rows("transactions")]
    assert sum(Decimal(text.removesuffix(" USD")) for text in amounts) == Decimal("-32.41")
    link = screen.soup.select_one("#transactions a")
    assert link is not None
    shown = finance.get(str(link["href"]))
    assert shown.read("amount") == amounts[0]
    assert shown.read("dispute-link") == dispute["id"]


def test_filters_narrow_the_list_and_the_file_alike(api: Api, admin: Visitor) -> None:
    fraud, other = given_captured(api, "A"), given_captured(api, "A")
    charge_back(api, fraud, 1)
    charge_back(api, other, 2, fraud=False)
    for query, expected in (
        ("", ["-2.00", "-1.00"]),
        ("?type=fraud_chargeback", ["-1.00"]),
        (f"?order={other['id']}", ["-2.00"]),
        (f"?order={other['id']}&type=fraud_chargeback", []),
        ("?to=2020-01-01", []),
        ("?from=2020-01-01", ["-2.00", "-1.00"]),
    ):
        screen = admin.get(f"/dashboard/transactions{query}")
        rows = screen.rows("transactions") if screen.has("transactions") else []
        assert [row[6] for row in rows] == [f"{text} USD" for text in expected], query
        assert screen.find("export")["href"] == f"/dashboard/transactions.csv{query}"
        assert [row["Amount"] for row in exported(admin, query)] == expected, query
    assert admin.get("/dashboard/transactions.csv?from=x").status == 400


def test_the_file_says_what_the_api_says(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "B", upstreamId="WEB-1")
    charge_back(api, order, 32.41)
    by_id = {row["ID"]: row for row in exported(admin)}
    sales = sales_of(api, order)
    assert set(by_id) == {each["id"] for each in sales}
    for each in sales:
        row = by_id[each["id"]]
        parts = each["payoutAmounts"]
        assert Decimal(row["Amount"]) == each["amount"]
        assert Decimal(row["Product price"]) == parts["productPrice"]
        assert Decimal(row["Tax"]) == parts["tax"]
        assert (row["Created"], row["Order ID"]) == (each["createdTime"], order["id"])
        assert (row["Upstream ID"], row["Currency"]) == ("WEB-1", "USD")


def test_an_id_that_looks_like_a_formula_is_text(api: Api, admin: Visitor) -> None:
    charge_back(api, given_captured(api, "A", upstreamId="=1+1"), 1)
    (row,) = exported(admin)
    assert (row["Upstream ID"], row["Amount"]) == ("'=1+1", "-1.00")


def test_a_currency_without_cents_has_none(api: Api, admin: Visitor) -> None:
    charge_back(api, given_captured(api, "J"), 301)
    assert admin.get("/dashboard/transactions").rows("transactions")[0][6] == "-301 JPY"
    assert exported(admin)[0]["Amount"] == "-301"


def test_only_finance_and_administrators_come_in(sign_in: SignIn) -> None:
    for role in ("customer_service", "developer", "user_manager"):
        visitor = sign_in(role)
        assert "Transactions" not in visitor.get("/dashboard/profile").read("navigation")
        assert visitor.get("/dashboard/transactions").status == 403
        assert visitor.get("/dashboard/transactions.csv").status == 403
        assert visitor.get("/dashboard/transactions/st_1").status == 403


def test_another_accounts_transactions_are_not_shown(service: Service, admin: Visitor) -> None:
    other = service.api(service.open_account().secret_test)
    order = given_captured(other, "A")
    charge_back(other, order, 1)
    (sale,) = sales_of(other, order)
    assert exported(admin) == []
    assert admin.get(f"/dashboard/transactions/{sale['id']}").status == 404
